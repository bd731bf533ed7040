//! Activation functions.

use fm_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::check_kind;

/// An activation function, with Keras's names.
///
/// # Shapes
/// any shape → the same shape
///
/// ```
/// use fm_core::tch::Tensor;
/// use fm_models::layers::Activation;
///
/// let output = Activation::Relu.apply(Tensor::from_slice(&[-1f32, 2.0]))?;
/// assert_eq!(Vec::<f32>::try_from(output)?, [0.0, 2.0]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// x
    Linear,
    /// max(0, x)
    #[default]
    Relu,
    /// tanh x
    Tanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
}

impl Activation {
    /// Applies the function to each element.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not float32.
    pub fn apply(self, input: Tensor) -> Result<Tensor> {
        check_kind("Activation", &input)?;
        Ok(match self {
            Activation::Linear => input,
            Activation::Relu => input.relu(),
            Activation::Tanh => input.tanh(),
            Activation::Sigmoid => input.sigmoid(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_its_formula(seed: u64) {
            let x = Draw(seed).vector(20).into_iter().map(|x| 4.0 * x).collect::<Vector>();
            for (kind, name) in [
                (Activation::Linear, "linear"),
                (Activation::Relu, "relu"),
                (Activation::Tanh, "tanh"),
                (Activation::Sigmoid, "sigmoid"),
            ] {
                let expected: Vector = x.iter().copied().map(activation(name)).collect();
                assert_close(&kind.apply(tensor(&x, &[4, 5])).unwrap(), &expected, name);
                prop_assert_eq!(serde_json::to_value(kind).unwrap(), name);
            }
        }
    }
}
