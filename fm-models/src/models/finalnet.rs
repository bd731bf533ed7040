//! FINAL: factorized interaction layers one after another.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{
    Activation, Dense, DnnConfig, Dropout, Embedding, EmbeddingConfig, FactorizedInteraction, HiddenNorm, bias,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "finalnet",
    "FINAL",
    (
        2023,
        "Zhu, Jia, Cai, Dai, Li, Dong, Tang, Zhang: FINAL: factorized interaction layer for CTR prediction, SIGIR",
        "https://doi.org/10.1145/3539618.3591988",
    ),
    "interactions whose degree doubles with each layer, as products of weighted sums of all fields",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The layers. Half of the units of each are products.
    #[serde(flatten)]
    pub dnn: DnnConfig,
}

impl Default for Config {
    fn default() -> Config {
        let dnn = DnnConfig { activation: Activation::Linear, ..DnnConfig::default() };
        Config { embedding: EmbeddingConfig::default(), dnn }
    }
}

/// ŷ = w₀ + ⟨h, x_L⟩ with x_0 = [e_1; ...; e_F], and x_{l+1} = [a; a ⊙ b] of [a; b] = W_l x_l + c_l: one block of
/// [`FactorizedInteraction`]s. e_f is the sum of the scaled vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Zhu et al., SIGIR 2023, section 3, <https://doi.org/10.1145/3539618.3591988>. The paper also trains two
/// blocks that learn from each other, which needs a loss of its own.
#[derive(Debug)]
pub struct FinalNet {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The layers, with or without a norm.
    pub hidden: Vec<(FactorizedInteraction, Option<HiddenNorm>)>,
    /// h.
    pub output: Dense,
    activation: Activation,
    dropout: Dropout,
    /// The width of the last layer.
    width: i64,
}

impl FinalNet {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<FinalNet> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let (mut width, mut hidden, path_of_layers) = (fields * k, vec![], path / "block");
        for (l, &units) in config.dnn.hidden_units.iter().enumerate() {
            let layer = FactorizedInteraction::new(&path_of_layers / format!("layer_{l}"), width, units)?;
            hidden.push((layer, HiddenNorm::new(&path_of_layers, l, units, &config.dnn)?));
            width = units;
        }
        Ok(FinalNet {
            bias: bias(path),
            embedding,
            hidden,
            output: Dense::new(path / "output", width, 1, false)?,
            activation: config.dnn.activation,
            dropout: Dropout::new("FinalNet", "dropout", config.dnn.dropout)?,
            width,
        })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(FinalNet::new(path, schema, self)?))
    }
}

impl Model for FinalNet {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let mut x = self.embedding.forward(features, train)?.flatten(1, -1);
        for (layer, norm) in &self.hidden {
            x = layer.forward(&x)?;
            if let Some(norm) = norm {
                x = norm.forward(&x, train)?;
            }
            x = self.dropout.forward(self.activation.apply(x)?, train)?;
        }
        Ok(self.output.forward(&x)?.squeeze_dim(-1) + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("factorized layers", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &self.embedding.output()),
            Layer::new("block", "FactorizedInteraction", &[self.width]),
            Layer::new("output", "Dense", &[1]),
        ]
    }
}
