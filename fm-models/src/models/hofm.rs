//! The higher-order factorization machine.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Half, InnerProduct, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::layers::{AnovaKernel, Embedding, EmbeddingConfig, FmInteraction, Linear, bias, is_across};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "hofm",
    "HOFM",
    (
        2016,
        "Blondel, Fujino, Ueda, Ishihata: Higher-order factorization machines, NIPS",
        "https://arxiv.org/abs/1607.07195",
    ),
    "all pairs and triples of fields, or larger sets, as sums of products, with vectors of their own for each order",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors of each order.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// m: the largest number of fields that interact, 2 to 5.
    pub order: i64,
}

impl Default for Config {
    fn default() -> Config {
        Config { embedding: EmbeddingConfig::default(), order: 3 }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{f<g} ⟨e²_f, e²_g⟩ + Σ_{f<g<h} Σ_d e³_{f,d} e³_{g,d} e³_{h,d} + ..., up to the order
/// m. e^t_f is the sum of the scaled vectors of field f from the table of order t.
///
/// The sets are sets of fields: two values of a multi-valued field do not interact.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Blondel et al., NIPS 2016, <https://arxiv.org/abs/1607.07195>; the paper has no w₀.
#[derive(Debug)]
pub struct Hofm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Linear,
    /// e and the sums, for each order from 2.
    pub orders: Vec<(Embedding, AnovaKernel)>,
}

/// The names of the parts from order 3.
const ORDERS: [&str; 3] = ["third order", "fourth order", "fifth order"];

impl Hofm {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Hofm> {
        AnovaKernel::new(config.order)?;
        let order = |order: i64| {
            let path = path / format!("order_{order}") / "embedding";
            Ok((Embedding::new(path, schema, &config.embedding)?, AnovaKernel::new(order)?))
        };
        Ok(Hofm {
            bias: bias(path),
            linear: Linear::new(path / "linear", schema)?,
            orders: (2..=config.order).map(order).collect::<Result<_>>()?,
        })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Hofm::new(path, schema, self)?))
    }
}

impl Model for Hofm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let first_order = self.linear.forward(features, train)? + &self.bias;
        self.orders.iter().try_fold(first_order, |sum, (embedding, kernel)| {
            Ok(sum + kernel.forward(&embedding.forward(features, train)?)?)
        })
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        Some(self)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// The terms are those of pairs of slots of two fields. Higher orders are lumps.
    fn explain(&self, features: &Features) -> Result<Explanation> {
        let (pairs, higher) = (&self.orders[0].0, &self.orders[1..]);
        let slots = pairs.slots(features, false)?;
        let lump = |((embedding, kernel), name): (&(Embedding, AnovaKernel), &'static str)| {
            Ok((name, kernel.forward(&embedding.forward(features, false)?)?))
        };
        Ok(Explanation {
            first_order: Some(self.linear.terms(features, false)?),
            pairs: Some(FmInteraction.terms(&slots)? * is_across(&pairs.layout, slots.device())),
            lumps: higher.iter().zip(ORDERS).map(lump).collect::<Result<_>>()?,
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::new("bias", "Bias", &[]), Layer::new("linear", "Linear", &[])];
        for (number, (embedding, _)) in self.orders.iter().enumerate() {
            layers.push(Layer::new(&format!("order_{}", number + 2), "Embedding", &embedding.output()));
            layers.push(Layer::new("", "AnovaKernel", &[]));
        }
        layers
    }
}

/// If the vectors are divided into two parts, a set of m vectors has t of one part and m - t of the other: A_m is the sum of
/// A_t ⊙ A'_{m-t} over t from 0 to m, element by element, with A_0 = 1.
impl InnerProduct for Hofm {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let Half { vectors, own } = self.half(rows, train, |kernels| kernels)?;
        Ok(Half { vectors, own: own.map(|own| own + &self.bias) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        self.half(items, train, |kernels| kernels.into_iter().rev().collect())
    }
}

impl Hofm {
    /// A_1, ..., A_{m-1} of each order m, in the order of `arranged`, and the score of this part alone, without w₀.
    fn half(&self, part: &Features, train: bool, arranged: impl Fn(Vec<Tensor>) -> Vec<Tensor>) -> Result<Half> {
        let (mut vectors, mut own) = (vec![], self.linear.forward(part, train)?);
        for (embedding, kernel) in &self.orders {
            let mut kernels = kernel.elements(&embedding.forward(part, train)?)?;
            if let Some(last) = kernels.pop() {
                own = last.sum_dim_intlist(-1, false, Kind::Float) + own;
            }
            vectors.extend(arranged(kernels));
        }
        Ok(Half { vectors: Tensor::cat(&vectors, 1), own: Some(own) })
    }
}
