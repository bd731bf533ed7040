//! DCN V2: a cross network of matrices, before or beside a deep network.

use fm_core::{Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::Path;

use super::dcn::{DeepAndCross, Structure};
use crate::layers::{CrossForm, DnnConfig, EmbeddingConfig};

/// The registered model: [`DeepAndCross`] with [`MatrixCross`](crate::layers::MatrixCross) or
/// [`MixtureCross`](crate::layers::MixtureCross).
///
/// Source: Wang et al., DCN V2, WWW 2021, section 3, <https://arxiv.org/abs/2008.13535>.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "dcn_v2",
    "DCN V2",
    (
        2021,
        "Wang, Shivanna, Cheng, Jain, Lin, Hong, Chi: DCN V2: improved deep & cross network, WWW",
        "https://arxiv.org/abs/2008.13535",
    ),
    "products of bounded degree, with a matrix per cross layer, and interactions of any order in a deep network",
);

/// The form of the cross layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cross {
    /// A matrix per layer.
    #[default]
    Matrix,
    /// A mixture of low-rank experts per layer.
    Mixture,
}

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
    /// The form of the cross layers.
    pub cross: Cross,
    /// K: number of experts of a layer of the form `mixture`.
    pub cross_experts: i64,
    /// r: dimensions of an expert of the form `mixture`.
    pub cross_rank: i64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig::default(),
            cross_layers: 3,
            structure: Structure::Stacked,
            cross: Cross::Matrix,
            cross_experts: 4,
            cross_rank: 32,
        }
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        let form = match self.cross {
            Cross::Matrix => CrossForm::Matrix,
            Cross::Mixture => CrossForm::Mixture { experts: self.cross_experts, rank: self.cross_rank },
        };
        let parts = (&self.embedding, &self.dnn);
        Ok(Box::new(DeepAndCross::new(path, schema, parts, (self.cross_layers, form), self.structure)?))
    }
}
