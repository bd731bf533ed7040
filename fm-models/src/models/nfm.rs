//! The neural factorization machine.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{
    BatchNorm, BatchNormMode, BiInteraction, DnnConfig, Dropout, Embedding, EmbeddingConfig, Linear, Tower, bias,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "nfm",
    "NFM",
    (
        2017,
        "He, Chua: Neural factorization machines for sparse predictive analytics, SIGIR",
        "https://arxiv.org/abs/1708.05027",
    ),
    "all pairs pooled into one vector, and interactions of it in a deep network",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// Probability that an element of the pooled vector is dropped in training.
    pub pooling_dropout: f64,
    /// Batch normalisation of the pooled vector.
    pub batch_norm: BatchNormMode,
    /// Whether there is a linear part.
    pub linear: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig { hidden_units: vec![64], ..DnnConfig::default() },
            pooling_dropout: 0.2,
            batch_norm: BatchNormMode::Standard,
            linear: true,
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨h, DNN(dropout(batch_norm(Σ_{s<t} e_s ⊙ e_t)))⟩
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: He and Chua, SIGIR 2017, section 3.1, <https://arxiv.org/abs/1708.05027>. Keras: `NFM` (third notebook) and
/// the second notebook, which have no linear part (`linear = false`), apply dropout only after the last hidden layer,
/// and pass their option `bn_use` as the `training` argument of batch norm: [`BatchNormMode::AlwaysBatch`] and
/// [`BatchNormMode::Frozen`].
#[derive(Debug)]
pub struct Nfm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Option<Linear>,
    /// e.
    pub embedding: Embedding,
    /// The batch norm of the pooled vector.
    pub batch_norm: Option<BatchNorm>,
    /// The hidden layers and h.
    pub tower: Tower,
    pooling_dropout: Dropout,
}

impl Nfm {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Nfm> {
        let k = config.embedding.embedding_dim;
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        Ok(Nfm {
            bias: bias(path),
            linear: config.linear.then(|| Linear::new(path / "linear", schema)).transpose()?,
            embedding,
            batch_norm: BatchNorm::new(path / "batch_norm", k, config.batch_norm)?,
            tower: Tower::new(path, k, &config.dnn, false)?,
            pooling_dropout: Dropout::new("Nfm", "pooling_dropout", config.pooling_dropout)?,
        })
    }

    /// ⟨h, DNN(...)⟩ `[B]`
    fn deep(&self, features: &Features, train: bool) -> Result<Tensor> {
        let (sum, squares) = self.embedding.sum_and_squares(features, train)?;
        let mut pooled = BiInteraction.of_sums(&sum, &squares);
        if let Some(norm) = &self.batch_norm {
            pooled = norm.forward(&pooled, train)?;
        }
        let pooled = self.pooling_dropout.forward(pooled, train)?;
        self.tower.forward(&pooled, train)
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Nfm::new(path, schema, self)?))
    }
}

impl Model for Nfm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let deep = self.deep(features, train)? + &self.bias;
        match &self.linear {
            Some(linear) => Ok(deep + linear.forward(features, train)?),
            None => Ok(deep),
        }
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation {
            first_order: self.linear.as_ref().map(|linear| linear.terms(features, false)).transpose()?,
            lumps: vec![("deep part over all pairs", self.deep(features, false)?)],
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let mut layers = vec![Layer::new("bias", "Bias", &[])];
        layers.extend(self.linear.iter().map(|_| Layer::new("linear", "Linear", &[])));
        layers.push(Layer::new("embedding", "Embedding", &[fields, k]));
        layers.push(Layer::new("", "BiInteraction", &[k]));
        layers.extend(self.batch_norm.iter().map(|_| Layer::new("batch_norm", "BatchNorm", &[k])));
        layers.extend(self.tower.layers());
        layers
    }
}
