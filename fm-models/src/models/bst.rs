//! BST: a deep network over the fields and a transformer over the history and the candidate.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Init, Path};

use crate::layers::{
    BlockForm, DnnConfig, Embedding, EmbeddingConfig, History, Tower, TransformerBlock, TransformerConfig, bias,
    is_there,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "bst",
    "BST",
    (
        2019,
        "Chen, Zhao, Li, Huang, Ou: Behavior sequence transformer for e-commerce recommendation in Alibaba, DLP-KDD",
        "https://arxiv.org/abs/1905.06874",
    ),
    "how the items of the user's history, in their order, relate to each other and to the candidate",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The vectors of values and of positions.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part. Its dropout is also that of the blocks.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// The blocks of self-attention.
    #[serde(flatten)]
    pub transformer: TransformerConfig,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig { dropout: 0.2, ..DnnConfig::default() },
            transformer: TransformerConfig { transformer_blocks: 1, transformer_heads: 8, transformer_units: 64 },
        }
    }
}

/// ŷ = w₀ + ⟨h, DNN([e_1; ...; e_G; y_0; y_1; ...])⟩ with the vectors y of several [`TransformerBlock`]s over [v_j;
/// p_j]: place 0 is the row's own item, place 1 the newest item of its history, and p_j is the vector of the place.
/// Each place sees all others. e are the vectors of the fields that are neither the history nor its item.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Chen et al., DLP-KDD 2019, section 2, <https://arxiv.org/abs/1905.06874>. The paper's positions are the
/// time since the item was seen; here they are the order. Its deep network has leaky relus.
#[derive(Debug)]
pub struct Bst {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// v and e.
    pub embedding: Embedding,
    /// p `[1 + L, k]`.
    pub positions: Tensor,
    /// The blocks.
    pub blocks: Vec<TransformerBlock>,
    /// The hidden layers and h.
    pub tower: Tower,
    history: History,
}

impl Bst {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range, or a schema without a history.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Bst> {
        let history = History::of_item(schema)?;
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let places = 1 + schema.slots(history.sequence).len() as i64;
        let init = Init::Randn { mean: 0.0, stdev: config.embedding.init_std };
        let (dropout, form) = (config.dnn.dropout, BlockForm::NormLast);
        Ok(Bst {
            bias: bias(path),
            embedding,
            positions: path.f_var("positions", &[places, k], init)?,
            blocks: TransformerBlock::several(path, 2 * k, &config.transformer, dropout, form)?,
            tower: Tower::new(path, (fields - 2) * k + places * 2 * k, &config.dnn, false)?,
            history,
        })
    }

    /// y `[B, 1 + L, 2 k]`, with zeros for padding, from the vectors and values of the slots.
    fn places(&self, vectors: &Tensor, values: &Tensor, train: bool) -> Result<Tensor> {
        let of_places = |slots: &Tensor| {
            let [item, sequence] = [self.history.item, self.history.sequence];
            Tensor::cat(&[self.embedding.of_field(slots, item), self.embedding.of_field(slots, sequence)], 1)
        };
        let (vectors, there) = (of_places(vectors), is_there(&of_places(values)));
        let sees = there.unsqueeze(1) * there.unsqueeze(2);
        let mut y = Tensor::cat(&[&vectors, &self.positions.expand_as(&vectors)], 2);
        for block in &self.blocks {
            y = block.forward(&y, &sees, train)?;
        }
        Ok(y * there.unsqueeze(-1))
    }
}

impl ModelConfig for Config {
    const NEEDS_HISTORY: bool = true;

    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Bst::new(path, schema, self)?))
    }
}

impl Model for Bst {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let (vectors, values) = self.embedding.unscaled(features, train)?;
        let sums = self.embedding.sums_of_slots(&(&vectors * values.unsqueeze(-1)));
        let is_other = |field: &i64| ![self.history.item, self.history.sequence].contains(&(*field as usize));
        let mut input: Vec<Tensor> =
            (0..self.embedding.output()[0]).filter(is_other).map(|field| sums.select(1, field)).collect();
        input.push(self.places(&vectors, &values, train)?.flatten(1, 2));
        Ok(self.tower.forward(&Tensor::cat(&input, 1), train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("deep part", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let places = self.positions.size()[0];
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &[fields, k]),
            Layer::new("positions", "Positions", &[places, k]),
        ];
        let block = |l| Layer::new(&format!("block_{l}"), "TransformerBlock", &[places, 2 * k]);
        layers.extend((0..self.blocks.len()).map(block));
        layers.extend(self.tower.layers());
        layers
    }
}
