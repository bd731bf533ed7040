//! xDeepFM: explicit interactions of bounded degree, and implicit ones in a deep network.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{Cin, CinConfig, Dense, DnnConfig, Embedding, EmbeddingConfig, Linear, Tower, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "xdeepfm",
    "xDeepFM",
    (
        2018,
        "Lian, Zhou, Zhang, Chen, Xie, Sun: xDeepFM: combining explicit and implicit feature interactions, KDD",
        "https://arxiv.org/abs/1803.05170",
    ),
    "interactions of bounded degree vector by vector, and of any order in a deep network",
);

/// The options.
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// The compressed interaction network.
    #[serde(flatten)]
    pub cin: CinConfig,
    /// Whether the outputs of the CIN and of the deep part have their own biases. These are redundant with w₀: only for
    /// parity.
    pub part_biases: bool,
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨c, CIN([e_1; ...; e_F])⟩ + ⟨h, DNN([e_1; ...; e_F])⟩, with e_f the sum of the scaled
/// vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Lian et al., KDD 2018, section 3.3, <https://arxiv.org/abs/1803.05170>. Keras: `xDeepFM` (third notebook),
/// with `part_biases = true`. The summary in the notebook does not count w₀.
#[derive(Debug)]
pub struct XDeepFm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Linear,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The explicit interactions.
    pub cin: Cin,
    /// c.
    pub cin_output: Dense,
    /// The hidden layers and h.
    pub tower: Tower,
}

impl XDeepFm {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<XDeepFm> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let cin = Cin::new(path / "cin", fields, &config.cin)?;
        Ok(XDeepFm {
            bias: bias(path),
            linear: Linear::new(path / "linear", schema)?,
            embedding,
            cin_output: Dense::new(path / "cin_output", cin.output(), 1, config.part_biases)?,
            cin,
            tower: Tower::new(path, fields * k, &config.dnn, config.part_biases)?,
        })
    }

    /// ⟨c, CIN(...)⟩ and ⟨h, DNN(...)⟩, each `[B]`, with their biases if they have any.
    fn interactions(&self, features: &Features, train: bool) -> Result<(Tensor, Tensor)> {
        let embeddings = self.embedding.forward(features, train)?;
        let explicit = self.cin_output.forward(&self.cin.forward(&embeddings)?)?.squeeze_dim(-1);
        Ok((explicit, self.tower.forward(&embeddings.flatten(1, -1), train)?))
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(XDeepFm::new(path, schema, self)?))
    }
}

impl Model for XDeepFm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let (explicit, implicit) = self.interactions(features, train)?;
        Ok(explicit + implicit + self.linear.forward(features, train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        let (explicit, implicit) = self.interactions(features, false)?;
        Ok(Explanation {
            first_order: Some(self.linear.terms(features, false)?),
            lumps: vec![("CIN", explicit), ("deep part", implicit)],
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("cin", "Cin", &[self.cin.output()]),
            Layer::new("cin_output", "Dense", &[1]),
        ];
        layers.extend(self.tower.layers());
        layers
    }
}
