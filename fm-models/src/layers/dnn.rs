//! Hidden layers of deep models.

use fm_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::batch_norm::MOMENTUM;
use super::{Activation, BatchNorm, BatchNormMode, Dense, Dropout, LayerNorm, check_input};

/// The options of a [`Dnn`].
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
pub struct DnnConfig {
    /// Width of each hidden layer.
    pub hidden_units: Vec<i64>,
    /// Activation of each hidden layer.
    pub activation: Activation,
    /// Probability that a hidden unit is dropped in training.
    pub dropout: f64,
    /// Batch normalisation of each hidden layer before its activation.
    pub hidden_batch_norm: BatchNormMode,
    /// Momentum of the moving statistics of batch norm. Use less than Keras's 0.99 if an epoch has few steps.
    pub hidden_batch_norm_momentum: f64,
    /// Whether each hidden layer is normalised over its units, separately in each row, before its activation.
    pub hidden_layer_norm: bool,
}

impl Default for DnnConfig {
    fn default() -> DnnConfig {
        DnnConfig {
            hidden_units: vec![64, 64],
            activation: Activation::Relu,
            dropout: 0.5,
            hidden_batch_norm: BatchNormMode::Off,
            hidden_batch_norm_momentum: MOMENTUM,
            hidden_layer_norm: false,
        }
    }
}

/// The normalisation of a hidden layer before its activation.
#[derive(Debug)]
pub enum HiddenNorm {
    /// Over the rows of a batch.
    Batch(BatchNorm),
    /// Over the units of the layer.
    Layer(LayerNorm),
}

impl HiddenNorm {
    /// Creates `batch_norm_{l}` or `layer_norm_{l}` under `path` for the units of layer l, or neither.
    ///
    /// # Errors
    /// [`Error::Setting`] for both, or a momentum out of range.
    pub fn new(path: &Path<'_>, l: usize, units: i64, config: &DnnConfig) -> Result<Option<HiddenNorm>> {
        let batch = BatchNorm::new(path / format!("batch_norm_{l}"), units, config.hidden_batch_norm)?;
        match (batch, config.hidden_layer_norm) {
            (None, false) => Ok(None),
            (Some(norm), false) => Ok(Some(HiddenNorm::Batch(norm.with_momentum(config.hidden_batch_norm_momentum)?))),
            (None, true) => Ok(Some(HiddenNorm::Layer(LayerNorm::new(path / format!("layer_norm_{l}"), &[units])?))),
            (Some(_), true) => {
                let reason = "hidden_layer_norm and hidden_batch_norm are both on: turn one of them off";
                Err(Error::Setting(reason.into()))
            }
        }
    }

    /// The normalised layer `[B, units]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another input, and in training with batch norm for a single row.
    pub fn forward(&self, layer: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            HiddenNorm::Batch(norm) => norm.forward(layer, train),
            HiddenNorm::Layer(norm) => norm.forward(layer),
        }
    }
}

/// h_{l+1} = dropout(relu(norm(W_l h_l + b_l))): a sequence of hidden layers, with an optional [`HiddenNorm`].
///
/// # Shapes
/// `[B, in]` → `[B, last hidden units]`; the input itself if there are no hidden layers
///
/// Source: Guo et al., DeepFM, IJCAI 2017, equation 4, <https://arxiv.org/abs/1703.04247>. Keras: `DNN` and `DNN_v2`,
/// which are the same. They apply dropout only after the last hidden layer and have no norm. Here, as in the
/// paper, dropout follows each hidden layer.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{Dnn, DnnConfig};
///
/// let store = VarStore::new(Device::Cpu);
/// let dnn = Dnn::new(store.root(), 80, &DnnConfig { hidden_units: vec![64, 32], ..DnnConfig::default() })?;
/// assert_eq!(dnn.forward(&Tensor::randn([8, 80], (Kind::Float, Device::Cpu)), false)?.size(), [8, 32]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Dnn {
    hidden: Vec<(Dense, Option<HiddenNorm>)>,
    activation: Activation,
    dropout: Dropout,
    input: i64,
    output: i64,
}

impl Dnn {
    /// Creates the layers `linear_0`, `linear_1`, ... and, optionally, their [`HiddenNorm`]s under `path`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for options out of range.
    pub fn new(path: Path<'_>, input: i64, config: &DnnConfig) -> Result<Dnn> {
        let dropout = Dropout::new("Dnn", "dropout", config.dropout)?;
        let mut width = input;
        let mut hidden = Vec::new();
        for (l, &units) in config.hidden_units.iter().enumerate() {
            super::check_size("Dnn", "an element of hidden_units", units)?;
            let dense = Dense::new(&path / format!("linear_{l}"), width, units, true)?;
            hidden.push((dense, HiddenNorm::new(&path, l, units, config)?));
            width = units;
        }
        Ok(Dnn { hidden, activation: config.activation, dropout, input, output: width })
    }

    /// The width of the last hidden layer, or of the input if there is none.
    pub fn output(&self) -> i64 {
        self.output
    }

    /// All hidden layers `[B, units]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, in]`, and in training with batch norm for a single row.
    pub fn layers(&self, input: &Tensor, train: bool) -> Result<Vec<Tensor>> {
        check_input("Dnn", input, &[self.input])?;
        let mut layers: Vec<Tensor> = Vec::new();
        for (dense, norm) in &self.hidden {
            let mut h = dense.forward(layers.last().unwrap_or(input))?;
            if let Some(norm) = norm {
                h = norm.forward(&h, train)?;
            }
            layers.push(self.dropout.forward(self.activation.apply(h)?, train)?);
        }
        Ok(layers)
    }

    /// The last hidden layer `[B, out]`.
    ///
    /// # Errors
    /// The same as [`Dnn::layers`].
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.layers(input, train)?.pop().unwrap_or_else(|| input.shallow_clone()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;
    use crate::oracle::*;

    const ACTIVATIONS: [Activation; 4] = [Activation::Linear, Activation::Relu, Activation::Tanh, Activation::Sigmoid];
    const MODES: [BatchNormMode; 4] =
        [BatchNormMode::Standard, BatchNormMode::AlwaysBatch, BatchNormMode::Frozen, BatchNormMode::Off];

    proptest! {
        #[test]
        fn it_equals_a_sequence_of_dense_layers_norms_and_activations(
            (rows, input) in (2usize..5, 1usize..5),
            hidden_units in vec(1i64..5, 0..4),
            (act, mode, train) in (0usize..4, 0usize..4, any::<bool>()),
            has_layer_norm: bool,
            seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let config = DnnConfig {
                hidden_units: hidden_units.clone(),
                activation: ACTIVATIONS[act],
                dropout: 0.0,
                hidden_batch_norm: MODES[mode],
                hidden_batch_norm_momentum: 0.9,
                hidden_layer_norm: MODES[mode] == BatchNormMode::Off && has_layer_norm,
            };
            let layer = Dnn::new(store.root() / "dnn", input as i64, &config).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let mut x = draw.matrix(rows, input);
            let found = layer.forward(&tensor(&x.concat(), &[rows as i64, input as i64]), train).unwrap();
            let act = activation(["linear", "relu", "tanh", "sigmoid"][act]);
            for l in 0..hidden_units.len() {
                x = x.iter().map(|x| dense(&p, &format!("dnn.linear_{l}"), x, true)).collect();
                if MODES[mode] != BatchNormMode::Off {
                    x = batch_norm(&p, &format!("dnn.batch_norm_{l}"), &x, [train, true, false][mode]);
                } else if has_layer_norm {
                    x = x.into_iter().flat_map(|x| layer_norm(&p, &format!("dnn.layer_norm_{l}"), &vec![x])).collect();
                }
                x.iter_mut().flatten().for_each(|x| *x = act(*x));
            }
            prop_assert_eq!(found.size(), [rows as i64, layer.output()]);
            // Each normalisation of a column that hardly varies enlarges rounding, up to 1/√ε times.
            assert_within(5e-4, &found, &x.concat(), "the last hidden layer");
        }
    }

    #[test]
    fn dropout_is_applied_to_every_hidden_layer_in_training_only() {
        let store = VarStore::new(Device::Cpu);
        let config = DnnConfig { hidden_units: vec![1, 40], activation: Activation::Linear, ..DnnConfig::default() };
        let layer = Dnn::new(store.root(), 1, &config).unwrap();
        tch::no_grad(|| {
            for (name, tensor) in &mut store.variables() {
                let _ = tensor.fill_(if name.ends_with("weight") { 1.0 } else { 0.0 });
            }
        });
        let one = tensor(&[1.0], &[1, 1]);
        assert_eq!(numbers(&layer.forward(&one, false).unwrap()), [1.0; 40]);
        let runs: Matrix = (0..100).map(|_| numbers(&layer.forward(&one, true).unwrap())).collect();
        // If the first layer's only unit is dropped, the output is 0. Otherwise it is doubled, and the second layer
        // doubles it.
        let (without, with): (Matrix, Matrix) = runs.into_iter().partition(|run| run.iter().all(|x| *x == 0.0));
        assert!(without.len() > 10 && with.len() > 10, "the first layer was dropped {} times", without.len());
        assert!(with.iter().all(|run| run.contains(&0.0) && run.iter().all(|x| [0.0, 4.0].contains(x))), "{with:?}");
    }
}
