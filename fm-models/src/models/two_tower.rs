//! Two towers: a network of the user and one of the item, for retrieval.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Error, Features, Half, InnerProduct, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::layers::{Dense, Dnn, DnnConfig, Embedding, EmbeddingConfig, ItemFields, bias, check_size};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "two_tower",
    "Two-tower",
    (
        2019,
        "Yi, Yang, Hong, Cheng, Heldt, Kumthekar, Zhao, Wei, Chi: Sampling-bias-corrected neural modeling for large \
         corpus item recommendations, RecSys",
        "https://doi.org/10.1145/3298689.3346996",
    ),
    "a network of the user and a network of the item, whose vectors an index finds",
);

/// Vectors shorter than this are divided by it instead of by their length, which may be 0.
const SHORTEST: f64 = 1e-6;

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors of the fields.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The hidden layers of each tower.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// d: length of the towers' vectors.
    pub tower_dim: i64,
    /// Whether the towers' vectors are scaled to length 1, so that their inner product is the cosine.
    pub normalize: bool,
    /// τ: number by which the inner product is divided. The smaller it is, the more the best items stand out.
    pub temperature: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig { dropout: 0.0, ..DnnConfig::default() },
            tower_dim: 32,
            normalize: true,
            temperature: 0.1,
        }
    }
}

/// ŷ = w₀ + ⟨u, v⟩ / τ with u = W DNN([e_f of each field f of the user and the context]) + b and
/// v = W' DNN'([e_f of each field f of the item]) + b', each divided by its length.
///
/// e_f is the sum of the scaled vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Yi et al., RecSys 2019, section 3, <https://doi.org/10.1145/3298689.3346996>, whose loss is
/// [`sampled_softmax`](fm_core::ranking::sampled_softmax) with negatives from the batch; the towers are those of DSSM:
/// Huang et al., CIKM 2013, <https://doi.org/10.1145/2505515.2505665>.
#[derive(Debug)]
pub struct TwoTower {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The network of the user and the context.
    pub user: Encoder,
    /// The network of the item.
    pub item: Encoder,
    item_fields: ItemFields,
    normalize: bool,
    temperature: f64,
}

/// Hidden layers, and a linear one for their vector `[B, d]`.
#[derive(Debug)]
pub struct Encoder {
    /// The hidden layers.
    pub dnn: Dnn,
    /// W and b.
    pub output: Dense,
}

impl Encoder {
    fn new(path: &Path<'_>, fields: i64, config: &Config) -> Result<Encoder> {
        let input = fields * config.embedding.embedding_dim;
        let dnn = Dnn::new(path / "dnn", input, &config.dnn)?;
        Ok(Encoder { output: Dense::new(path / "output", dnn.output(), config.tower_dim, true)?, dnn })
    }
}

impl TwoTower {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for options out of range, or a schema without a field on the item's side, or without any
    /// other field.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<TwoTower> {
        let Config { tower_dim, normalize, temperature, .. } = *config;
        check_size("TwoTower", "tower_dim", tower_dim)?;
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(Error::Setting(format!("TwoTower: temperature is {temperature}: it must be more than 0")));
        }
        let item_fields = ItemFields::new(schema);
        let [of_item, of_rest] = item_fields.counts();
        if of_item == 0 || of_rest == 0 {
            let side = if of_item == 0 { "describes the item" } else { "describes the user or the context" };
            return Err(Error::Setting(format!("TwoTower: no field {side}: set its `side` in the schema")));
        }
        Ok(TwoTower {
            bias: bias(path),
            embedding: Embedding::new(path / "embedding", schema, &config.embedding)?,
            user: Encoder::new(&(path / "user"), of_rest, config)?,
            item: Encoder::new(&(path / "item"), of_item, config)?,
            item_fields,
            normalize,
            temperature,
        })
    }

    /// The vectors `[B, d]` of a tower, from the vectors of its fields.
    fn encode(&self, tower: &Encoder, fields: &Tensor, train: bool) -> Result<Tensor> {
        let vectors = tower.output.forward(&tower.dnn.forward(&fields.flatten(1, -1), train)?)?;
        if !self.normalize {
            return Ok(vectors);
        }
        let lengths = vectors.square().sum_dim_intlist(-1, true, Kind::Float).clamp_min(SHORTEST * SHORTEST).sqrt();
        Ok(vectors / lengths)
    }

    /// u / τ, from the vectors of all fields.
    fn user(&self, fields: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.encode(&self.user, &self.item_fields.of_rest(fields, 1), train)? / self.temperature)
    }

    /// v, from the vectors of all fields.
    fn item(&self, fields: &Tensor, train: bool) -> Result<Tensor> {
        self.encode(&self.item, &self.item_fields.of_item(fields, 1), train)
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(TwoTower::new(path, schema, self)?))
    }
}

impl Model for TwoTower {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let fields = self.embedding.forward(features, train)?;
        let products = self.user(&fields, train)? * self.item(&fields, train)?;
        Ok(products.sum_dim_intlist(-1, false, Kind::Float) + &self.bias)
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        Some(self)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("two towers", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers =
            vec![Layer::new("bias", "Bias", &[]), Layer::new("embedding", "Embedding", &self.embedding.output())];
        for (name, tower) in [("user", &self.user), ("item", &self.item)] {
            layers.push(Layer::new(&format!("{name}.dnn"), "Dnn", &[tower.dnn.output()]));
            layers.push(Layer::new(&format!("{name}.output"), "Dense", &[tower.output.weight().size()[0]]));
        }
        layers
    }
}

impl InnerProduct for TwoTower {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let vectors = self.user(&self.embedding.forward(rows, train)?, train)?;
        let own = self.bias.expand([vectors.size()[0]], true);
        Ok(Half { vectors, own: Some(own) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        Ok(Half { vectors: self.item(&self.embedding.forward(items, train)?, train)?, own: None })
    }
}
