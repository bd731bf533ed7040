//! A model's layers, shapes and parameter counts, in the format of Keras.

use std::fmt;

use serde::Serialize;
use tch::nn::VarStore;

use crate::model::{Layer, Model};
use crate::terminal::grouped;

/// The summary of a model. `Display` draws the table.
///
/// ```
/// # use fm_core::{Field, FieldKind, Label, Schema, Side, Task, tch::{Device, nn::VarStore}};
/// # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
/// # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user])?;
/// use fm_core::summary::Summary;
///
/// let store = VarStore::new(Device::Cpu);
/// let model = fm_models::find("fm")?.build(&Default::default(), &store.root(), &schema)?;
/// let summary = Summary::new("fm", model.as_ref(), &store);
/// assert_eq!(summary.total(), 1 + 3 + 3 * 16); // w₀, w, and V of a user unknown, ann and bob
/// assert!(summary.to_string().contains("Total parameters: 52"));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// The layers with the number of their parameters.
    pub layers: Vec<(Layer, i64)>,
    /// The number of trainable parameters.
    pub trainable: i64,
    /// The number of other parameters, such as batch norm's moving statistics.
    pub fixed: i64,
}

impl Summary {
    /// Counts the parameters of `model` in `store`.
    pub fn new(name: &str, model: &dyn Model, store: &VarStore) -> Summary {
        let variables = store.variables();
        let count = |layer: &Layer| {
            let inside = |name: &str| {
                let rest = name.strip_prefix(layer.name.as_str());
                !layer.name.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            variables.iter().filter(|(name, _)| inside(name)).map(|(_, tensor)| tensor.numel() as i64).sum()
        };
        let layers = model.layers().into_iter().map(|layer| (count(&layer), layer)).map(|(n, l)| (l, n)).collect();
        let trainable = store.trainable_variables().iter().map(|tensor| tensor.numel() as i64).sum();
        let all: i64 = variables.values().map(|tensor| tensor.numel() as i64).sum();
        Summary { model: name.to_owned(), layers, trainable, fixed: all - trainable }
    }

    /// The number of all parameters.
    pub fn total(&self) -> i64 {
        self.trainable + self.fixed
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Model: {}", self.model)?;
        writeln!(f, "{}", "─".repeat(64))?;
        writeln!(f, "{:<32}{:<20}{:>12}", "Layer (type)", "Output shape", "Parameters")?;
        writeln!(f, "{}", "─".repeat(64))?;
        for (layer, parameters) in &self.layers {
            let sizes = layer.output.iter().map(|size| size.map_or("B".to_owned(), |size| size.to_string()));
            let shape = format!("[{}]", sizes.collect::<Vec<_>>().join(", "));
            let name =
                if layer.name.is_empty() { layer.kind.into() } else { format!("{} ({})", layer.name, layer.kind) };
            writeln!(f, "{name:<32}{:<20}{:>12}", shape, grouped(*parameters))?;
        }
        writeln!(f, "{}", "─".repeat(64))?;
        writeln!(f, "Total parameters: {}", grouped(self.total()))?;
        writeln!(f, "Trainable: {}, fixed: {}", grouped(self.trainable), grouped(self.fixed))
    }
}
