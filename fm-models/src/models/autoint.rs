//! AutoInt: self-attention between fields.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{Dense, DnnConfig, Embedding, EmbeddingConfig, InteractingConfig, InteractingLayer, Tower, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "autoint",
    "AutoInt",
    (
        2019,
        "Song, Shi, Xiao, Duan, Xu, Zhang, Tang: AutoInt: automatic feature interaction learning via self-attentive \
         neural networks, CIKM",
        "https://arxiv.org/abs/1810.11921",
    ),
    "combinations of fields that attend to each other in several layers",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part, which only exists with hidden units.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// The interacting layers.
    #[serde(flatten)]
    pub attention: InteractingConfig,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig { hidden_units: vec![], ..DnnConfig::default() },
            attention: InteractingConfig::default(),
        }
    }
}

/// ŷ = w₀ + ⟨a, [ê_1; ...; ê_F]⟩, with ê of the last of several [`InteractingLayer`]s, the first of which takes e_f,
/// the sum of the scaled vectors of field f. AutoInt+ adds ⟨h, DNN([e_1; ...; e_F])⟩.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Song et al., CIKM 2019, equations 5 to 9, <https://arxiv.org/abs/1810.11921>.
#[derive(Debug)]
pub struct AutoInt {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The interacting layers.
    pub attention: Vec<InteractingLayer>,
    /// a.
    pub attention_output: Dense,
    /// The hidden layers and h of AutoInt+.
    pub tower: Option<Tower>,
}

impl AutoInt {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<AutoInt> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let layer = |path: &Path<'_>, width| InteractingLayer::new(path, [fields, width], &config.attention);
        let (attention, width) = (config.attention.layers(path, k, layer)?, config.attention.output());
        let is_deep = !config.dnn.hidden_units.is_empty();
        Ok(AutoInt {
            bias: bias(path),
            embedding,
            attention,
            attention_output: Dense::new(path / "attention_output", fields * width, 1, false)?,
            tower: is_deep.then(|| Tower::new(path, fields * k, &config.dnn, false)).transpose()?,
        })
    }

    /// The parts of the logit, each `[B]`, without w₀.
    fn parts(&self, features: &Features, train: bool) -> Result<Vec<(&'static str, Tensor)>> {
        let fields = self.embedding.forward(features, train)?;
        let last = self.attention.iter().try_fold(fields.shallow_clone(), |fields, layer| layer.forward(&fields))?;
        let attended = self.attention_output.forward(&last.flatten(1, -1))?.squeeze_dim(-1);
        let mut parts = vec![("attention", attended)];
        if let Some(tower) = &self.tower {
            parts.push(("deep part", tower.forward(&fields.flatten(1, -1), train)?));
        }
        Ok(parts)
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(AutoInt::new(path, schema, self)?))
    }
}

impl Model for AutoInt {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let parts = self.parts(features, train)?;
        Ok(parts.into_iter().fold(self.bias.shallow_clone(), |sum, (_, part)| part + sum))
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation { lumps: self.parts(features, false)?, ..Explanation::new(&self.bias) })
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let width = self.attention_output.weight().size()[1] / fields;
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &[fields, k]),
            Layer::new("attention", "InteractingLayer", &[fields, width]),
            Layer::new("attention_output", "Dense", &[1]),
        ];
        layers.extend(self.tower.iter().flat_map(Tower::layers));
        layers
    }
}
