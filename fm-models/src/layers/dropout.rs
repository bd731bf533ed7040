//! Dropout.

use fm_core::elements::filled;
use fm_core::seed::split_mix;
use fm_core::{Error, Result};
use tch::{Device, Kind, Tensor};

use super::check_kind;

/// In training, sets each element to zero with probability `rate` and scales the others so that the expectation is
/// unchanged. In prediction, returns the input.
///
/// # Shapes
/// any shape → the same shape
///
/// Source: Srivastava et al., Dropout, JMLR 2014, <https://jmlr.org/papers/v15/srivastava14a.html>. Keras: `Dropout`.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::Dropout;
///
/// let dropout = Dropout::new("Mine", "dropout", 0.5)?;
/// let input = Tensor::ones([8, 16], (Kind::Float, Device::Cpu));
/// assert!(dropout.forward(input.shallow_clone(), false)?.equal(&input));
/// let kept = dropout.forward(input, true)?;
/// assert!(kept.eq(0.0).logical_or(&kept.eq(2.0)).all().int64_value(&[]) == 1);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// Dropout with the probability `rate`. Errors name `owner` and `option`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rate that is not in [0, 1).
    pub fn new(owner: &str, option: &str, rate: f64) -> Result<Dropout> {
        if (0.0..1.0).contains(&rate) {
            return Ok(Dropout { rate });
        }
        Err(Error::Setting(format!("{owner}: {option} is {rate}: it must be at least 0 and less than 1")))
    }

    /// The input, with dropout if `train`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not float32.
    pub fn forward(&self, input: Tensor, train: bool) -> Result<Tensor> {
        check_kind("Dropout", &input)?;
        if !train || self.rate == 0.0 {
            return Ok(input);
        }
        match input.device() {
            // libtorch's own draws take several times as long.
            Device::Cpu => Ok(&input * mask(&input.size(), 1.0 - self.rate)?),
            _ => Ok(input.dropout(self.rate, true)),
        }
    }
}

/// A dropout mask on the CPU: each element is 1 / `keep` with probability `keep`, and 0 otherwise. libtorch's generator
/// only draws the seed of the mask.
fn mask(shape: &[i64], keep: f64) -> Result<Tensor> {
    let seed = Tensor::f_randint(i64::MAX, [1], (Kind::Int64, Device::Cpu))?.int64_value(&[0]) as u64;
    // A number of 32 bits is below the bound with probability `keep`, to 2⁻³³.
    let bound = (keep * 2f64.powi(32)).round() as u64;
    let scale = (1.0 / keep) as f32;
    // A product instead of a choice, because no processor predicts a random branch.
    let element = |bits: u64| scale * f32::from(u8::from(bits < bound));
    filled(shape, |mask| {
        for (n, pair) in mask.chunks_mut(2).enumerate() {
            let bits = split_mix(seed, n as u64);
            for (to, bits) in pair.iter_mut().zip([bits >> 32, bits & 0xffff_ffff]) {
                *to = element(bits);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_changes_nothing_outside_training_or_at_rate_zero(rate in 0.0f64..1.0, seed: u64) {
            let x = tensor(&Draw(seed).vector(12), &[3, 4]);
            let dropout = |rate| Dropout::new("Dnn", "dropout", rate).unwrap();
            prop_assert!(dropout(rate).forward(x.shallow_clone(), false).unwrap().equal(&x));
            prop_assert!(dropout(0.0).forward(x.shallow_clone(), true).unwrap().equal(&x));
        }

        #[test]
        fn in_training_each_element_is_dropped_or_scaled_and_the_mean_is_unchanged(rate in 0.05f64..0.8, seed: u64) {
            let x: Vector = Draw(seed).vector(20_000).into_iter().map(|x| x + 2.0).collect();
            let dropped = Dropout::new("Dnn", "dropout", rate).unwrap().forward(tensor(&x, &[100, 200]), true).unwrap();
            let dropped = numbers(&dropped);
            for (found, x) in dropped.iter().zip(&x) {
                prop_assert!(*found == 0.0 || (found - x / (1.0 - rate)).abs() < 1e-5 * found, "{x} became {found}");
            }
            let (mean, expected) = (dropped.iter().sum::<f64>() / 2e4, x.iter().sum::<f64>() / 2e4);
            prop_assert!((mean - expected).abs() < 0.2, "the mean {expected} became {mean}");
        }
    }
}
