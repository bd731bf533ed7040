//! The activation function that adapts to the distribution of its input.

use fm_core::{Error, Result};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor, no_grad};

use super::batch_norm::MOMENTUM;
use super::{check_device, check_size, is_float};

/// ε, added to the variance: the paper's.
const EPSILON: f64 = 1e-8;

/// `y = p s + (1 - p) α s` with `p = σ((s - E[s]) / √(Var[s] + ε))`, separately for each column: a PReLU whose step is where
/// the input is dense, and smooth.
///
/// In training, E and Var are those of the batch without padding, and they update moving statistics, which prediction uses.
///
/// # Shapes
/// s `[B, L, n]` and, 1 or 0 for each of L places, whether it is there `[B, L]` → `[B, L, n]`
///
/// Source: Zhou et al., Deep interest network for click-through rate prediction, KDD 2018, section 5.3,
/// <https://arxiv.org/abs/1706.06978>. The paper does not mention padding, nor a first value of α, which is 0 here.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::Dice;
///
/// let store = VarStore::new(Device::Cpu);
/// let dice = Dice::new(store.root(), 16)?;
/// let (input, is_there) = (Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)), [8, 5]);
/// let is_there = Tensor::ones(is_there, (Kind::Float, Device::Cpu));
/// assert_eq!(dice.forward(&input, &is_there, true)?.size(), [8, 5, 16]); // [B, L, n]
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Dice {
    alpha: Tensor,
    moving_mean: Tensor,
    moving_variance: Tensor,
    n: i64,
}

impl Dice {
    /// Creates `alpha` `[n]`, which starts at 0, and the statistics `moving_mean` and `moving_variance` `[n]`, which are not
    /// trainable.
    ///
    /// # Errors
    /// [`Error::Setting`] for an n out of range.
    pub fn new(path: Path<'_>, n: i64) -> Result<Dice> {
        check_size("Dice", "the number of columns", n)?;
        Ok(Dice {
            alpha: path.var("alpha", &[n], Init::Const(0.0)),
            moving_mean: path.zeros_no_train("moving_mean", &[n]),
            moving_variance: path.ones_no_train("moving_variance", &[n]),
            n,
        })
    }

    /// The output `[B, L, n]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of other sizes.
    pub fn forward(&self, input: &Tensor, is_there: &Tensor, train: bool) -> Result<Tensor> {
        let size = input.size();
        if size.len() != 3 || size[2] != self.n || is_there.size() != size[..2] || !is_float(input) {
            let expected = format!("float32 of shape [B, L, {}] and a number for each of its vectors", self.n);
            let found = format!("{:?} of shape {size:?} and {:?}", input.kind(), is_there.size());
            return Err(Error::shape("Dice", expected, found));
        }
        check_device("Dice", input, &self.alpha)?;
        let input = if train { input.to_kind(Kind::Float) } else { input.shallow_clone() };
        let (mean, variance) = match train {
            true => self.of_batch(&input, is_there),
            false => (self.moving_mean.shallow_clone(), self.moving_variance.shallow_clone()),
        };
        let p = ((&input - mean) * (variance + EPSILON).rsqrt()).sigmoid();
        // p s + (1 - p) α s
        Ok(&input * (&p + (1.0 - &p) * &self.alpha))
    }

    /// E and Var `[n]` of the places that are there, which move the statistics if there are any.
    fn of_batch(&self, input: &Tensor, is_there: &Tensor) -> (Tensor, Tensor) {
        let number = is_there.sum(Kind::Float);
        let mean_of = |x: Tensor| {
            (x * is_there.unsqueeze(-1)).sum_dim_intlist(&[0i64, 1][..], false, Kind::Float) / number.clamp_min(1.0)
        };
        let mean = mean_of(input.shallow_clone());
        let variance = mean_of((input - &mean).square());
        no_grad(|| {
            let rate = number.clamp_max(1.0) * (1.0 - MOMENTUM);
            for (moving, now) in [(&self.moving_mean, &mean), (&self.moving_variance, &variance)] {
                let _ = moving.shallow_clone().g_add_(&((now - moving) * &rate));
            }
        });
        (mean, variance)
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
        fn it_equals_its_formula_and_ignores_padding((rows, l, n) in (1usize..4, 1usize..4, 1usize..4), train: bool, seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = Dice::new(store.root() / "dice", n as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let input = draw.cube(rows, l, n);
            let is_there: Matrix = (0..rows).map(|_| (0..l).map(|_| draw.below(2) as f64).collect()).collect();
            let expected = dice(&p, "dice", &input, &is_there, train);
            let [rows, l, n] = [rows, l, n].map(|size| size as i64);
            let there = tensor(&is_there.concat(), &[rows, l]);
            let found = layer.forward(&tensor(&input.concat().concat(), &[rows, l, n]), &there, train).unwrap();
            // Columns that hardly vary enlarge rounding.
            assert_within(1e-2, &found, &expected.concat().concat(), "the output");
        }
    }

    #[test]
    fn a_batch_without_places_leaves_the_statistics() {
        let store = VarStore::new(Device::Cpu);
        let layer = Dice::new(store.root(), 2).unwrap();
        for rows in [0, 3] {
            let input = Tensor::ones([rows, 4, 2], (Kind::Float, Device::Cpu));
            let _ = layer.forward(&input, &input.select(2, 0).zeros_like(), true).unwrap();
            assert_eq!((numbers(&layer.moving_mean), numbers(&layer.moving_variance)), (vec![0.0; 2], vec![1.0; 2]));
        }
        let _ = layer.forward(&tensor(&[1.0, 5.0, 3.0, 5.0], &[1, 2, 2]), &tensor(&[1.0, 1.0], &[1, 2]), true).unwrap();
        assert_close(&layer.moving_mean, &[0.02, 0.05], "the mean");
        assert_close(&layer.moving_variance, &[1.0, 0.99], "the variance");
    }
}
