//! The factorization machine.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{EmbeddingConfig, Fm, FmInteraction};

/// The registered model: [`Fm`] by itself.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "fm",
    "FM",
    (2010, "Rendle: Factorization machines, ICDM", "https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf"),
    "all pairs of values, as inner products",
);

/// The options. Keras: `FM` (third notebook).
#[derive(Debug, Default, Serialize, Deserialize)]
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

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation {
            first_order: Some(self.linear.terms(features, false)?),
            pairs: Some(FmInteraction.terms(&self.embedding.forward(features, false)?)?),
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
