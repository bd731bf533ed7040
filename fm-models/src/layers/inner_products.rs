//! The inner products of all pairs of vectors.

use fm_core::Result;
use tch::Tensor;

use super::check_input;

/// ⟨e_i, e_j⟩ for all i and j: one matrix product E Eᵀ for each row.
///
/// A dense layer behind it sees each pair twice, and the squared lengths. This is cheaper than to pick the pairs i < j.
///
/// # Shapes
/// `[B, F, k]` → `[B, F F]`
///
/// Source: Qu et al., Product-based neural networks for user response prediction, ICDM 2016, section III-B,
/// <https://arxiv.org/abs/1611.00144>.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::InnerProducts;
///
/// let embeddings = Tensor::ones([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// let products = InnerProducts.forward(&embeddings)?;
/// assert_eq!(products.size(), [8, 25]);
/// assert_eq!(products.double_value(&[0, 1]), 16.0);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct InnerProducts;

impl InnerProducts {
    /// The products `[B, F F]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("InnerProducts", embeddings, &[-1, -1])?;
        Ok(embeddings.matmul(&embeddings.transpose(1, 2)).flatten(1, 2))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_the_products_of_all_pairs((n, k) in (1usize..6, 1usize..5), seed: u64) {
            let vectors = Draw(seed).cube(3, n, k);
            let input = tensor(&vectors.concat().concat(), &[3, n as i64, k as i64]);
            let expected: Matrix = vectors.iter().map(inner_products).collect();
            assert_close(&InnerProducts.forward(&input).unwrap(), &expected.concat(), "the products");
        }
    }
}
