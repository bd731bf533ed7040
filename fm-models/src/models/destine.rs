//! DESTINE: self-attention between fields, in which pairs and the importance of single fields are apart.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{
    Dense, DisentangledLayer, DnnConfig, Embedding, EmbeddingConfig, InteractingConfig, Linear, Tower, bias,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "destine",
    "DESTINE",
    (
        2021,
        "Xu, Zhu, Yu, Liu, Wu: Disentangled self-attentive neural networks for click-through rate prediction, CIKM",
        "https://arxiv.org/abs/2101.03654",
    ),
    "combinations of fields that attend to each other, with the importance of a field apart from that of its pairs",
);

/// Which layers add a projection of their input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residual {
    /// The last layer adds one of the embeddings.
    #[default]
    LastLayer,
    /// Each layer adds one of its own input.
    EachLayer,
}

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part, which only exists with hidden units.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// The layers of attention.
    #[serde(flatten)]
    pub attention: InteractingConfig,
    /// Which layers add a projection of their input.
    pub residual: Residual,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig { hidden_units: vec![], ..DnnConfig::default() },
            attention: InteractingConfig::default(),
            residual: Residual::LastLayer,
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨a, relu([ê_1; ...; ê_F])⟩ with ê_f = ẽ_f + W_R e_f, where ẽ is of the last of several
/// [`DisentangledLayer`]s, the first of which takes e_f, the sum of the scaled vectors of field f. With `residual =
/// "each-layer"`, each layer adds a projection of its own input instead. Hidden units add ⟨h, DNN([e_1; ...; e_F])⟩.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Xu et al., CIKM 2021, section 2, <https://arxiv.org/abs/2101.03654>. The first order and the position of the
/// residual are those of the authors' program.
#[derive(Debug)]
pub struct Destine {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Linear,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The layers of attention.
    pub attention: Vec<DisentangledLayer>,
    /// W_R, if only the last layer has it.
    pub residual: Option<Dense>,
    /// a.
    pub attention_output: Dense,
    /// The hidden layers and h, if there are any.
    pub tower: Option<Tower>,
}

impl Destine {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Destine> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let each = config.residual == Residual::EachLayer;
        let attention = config
            .attention
            .layers(path, k, |path, width| DisentangledLayer::new(path, [fields, width], &config.attention, each))?;
        let width = config.attention.output();
        let is_deep = !config.dnn.hidden_units.is_empty();
        Ok(Destine {
            bias: bias(path),
            linear: Linear::new(path / "linear", schema)?,
            attention,
            residual: (!each).then(|| Dense::new(path / "residual", k, width, false)).transpose()?,
            attention_output: Dense::new(path / "attention_output", fields * width, 1, false)?,
            tower: is_deep.then(|| Tower::new(path, fields * k, &config.dnn, false)).transpose()?,
            embedding,
        })
    }

    /// The parts of the logit that mix fields, each `[B]`.
    fn parts(&self, features: &Features, train: bool) -> Result<Vec<(&'static str, Tensor)>> {
        let fields = self.embedding.forward(features, train)?;
        let last = self.attention.iter().try_fold(fields.shallow_clone(), |fields, layer| layer.forward(&fields))?;
        // Not in place, which ONNX does not have.
        let last = match &self.residual {
            Some(residual) => last + residual.forward(&fields)?,
            None => last,
        };
        let attended = self.attention_output.forward(&last.relu().flatten(1, -1))?.squeeze_dim(-1);
        let mut parts = vec![("attention", attended)];
        if let Some(tower) = &self.tower {
            parts.push(("deep part", tower.forward(&fields.flatten(1, -1), train)?));
        }
        Ok(parts)
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Destine::new(path, schema, self)?))
    }
}

impl Model for Destine {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let first_order = self.linear.forward(features, train)? + &self.bias;
        Ok(self.parts(features, train)?.into_iter().fold(first_order, |sum, (_, part)| part + sum))
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation {
            first_order: Some(self.linear.terms(features, false)?),
            lumps: self.parts(features, false)?,
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let width = self.attention_output.weight().size()[1] / fields;
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &[fields, k]),
            Layer::new("attention", "DisentangledLayer", &[fields, width]),
        ];
        layers.extend(self.residual.iter().map(|_| Layer::new("residual", "Dense", &[fields, width])));
        layers.push(Layer::new("attention_output", "Dense", &[1]));
        layers.extend(self.tower.iter().flat_map(Tower::layers));
        layers
    }
}
