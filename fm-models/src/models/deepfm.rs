//! DeepFM: a factorization machine and a deep network over the same vectors.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::deepfm_dense::DenseFeaturesDeepFm;
use crate::layers::{
    Dense, Dnn, DnnConfig, Embedding, EmbeddingConfig, FieldPooling, FmInteraction, FmOverEmbeddings, bias,
};

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

/// Which DeepFM is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The paper's: [`DeepFm`].
    #[default]
    Paper,
    /// The Keras article's on dense features: [`DenseFeaturesDeepFm`].
    DenseFeatures,
}

/// The options.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep part.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// Which DeepFM is built.
    pub form: Form,
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{f<g} ⟨e_f, e_g⟩ + ⟨h, DNN([e_1; ...; e_F])⟩, with e_f the sum of the scaled vectors of
/// field f.
///
/// The pairs run over fields: two values of one multi-valued field do not interact here. A numeric field is embedded like
/// any other, its vector scaled by its number.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Guo et al., IJCAI 2017, equations 1 to 4, <https://arxiv.org/abs/1703.04247>; they have no w₀. Keras:
/// `DeepFM` of the third notebook, where the deep part's last bias is the w₀; the fourth notebook's is
/// [`DenseFeaturesDeepFm`].
#[derive(Debug)]
pub struct DeepFm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// The wide part.
    pub fm: FmOverEmbeddings,
    /// The vectors of the slots.
    pub embedding: Embedding,
    /// e, the vectors of the fields.
    pub pooling: FieldPooling,
    /// The hidden layers.
    pub dnn: Dnn,
    /// h.
    pub output: Dense,
}

impl DeepFm {
    /// Makes the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<DeepFm> {
        let fields = schema.num_fields() as i64;
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let dnn = Dnn::new(path / "dnn", fields * config.embedding.embedding_dim, &config.dnn)?;
        Ok(DeepFm {
            bias: bias(path),
            fm: FmOverEmbeddings::new(path, schema)?,
            embedding,
            pooling: FieldPooling::new(schema),
            output: Dense::new(path / "output", dnn.output(), 1, false)?,
            dnn,
        })
    }

    /// ⟨h, DNN([e_1; ...; e_F])⟩ `[B]`
    fn deep(&self, embeddings: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.output.forward(&self.dnn.forward(&embeddings.flatten(1, -1), train)?)?.squeeze_dim(-1))
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
        let embeddings = self.pooling.forward(&self.embedding.forward(features, train)?)?;
        Ok(self.fm.forward(features, &embeddings, train)? + self.deep(&embeddings, train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// The pairs of the slots of two fields: ⟨e_f, e_g⟩ is their sum.
    fn explain(&self, features: &Features) -> Result<Explanation> {
        let slots = self.embedding.forward(features, false)?;
        Ok(Explanation {
            first_order: Some(self.fm.linear.terms(features, false)?),
            pairs: Some(FmInteraction.terms(&slots)? * self.pooling.is_across(slots.device())),
            lumps: vec![("deep part", self.deep(&self.pooling.forward(&slots)?, false)?)],
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let [slots, k] = self.embedding.output();
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &[slots, k]),
            Layer::new("", "FieldPooling", &[self.pooling.fields(), k]),
            Layer::new("", "FmInteraction", &[]),
            Layer::new("dnn", "Dnn", &[self.dnn.output()]),
            Layer::new("output", "Dense", &[1]),
        ]
    }
}
