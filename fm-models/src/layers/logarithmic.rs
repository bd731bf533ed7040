//! Products of powers of vectors, with exponents that are learned.

use fm_core::Result;
use tch::Tensor;
use tch::nn::Path;

use super::{BatchNorm, BatchNormMode, check_device, check_input, check_size, glorot, is_there};

/// The smallest magnitude that has a logarithm of its own.
const SMALLEST: f64 = 1e-5;

/// y_j = N(exp(Σ_f w_{j,f} N(ln |e_f|))) element by element: product j takes field f to the power w_{j,f}. N is batch
/// norm, separately for each element of each vector.
///
/// An element that is 0, as all of an unknown or a missing value are, has no logarithm: it is a factor of 1.
///
/// # Shapes
/// `[B, F, k]` → `[B, n, k]`
///
/// Source: Cheng, Shen and Huang, Adaptive factorization network: learning adaptive-order feature interactions, AAAI
/// 2020, section 3, <https://arxiv.org/abs/1909.03276>. Magnitudes below 0.00001 count as 0.00001. The factor of 1 is
/// not from the paper, which has no such values: with the logarithm of a tiny number, one would decide the score.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::{BatchNormMode, LogarithmicLayer};
///
/// let store = VarStore::new(Device::Cpu);
/// let layer = LogarithmicLayer::new(&store.root(), [5, 16], 30, (BatchNormMode::Standard, 0.99))?;
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
    /// `input` is `[F, k]`, n is `neurons`, and `norm` the mode of batch norm and the momentum of its statistics.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for sizes out of range, [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new(
        path: &Path<'_>,
        input: [i64; 2],
        neurons: i64,
        (mode, momentum): (BatchNormMode, f64),
    ) -> Result<LogarithmicLayer> {
        check_size("LogarithmicLayer", "logarithmic_neurons", neurons)?;
        let [fields, k] = input;
        let norm = |name: &str, columns: i64| {
            let norm = BatchNorm::new(path / name, columns, mode)?;
            norm.map(|norm| norm.with_momentum(momentum)).transpose()
        };
        Ok(LogarithmicLayer {
            exponents: path.f_var("exponents", &[neurons, fields], glorot(fields, neurons))?,
            log_norm: norm("log_norm", fields * k)?,
            exp_norm: norm("exp_norm", neurons * k)?,
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
        let is_there = is_there(embeddings);
        let logarithms = embeddings.abs().clamp_min(SMALLEST).log() * &is_there;
        let logarithms = normed(&self.log_norm, logarithms, train)? * is_there;
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
            let layer = LogarithmicLayer::new(&path, input, n as i64, (BatchNormMode::Off, 0.9)).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let mut vectors = draw.cube(3, fields, k);
            // An unknown value.
            vectors[0][0] = vec![0.0; k];
            let expected: Vec<Matrix> = vectors.iter().map(|e| powers(&p.matrix("l.exponents"), e)).collect();
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, k as i64]);
            assert_close(&layer.forward(&input, false).unwrap(), &expected.concat().concat(), "the products");
        }
    }
}
