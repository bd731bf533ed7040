//! The adaptive factorization network.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{BatchNormMode, DnnConfig, Embedding, EmbeddingConfig, LogarithmicLayer, Tower, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "afn",
    "AFN",
    (
        2020,
        "Cheng, Shen, Huang: Adaptive factorization network: learning adaptive-order feature interactions, AAAI",
        "https://arxiv.org/abs/1909.03276",
    ),
    "products of fields to powers that are learned, in a deep network",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The network over the products.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// n: number of products.
    pub logarithmic_neurons: i64,
    /// Batch normalisation of the logarithms and of the products.
    pub log_batch_norm: BatchNormMode,
    /// Momentum of the moving statistics of this normalisation.
    pub log_batch_norm_momentum: f64,
    /// Width of each hidden layer of the deep network beside the products. Without one, there is no such network.
    pub deep_hidden_units: Vec<i64>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig::default(),
            logarithmic_neurons: 64,
            log_batch_norm: BatchNormMode::Standard,
            // With statistics that are far from those of the batches, the powers of a new row are astronomical.
            log_batch_norm_momentum: 0.9,
            deep_hidden_units: vec![],
        }
    }
}

/// ŷ = w₀ + ⟨h, DNN([y_1; ...; y_n])⟩ with the products y of a [`LogarithmicLayer`] over e_f, the sum of the scaled
/// vectors of field f. AFN+ adds ⟨h', DNN'([e'_1; ...; e'_F])⟩, with vectors from a second table.
///
/// Only the magnitudes of e matter. An unknown or missing value, whose vector is zero, is a factor of 1.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Cheng et al., AAAI 2020, section 3, <https://arxiv.org/abs/1909.03276>. The paper's weights of the two parts
/// of AFN+ are within h and h' here; it does not say what an unknown value is.
#[derive(Debug)]
pub struct Afn {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The products y.
    pub products: LogarithmicLayer,
    /// The hidden layers over the products, and h.
    pub tower: Tower,
    /// e', and the hidden layers of AFN+ and h'.
    pub deep: Option<(Embedding, Tower)>,
    /// `[n, k]`, the shape of a row's products.
    output: [i64; 2],
}

impl Afn {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Afn> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let ([fields, k], neurons) = (embedding.output(), config.logarithmic_neurons);
        let norm = (config.log_batch_norm, config.log_batch_norm_momentum);
        let products = LogarithmicLayer::new(&(path / "products"), embedding.output(), neurons, norm)?;
        let deep = || {
            let path = path / "deep";
            let dnn = DnnConfig { hidden_units: config.deep_hidden_units.clone(), ..config.dnn.clone() };
            let embedding = Embedding::new(&path / "embedding", schema, &config.embedding)?;
            Ok((embedding, Tower::new(&path, fields * k, &dnn, false)?))
        };
        let deep: Option<Result<_>> = (!config.deep_hidden_units.is_empty()).then(deep);
        Ok(Afn {
            bias: bias(path),
            embedding,
            products,
            tower: Tower::new(path, neurons * k, &config.dnn, false)?,
            deep: deep.transpose()?,
            output: [neurons, k],
        })
    }

    /// The parts of the logit, each `[B]`, without w₀.
    fn parts(&self, features: &Features, train: bool) -> Result<Vec<(&'static str, Tensor)>> {
        let products = self.products.forward(&self.embedding.forward(features, train)?, train)?;
        let mut parts = vec![("deep part over powers", self.tower.forward(&products.flatten(1, -1), train)?)];
        if let Some((embedding, tower)) = &self.deep {
            let fields = embedding.forward(features, train)?;
            parts.push(("deep part", tower.forward(&fields.flatten(1, -1), train)?));
        }
        Ok(parts)
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Afn::new(path, schema, self)?))
    }
}

impl Model for Afn {
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
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("products", "LogarithmicLayer", &self.output),
        ];
        layers.extend(self.tower.layers());
        layers.extend(self.deep.iter().map(|_| Layer::new("deep", "Tower", &[])));
        layers
    }
}
