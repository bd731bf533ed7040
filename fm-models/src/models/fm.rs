//! The factorization machine.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::online::{OnlineKernel, OnlineModel};
use fm_core::optim::OptimizerConfig;
use fm_core::ranking::Candidates;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::kernels::online::{FmTables, Kernel};
use crate::layers::{EmbeddingConfig, Fm, FmInteraction};

/// The registered model: [`Fm`] by itself.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "fm",
    "FM",
    (2010, "Rendle: Factorization machines, ICDM", "https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf"),
    "all pairs of values, as inner products",
);

/// The options. Keras: `FM` (third notebook).
#[derive(Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The latent vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Fm::new(path, schema, &self.embedding)?))
    }
}

impl Model for Fm {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        self.forward(features, train)
    }

    /// If the slots of a row are divided into two parts, ŷ is the sum of the scores of both parts and ⟨Σ_s e_s, Σ_t
    /// e_t⟩ with s in one part and t in the other.
    fn candidate_logits(&self, candidates: &Candidates<'_>, train: bool) -> Result<Tensor> {
        let [rows, items] = candidates.size();
        let (shared, (own, places)) = (candidates.shared()?, candidates.items()?);
        let (of_rows, row_squares) = self.embedding.sum_and_squares(&shared, train)?;
        let (of_items, item_squares) = self.embedding.sum_and_squares(&own, train)?;
        let shared = self.linear.forward(&shared, train)? + FmInteraction.of_sums(&of_rows, &row_squares) + &self.bias;
        let own = self.linear.forward(&own, train)? + FmInteraction.of_sums(&of_items, &item_squares);
        let products = of_items.index_select(0, &places).view([rows, items, -1]) * of_rows.unsqueeze(1);
        let between = products.sum_dim_intlist(-1, false, Kind::Float);
        Ok(shared.unsqueeze(1) + own.index_select(0, &places).view([rows, items]) + between)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn online(&self) -> Option<&dyn OnlineModel> {
        Some(self)
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation {
            first_order: Some(self.linear.terms(features, false)?),
            pairs: Some(FmInteraction.terms(&self.embedding.slots(features, false)?)?),
            ..Explanation::new(&self.bias)
        })
    }

    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("linear", "Linear", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("", "FmInteraction", &[]),
        ]
    }
}

impl OnlineModel for Fm {
    fn kernel<'a>(&'a self, rule: OptimizerConfig) -> Result<Box<dyn OnlineKernel + 'a>> {
        let vectors = ("embedding.weight", &self.embedding.table);
        let weights = ("linear.weight", &self.linear.weight);
        let tables = |rule| FmTables::new(rule, ("bias", &self.bias), weights, Some(vectors));
        Ok(Box::new(Kernel::new(rule, tables)?))
    }
}
