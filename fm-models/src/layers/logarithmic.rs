//! Products of powers of vectors, with exponents that are learned.

use fm_core::Result;
use tch::Tensor;
use tch::nn::Path;

use super::{BatchNorm, BatchNormMode, check_device, check_input, check_size, glorot};

/// The smallest magnitude that has a logarithm of its own.
const SMALLEST: f64 = 1e-5;

/// y_j = N(exp(Σ_f w_{j,f} N(ln |e_f|))) element by element: product j takes field f to the power w_{j,f}. N is batch
/// norm, separately for each element of each vector.
///
/// # Shapes
/// `[B, F, k]` → `[B, n, k]`
///
/// Source: Cheng, Shen and Huang, Adaptive factorization network: learning adaptive-order feature interactions, AAAI
/// 2020, equation 6 and section 3.4, <https://arxiv.org/abs/1909.03276>. Magnitudes below 0.00001 count as 0.00001.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{BatchNormMode, LogarithmicLayer};
///
/// let store = VarStore::new(Device::Cpu);
/// let layer = LogarithmicLayer::new(&store.root(), [5, 16], 30, BatchNormMode::Standard)?;
/// let embeddings = Tensor::randn([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// assert_eq!(layer.forward(&embeddings, false)?.size(), [8, 30, 16]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LogarithmicLayer {
    exponents: Tensor,
    log_norm: Option<BatchNorm>,
    exp_norm: Option<BatchNorm>,
    /// F and k.
    input: [i64; 2],
}

impl LogarithmicLayer {
    /// Creates `exponents` w `[n, F]`, with Glorot uniform initial values, and `log_norm` and `exp_norm` under `path`;
    /// `input` is `[F, k]`, and n is `neurons`.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for sizes out of range, [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new(path: &Path<'_>, input: [i64; 2], neurons: i64, norm: BatchNormMode) -> Result<LogarithmicLayer> {
        check_size("LogarithmicLayer", "logarithmic_neurons", neurons)?;
        let [fields, k] = input;
        Ok(LogarithmicLayer {
            exponents: path.f_var("exponents", &[neurons, fields], glorot(fields, neurons))?,
            log_norm: BatchNorm::new(path / "log_norm", fields * k, norm)?,
            exp_norm: BatchNorm::new(path / "exp_norm", neurons * k, norm)?,
            input,
        })
    }

    /// The products `[B, n, k]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`, and in training with batch norm for a single
    /// row.
    pub fn forward(&self, embeddings: &Tensor, train: bool) -> Result<Tensor> {
        check_input("LogarithmicLayer", embeddings, &self.input)?;
        check_device("LogarithmicLayer", embeddings, &self.exponents)?;
        let logarithms = normed(&self.log_norm, embeddings.abs().clamp_min(SMALLEST).log(), train)?;
        normed(&self.exp_norm, self.exponents.matmul(&logarithms).exp(), train)
    }
}

/// Normalises each element of the vectors `[B, F, k]`.
fn normed(norm: &Option<BatchNorm>, vectors: Tensor, train: bool) -> Result<Tensor> {
    let Some(norm) = norm else { return Ok(vectors) };
    let shape = vectors.size();
    Ok(norm.forward(&vectors.flatten(1, 2), train)?.view([-1, shape[1], shape[2]]))
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
        fn it_equals_the_products_of_powers((fields, k, n) in (1usize..5, 1usize..4, 1usize..4), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let (path, input) = (store.root() / "l", [fields as i64, k as i64]);
            let layer = LogarithmicLayer::new(&path, input, n as i64, BatchNormMode::Off).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let vectors = draw.cube(3, fields, k);
            let w = p.matrix("l.exponents");
            let power = |vectors: &Matrix, j: usize, d: usize| -> f64 {
                (0..fields).map(|f| vectors[f][d].abs().max(1e-5).powf(w[j][f])).product()
            };
            let products = |vectors: &Matrix| -> Vector {
                (0..n).flat_map(|j| (0..k).map(move |d| (j, d))).map(|(j, d)| power(vectors, j, d)).collect()
            };
            let expected: Matrix = vectors.iter().map(products).collect();
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, k as i64]);
            assert_close(&layer.forward(&input, false).unwrap(), &expected.concat(), "the products");
        }
    }
}
