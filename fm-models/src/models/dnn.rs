//! A deep network by itself: the baseline that the papers compare with.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{Dense, Dnn, DnnConfig, Embedding, EmbeddingConfig, FieldPooling, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "dnn",
    "DNN",
    (
        2016,
        "Covington, Adams, Sargin: Deep neural networks for YouTube recommendations, RecSys",
        "https://doi.org/10.1145/2959100.2959190",
    ),
    "interactions of any order in a deep network, none of them explicit",
);

/// The options.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The hidden layers.
    #[serde(flatten)]
    pub dnn: DnnConfig,
}

/// ŷ = w₀ + ⟨h, DNN([e_1; ...; e_F])⟩, with e_f the sum of the scaled vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: the ranking network of Covington et al., RecSys 2016, section 4, <https://doi.org/10.1145/2959100.2959190>,
/// without the features of their product.
#[derive(Debug)]
pub struct DnnOnly {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// The vectors of the slots.
    pub embedding: Embedding,
    /// e, the vectors of the fields.
    pub pooling: FieldPooling,
    /// The hidden layers.
    pub dnn: Dnn,
    /// h.
    pub output: Dense,
}

impl DnnOnly {
    /// Makes the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<DnnOnly> {
        let fields = schema.num_fields() as i64;
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let dnn = Dnn::new(path / "dnn", fields * config.embedding.embedding_dim, &config.dnn)?;
        Ok(DnnOnly {
            bias: bias(path),
            embedding,
            pooling: FieldPooling::new(schema),
            output: Dense::new(path / "output", dnn.output(), 1, false)?,
            dnn,
        })
    }

    /// ⟨h, DNN([e_1; ...; e_F])⟩ `[B]`
    fn deep(&self, features: &Features, train: bool) -> Result<Tensor> {
        let embeddings = self.pooling.forward(&self.embedding.forward(features, train)?)?;
        Ok(self.output.forward(&self.dnn.forward(&embeddings.flatten(1, -1), train)?)?.squeeze_dim(-1))
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(DnnOnly::new(path, schema, self)?))
    }
}

impl Model for DnnOnly {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        Ok(self.deep(features, train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation { lumps: vec![("deep part", self.deep(features, false)?)], ..Explanation::new(&self.bias) })
    }

    fn layers(&self) -> Vec<Layer> {
        let [slots, k] = self.embedding.output();
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &[slots, k]),
            Layer::new("", "FieldPooling", &[self.pooling.fields(), k]),
            Layer::new("dnn", "Dnn", &[self.dnn.output()]),
            Layer::new("output", "Dense", &[1]),
        ]
    }
}
