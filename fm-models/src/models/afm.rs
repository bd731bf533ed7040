//! The attentional factorization machine.

use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::layers::{
    AttentionPooling, Dense, Dropout, Embedding, EmbeddingConfig, FieldPooling, Linear, PairwiseProduct, bias,
    check_input,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "afm",
    "AFM",
    (
        2017,
        "Xiao, Ye, He, Zhang, Wu, Chua: Attentional factorization machines, IJCAI",
        "https://arxiv.org/abs/1708.04617",
    ),
    "all pairs of fields, each with a weight that an attention network gives it",
);

/// How the pairs' vectors become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The weighted sum of [`AttentionPooling`].
    #[default]
    Attention,
    /// The mean: Keras's `avg`.
    Mean,
    /// The greatest of each component.
    Max,
    /// The sum, which is an FM's: what Keras's notebook computes as `max`.
    Sum,
}

/// The options.
#[derive(Debug, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// How the pairs' vectors become one.
    pub pooling: Pooling,
    /// t, the width of the attention network.
    pub attention_dim: i64,
    /// Whether the attention's last layer has a bias. The softmax does not see it: for parity alone.
    pub attention_bias: bool,
    /// The probability that an element of a pair's vector is dropped in training.
    pub dropout: f64,
    /// Whether there is a linear part.
    pub linear: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig { init_std: 0.1, ..EmbeddingConfig::default() },
            pooling: Pooling::Attention,
            attention_dim: 16,
            attention_bias: false,
            dropout: 0.2,
            linear: true,
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨p, Σ_{f<g} a_{f,g} (e_f ⊙ e_g)⟩, with e_f the sum of the scaled vectors of field f.
///
/// The dropout is on the pairs' vectors, as in the paper's experiments.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Xiao et al., IJCAI 2017, equation 6, <https://arxiv.org/abs/1708.04617>. Keras: `AFM` (third notebook),
/// which has no linear part (`linear = false`), never applies the dropout that it declares (`dropout = 0`), and whose
/// mode `max` is a sum.
#[derive(Debug)]
pub struct Afm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Option<Linear>,
    /// The vectors of the slots.
    pub embedding: Embedding,
    /// e, the vectors of the fields.
    pub field_pooling: FieldPooling,
    /// The products.
    pub pairs: PairwiseProduct,
    /// a; only where the pooling is by attention.
    pub attention: Option<AttentionPooling>,
    /// p.
    pub output: Dense,
    pooling: Pooling,
    dropout: Dropout,
    fields: i64,
}

impl Afm {
    /// Makes the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range, [`fm_core::Error::Shape`] for fewer than two fields.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Afm> {
        let (k, fields) = (config.embedding.embedding_dim, schema.num_fields() as i64);
        let attention = (config.pooling == Pooling::Attention)
            .then(|| AttentionPooling::new(&(path / "attention"), k, config.attention_dim, config.attention_bias));
        Ok(Afm {
            bias: bias(path),
            linear: config.linear.then(|| Linear::new(path / "linear", schema)),
            embedding: Embedding::new(path / "embedding", schema, &config.embedding)?,
            field_pooling: FieldPooling::new(schema),
            pairs: PairwiseProduct::new(fields)?,
            attention: attention.transpose()?,
            output: Dense::new(path / "output", k, 1, false)?,
            pooling: config.pooling,
            dropout: Dropout::new("Afm", "dropout", config.dropout)?,
            fields,
        })
    }

    /// The pooled pairs `[B, k]` of the pairs' vectors `[B, F(F-1)/2, k]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F(F-1)/2, k]`.
    pub fn pool(&self, pairs: &Tensor) -> Result<Tensor> {
        check_input("Afm", pairs, &[self.fields * (self.fields - 1) / 2, self.embedding.output()[1]])?;
        match (&self.attention, self.pooling) {
            (Some(attention), _) => attention.forward(pairs),
            (None, Pooling::Mean) => Ok(pairs.mean_dim(1i64, false, Kind::Float)),
            (None, Pooling::Max) => Ok(pairs.amax(1i64, false)),
            (None, _) => Ok(pairs.sum_dim_intlist(1, false, Kind::Float)),
        }
    }
}

impl ModelConfig for Config {
    // A mean over the pairs leaves each a small gradient, and the paper does not penalise the vectors at all.
    const L2_FACTOR: f64 = 0.02;

    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Afm::new(path, schema, self)?))
    }
}

impl Model for Afm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let embeddings = self.field_pooling.forward(&self.embedding.forward(features, train)?)?;
        let pairs = self.dropout.forward(self.pairs.forward(&embeddings)?, train)?;
        let second_order = self.output.forward(&self.pool(&pairs)?)?.squeeze_dim(-1) + &self.bias;
        match &self.linear {
            Some(linear) => Ok(second_order + linear.forward(features, train)?),
            None => Ok(second_order),
        }
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn layers(&self) -> Vec<Layer> {
        let ([slots, k], fields) = (self.embedding.output(), self.fields);
        let mut layers = vec![Layer::new("bias", "Bias", &[])];
        layers.extend(self.linear.iter().map(|_| Layer::new("linear", "Linear", &[])));
        layers.push(Layer::new("embedding", "Embedding", &[slots, k]));
        layers.push(Layer::new("", "FieldPooling", &[fields, k]));
        layers.push(Layer::new("", "PairwiseProduct", &[fields * (fields - 1) / 2, k]));
        layers.extend(self.attention.iter().map(|_| Layer::new("attention", "AttentionPooling", &[k])));
        layers.push(Layer::new("output", "Dense", &[1]));
        layers
    }
}
