//! Wukong: stacked factorization machines.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{DnnConfig, Embedding, EmbeddingConfig, Tower, WukongLayer, WukongSizes, bias, check_size};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "wukong",
    "Wukong",
    (
        2024,
        "Zhang et al.: Wukong: towards a scaling law for large-scale recommendation, ICML",
        "https://arxiv.org/abs/2403.02545",
    ),
    "interactions whose degree doubles with each layer, from factorization machines one after another",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The network over the last layer.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// L: number of layers, which have interactions of up to 2^L fields.
    pub wukong_layers: i64,
    /// n_F: number of vectors that a layer makes of the inner products of its inputs.
    pub fmb_vectors: i64,
    /// n_L: number of vectors that are weighted sums of a layer's inputs.
    pub lcb_vectors: i64,
    /// r: columns of the projection of the inner products.
    pub fmb_rank: i64,
    /// Width of each hidden layer between the inner products and their vectors.
    pub fmb_units: Vec<i64>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            // The paper has none; with layer norm, much of it prevents learning.
            dnn: DnnConfig { dropout: 0.0, ..DnnConfig::default() },
            wukong_layers: 2,
            fmb_vectors: 8,
            lcb_vectors: 8,
            fmb_rank: 8,
            fmb_units: vec![64],
        }
    }
}

/// ŷ = w₀ + ⟨h, DNN(X_L)⟩ with X_0 = [e_1; ...; e_F] and X_l of a [`WukongLayer`] over X_{l-1}. e_f is the sum of the
/// scaled vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Zhang et al., ICML 2024, section 3, <https://arxiv.org/abs/2403.02545>. The paper's sizes grow with its
/// data, and numbers enter through a network; here each has an embedding.
#[derive(Debug)]
pub struct Wukong {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The layers.
    pub layers: Vec<WukongLayer>,
    /// The hidden layers and h.
    pub tower: Tower,
    /// The number of vectors of the last layer.
    vectors: i64,
}

impl Wukong {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Wukong> {
        check_size("Wukong", "wukong_layers", config.wukong_layers)?;
        let &Config { fmb_vectors, lcb_vectors, fmb_rank: rank, .. } = config;
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let ([mut vectors, k], mut layers) = (embedding.output(), vec![]);
        let sizes = WukongSizes { fmb_vectors, lcb_vectors, rank };
        let of_products = DnnConfig { hidden_units: config.fmb_units.clone(), ..config.dnn.clone() };
        for layer in 0..config.wukong_layers {
            let path = path / "layers" / format!("layer_{layer}");
            layers.push(WukongLayer::new(&path, [vectors, k], &sizes, &of_products)?);
            vectors = fmb_vectors + lcb_vectors;
        }
        let tower = Tower::new(path, vectors * k, &config.dnn, false)?;
        Ok(Wukong { bias: bias(path), embedding, layers, tower, vectors })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Wukong::new(path, schema, self)?))
    }
}

impl Model for Wukong {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let fields = self.embedding.forward(features, train)?;
        let last = self.layers.iter().try_fold(fields, |vectors, layer| layer.forward(&vectors, train))?;
        Ok(self.tower.forward(&last.flatten(1, -1), train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("stacked machines", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &[fields, k]),
            Layer::new("layers", "WukongLayer", &[self.vectors, k]),
        ];
        layers.extend(self.tower.layers());
        layers
    }
}
