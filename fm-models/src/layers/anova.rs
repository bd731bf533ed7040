//! The ANOVA kernel: products of several different vectors.

use fm_core::{Error, Result};
use tch::{Kind, Tensor};

use super::check_input;

/// A_m = Σ_{i_1<...<i_m} Σ_d e_{i_1,d} ... e_{i_m,d}: the products of all sets of m vectors.
///
/// Newton's identities give it in linear time from the power sums P_j = Σ_i e_i^j, element by element:
/// A_m = (A_{m-1} P_1 - A_{m-2} P_2 + ... ± P_m) / m. For m = 2, it is the sum of an FM.
///
/// # Shapes
/// `[B, F, k]` → `[B]`
///
/// Source: Blondel, Fujino, Ueda and Ishihata, Higher-order factorization machines, NIPS 2016, section 3,
/// <https://arxiv.org/abs/1607.07195>. They compute it by dynamic programming over the vectors.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::AnovaKernel;
///
/// let embeddings = Tensor::ones([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// let scores = AnovaKernel::new(3)?.forward(&embeddings)?;
/// assert_eq!(scores.size(), [8]);
/// assert_eq!(scores.double_value(&[0]), 160.0); // 10 triples of vectors of 16 ones
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AnovaKernel {
    order: i64,
}

impl AnovaKernel {
    /// The kernel of order m.
    ///
    /// # Errors
    /// [`Error::Setting`] for an order that is not 2 to 5. Higher orders would lose their digits in the differences.
    pub fn new(order: i64) -> Result<AnovaKernel> {
        if (2..=5).contains(&order) {
            return Ok(AnovaKernel { order });
        }
        Err(Error::Setting(format!("AnovaKernel: order is {order}: it must be 2 to 5")))
    }

    /// The sum over all sets of m vectors `[B]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        Ok(self.elements(embeddings)?[self.order as usize - 1].sum_dim_intlist(-1, false, Kind::Float))
    }

    /// The elements of A_1, ..., A_m before their sum over d, each `[B, k]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn elements(&self, embeddings: &Tensor) -> Result<Vec<Tensor>> {
        check_input("AnovaKernel", embeddings, &[-1, -1])?;
        let sum = |power: &Tensor| power.sum_dim_intlist(1, false, Kind::Float);
        let mut power = embeddings.shallow_clone();
        // With alternating signs: P_1, -P_2, P_3, ...
        let mut powers = vec![sum(&power)];
        for j in 2..=self.order {
            power = embeddings * power;
            powers.push(sum(&power) * if j % 2 == 0 { -1.0 } else { 1.0 });
        }
        let mut kernels = vec![powers[0].shallow_clone()]; // A_1, A_2, ...
        for m in 2..=self.order as usize {
            let products = (1..m).map(|j| &kernels[m - j - 1] * &powers[j - 1]);
            let total = products.fold(powers[m - 1].shallow_clone(), |sum, product| sum + product);
            kernels.push(total / m as f64);
        }
        Ok(kernels)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_the_sum_over_all_sets_of_vectors((n, k, order) in (1usize..8, 1usize..5, 2usize..6), seed: u64) {
            let vectors = Draw(seed).cube(3, n, k);
            let input = tensor(&vectors.concat().concat(), &[3, n as i64, k as i64]);
            let expected: Vector = vectors.iter().map(|vectors| anova(vectors, order)).collect();
            let found = AnovaKernel::new(order as i64).unwrap().forward(&input).unwrap();
            assert_close(&found, &expected, "the sum");
        }
    }
}
