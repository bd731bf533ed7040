//! EDCN: a cross network and a deep network that share what they find after each layer.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{
    Activation, Bridge, BridgeForm, Dense, Dnn, DnnConfig, Embedding, EmbeddingConfig, Regulation, VectorCross, bias,
    check_size,
};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "edcn",
    "EDCN",
    (
        2021,
        "Chen, Wang, Liu, Tang, Guo, Zheng, Yao, Zhang, He: Enhancing explicit and implicit feature interactions via \
         information sharing for parallel deep CTR models, CIKM",
        "https://doi.org/10.1145/3459637.3481915",
    ),
    "products of fields in a cross network and a deep network, which share what they find after each layer",
);

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// L: number of layers of each of the two networks.
    pub cross_layers: i64,
    /// How the outputs of a cross layer and of a deep layer are joined.
    pub bridge: BridgeForm,
    /// τ: temperature of the weights of fields. The smaller it is, the fewer fields share the weight.
    pub gate_temperature: f64,
    /// Whether the inputs of both networks are normalised.
    pub gate_norm: bool,
    /// Activation of each deep layer.
    pub activation: Activation,
    /// Probability that a unit of a deep layer is dropped in training.
    pub dropout: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            cross_layers: 3,
            bridge: BridgeForm::Product,
            gate_temperature: 1.0,
            // Weighted fields are small, and products of small numbers vanish.
            gate_norm: true,
            activation: Activation::Relu,
            dropout: 0.0,
        }
    }
}

/// ŷ = w₀ + ⟨h, [x_L; h_L; f_L]⟩ with f_0 = [e_1; ...; e_F] and, for each layer l,
///
/// - x and h, the inputs of both networks, of a [`Regulation`] of f_{l-1},
/// - x_l = x_0 (xᵀ w_l) + b_l + x, a cross layer, with the x of the first layer as x_0,
/// - h_l = relu(W_l h + c_l), a deep layer,
/// - f_l = x_l ⊙ h_l, or another form of a [`Bridge`].
///
/// e_f is the sum of the scaled vectors of field f. All layers are as wide as f_0.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Chen et al., CIKM 2021, section 3, <https://doi.org/10.1145/3459637.3481915>. The normalisation is not in
/// the paper; the authors' program has batch norm.
#[derive(Debug)]
pub struct Edcn {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// The layers.
    pub layers: Vec<SharedLayer>,
    /// The weights of the output.
    pub output: Dense,
}

/// A layer of both networks.
#[derive(Debug)]
pub struct SharedLayer {
    /// The inputs of the two networks.
    pub regulation: Regulation,
    /// w and b.
    pub cross: VectorCross,
    /// W and c.
    pub deep: Dnn,
    /// f.
    pub bridge: Bridge,
}

impl SharedLayer {
    fn new(path: &Path<'_>, [fields, k]: [i64; 2], config: &Config) -> Result<SharedLayer> {
        let width = fields * k;
        let deep = DnnConfig {
            hidden_units: vec![width],
            activation: config.activation,
            dropout: config.dropout,
            ..DnnConfig::default()
        };
        Ok(SharedLayer {
            regulation: Regulation::new(
                &(path / "regulation"),
                [fields, k],
                config.gate_temperature,
                config.gate_norm,
            )?,
            cross: VectorCross::new(path / "cross", width, 1)?,
            deep: Dnn::new(path / "deep", width, &deep)?,
            bridge: Bridge::new(&(path / "bridge"), width, config.bridge)?,
        })
    }
}

impl Edcn {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<Edcn> {
        check_size("Edcn", "cross_layers", config.cross_layers)?;
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let layer = |l| SharedLayer::new(&(path / "layers" / format!("layer_{l}")), [fields, k], config);
        Ok(Edcn {
            bias: bias(path),
            embedding,
            layers: (0..config.cross_layers).map(layer).collect::<Result<_>>()?,
            output: Dense::new(path / "output", 3 * fields * k, 1, false)?,
        })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(Edcn::new(path, schema, self)?))
    }
}

impl Model for Edcn {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let mut shared = self.embedding.forward(features, train)?.flatten(1, -1);
        let (mut first, mut last) = (None, vec![]);
        for layer in &self.layers {
            let [x, h] = layer.regulation.forward(&shared)?;
            let cross = layer.cross.step(first.get_or_insert_with(|| x.shallow_clone()), &x)?;
            let deep = layer.deep.forward(&h, train)?;
            shared = layer.bridge.forward(&cross, &deep)?;
            last = vec![cross, deep];
        }
        last.push(shared);
        Ok(self.output.forward(&Tensor::cat(&last, 1))?.squeeze_dim(-1) + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("cross and deep network", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        vec![
            Layer::new("bias", "Bias", &[]),
            Layer::new("embedding", "Embedding", &[fields, k]),
            Layer::new("layers", "SharedLayer", &[fields * k]),
            Layer::new("output", "Dense", &[1]),
        ]
    }
}
