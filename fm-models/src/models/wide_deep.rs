//! Wide & Deep: a linear model and a deep network.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::dnn::{self, DnnOnly};
use crate::layers::Linear;

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "wide_deep",
    "Wide&Deep",
    (2016, "Cheng et al.: Wide & deep learning for recommender systems, DLRS", "https://arxiv.org/abs/1606.07792"),
    "each value by itself, and interactions of any order in a deep network",
);

/// The options: those of the deep part.
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The deep part.
    #[serde(flatten)]
    pub deep: dnn::Config,
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨h, DNN([e_1; ...; e_F])⟩, with e_f the sum of the scaled vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Cheng et al., DLRS 2016, equation 3, <https://arxiv.org/abs/1606.07792>. Its wide part also has products
/// of columns chosen by hand: add such a column to the data.
#[derive(Debug)]
pub struct WideDeep {
    /// w.
    pub wide: Linear,
    /// w₀ and the deep part.
    pub deep: DnnOnly,
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        let deep = DnnOnly::new(path, schema, &self.deep)?;
        Ok(Box::new(WideDeep { wide: Linear::new(path / "linear", schema)?, deep }))
    }
}

impl Model for WideDeep {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        Ok(self.wide.forward(features, train)? + self.deep.logits(features, train)?)
    }

    fn bias(&self) -> &Tensor {
        self.deep.bias()
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation { first_order: Some(self.wide.terms(features, false)?), ..self.deep.explain(features)? })
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers = self.deep.layers();
        layers.insert(1, Layer::new("linear", "Linear", &[]));
        layers
    }
}
