//! The field-aware factorization machine.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::online::{OnlineKernel, OnlineModel};
use fm_core::optim::OptimizerConfig;
use fm_core::{Features, Half, InnerProduct, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::kernels::online::{FfmTables, Kernel};
use crate::layers::{EmbeddingConfig, Ffm, FfmForm, above_diagonal};

/// The registered model: [`Ffm`] by itself.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "ffm",
    "FFM",
    (
        2016,
        "Juan, Zhuang, Chin, Lin: Field-aware factorization machines for CTR prediction, RecSys",
        "https://doi.org/10.1145/2959100.2959134",
    ),
    "all pairs of values, each value with its own vector for the other's field",
);

/// The options. Keras: `FFM` (third notebook), with [`FfmForm::Summed`].
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors; k is the length of each of the F vectors of a value.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// Which pairs to sum.
    pub form: FfmForm,
}

impl Default for Config {
    fn default() -> Config {
        let embedding = EmbeddingConfig { embedding_dim: 4, ..EmbeddingConfig::default() };
        Config { embedding, form: FfmForm::FieldAware }
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Ffm::new(path, schema, &self.embedding, self.form)?))
    }
}

impl Model for Ffm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        self.forward(features, train)
    }

    fn inner_product(&self) -> Option<&dyn InnerProduct> {
        match self.form() {
            FfmForm::FieldAware => Some(self),
            FfmForm::Summed => None,
        }
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn online(&self) -> Option<&dyn OnlineModel> {
        match self.form() {
            FfmForm::FieldAware => Some(self),
            FfmForm::Summed => None,
        }
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        let terms = self.pair_terms(features)?;
        Ok(Explanation {
            // In the summed form, a value also interacts with itself.
            first_order: Some(self.linear.terms(features, false)? + terms.diagonal(0, 1, 2)),
            pairs: Some(above_diagonal(&terms)),
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        let interaction = match self.form() {
            FfmForm::FieldAware => "FfmInteraction",
            FfmForm::Summed => "SummedFfmInteraction",
        };
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("", interaction, &[]),
        ]
    }
}

/// Between a row and an item are ⟨P_{f,g}, P_{g,f}⟩ for each field f of the row and each field g of the item, where P_{f,g}
/// is the sum of the vectors that the values of f have for g.
impl InnerProduct for Ffm {
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half> {
        let (sums, own) = self.sums_and_own(rows, train)?;
        let for_items = self.item_fields.of_item(&self.by_partner(&sums), 2);
        Ok(Half { vectors: self.item_fields.of_rest(&for_items, 1).flatten(1, -1), own: Some(own + &self.bias) })
    }

    fn of_items(&self, items: &Features, train: bool) -> Result<Half> {
        let (sums, own) = self.sums_and_own(items, train)?;
        let for_rest = self.item_fields.of_rest(&self.by_partner(&sums).transpose(1, 2), 1);
        Ok(Half { vectors: self.item_fields.of_item(&for_rest, 2).flatten(1, -1), own: Some(own) })
    }
}

impl OnlineModel for Ffm {
    fn kernel<'a>(&'a self, rule: OptimizerConfig) -> Result<Box<dyn OnlineKernel + 'a>> {
        let vectors = ("embedding.weight", &self.embedding.table);
        let weights = ("linear.weight", &self.linear.weight);
        let tables = |rule| FfmTables::new(rule, ("bias", &self.bias), weights, vectors, self.is_list());
        Ok(Box::new(Kernel::new(rule, tables)?))
    }
}
