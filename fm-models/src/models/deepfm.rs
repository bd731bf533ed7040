//! DeepFM: a factorization machine and a deep network over the same vectors.

use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Module, ModuleT, Path};

use super::check_options;
use crate::layers::{Dnn, DnnConfig, Embedding, FieldPooling, FmInteraction, Linear};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "deepfm",
    "DeepFM",
    (
        2017,
        "Guo, Tang, Ye, Li, He: DeepFM: a factorization-machine based neural network for CTR prediction, IJCAI",
        "https://arxiv.org/abs/1703.04247",
    ),
    "all pairs as inner products, and interactions of any order in a deep network",
);

/// The options.
#[derive(Debug, Serialize, Deserialize)]
pub struct Config {
    /// k, the length of the latent vectors.
    pub embedding_dim: i64,
    /// The standard deviation of their first values.
    pub init_std: f64,
    /// The width of each hidden layer.
    pub hidden_units: Vec<i64>,
    /// The probability that a hidden unit is dropped in training.
    pub dropout: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { embedding_dim: 16, init_std: 0.01, hidden_units: vec![64, 64], dropout: 0.5 }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{f<g} ⟨e_f, e_g⟩ + DNN([e_1; ...; e_F]), with e_f the sum of the scaled vectors of field f.
///
/// The pairs run over fields: two values of one multi-valued field do not interact here. Keras's `DeepFM` (third notebook) puts a dense layer over the three parts and has no w₀; here they are added, as in
/// the paper.
struct DeepFm {
    linear: Linear,
    embedding: Embedding,
    pooling: FieldPooling,
    dnn: Dnn,
    layers: Vec<Layer>,
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        check_options(self.embedding_dim, self.init_std, &self.hidden_units, self.dropout)?;
        let (slots, fields, k) = (schema.num_slots() as i64, schema.num_fields() as i64, self.embedding_dim);
        let dnn = DnnConfig { hidden_units: self.hidden_units.clone(), dropout: self.dropout };
        Ok(Box::new(DeepFm {
            linear: Linear::new(path / "linear", schema),
            embedding: Embedding::new(path / "embedding", schema, k, self.init_std),
            pooling: FieldPooling::new(schema),
            dnn: Dnn::new(path / "dnn", fields * k, &dnn),
            layers: vec![
                Layer::new("linear", "Linear", &[]),
                Layer::new("embedding", "Embedding", &[slots, k]),
                Layer::new("", "FieldPooling", &[fields, k]),
                Layer::new("", "FmInteraction", &[]),
                Layer::new("dnn", "Dnn", &[]),
            ],
        }))
    }
}

impl Model for DeepFm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let embeddings = self.pooling.forward(&self.embedding.forward(features, train));
        let deep = self.dnn.forward_t(&embeddings.flatten(1, -1), train);
        Ok(self.linear.forward(features, train) + FmInteraction.forward(&embeddings) + deep)
    }

    fn bias(&self) -> &Tensor {
        self.linear.bias()
    }

    fn layers(&self) -> Vec<Layer> {
        self.layers.clone()
    }
}
