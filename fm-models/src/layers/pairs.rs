//! Products of all pairs, one vector each.

use fm_core::schema::Layout;
use fm_core::{Error, Result};
use tch::{Device, Kind, Tensor};

use super::check_input;

/// (e_i ⊙ e_j) for all i < j, in the order (0,1), (0,2), ..., (1,2), ...: the pair-wise interaction layer.
///
/// # Shapes
/// `[B, F, k]` → `[B, F(F-1)/2, k]`
///
/// Source: Xiao et al., Attentional factorization machines, IJCAI 2017, section 3, <https://arxiv.org/abs/1708.04617>.
/// Keras: the "Pair-wise Interaction Layer" of `AFM`.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_models::layers::PairwiseProduct;
///
/// let embeddings = Tensor::ones([8, 5, 16], (Kind::Float, Device::Cpu)); // [B, F, k]
/// assert_eq!(PairwiseProduct::new(5)?.forward(&embeddings)?.size(), [8, 10, 16]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct PairwiseProduct {
    fields: i64,
}

impl PairwiseProduct {
    /// The pairs of `fields` vectors.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than 2 fields, which have no pair.
    pub fn new(fields: i64) -> Result<PairwiseProduct> {
        if fields < 2 {
            return Err(Error::shape("PairwiseProduct", "at least 2 fields", fields.to_string()));
        }
        Ok(PairwiseProduct { fields })
    }

    /// The products of all pairs `[B, F(F-1)/2, k]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        self.between(embeddings, embeddings)
    }

    /// The products (a_i ⊙ e_j) `[B, F(F-1)/2, k]` of the vectors a `[B, F, k]` or `[B, F - 1, k]` and e `[B, F, k]`.
    pub(crate) fn between(&self, first: &Tensor, embeddings: &Tensor) -> Result<Tensor> {
        check_input("PairwiseProduct", embeddings, &[self.fields, -1])?;
        // Multiply each vector by all that follow. A tensor of pair indices would stay on its device if the exported
        // graph moves.
        let products = (0..self.fields - 1)
            .map(|i| first.narrow(1, i, 1) * embeddings.narrow(1, i + 1, self.fields - i - 1))
            .collect::<Vec<_>>();
        Ok(Tensor::cat(&products, 1))
    }
}

/// The elements above the diagonal of matrices `[..., n, n]`, as `[..., n(n-1)/2]` in the order of [`PairwiseProduct`].
pub(crate) fn above_diagonal(matrices: &Tensor) -> Tensor {
    let n = matrices.size().last().copied().unwrap_or_default();
    let at = Tensor::triu_indices(n, n, 1, (Kind::Int64, matrices.device()));
    matrices.flatten(-2, -1).index_select(-1, &(at.get(0) * n + at.get(1)))
}

/// `[S]` on `device`: the field of each slot.
pub(crate) fn field_of_slots(layout: &Layout, device: Device) -> Tensor {
    let fields: Vec<i64> = layout.field_of_slots().into_iter().map(|field| field as i64).collect();
    Tensor::from_slice(&fields).to_device(device)
}

/// `[S(S-1)/2]` on `device`: 1 for a pair of slots of different fields, 0 for a pair within a field. The latter has no
/// term in models that sum the slots of a field before they pair fields.
pub(crate) fn is_across(layout: &Layout, device: Device) -> Tensor {
    let fields = field_of_slots(layout, device);
    above_diagonal(&fields.unsqueeze(0).ne_tensor(&fields.unsqueeze(1))).to_kind(Kind::Float)
}

/// `[S(S-1)/2]` on `device`: for each pair of slots, the index of their pair of fields in the order of
/// [`PairwiseProduct`], or 0 for a pair within a field.
pub(crate) fn pair_of_fields(layout: &Layout, device: Device) -> Tensor {
    let (fields, of_slots) = (layout.num_fields(), layout.field_of_slots());
    let pairs = of_slots.iter().enumerate().flat_map(|(slot, &f)| {
        let number = move |&g: &usize| if f == g { 0 } else { f * (2 * fields - f - 1) / 2 + g - f - 1 };
        of_slots[slot + 1..].iter().map(move |g| number(g) as i64)
    });
    Tensor::from_slice(&pairs.collect::<Vec<i64>>()).to_device(device)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_the_products_of_all_pairs_in_their_order((n, k) in (2usize..8, 1usize..6), seed: u64) {
            let vectors = Draw(seed).cube(3, n, k);
            let input = tensor(&vectors.concat().concat(), &[3, n as i64, k as i64]);
            let expected: Vec<Matrix> = vectors.iter().map(pairs).collect();
            let found = PairwiseProduct::new(n as i64).unwrap().forward(&input).unwrap();
            prop_assert_eq!(found.size(), [3, (n * (n - 1) / 2) as i64, k as i64]);
            assert_close(&found, &expected.concat().concat(), "the pairs");
        }
    }

    #[test]
    fn elements_above_the_diagonal_are_in_row_order() {
        let matrices = tensor(&(1..=18).map(f64::from).collect::<Vector>(), &[2, 3, 3]);
        assert_close(&above_diagonal(&matrices), &[2.0, 3.0, 6.0, 11.0, 12.0, 15.0], "the upper triangles");
        assert_eq!(above_diagonal(&matrices.narrow(1, 0, 1).narrow(2, 0, 1)).size(), [2, 0]);
    }
}
