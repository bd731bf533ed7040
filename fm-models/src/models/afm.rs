//! The attentional factorization machine.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Error, Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::layers::{
    AttentionPooling, Dense, Dropout, Embedding, EmbeddingConfig, Linear, PairPooling, PairwiseProduct, Pooling,
    at_least_two_fields, bias, is_across, pair_of_fields,
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

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// How the vectors of the pairs are pooled.
    pub pooling: Pooling,
    /// t: width of the attention network.
    pub attention_dim: i64,
    /// λ of the penalty λ ‖W‖² on the matrix of the attention network.
    pub attention_l2: f64,
    /// Whether the last layer of the attention network has a bias. It cancels in the softmax: only for parity.
    pub attention_bias: bool,
    /// Probability that an element of a pair's vector is dropped in training.
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
            attention_l2: 0.001,
            attention_bias: false,
            dropout: 0.2,
            linear: true,
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨p, Σ_{f<g} a_{f,g} (e_f ⊙ e_g)⟩, with e_f the sum of the scaled vectors of field f.
///
/// As in the paper, dropout applies to the pairs' vectors, and the L2 penalty to the attention's matrix W, not to the
/// latent vectors.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Xiao et al., IJCAI 2017, section 3, <https://arxiv.org/abs/1708.04617>. Keras: `AFM` (third notebook), which
/// has no linear part (`linear = false`), never applies the dropout that it declares (`dropout = 0`), penalises the
/// latent vectors instead of W, and whose mode `max` is a sum.
#[derive(Debug)]
pub struct Afm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Option<Linear>,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The products.
    pub pairs: PairwiseProduct,
    /// The pooling of the products, with or without the weights a.
    pub pooling: PairPooling,
    /// p.
    pub output: Dense,
    dropout: Dropout,
    attention_l2: f64,
}

impl Afm {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for options out of range, or for fewer than two fields, which have no pair.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Afm> {
        let (k, fields) = (config.embedding.embedding_dim, schema.num_fields() as i64);
        at_least_two_fields(schema)?;
        let attention_l2 = config.attention_l2;
        if !attention_l2.is_finite() || attention_l2 < 0.0 {
            let reason = format!("Afm: attention_l2 is {attention_l2}: it must be a number of at least 0");
            return Err(Error::Setting(reason));
        }
        let attention = || AttentionPooling::new(&(path / "attention"), k, config.attention_dim, config.attention_bias);
        Ok(Afm {
            bias: bias(path),
            linear: config.linear.then(|| Linear::new(path / "linear", schema)).transpose()?,
            embedding: Embedding::new(path / "embedding", schema, &config.embedding)?,
            pairs: PairwiseProduct::new(fields)?,
            pooling: match config.pooling {
                Pooling::Attention => PairPooling::Attention(attention()?),
                Pooling::Mean => PairPooling::Mean,
                Pooling::Max => PairPooling::Max,
                Pooling::Sum => PairPooling::Sum,
            },
            output: Dense::new(path / "output", k, 1, false)?,
            dropout: Dropout::new("Afm", "dropout", config.dropout)?,
            attention_l2,
        })
    }
}

impl ModelConfig for Config {
    // The paper penalises the attention's matrix instead: `Afm::penalty`.
    const L2_FACTOR: f64 = 0.0;

    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Afm::new(path, schema, self)?))
    }
}

impl Model for Afm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let pairs = self.pairs.forward(&self.embedding.forward(features, train)?)?;
        let pairs = self.dropout.forward(pairs, train)?;
        let second_order = self.output.forward(&self.pooling.forward(&pairs)?)?.squeeze_dim(-1) + &self.bias;
        match &self.linear {
            Some(linear) => Ok(second_order + linear.forward(features, train)?),
            None => Ok(second_order),
        }
    }

    fn penalty(&self) -> Option<Tensor> {
        match &self.pooling {
            PairPooling::Attention(attention) if self.attention_l2 > 0.0 => {
                Some(attention.matrix().square().sum(Kind::Float) * self.attention_l2)
            }
            _ => None,
        }
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// The term of a pair of slots s and t of fields f and g is a_{f,g} ⟨p, e_s ⊙ e_t⟩.
    fn explain(&self, features: &Features) -> Result<Explanation> {
        let (slots, layout) = (self.embedding.slots(features, false)?, &self.embedding.layout);
        let weights = self.pooling.weights(&self.pairs.forward(&self.embedding.forward(features, false)?)?)?;
        let of_slots = weights.index_select(1, &pair_of_fields(layout, slots.device()));
        let products = PairwiseProduct::new(slots.size()[1])?.forward(&slots)? * of_slots;
        let terms = self.output.forward(&products)?.squeeze_dim(-1) * is_across(layout, slots.device());
        let has_attention = matches!(self.pooling, PairPooling::Attention(_));
        Ok(Explanation {
            first_order: self.linear.as_ref().map(|linear| linear.terms(features, false)).transpose()?,
            pairs: Some(terms),
            attention: has_attention.then(|| weights.squeeze_dim(-1)),
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let mut layers = vec![Layer::new("bias", "Bias", &[])];
        layers.extend(self.linear.iter().map(|_| Layer::new("linear", "Linear", &[])));
        layers.push(Layer::new("embedding", "Embedding", &[fields, k]));
        layers.push(Layer::new("", "PairwiseProduct", &[fields * (fields - 1) / 2, k]));
        layers.push(match self.pooling {
            PairPooling::Attention(_) => Layer::new("attention", "AttentionPooling", &[k]),
            _ => Layer::new("", "PairPooling", &[k]),
        });
        layers.push(Layer::new("output", "Dense", &[1]));
        layers
    }
}
