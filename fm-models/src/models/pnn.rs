//! The product-based neural network.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{DnnConfig, Embedding, EmbeddingConfig, InnerProducts, OuterProduct, Tower, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "pnn",
    "PNN",
    (
        2016,
        "Qu, Cai, Ren, Zhang, Yu, Wen, Wang: Product-based neural networks for user response prediction, ICDM",
        "https://arxiv.org/abs/1611.00144",
    ),
    "interactions of any order in a deep network, over the products of all pairs of fields",
);

/// Which products enter the deep network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    /// The inner products of all pairs: IPNN.
    #[default]
    Inner,
    /// The sum of the outer products of all pairs: OPNN.
    Outer,
    /// Both: PNN*.
    Both,
}

/// The options.
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// Which products enter the deep network.
    pub product: Product,
}

/// ŷ = w₀ + ⟨h, DNN([z; p])⟩ with z = [e_1; ...; e_F] and the products p: ⟨e_f, e_g⟩ of all f and g, or the elements of
/// Σ_f Σ_g e_f e_gᵀ, or both. e_f is the sum of the scaled vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Qu et al., ICDM 2016, section III, <https://arxiv.org/abs/1611.00144>. The paper approximates the weights of
/// the inner products in the first hidden layer by matrices of rank 1; here they are free. Without hidden layers, the
/// products have weights, too.
#[derive(Debug)]
pub struct Pnn {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The hidden layers and h.
    pub tower: Tower,
    product: Product,
}

impl Pnn {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Pnn> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let products = match config.product {
            Product::Inner => fields * fields,
            Product::Outer => k * k,
            Product::Both => fields * fields + k * k,
        };
        let tower = Tower::new(path, fields * k + products, &config.dnn, false)?;
        Ok(Pnn { bias: bias(path), embedding, tower, product: config.product })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Pnn::new(path, schema, self)?))
    }
}

impl Model for Pnn {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let fields = self.embedding.forward(features, train)?;
        let mut input = vec![fields.flatten(1, -1)];
        if self.product != Product::Outer {
            input.push(InnerProducts.forward(&fields)?);
        }
        if self.product != Product::Inner {
            input.push(OuterProduct.forward(&fields)?);
        }
        Ok(self.tower.forward(&Tensor::cat(&input, 1), train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("deep part over products", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let mut layers = vec![Layer::new("bias", "Bias", &[]), Layer::new("embedding", "Embedding", &[fields, k])];
        if self.product != Product::Outer {
            layers.push(Layer::new("", "InnerProducts", &[fields * fields]));
        }
        if self.product != Product::Inner {
            layers.push(Layer::new("", "OuterProduct", &[k * k]));
        }
        layers.extend(self.tower.layers());
        layers
    }
}
