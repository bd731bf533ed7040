//! DIN: a deep network over the fields and the part of the history that matters for the candidate.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{
    ActivationUnit, DnnConfig, Embedding, EmbeddingConfig, History, Tower, UnitActivation, bias, is_there,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "din",
    "DIN",
    (
        2018,
        "Zhou, Zhu, Song, Fan, Zhu, Ma, Yan, Jin, Li, Gai: Deep interest network for click-through rate prediction, KDD",
        "https://arxiv.org/abs/1706.06978",
    ),
    "which items of the user's history matter for the candidate, and interactions of any order in a deep network",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// Width of each hidden layer of the attention.
    pub attention_units: Vec<i64>,
    /// Activation of each hidden layer of the attention: dice adapts to the distribution of its input.
    pub attention_activation: UnitActivation,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig::default(),
            attention_units: vec![36],
            attention_activation: UnitActivation::Dice,
        }
    }
}

/// ŷ = w₀ + ⟨h, DNN([e_1; ...; e_F])⟩, where the vector of a history is Σ_j a_j x_j v_j over its items j, with the weight
/// a_j that an [`ActivationUnit`] gives to v_j and the vector of the row's own item. Other fields have the sum of their
/// scaled vectors.
///
/// Each sequence that shares the table of another field is a history, with a unit of its own. The values x are those of the
/// schema: with `weighting = "sum"`, they are 1 and the history's vector is the paper's.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Zhou et al., KDD 2018, sections 4.2, 4.3 and 5.3, <https://arxiv.org/abs/1706.06978>. The paper has Dice in the deep
/// network, too, whose activation is an option here; its regularisation of the rows of a batch is `l2_scope`.
#[derive(Debug)]
pub struct Din {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// v.
    pub embedding: Embedding,
    /// The histories, and the unit of each.
    pub attention: Vec<(History, ActivationUnit)>,
    /// The hidden layers and h.
    pub tower: Tower,
}

impl Din {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range, or a schema without a history.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Din> {
        let histories = History::all(schema)?;
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let unit = |(number, history): (usize, History)| {
            let path = path / "attention" / format!("history_{number}");
            Ok((history, ActivationUnit::new(&path, k, &config.attention_units, config.attention_activation)?))
        };
        let attention = histories.into_iter().enumerate().map(unit).collect::<Result<_>>()?;
        Ok(Din { bias: bias(path), embedding, attention, tower: Tower::new(path, fields * k, &config.dnn, false)? })
    }

    /// The vectors of the fields `[B, F, k]`.
    fn fields(&self, features: &Features, train: bool) -> Result<Tensor> {
        let (vectors, values) = self.embedding.unscaled(features, train)?;
        let sums = self.embedding.sums_of_slots(&(&vectors * values.unsqueeze(-1)));
        let mut fields: Vec<Tensor> = (0..self.embedding.output()[0]).map(|field| sums.narrow(1, field, 1)).collect();
        for (History { sequence, item }, unit) in &self.attention {
            let items = self.embedding.of_field(&vectors, *sequence);
            let x = self.embedding.of_field(&values, *sequence);
            let weights = unit.forward(&sums.select(1, *item as i64), &items, &is_there(&x), train)?;
            fields[*sequence] = (weights * x).unsqueeze(1).matmul(&items);
        }
        Ok(Tensor::cat(&fields, 1))
    }
}

impl ModelConfig for Config {
    const NEEDS_HISTORY: bool = true;

    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Din::new(path, schema, self)?))
    }
}

impl Model for Din {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        Ok(self.tower.forward(&self.fields(features, train)?.flatten(1, -1), train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("deep part", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("attention", "ActivationUnit", &[self.embedding.output()[1]]),
        ];
        layers.extend(self.tower.layers());
        layers
    }
}
