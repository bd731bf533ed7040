//! The factorization machine.

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
use crate::layers::{EmbeddingConfig, Fm, FmInteraction};

/// The registered model: [`Fm`] by itself.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "fm",
    "FM",
    (2010, "Rendle: Factorization machines, ICDM", "https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf"),
    "all pairs of values, as inner products",
);

/// The options. Keras: `FM` (third notebook).
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Fm::new(path, schema, &self.embedding)?))
    }
}

impl Model for Fm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        self.forward(features, train)
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
        Ok(Explanation {
            first_order: Some(self.linear.terms(features, false)?),
            pairs: Some(FmInteraction.terms(&self.embedding.slots(features, false)?)?),
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("", "FmInteraction", &[]),
        ]
    }
}

/// If the slots of a row are divided into two parts, ŷ is the sum of the scores of both parts and ⟨Σ_s e_s, Σ_t e_t⟩ with s
/// in one part and t in the other.
impl InnerProduct for Fm {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let Half { vectors, own } = self.of_items(rows, train)?;
        Ok(Half { vectors, own: own.map(|own| own + &self.bias) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        let (sum, squares) = self.embedding.sum_and_squares(items, train)?;
        let own = self.linear.forward(items, train)? + FmInteraction.of_sums(&sum, &squares);
        Ok(Half { vectors: sum, own: Some(own) })
    }
}

impl OnlineModel for Fm {
    fn kernel<'a>(&'a self, rule: OptimizerConfig) -> Result<Box<dyn OnlineKernel + 'a>> {
        let vectors = ("embedding.weight", &self.embedding.table);
        let weights = ("linear.weight", &self.linear.weight);
        let tables = |rule| FmTables::new(rule, ("bias", &self.bias), weights, Some(vectors));
        Ok(Box::new(Kernel::new(rule, tables)?))
    }
}
