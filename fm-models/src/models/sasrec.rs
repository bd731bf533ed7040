//! SASRec: self-attention over the history, matched with the candidate.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Half, InnerProduct, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use crate::layers::{
    BlockForm, Dropout, Embedding, EmbeddingConfig, History, LayerNorm, TransformerBlock, TransformerConfig, bias,
    is_there,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "sasrec",
    "SASRec",
    (2018, "Kang, McAuley: Self-attentive sequential recommendation, ICDM", "https://arxiv.org/abs/1808.09781"),
    "which item follows the items of the user's history, in their order",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The vectors of items and positions.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The blocks of self-attention.
    #[serde(flatten)]
    pub transformer: TransformerConfig,
    /// Probability that an element of an input or of the output of a part of a block is dropped in training.
    pub dropout: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig { embedding_dim: 64, init_std: 0.02 },
            transformer: TransformerConfig { transformer_blocks: 2, transformer_heads: 1, transformer_units: 64 },
            dropout: 0.2,
        }
    }
}

/// ŷ = w₀ + ⟨u, v_i⟩ with u = LN(y_0), the normalised vector of the newest item of the history after several causal
/// [`TransformerBlock`]s over v_j + p_j. Item 0 is the newest; an item sees itself and older ones. A row without a history
/// has a vector u of its own.
///
/// Items have one table, v, for the history and for the candidate. Other fields are not used. A ranking trains u to give the
/// row's item a higher score than sampled items; each row is one position of the paper's sequences.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Kang and McAuley, ICDM 2018, <https://arxiv.org/abs/1808.09781>. Positions are counted from the newest item, as in
/// the paper's sequences, which are padded at their start. The vector u of an empty history is not from the paper.
#[derive(Debug)]
pub struct SasRec {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// v.
    pub embedding: Embedding,
    /// p `[L, k]`.
    pub positions: Tensor,
    /// u of an empty history `[k]`.
    pub empty: Tensor,
    /// The blocks.
    pub blocks: Vec<TransformerBlock>,
    /// LN.
    pub norm: LayerNorm,
    history: History,
    dropout: Dropout,
}

impl SasRec {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range, or a schema without a history.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<SasRec> {
        let history = History::of_item(schema)?;
        let is_used = |field: usize| [history.sequence, history.item].contains(&field);
        let embedding = Embedding::of_fields(path / "embedding", schema, is_used, &config.embedding)?;
        let (k, init) = (embedding.output()[1], Init::Randn { mean: 0.0, stdev: config.embedding.init_std });
        let length = schema.slots(history.sequence).len() as i64;
        Ok(SasRec {
            bias: bias(path),
            embedding,
            positions: path.f_var("positions", &[length, k], init)?,
            empty: path.f_var("empty", &[k], init)?,
            blocks: TransformerBlock::several(path, k, &config.transformer, config.dropout, BlockForm::NormFirst)?,
            norm: LayerNorm::new(path / "norm", &[k])?,
            history,
            dropout: Dropout::new("SasRec", "dropout", config.dropout)?,
        })
    }

    /// u `[B, k]`, from the vectors and values of the slots.
    fn user(&self, (vectors, values): &(Tensor, Tensor), train: bool) -> Result<Tensor> {
        let there = is_there(&self.embedding.of_field(values, self.history.sequence));
        let items = self.embedding.of_field(vectors, self.history.sequence);
        // The first slot has the newest item.
        let sees = (there.unsqueeze(1) * there.unsqueeze(2)).triu(0);
        let mut y = self.dropout.forward(items + &self.positions, train)?;
        for block in &self.blocks {
            y = block.forward(&y, &sees, train)?;
        }
        let has_history = there.narrow(1, 0, 1);
        let newest = self.norm.forward(&y.select(1, 0))?;
        Ok(newest * &has_history + (1.0 - has_history) * &self.empty)
    }

    /// v_i `[B, k]`, from the vectors and values of the slots.
    fn item(&self, (vectors, values): &(Tensor, Tensor)) -> Tensor {
        let of_item = |slots: &Tensor| self.embedding.of_field(slots, self.history.item);
        of_item(vectors).squeeze_dim(1) * of_item(values)
    }
}

impl ModelConfig for Config {
    const NEEDS_HISTORY: bool = true;

    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(SasRec::new(path, schema, self)?))
    }
}

impl Model for SasRec {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let slots = self.embedding.unscaled(features, train)?;
        let products = self.user(&slots, train)? * self.item(&slots);
        Ok(products.sum_dim_intlist(-1, false, Kind::Float) + &self.bias)
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        Some(self)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("history and item", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let (k, length) = (self.embedding.output()[1], self.positions.size()[0]);
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("positions", "Positions", &[length, k]),
            Layer::new("empty", "Vector", &[k]),
        ];
        let block = |l| Layer::new(&format!("block_{l}"), "TransformerBlock", &[length, k]);
        layers.extend((0..self.blocks.len()).map(block));
        layers.push(Layer::new("norm", "LayerNorm", &[k]));
        layers
    }
}

impl InnerProduct for SasRec {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let vectors = self.user(&self.embedding.unscaled(rows, train)?, train)?;
        let own = self.bias.expand([vectors.size()[0]], true);
        Ok(Half { vectors, own: Some(own) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        Ok(Half { vectors: self.item(&self.embedding.unscaled(items, train)?), own: None })
    }
}
