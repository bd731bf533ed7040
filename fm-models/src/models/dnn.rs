//! A deep network alone, the baseline of the papers.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{DnnConfig, Embedding, EmbeddingConfig, Tower, bias};

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
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
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
/// without the features specific to YouTube.
#[derive(Debug)]
pub struct DnnOnly {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The hidden layers and h.
    pub tower: Tower,
}

impl DnnOnly {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<DnnOnly> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let tower = Tower::new(path, fields * k, &config.dnn, false)?;
        Ok(DnnOnly { bias: bias(path), embedding, tower })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(DnnOnly::new(path, schema, self)?))
    }
}

impl Model for DnnOnly {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        Ok(self.tower.forward(&self.embedding.forward(features, train)?.flatten(1, -1), train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("deep part", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers =
            vec![Layer::new("bias", "Bias", &[]), Layer::new("embedding", "Embedding", &self.embedding.output())];
        layers.extend(self.tower.layers());
        layers
    }
}
