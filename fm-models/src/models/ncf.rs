//! Neural collaborative filtering: GMF, MLP and NeuMF.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Error, Features, Half, InnerProduct, Model, ModelConfig, ModelEntry, Result, Schema, Side};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use crate::kernels::lookup::Grouping;
use crate::layers::{Dense, Dnn, DnnConfig, Embedding, EmbeddingConfig, PairwiseProduct, above_diagonal, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "ncf",
    "NCF",
    (2017, "He, Liao, Zhang, Nie, Hu, Chua: Neural collaborative filtering, WWW", "https://arxiv.org/abs/1708.05031"),
    "a user and an item, as a weighted product and in a deep network",
);

/// Which parts to build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Only the product: generalised matrix factorization.
    Gmf,
    /// Only the deep network.
    Mlp,
    /// Both, with separate vectors.
    #[default]
    NeuMf,
}

/// The options.
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The vectors, of the same length in both parts.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The hidden layers of the deep network.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// Which parts to build.
    pub form: Form,
}

/// ŷ = w₀ + ⟨h, [p_u ⊙ q_i; DNN([p'_u; q'_i])]⟩
///
/// p_u is the sum of the scaled vectors of all fields of the user and of the context, q_i that of all fields of the
/// item. p' and q' are the same from a separate table. If the user's and the item's id are the only fields, this is the
/// paper's model.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: He et al., WWW 2017, equations 9 to 12, <https://arxiv.org/abs/1708.05031>; here, the sigmoid is part of the
/// loss.
#[derive(Debug)]
pub struct Ncf {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// p and q.
    pub gmf_embedding: Option<Embedding>,
    /// p' and q', and the deep network.
    pub mlp: Option<(Embedding, Dnn)>,
    /// h.
    pub output: Dense,
    by_side: Grouping,
    /// `[S]`: 1 for each slot of the item, 0 for the others.
    is_item: Vec<f32>,
    /// Whether a row without its item has no field on the item's side, and an item only such fields.
    is_split_by_side: bool,
}

impl Ncf {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range, or a schema without a field on the item's side, or without
    /// any other field.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Ncf> {
        let by_side = Grouping::by_side(schema)?;
        let side = |field: usize| f32::from(schema.fields()[field].side == Side::Item);
        let is_item: Vec<f32> = schema.field_of_slots().into_iter().map(side).collect();
        let on_items_side = (0..is_item.len()).filter(|&slot| is_item[slot] == 1.0);
        let is_split_by_side = schema.item_slots().eq(on_items_side);
        let k = config.embedding.embedding_dim;
        let (mut gmf_embedding, mut mlp, mut width) = (None, None, 0);
        if config.form != Form::Mlp {
            gmf_embedding = Some(Embedding::new(path / "gmf_embedding", schema, &config.embedding)?);
            width += k;
        }
        if config.form != Form::Gmf {
            let embedding = Embedding::new(path / "mlp_embedding", schema, &config.embedding)?;
            let dnn = Dnn::new(path / "dnn", 2 * k, &config.dnn)?;
            width += dnn.output();
            mlp = Some((embedding, dnn));
        }
        let output = Dense::new(path / "output", width, 1, false)?;
        Ok(Ncf { bias: bias(path), gmf_embedding, mlp, output, by_side, is_item, is_split_by_side })
    }

    /// The user's and the item's vectors `[B, 2, k]`.
    fn sides(&self, embedding: &Embedding, features: &Features, train: bool) -> Result<Tensor> {
        Ok(embedding.sums(features, &self.by_side, train)?.sums)
    }

    /// p_u `[B, k]` of side 0, or q_i of side 1.
    fn of_side(&self, side: i64, features: &Features, train: bool) -> Result<Tensor> {
        let Some(embedding) = &self.gmf_embedding else {
            return Err(Error::Unsupported("the form mlp has no product of a user and an item".into()));
        };
        Ok(self.sides(embedding, features, train)?.select(1, side))
    }

    /// DNN([p'_u; q'_i]) `[B, out]`
    fn hidden(&self, embedding: &Embedding, dnn: &Dnn, features: &Features, train: bool) -> Result<Tensor> {
        dnn.forward(&self.sides(embedding, features, train)?.flatten(1, -1), train)
    }

    /// `[S(S-1)/2]`: 1 for each pair of a slot on the user's side and one on the item's, 0 for all others.
    fn is_user_and_item(&self, device: Device) -> Tensor {
        let item = Tensor::from_slice(&self.is_item).to_device(device);
        let user = item.eq(0.0).to_kind(Kind::Float);
        above_diagonal(&(user.outer(&item) + item.outer(&user)))
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Ncf::new(path, schema, self)?))
    }
}

impl Model for Ncf {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let mut parts = Vec::new();
        if let Some(embedding) = &self.gmf_embedding {
            let sides = self.sides(embedding, features, train)?;
            parts.push(sides.select(1, 0) * sides.select(1, 1));
        }
        if let Some((embedding, dnn)) = &self.mlp {
            parts.push(self.hidden(embedding, dnn, features, train)?);
        }
        Ok(self.output.forward(&Tensor::cat(&parts, 1))?.squeeze_dim(-1) + &self.bias)
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        (self.mlp.is_none() && self.is_split_by_side).then_some(self)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// ⟨h, p_u ⊙ q_i⟩ is a sum over the pairs of a slot on the user's side and one on the item's.
    fn explain(&self, features: &Features) -> Result<Explanation> {
        let mut explanation = Explanation::new(&self.bias);
        let (mut h, device) = (self.output.weight().squeeze_dim(0), self.bias.device());
        if let Some(embedding) = &self.gmf_embedding {
            let (slots, [_, k]) = (embedding.slots(features, false)?, embedding.output());
            let products = PairwiseProduct::new(slots.size()[1])?.forward(&slots)?;
            explanation.pairs = Some(products.matmul(&h.narrow(0, 0, k)) * self.is_user_and_item(device));
            h = h.narrow(0, k, h.size()[0] - k);
        }
        if let Some((embedding, dnn)) = &self.mlp {
            explanation.lumps.push(("deep part", self.hidden(embedding, dnn, features, false)?.matmul(&h)));
        }
        Ok(explanation)
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::new("bias", "Bias", &[])];
        layers.extend(self.gmf_embedding.iter().map(|gmf| Layer::new("gmf_embedding", "Embedding", &gmf.output())));
        if let Some((embedding, dnn)) = &self.mlp {
            layers.push(Layer::new("mlp_embedding", "Embedding", &embedding.output()));
            layers.push(Layer::new("dnn", "Dnn", &[dnn.output()]));
        }
        layers.push(Layer::new("output", "Dense", &[1]));
        layers
    }
}

/// Of the form `gmf`: ⟨h ⊙ p_u, q_i⟩ + w₀.
impl InnerProduct for Ncf {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let vectors = self.of_side(0, rows, train)? * self.output.weight();
        let own = self.bias.expand([vectors.size()[0]], true);
        Ok(Half { vectors, own: Some(own) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        Ok(Half { vectors: self.of_side(1, items, train)?, own: None })
    }
}
