//! DCN: a cross network beside a deep network.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{CrossForm, CrossNetwork, Dense, DnnConfig, Embedding, EmbeddingConfig, Tower, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "dcn",
    "DCN",
    (
        2017,
        "Wang, Fu, Fu, Wang: Deep & cross network for ad click predictions, ADKDD",
        "https://arxiv.org/abs/1708.05123",
    ),
    "products of bounded degree, with a vector per cross layer, and interactions of any order in a deep network",
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
}

impl Default for Config {
    fn default() -> Config {
        Config { embedding: EmbeddingConfig::default(), dnn: DnnConfig::default(), cross_layers: 6 }
    }
}

/// Where the deep network is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Structure {
    /// Behind the cross network.
    #[default]
    Stacked,
    /// Beside the cross network.
    Parallel,
}

/// ŷ = w₀ + ⟨c, x_L⟩ + ⟨h, DNN(x_0)⟩ with x_0 = [e_1; ...; e_F], x_L of a [`CrossNetwork`], and e_f the sum of the
/// scaled vectors of field f; or, stacked, ŷ = w₀ + ⟨h, DNN(x_L)⟩.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Wang et al., ADKDD 2017, equations 3 to 5, <https://arxiv.org/abs/1708.05123>. There, the length of a
/// field's vectors depends on its number of values, and numbers enter x_0 without an embedding. [`super::dcn_v2`] and
/// [`super::gdcn`] are this model with other cross layers.
#[derive(Debug)]
pub struct DeepAndCross {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The cross layers.
    pub cross: CrossNetwork,
    /// c, if the structure is parallel.
    pub cross_output: Option<Dense>,
    /// The hidden layers and h.
    pub tower: Tower,
}

impl DeepAndCross {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(
        path: &Path<'_>,
        schema: &Schema,
        (embedding, dnn): (&EmbeddingConfig, &DnnConfig),
        (layers, form): (i64, CrossForm),
        structure: Structure,
    ) -> Result<DeepAndCross> {
        let embedding = Embedding::new(path / "embedding", schema, embedding)?;
        let [fields, k] = embedding.output();
        let is_parallel = structure == Structure::Parallel;
        Ok(DeepAndCross {
            bias: bias(path),
            cross: CrossNetwork::new(&(path / "cross"), fields * k, layers, form)?,
            cross_output: is_parallel.then(|| Dense::new(path / "cross_output", fields * k, 1, false)).transpose()?,
            tower: Tower::new(path, fields * k, dnn, false)?,
            embedding,
        })
    }

    /// The parts of the logit, each `[B]`, without w₀.
    fn parts(&self, features: &Features, train: bool) -> Result<Vec<(&'static str, Tensor)>> {
        let first = self.embedding.forward(features, train)?.flatten(1, -1);
        let last = self.cross.forward(&first)?;
        Ok(match &self.cross_output {
            None => vec![("deep part over crosses", self.tower.forward(&last, train)?)],
            Some(output) => vec![
                ("cross network", output.forward(&last)?.squeeze_dim(-1)),
                ("deep part", self.tower.forward(&first, train)?),
            ],
        })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        let (parts, cross) = ((&self.embedding, &self.dnn), (self.cross_layers, CrossForm::Vector));
        Ok(Box::new(DeepAndCross::new(path, schema, parts, cross, Structure::Parallel)?))
    }
}

impl Model for DeepAndCross {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let parts = self.parts(features, train)?;
        Ok(parts.into_iter().fold(self.bias.shallow_clone(), |sum, (_, part)| part + sum))
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation { lumps: self.parts(features, false)?, ..Explanation::new(&self.bias) })
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let mut layers = vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &[fields, k]),
            Layer::new("cross", "CrossNetwork", &[fields * k]),
        ];
        layers.extend(self.cross_output.iter().map(|_| Layer::new("cross_output", "Dense", &[1])));
        layers.extend(self.tower.layers());
        layers
    }
}
