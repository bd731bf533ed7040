//! The deep part.

use tch::Tensor;
use tch::nn::{self, Init, LinearConfig, Module, ModuleT, Path};

/// The sizes of a [`Dnn`].
#[derive(Clone, Debug)]
pub struct DnnConfig {
    /// The width of each hidden layer.
    pub hidden_units: Vec<i64>,
    /// The probability that a hidden unit is dropped in training.
    pub dropout: f64,
}

/// h_{l+1} = dropout(relu(W_l h_l + b_l)), then ŷ = ⟨w, h_L⟩: a perceptron with one output. It has no output bias, as the
/// models have a global one.
///
/// # Shapes
/// `[B, in]` → `[B]`
///
/// Keras: `DNN`, which drops out once, after the last hidden layer; here after each, as the DeepFM paper has it. Weights
/// start at Glorot's uniform values and biases at 0, as there.
#[derive(Debug)]
pub struct Dnn {
    hidden: Vec<nn::Linear>,
    output: nn::Linear,
    dropout: f64,
}

impl Dnn {
    /// Layers `linear_0`, `linear_1`, ... and `output` under `path`.
    pub fn new(path: Path<'_>, input: i64, config: &DnnConfig) -> Dnn {
        let mut width = input;
        let hidden = config.hidden_units.iter().enumerate().map(|(l, &units)| {
            let layer = linear(&path / format!("linear_{l}"), width, units, true);
            width = units;
            layer
        });
        let hidden = hidden.collect();
        Dnn { hidden, output: linear(&path / "output", width, 1, false), dropout: config.dropout }
    }
}

/// A linear layer with Keras's first values.
fn linear(path: Path<'_>, input: i64, output: i64, bias: bool) -> nn::Linear {
    let bound = (6.0 / (input + output) as f64).sqrt();
    let config =
        LinearConfig { ws_init: Init::Uniform { lo: -bound, up: bound }, bs_init: Some(Init::Const(0.0)), bias };
    nn::linear(path, input, output, config)
}

impl ModuleT for Dnn {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let hidden = self.hidden.iter().fold(input.shallow_clone(), |h, layer| {
            let h = layer.forward(&h).relu();
            if self.dropout > 0.0 && train { h.dropout(self.dropout, true) } else { h }
        });
        self.output.forward(&hidden).squeeze_dim(-1)
    }
}
