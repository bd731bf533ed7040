//! FinalMLP: two deep networks and a bilinear form of them.

use fm_core::explain::Explanation;
use fm_core::model::Layer;
use fm_core::{Features, Model, ModelConfig, ModelEntry, Result, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Init, Path};

use crate::kernels::lookup::Grouping;
use crate::layers::{BilinearFusion, Dnn, DnnConfig, Embedding, EmbeddingConfig, FeatureGate, bias};

/// The registered model.
pub const ENTRY: ModelEntry = ModelEntry::new::<Config>(
    "finalmlp",
    "FinalMLP",
    (
        2023,
        "Mao, Zhu, Su, Cai, Li, Dong: FinalMLP: an enhanced two-stream MLP model for CTR prediction, AAAI",
        "https://arxiv.org/abs/2304.00902",
    ),
    "two deep networks over differently weighted fields, and products of what they find",
);

/// The contexts of the gates of the two streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gates {
    /// A parameter for each stream, the same for all rows.
    #[default]
    Learned,
    /// For the first stream the fields of user and context, for the second those of the item.
    Sides,
    /// No gates.
    Off,
}

/// The options.
#[derive(Debug, JsonSchema, Serialize, Deserialize)]
pub struct Config {
    /// The embedding vectors.
    #[serde(flatten)]
    pub embedding: EmbeddingConfig,
    /// The deep networks.
    #[serde(flatten)]
    pub dnn: DnnConfig,
    /// Width of each hidden layer of the second network. `hidden_units` are those of the first.
    pub second_hidden_units: Vec<i64>,
    /// The contexts of the gates of the two streams.
    pub gates: Gates,
    /// Width of the hidden layer of a gate.
    pub gate_units: i64,
    /// H: number of parts of each network's output. Only parts with the same number interact.
    pub fusion_heads: i64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            embedding: EmbeddingConfig::default(),
            dnn: DnnConfig::default(),
            second_hidden_units: vec![64, 64],
            gates: Gates::Learned,
            gate_units: 64,
            fusion_heads: 1,
        }
    }
}

/// ŷ = w₀ + ⟨w_1, o_1⟩ + ⟨w_2, o_2⟩ + Σ_h o_{1,h}ᵀ W_h o_{2,h} with o_i = DNN_i(g_i ⊙ [e_1; ...; e_F]) and g_i of a
/// [`FeatureGate`]. e_f is the sum of the scaled vectors of field f.
///
/// # Shapes
/// `[B, S]` ids and values → `[B]`
///
/// Source: Mao et al., AAAI 2023, section 3, <https://arxiv.org/abs/2304.00902>. The context of a gate is a parameter
/// of length k or, with `gates = "sides"`, the sum of the vectors of the fields of that side.
#[derive(Debug)]
pub struct FinalMlp {
    /// w₀ `[1]`.
    pub bias: Tensor,
    /// e, the vectors of the fields.
    pub embedding: Embedding,
    /// DNN_1 and DNN_2.
    pub streams: [Dnn; 2],
    /// w_1, w_2 and W.
    pub fusion: BilinearFusion,
    /// g_1 and g_2.
    gates: Option<(Contexts, [FeatureGate; 2])>,
}

/// What the gates of the two streams depend on.
#[derive(Debug)]
enum Contexts {
    /// Parameters `[2, k]`.
    Learned(Tensor),
    /// The vectors of the sides `[B, 2, k]`.
    Sides(Grouping),
}

impl FinalMlp {
    /// Creates the parameters under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range, or for gates by side and a schema without fields on one
    /// side.
    pub fn new(path: &Path<'_>, schema: &Schema, config: &Config) -> Result<FinalMlp> {
        let embedding = Embedding::new(path / "embedding", schema, &config.embedding)?;
        let [fields, k] = embedding.output();
        let contexts = match config.gates {
            Gates::Learned => {
                let init = Init::Randn { mean: 0.0, stdev: 0.1 };
                Some(Contexts::Learned(path.f_var("contexts", &[2, k], init)?))
            }
            Gates::Sides => Some(Contexts::Sides(Grouping::by_side(schema)?)),
            Gates::Off => None,
        };
        let gate = |name: &str| FeatureGate::new(&(path / name), k, config.gate_units, fields * k);
        let with_gates = |contexts| -> Result<_> { Ok((contexts, [gate("gate")?, gate("second_gate")?])) };
        let second = DnnConfig { hidden_units: config.second_hidden_units.clone(), ..config.dnn.clone() };
        let stream = |name: &str, config: &DnnConfig| Dnn::new(path / name, fields * k, config);
        let streams = [stream("dnn", &config.dnn)?, stream("second_dnn", &second)?];
        Ok(FinalMlp {
            bias: bias(path),
            embedding,
            gates: contexts.map(with_gates).transpose()?,
            fusion: BilinearFusion::new(
                &(path / "fusion"),
                [streams[0].output(), streams[1].output()],
                config.fusion_heads,
            )?,
            streams,
        })
    }
}

impl ModelConfig for Config {
    fn build(&self, path: &Path<'_>, schema: &Schema) -> Result<Box<dyn Model>> {
        Ok(Box::new(FinalMlp::new(path, schema, self)?))
    }
}

impl Model for FinalMlp {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let x = self.embedding.forward(features, train)?.flatten(1, -1);
        let [first, second] = match &self.gates {
            None => [x.shallow_clone(), x],
            Some((contexts, [first, second])) => {
                let contexts = match contexts {
                    Contexts::Learned(contexts) => contexts.unsqueeze(0),
                    Contexts::Sides(sides) => self.embedding.sums(features, sides, train)?.sums,
                };
                [&x * first.forward(&contexts.select(1, 0))?, &x * second.forward(&contexts.select(1, 1))?]
            }
        };
        let [first, second] = [self.streams[0].forward(&first, train)?, self.streams[1].forward(&second, train)?];
        Ok(self.fusion.forward(&first, &second)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }

    fn explain(&self, features: &Features) -> Result<Explanation> {
        Ok(Explanation::lump("two deep parts", self.logits(features, false)?, &self.bias))
    }

    fn layers(&self) -> Vec<Layer> {
        let [fields, k] = self.embedding.output();
        let [first, second] = [0, 1].map(|stream| self.streams[stream].output());
        let mut layers = vec![Layer::new("bias", "Bias", &[]), Layer::new("embedding", "Embedding", &[fields, k])];
        if let Some((contexts, _)) = &self.gates {
            if let Contexts::Learned(_) = contexts {
                layers.push(Layer::new("contexts", "Contexts", &[2, k]));
            }
            layers.push(Layer::new("gate", "FeatureGate", &[fields * k]));
            layers.push(Layer::new("second_gate", "FeatureGate", &[fields * k]));
        }
        layers.push(Layer::new("dnn", "Dnn", &[first]));
        layers.push(Layer::new("second_dnn", "Dnn", &[second]));
        layers.push(Layer::new("fusion", "BilinearFusion", &[]));
        layers
    }
}
