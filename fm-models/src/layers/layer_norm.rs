//! Layer normalisation.

use fm_core::Result;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::{check_device, check_input};

/// ε, added to the variance.
const EPSILON: f64 = 1e-5;

/// y = γ ⊙ (x - μ) / √(σ² + ε) + β, with the mean and the biased variance of the last dimension of each row.
///
/// # Shapes
/// `[B, n]` → `[B, n]`, or `[B, F, n]` → `[B, F, n]` with a γ and a β for each of F vectors
///
/// Source: Ba, Kiros and Hinton, Layer normalization, 2016, <https://arxiv.org/abs/1607.06450>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::LayerNorm;
///
/// let store = VarStore::new(Device::Cpu);
/// let norm = LayerNorm::new(store.root(), &[5, 16])?;
/// let output = norm.forward(&(Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)) * 3.0 + 7.0))?; // [B, F, n]
/// assert_eq!(output.size(), [8, 5, 16]);
/// assert!(output.mean(Kind::Float).double_value(&[]).abs() < 1e-4);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LayerNorm {
    gamma: Tensor,
    beta: Tensor,
    sizes: Vec<i64>,
}

impl LayerNorm {
    /// Creates `gamma`, which starts at 1, and `beta`, which starts at 0, of these sizes: all but B.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new(path: Path<'_>, sizes: &[i64]) -> Result<LayerNorm> {
        Ok(LayerNorm {
            gamma: path.f_var("gamma", sizes, Init::Const(1.0))?,
            beta: path.f_var("beta", sizes, Init::Const(0.0))?,
            sizes: sizes.into(),
        })
    }

    /// The normalised vectors, of the shape of the input.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input of other sizes.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        check_input("LayerNorm", input, &self.sizes)?;
        check_device("LayerNorm", input, &self.gamma)?;
        let last = [self.sizes[self.sizes.len() - 1]];
        if self.sizes.len() == 1 {
            return Ok(input.layer_norm(last, Some(&self.gamma), Some(&self.beta), EPSILON, true));
        }
        let normed = input.layer_norm(last, None::<&Tensor>, None::<&Tensor>, EPSILON, true);
        Ok(self.beta.addcmul(&normed, &self.gamma))
    }

    /// The normalised vectors of all places `[B, L, n]`, which share γ and β `[n]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input of other sizes.
    pub fn of_places(&self, input: &Tensor) -> Result<Tensor> {
        let (_, places, n) = input.size3()?;
        Ok(self.forward(&input.flatten(0, 1))?.view([-1, places, n]))
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
        fn it_normalises_each_vector((fields, n) in (1usize..5, 1usize..6), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let single = LayerNorm::new(store.root() / "single", &[n as i64]).unwrap();
            let several = LayerNorm::new(store.root() / "several", &[fields as i64, n as i64]).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let vectors = draw.cube(3, fields, n);
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, n as i64]);
            let expected: Vec<Matrix> = vectors.iter().map(|vectors| layer_norm(&p, "several", vectors)).collect();
            assert_within(5e-4, &several.forward(&input).unwrap(), &expected.concat().concat(), "several vectors");
            let expected: Vec<Matrix> =
                vectors.iter().map(|vectors| layer_norm(&p, "single", &vectors[..1].to_vec())).collect();
            let found = single.forward(&input.select(1, 0)).unwrap();
            assert_within(5e-4, &found, &expected.concat().concat(), "a single vector");
        }
    }
}
