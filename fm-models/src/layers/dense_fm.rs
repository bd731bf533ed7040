//! A factorization machine over dense features.

use fm_core::{Error, Result};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::{check_device, check_input, check_size, glorot};

/// y_u = b_u + Σ_i w_{i,u} x_i + ½ Σ_f [(Σ_i v_{i,f} x_i)² - Σ_i v_{i,f}² x_i²]: an FM with `units` outputs that share
/// the second order.
///
/// # Shapes
/// `[B, n]` numbers, ideally standardised → `[B, units]`
///
/// Source: Rendle, Factorization machines, ICDM 2010, lemma 3.1,
/// <https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf>. Keras: `FM(units, k)` of the notebook on rating regression.
/// With `units = 1` it is the paper's FM. More units add nothing: followed by a `Dense` with one output, as in the
/// notebook, the model is a single FM with redundant parameters.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::DenseFm;
///
/// let store = VarStore::new(Device::Cpu);
/// let fm = DenseFm::new(store.root(), 20, 1, 4)?;
/// assert_eq!(fm.forward(&Tensor::randn([8, 20], (Kind::Float, Device::Cpu)))?.size(), [8, 1]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct DenseFm {
    bias: Tensor,
    weight: Tensor,
    latent: Tensor,
    n: i64,
}

impl DenseFm {
    /// Creates `bias` `[units]`, `weight` `[units, n]` and `latent` `[k, n]`. Weights have Glorot uniform initial
    /// values, and biases start at 0. In the notebook, biases are random.
    ///
    /// # Errors
    /// [`Error::Setting`] for sizes out of range, [`Error::Torch`] if memory is insufficient.
    pub fn new(path: Path<'_>, n: i64, units: i64, k: i64) -> Result<DenseFm> {
        check_size("DenseFm", "units", units)?;
        check_size("DenseFm", "k", k)?;
        if n < 1 {
            return Err(Error::Setting(format!("DenseFm: the number of features is {n}: it must be at least 1")));
        }
        Ok(DenseFm {
            bias: path.f_var("bias", &[units], Init::Const(0.0))?,
            weight: path.f_var("weight", &[units, n], glorot(n, units))?,
            latent: path.f_var("latent", &[k, n], glorot(n, k))?,
            n,
        })
    }

    fn check(&self, input: &Tensor) -> Result<()> {
        check_input("DenseFm", input, &[self.n])?;
        check_device("DenseFm", input, &self.weight)
    }

    /// The first order `[B, units]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, n]`.
    pub fn linear_terms(&self, input: &Tensor) -> Result<Tensor> {
        self.check(input)?;
        Ok(input.linear(&self.weight, Some(&self.bias)))
    }

    /// The second order `[B, 1]`.
    ///
    /// # Errors
    /// The same as [`DenseFm::linear_terms`].
    pub fn pair_interactions(&self, input: &Tensor) -> Result<Tensor> {
        self.check(input)?;
        let no_bias = None::<&Tensor>;
        let squared_sums = input.linear(&self.latent, no_bias).square();
        let summed_squares = input.square().linear(&self.latent.square(), no_bias);
        Ok((squared_sums - summed_squares).sum_dim_intlist(1, true, Kind::Float) * 0.5)
    }

    /// The sum of both orders `[B, units]`.
    ///
    /// # Errors
    /// The same as [`DenseFm::linear_terms`].
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(self.linear_terms(input)? + self.pair_interactions(input)?)
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
        fn it_equals_the_sum_over_features_and_pairs(
            (n, units, k) in (1usize..7, 1usize..4, 1usize..5), seed: u64,
        ) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = DenseFm::new(store.root() / "d", n as i64, units as i64, k as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let x = draw.matrix(3, n);
            let input = tensor(&x.concat(), &[3, n as i64]);

            let first_order: Matrix = x.iter().map(|x| dense(&p, "d", x, true)).collect();
            assert_close(&layer.linear_terms(&input).unwrap(), &first_order.concat(), "the first order");

            let latent = p.matrix("d.latent"); // [k, n]
            let scaled = |x: &Vector| -> Matrix { (0..n).map(|i| (0..k).map(|f| latent[f][i] * x[i]).collect()).collect() };
            let second_order: Vector = x.iter().map(|x| fm(&scaled(x))).collect();
            let found = layer.pair_interactions(&input).unwrap();
            prop_assert_eq!(found.size(), [3, 1]);
            assert_close(&found, &second_order, "the second order");

            let both = first_order.iter().zip(&second_order).map(|(first, second)| first.iter().map(move |y| y + second));
            let both: Vector = both.flatten().collect();
            assert_close(&layer.forward(&input).unwrap(), &both, "the output");
        }
    }

    #[test]
    fn weights_have_glorot_uniform_initial_values_and_biases_start_at_zero() {
        let store = VarStore::new(Device::Cpu);
        let DenseFm { bias, weight, latent, .. } = DenseFm::new(store.root(), 60, 40, 30).unwrap();
        for (tensor, outputs) in [(weight, 40.0), (latent, 30.0)] {
            let bound = (6.0f64 / (60.0 + outputs)).sqrt();
            assert!(tensor.abs().max().double_value(&[]) <= bound);
            assert!((tensor.std(true).double_value(&[]) - bound / 3f64.sqrt()).abs() < 0.05 * bound);
        }
        assert_eq!(numbers(&bias), [0.0; 40]);
    }
}
