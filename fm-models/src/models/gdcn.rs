//! GDCN: a cross network with gates.

use fm_core::{Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;

use super::dcn::{DeepAndCross, Structure};
use crate::layers::{CrossForm, DnnConfig, EmbeddingConfig};

/// The registered model: [`DeepAndCross`] with [`GatedCross`](crate::layers::GatedCross).
///
/// Source: Wang et al., CIKM 2023, <https://arxiv.org/abs/2311.04635>: GDCN-S, which is stacked, and GDCN-P,
/// which is parallel. The paper also shortens the embeddings of fields, which is not done here.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "gdcn",
    "GDCN",
    (
        2023,
        "Wang, Gu, Li, Lu, Zhang, Gu: Towards deeper, lighter and interpretable cross network for CTR prediction, CIKM",
        "https://arxiv.org/abs/2311.04635",
    ),
    "products of bounded degree, with a gate for each, and interactions of any order in a deep network",
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
    /// L: number of cross layers, which have products of up to L + 1 inputs.
    pub cross_layers: i64,
    /// Where the deep network is: behind the cross network or beside it.
    pub structure: Structure,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig::default(),
            cross_layers: 3,
            structure: Structure::Stacked,
        }
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        let (parts, cross) = ((&self.embedding, &self.dnn), (self.cross_layers, CrossForm::Gated));
        Ok(Box::new(DeepAndCross::new(path, schema, parts, cross, self.structure)?))
    }
}
