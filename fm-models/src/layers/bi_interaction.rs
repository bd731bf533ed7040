//! Pools all pairs into one vector.

use fm_core::Result;
use tch::{Kind, Tensor};

use super::check_input;

/// f_BI = Σ_{i<j} e_i ⊙ e_j = ½ [(Σ_i e_i)² - Σ_i e_i²], element by element: all pairs in linear time.
///
/// # Shapes
/// `[B, S, k]` → `[B, k]`
///
/// Source: He and Chua, Neural factorization machines for sparse predictive analytics, SIGIR 2017, equation 4,
/// <https://arxiv.org/abs/1708.05027>. Keras: the "Bi-Interaction Layer" of `NFM`.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::BiInteraction;
///
/// let embeddings = Tensor::ones([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, S, k]
/// let pooled = BiInteraction.forward(&embeddings)?;
/// assert_eq!(pooled.size(), [8, 16]);
/// assert_eq!(pooled.double_value(&[0, 0]), 10.0); // the pairs of 5 vectors
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct BiInteraction;

impl BiInteraction {
    /// The pooled pairs `[B, k]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, S, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("BiInteraction", embeddings, &[-1, -1])?;
        let sum = embeddings.sum_dim_intlist(1, false, Kind::Float);
        Ok(BiInteraction.of_sums(&sum, &embeddings.square().sum_dim_intlist(1, false, Kind::Float)))
    }

    /// The pooled pairs `[B, k]`, from Σ_i e_i `[B, k]` and Σ_i e_i² `[B, k]`.
    pub fn of_sums(&self, sum: &Tensor, squares: &Tensor) -> Tensor {
        (sum.square() - squares) * 0.5
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_the_sum_of_the_products_of_all_pairs((n, k) in (1usize..8, 1usize..6), seed: u64) {
            let vectors = Draw(seed).cube(3, n, k);
            let input = tensor(&vectors.concat().concat(), &[3, n as i64, k as i64]);
            let expected: Matrix = vectors.iter().map(|vectors| sum(&pairs(vectors), k)).collect();
            assert_close(&BiInteraction.forward(&input).unwrap(), &expected.concat(), "the pooled vector");
        }
    }
}
