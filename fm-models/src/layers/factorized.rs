//! A dense layer with products of its outputs.

use fm_core::{Error, Result};
use tch::Tensor;
use tch::nn::Path;

use super::{Dense, check_input, check_size};

/// y = [a; a ⊙ b] with [a; b] = W x + c: a dense layer, half of whose outputs are products of two sums. It doubles the
/// degree of the interactions.
///
/// # Shapes
/// `[B, in]` → `[B, out]`; a and b have out / 2 elements
///
/// Source: Zhu et al., FINAL: factorized interaction layer for CTR prediction, SIGIR 2023, section 3,
/// <https://doi.org/10.1145/3539618.3591988>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::FactorizedInteraction;
///
/// let store = VarStore::new(Device::Cpu);
/// let layer = FactorizedInteraction::new(store.root(), 80, 64)?;
/// assert_eq!(layer.forward(&Tensor::randn([8, 80], (Kind::Float, Device::Cpu)))?.size(), [8, 64]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FactorizedInteraction {
    dense: Dense,
    input: i64,
    half: i64,
}

impl FactorizedInteraction {
    /// Creates `weight` W `[out, in]` and `bias` c `[out]` under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for sizes out of range, or an odd number of outputs.
    pub fn new(path: Path<'_>, input: i64, output: i64) -> Result<FactorizedInteraction> {
        check_size("FactorizedInteraction", "an element of hidden_units", output)?;
        if output % 2 == 1 {
            let reason = format!("hidden_units contains {output}: an odd number of units has no halves");
            return Err(Error::Setting(format!("FactorizedInteraction: {reason}")));
        }
        Ok(FactorizedInteraction { dense: Dense::new(path, input, output, true)?, input, half: output / 2 })
    }

    /// y `[B, out]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, in]`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        check_input("FactorizedInteraction", input, &[self.input])?;
        let sums = self.dense.forward(input)?;
        let [first, second] = [0, self.half].map(|start| sums.narrow(1, start, self.half));
        let products = &first * second;
        Ok(Tensor::cat(&[first, products], 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_its_formula((input, half) in (1usize..5, 1usize..4), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = FactorizedInteraction::new(store.root() / "f", input as i64, 2 * half as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let x = draw.matrix(3, input);
            let expected: Matrix = x.iter().map(|x| factorized(&p, "f", x)).collect();
            let found = layer.forward(&tensor(&x.concat(), &[3, input as i64])).unwrap();
            assert_close(&found, &expected.concat(), "the output");
        }
    }
}
