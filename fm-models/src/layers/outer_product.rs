//! The outer product of the sum of all vectors.

use fm_core::Result;
use tch::{Kind, Tensor};

use super::check_input;

/// Σ_i Σ_j e_i e_jᵀ = e eᵀ with e = Σ_i e_i: the superposition of the outer products of all pairs.
///
/// # Shapes
/// `[B, F, k]` → `[B, k k]`
///
/// Source: Qu et al., Product-based neural networks for user response prediction, ICDM 2016, section III-C,
/// <https://arxiv.org/abs/1611.00144>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::OuterProduct;
///
/// let embeddings = Tensor::ones([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// let product = OuterProduct.forward(&embeddings)?;
/// assert_eq!(product.size(), [8, 256]);
/// assert_eq!(product.double_value(&[0, 0]), 25.0);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct OuterProduct;

impl OuterProduct {
    /// The product `[B, k k]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("OuterProduct", embeddings, &[-1, -1])?;
        let sum = embeddings.sum_dim_intlist(1, false, Kind::Float);
        Ok((sum.unsqueeze(2) * sum.unsqueeze(1)).flatten(1, 2))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_the_sum_of_the_outer_products_of_all_pairs((n, k) in (1usize..6, 1usize..5), seed: u64) {
            let vectors = Draw(seed).cube(3, n, k);
            let input = tensor(&vectors.concat().concat(), &[3, n as i64, k as i64]);
            let expected: Matrix = vectors.iter().map(outer_product).collect();
            assert_close(&OuterProduct.forward(&input).unwrap(), &expected.concat(), "the product");
        }
    }
}
