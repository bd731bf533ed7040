//! Logistic (or linear) regression.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::online::{OnlineKernel, OnlineModel};
use fm_core::optim::OptimizerConfig;
use fm_core::{Features, Half, InnerProduct, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::kernels::online::{FmTables, Kernel};
use crate::layers::{Linear, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "lr",
    "LR",
    (
        2007,
        "Richardson, Dominowska, Ragno: Predicting clicks: estimating the click-through rate for new ads, WWW",
        "https://doi.org/10.1145/1242572.1242643",
    ),
    "each value by itself",
);

/// It has no options.
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {}

/// ŷ = w₀ + Σ_s w_{id_s} x_s
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Richardson et al., WWW 2007, <https://doi.org/10.1145/1242572.1242643>; here, the sigmoid is part of the
/// loss.
#[derive(Debug)]
pub struct Lr {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Linear,
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Lr { bias: bias(path), linear: Linear::new(path / "linear", schema)? }))
    }
}

impl Model for Lr {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        Ok(self.linear.forward(features, train)? + &self.bias)
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        Some(self)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn online(&self) -> Option<&dyn OnlineModel> {
        Some(self)
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        let first_order = Some(self.linear.terms(features, false)?);
        Ok(Explanation { first_order, ..Explanation::new(&self.bias) })
    }

    fn layers(&self) -> Vec<Layer> {
        vec![Layer::new("bias", "Bias", &[]), Layer::new("linear", "Linear", &[])]
    }
}

/// The vectors have no elements: an item has the same weights for all users.
impl InnerProduct for Lr {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let Half { vectors, own } = self.of_items(rows, train)?;
        Ok(Half { vectors, own: own.map(|own| own + &self.bias) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        let own = self.linear.forward(items, train)?;
        Ok(Half { vectors: own.unsqueeze(-1).narrow(1, 0, 0), own: Some(own) })
    }
}

impl OnlineModel for Lr {
    fn kernel<'a>(&'a self, rule: OptimizerConfig) -> Result<Box<dyn OnlineKernel + 'a>> {
        let weights = ("linear.weight", &self.linear.weight);
        let tables = |rule| FmTables::new(rule, ("bias", &self.bias), weights, None);
        Ok(Box::new(Kernel::new(rule, tables)?))
    }
}
