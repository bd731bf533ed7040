//! FiBiNET: importances of fields, and bilinear pairs.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{
    Bilinear, BilinearPairs, DnnConfig, Embedding, EmbeddingConfig, Linear, Senet, Tower, at_least_two_fields, bias,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "fibinet",
    "FiBiNET",
    (
        2019,
        "Huang, Zhang, Zhang: FiBiNET: combining feature importance and bilinear feature interaction for \
         click-through rate prediction, RecSys",
        "https://arxiv.org/abs/1905.09433",
    ),
    "all pairs of fields through matrices, as they are and weighted by the importance of the fields, in a deep network",
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
    /// Which pairs of fields share a matrix.
    pub bilinear: Bilinear,
    /// How many times fewer units than fields the network of the importances has.
    pub senet_reduction: i64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig::default(),
            bilinear: Bilinear::Interaction,
            senet_reduction: 3,
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨h, DNN([p; q])⟩ with the pairs p = (P_{f,g}ᵀ e_f) ⊙ e_g and q = (Q_{f,g}ᵀ v_f) ⊙ v_g of
/// all f < g. e_f is the sum of the scaled vectors of field f, and v_f = a_f e_f, weighted by [`Senet`].
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Huang et al., RecSys 2019, section 3, <https://arxiv.org/abs/1905.09433>.
#[derive(Debug)]
pub struct FiBiNet {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub linear: Linear,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// a.
    pub senet: Senet,
    /// P.
    pub pairs: BilinearPairs,
    /// Q.
    pub weighted_pairs: BilinearPairs,
    /// The hidden layers and h.
    pub tower: Tower,
}

impl FiBiNet {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range, or for fewer than two fields, which have no pair.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<FiBiNet> {
        at_least_two_fields(schema)?;
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        Ok(FiBiNet {
            bias: bias(path),
            linear: Linear::new(path / "linear", schema)?,
            senet: Senet::new(&(path / "senet"), fields, config.senet_reduction)?,
            pairs: BilinearPairs::new(path / "pairs", fields, k, config.bilinear)?,
            weighted_pairs: BilinearPairs::new(path / "weighted_pairs", fields, k, config.bilinear)?,
            tower: Tower::new(path, fields * (fields - 1) * k, &config.dnn, false)?,
            embedding,
        })
    }

    /// ⟨h, DNN([p; q])⟩ `[B]`
    fn deep(&self, features: &Features, train: bool) -> Result<Tensor> {
        let fields = self.embedding.forward(features, train)?;
        let pairs = self.pairs.forward(&fields)?;
        let weighted = self.weighted_pairs.forward(&self.senet.forward(&fields)?)?;
        self.tower.forward(&Tensor::cat(&[pairs, weighted], 1).flatten(1, -1), train)
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(FiBiNet::new(path, schema, self)?))
    }
}

impl Model for FiBiNet {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        Ok(self.deep(features, train)? + self.linear.forward(features, train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation {
            first_order: Some(self.linear.terms(features, false)?),
            lumps: vec![("deep part over pairs", self.deep(features, false)?)],
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let pairs = [fields * (fields - 1) / 2, k];
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &[fields, k]),
            Layer::new("senet", "Senet", &[fields, k]),
            Layer::new("pairs", "BilinearPairs", &pairs),
            Layer::new("weighted_pairs", "BilinearPairs", &pairs),
        ];
        layers.extend(self.tower.layers());
        layers
    }
}
