//! The field-matrixed factorization machine.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Half, InnerProduct, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{
    Embedding, EmbeddingConfig, FieldMatrixedInteraction, FirstOrder, FirstOrderForm, ItemFields, bias,
};

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
    item_fields: ItemFields,
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
            item_fields: ItemFields::new(schema),
        })
    }

    /// The terms without w₀ `[B]`, given the vectors of the fields.
    fn own(&self, features: &Features, fields: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.interaction.forward(fields)? + self.first_order.forward(features, fields, train)?)
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
        Ok(self.own(features, &fields, train)? + &self.bias)
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        Some(self)
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

/// Between a row and an item are the pairs of a field f of the row and a field g of the item: the sum over g of
/// ⟨e_g, Σ_f M_{f,g}ᵀ e_f, with M_{f,g} = M_{g,f}ᵀ for f > g⟩.
impl InnerProduct for Fmfm {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let fields = self.embedding.forward(rows, train)?;
        let partners = self.interaction.partners(&fields)?;
        let own = self.own(rows, &fields, train)? + &self.bias;
        Ok(Half { vectors: self.item_fields.of_item(&partners, 1).flatten(1, -1), own: Some(own) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        let fields = self.embedding.forward(items, train)?;
        let own = self.own(items, &fields, train)?;
        Ok(Half { vectors: self.item_fields.of_item(&fields, 1).flatten(1, -1), own: Some(own) })
    }
}
