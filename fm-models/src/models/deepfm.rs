//! DeepFM: a factorization machine and a deep network over the same vectors.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::deepfm_dense::DenseFeaturesDeepFm;
use crate::layers::{DnnConfig, Embedding, EmbeddingConfig, FmInteraction, FmOverEmbeddings, Tower, bias, is_across};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "deepfm",
    "DeepFM",
    (
        2017,
        "Guo, Tang, Ye, Li, He: DeepFM: a factorization-machine based neural network for CTR prediction, IJCAI",
        "https://arxiv.org/abs/1703.04247",
    ),
    "all pairs as inner products, and interactions of any order in a deep network",
);

/// Which DeepFM to build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The form of the paper: [`DeepFm`].
    #[default]
    Paper,
    /// The form of the Keras article on dense features: [`DenseFeaturesDeepFm`].
    DenseFeatures,
}

/// The options.
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// Which DeepFM to build.
    pub form: Form,
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{f<g} ⟨e_f, e_g⟩ + ⟨h, DNN([e_1; ...; e_F])⟩, with e_f the sum of the scaled vectors
/// of field f.
///
/// The pairs run over fields: two values of a multi-valued field do not interact. A numeric field is embedded like any
/// other; its number scales its vector.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Guo et al., IJCAI 2017, equations 1 to 4, <https://arxiv.org/abs/1703.04247>; the paper has no w₀. Keras:
/// `DeepFM` of the third notebook, where the last bias of the deep part is w₀. The form of the fourth notebook is
/// [`DenseFeaturesDeepFm`].
#[derive(Debug)]
pub struct DeepFm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// The wide part.
    pub fm: FmOverEmbeddings,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The hidden layers and h.
    pub tower: Tower,
}

impl DeepFm {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<DeepFm> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let tower = Tower::new(path, fields * k, &config.dnn, false)?;
        Ok(DeepFm { bias: bias(path), fm: FmOverEmbeddings::new(path, schema)?, embedding, tower })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(match self.form {
            Form::Paper => Box::new(DeepFm::new(path, schema, self)?),
            Form::DenseFeatures => Box::new(DenseFeaturesDeepFm::new(path, schema, self)?),
        })
    }
}

impl Model for DeepFm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let embeddings = self.embedding.forward(features, train)?;
        let deep = self.tower.forward(&embeddings.flatten(1, -1), train)?;
        Ok(self.fm.forward(features, &embeddings, train)? + deep + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// The terms are those of pairs of slots of two fields; their sum is ⟨e_f, e_g⟩.
    fn explain(&self, features: &Features) -> Result<Explanation> {
        let slots = self.embedding.slots(features, false)?;
        let fields = self.embedding.forward(features, false)?;
        Ok(Explanation {
            first_order: Some(self.fm.linear.terms(features, false)?),
            pairs: Some(FmInteraction.terms(&slots)? * is_across(&self.embedding.layout, slots.device())),
            lumps: vec![("deep part", self.tower.forward(&fields.flatten(1, -1), false)?)],
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("", "FmInteraction", &[]),
        ];
        layers.extend(self.tower.layers());
        layers
    }
}
