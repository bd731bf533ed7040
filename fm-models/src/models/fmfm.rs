//! The field-matrixed factorization machine.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{Embedding, EmbeddingConfig, FieldMatrixedInteraction, FirstOrder, FirstOrderForm, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "fmfm",
    "FmFM",
    (
        2021,
        "Sun, Pan, Zhang, Flores: FM²: field-matrixed factorization machines for recommender systems, WWW",
        "https://arxiv.org/abs/2102.12994",
    ),
    "all pairs of fields as inner products, with a matrix for each pair of fields",
);

/// The options.
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The first-order part.
    pub first_order: FirstOrderForm,
}

/// ŷ = w₀ + Σ_f ⟨e_f, w_f⟩ + Σ_{f<g} ⟨M_{f,g}ᵀ e_f, e_g⟩, with e_f the sum of the scaled vectors of field f; or with
/// Σ_s w_{id_s} x_s in the place of Σ_f ⟨e_f, w_f⟩.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Sun et al., WWW 2021, section 3, <https://arxiv.org/abs/2102.12994>. There, fields can also have vectors of
/// different lengths.
#[derive(Debug)]
pub struct Fmfm {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// w.
    pub first_order: FirstOrder,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The pairs, and M.
    pub interaction: FieldMatrixedInteraction,
}

impl Fmfm {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Fmfm> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        Ok(Fmfm {
            bias: bias(path),
            first_order: FirstOrder::new(path, schema, config.first_order, &embedding)?,
            interaction: FieldMatrixedInteraction::new(path / "interaction", fields, k)?,
            embedding,
        })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Fmfm::new(path, schema, self)?))
    }
}

impl Model for Fmfm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let fields = self.embedding.forward(features, train)?;
        let pairs = self.interaction.forward(&fields)?;
        Ok(pairs + self.first_order.forward(features, &fields, train)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        let slots = self.embedding.slots(features, false)?;
        Ok(Explanation {
            first_order: Some(self.first_order.terms(features, &slots)?),
            pairs: Some(self.interaction.terms(&slots, &self.embedding.layout)?),
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            self.first_order.layer(),
            Layer::new("interaction", "FieldMatrixedInteraction", &[]),
        ]
    }
}
