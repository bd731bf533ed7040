//! The factorization machine.

use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Module, Path};

use super::check_options;
use crate::layers::{Embedding, FmInteraction, Linear};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "fm",
    "FM",
    (2010, "Rendle: Factorization machines, ICDM", "https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf"),
    "all pairs of values, as inner products",
);

/// The options.
#[derive(Debug, Serialize, Deserialize)]
pub struct Config {
    /// k, the length of the latent vectors.
    pub embedding_dim: i64,
    /// The standard deviation of their first values.
    pub init_std: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { embedding_dim: 16, init_std: 0.01 }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s}, v_{id_t}⟩ x_s x_t
///
/// As in libFM, the pairs run over slots: two values of one multi-valued field interact, too.
struct Fm {
    linear: Linear,
    embedding: Embedding,
    layers: Vec<Layer>,
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        check_options(self.embedding_dim, self.init_std, &[], 0.0)?;
        let slots = schema.num_slots() as i64;
        Ok(Box::new(Fm {
            linear: Linear::new(path / "linear", schema),
            embedding: Embedding::new(path / "embedding", schema, self.embedding_dim, self.init_std),
            layers: vec![
                Layer::new("linear", "Linear", &[]),
                Layer::new("embedding", "Embedding", &[slots, self.embedding_dim]),
                Layer::new("", "FmInteraction", &[]),
            ],
        }))
    }
}

impl Model for Fm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let embeddings = self.embedding.forward(features, train);
        Ok(self.linear.forward(features, train) + FmInteraction.forward(&embeddings))
    }

    fn bias(&self) -> &Tensor {
        self.linear.bias()
    }

    fn layers(&self) -> Vec<Layer> {
        self.layers.clone()
    }
}
