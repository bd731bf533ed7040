//! DLRM: inner products of embeddings and of a network of the numbers.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{Dnn, DnnConfig, Embedding, EmbeddingConfig, InnerProducts, Numbers, Tower, bias, check_size};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "dlrm",
    "DLRM",
    (
        2019,
        "Naumov et al.: Deep learning recommendation model for personalization and recommendation systems",
        "https://arxiv.org/abs/1906.00091",
    ),
    "inner products of all pairs of fields, the numbers as a network sees them together, in a deep network",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The network over the products.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// Width of each hidden layer of the network over the numbers. One of the length of the embeddings follows.
    pub bottom_units: Vec<i64>,
}

impl Default for Config {
    fn default() -> Config {
        Config { embedding: EmbeddingConfig::default(), dnn: DnnConfig::default(), bottom_units: vec![64] }
    }
}

/// ŷ = w₀ + ⟨h, DNN([z; p])⟩ with z = DNN_x(x) of the numbers x, and p the inner products of all pairs of z and the
/// vectors e_f of the fields that are not numeric. Without a numeric field there is no z.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Naumov et al., 2019, section 2.2, <https://arxiv.org/abs/1906.00091>. There, each pair is one input of the
/// second network; here each has two equal ones, and squared lengths are inputs, too: see [`InnerProducts`].
#[derive(Debug)]
pub struct Dlrm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// x.
    pub numbers: Numbers,
    /// DNN_x, if a field is numeric.
    pub bottom: Option<Dnn>,
    /// e, the vectors of the fields that are not numeric, if there are any.
    pub embedding: Option<Embedding>,
    /// The hidden layers and h.
    pub tower: Tower,
    /// The number of vectors.
    vectors: i64,
}

impl Dlrm {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Dlrm> {
        let k = config.embedding.embedding_dim;
        check_size("Dlrm", "embedding_dim", k)?;
        let numbers = Numbers::new(schema, path.device());
        let others = schema.num_fields() as i64 - numbers.output();
        let is_embedded = |field: usize| !schema.fields()[field].kind.is_dense();
        let embedding = || Embedding::of_fields(path / "embedding", schema, is_embedded, &config.embedding);
        let of_numbers = DnnConfig { hidden_units: [&config.bottom_units[..], &[k]].concat(), ..config.dnn.clone() };
        let bottom = || Dnn::new(path / "bottom", numbers.output(), &of_numbers);
        let bottom = (numbers.output() > 0).then(bottom).transpose()?;
        let vectors = others + i64::from(bottom.is_some());
        let inputs = vectors * vectors + if bottom.is_some() { k } else { 0 };
        Ok(Dlrm {
            bias: bias(path),
            numbers,
            bottom,
            embedding: (others > 0).then(embedding).transpose()?,
            tower: Tower::new(path, inputs, &config.dnn, false)?,
            vectors,
        })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Dlrm::new(path, schema, self)?))
    }
}

impl Model for Dlrm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let (mut vectors, mut inputs) = (vec![], vec![]);
        if let Some(bottom) = &self.bottom {
            let z = bottom.forward(&self.numbers.forward(features)?, train)?;
            vectors.push(z.unsqueeze(1));
            inputs.push(z);
        }
        if let Some(embedding) = &self.embedding {
            vectors.push(embedding.forward(features, train)?);
        }
        inputs.push(InnerProducts.forward(&Tensor::cat(&vectors, 1))?);
        Ok(self.tower.forward(&Tensor::cat(&inputs, 1), train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("deep part over products", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![Layer::new("bias", "Bias", &[])];
        layers.extend(self.bottom.iter().map(|dnn| Layer::new("bottom", "Dnn", &[dnn.output()])));
        layers.extend(self.embedding.iter().map(|e| Layer::new("embedding", "Embedding", &e.output())));
        layers.push(Layer::new("", "InnerProducts", &[self.vectors * self.vectors]));
        layers.extend(self.tower.layers());
        layers
    }
}
