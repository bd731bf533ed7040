//! A linear autoencoder of the users' items, in closed form.

use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use crate::ranking::{Interactions, ItemSets};

/// s(u, ·) = x_u B, where x_u `[I]` is 1 for the items that user u chose, and B is the matrix with a diagonal of zeros
/// that minimises ‖X - X B‖² + λ ‖B‖² for the binary user × item matrix X. With P = (Xᵀ X + λ I)⁻¹, it is
/// B_ij = -P_ij / P_jj for i ≠ j.
///
/// Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019, section 3.1, equation 8,
/// <https://arxiv.org/abs/1905.03375>.
///
/// ```
/// use fm_core::baseline::Ease;
/// use fm_core::ranking::Interactions;
///
/// // Users 0 and 1 chose the items 0 and 1, user 2 chose item 2.
/// let train = Interactions::new(3, vec![0, 0, 1, 1, 2], vec![0, 1, 0, 1, 2], &[1.0; 5])?;
/// let ease = Ease::fit(&train, 2.0)?;
/// assert_eq!(ease.scores(&[0]), [0.0, 0.5, 0.0]); // 2 / (2 + λ)
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ease {
    /// B `[I, I]`, row by row.
    weights: Vec<f32>,
    num_items: usize,
}

impl Ease {
    /// The largest catalogue: the matrices of more items take over a gigabyte and minutes.
    pub const MAX_ITEMS: usize = 10_000;

    /// Computes B from the positive rows of `train`. The time is proportional to the cube of the number of items.
    ///
    /// # Errors
    /// [`Error::Setting`] for a λ that is not positive or more than [`Ease::MAX_ITEMS`] items.
    pub fn fit(train: &Interactions, lambda: f64) -> Result<Ease> {
        let num_items = train.num_items();
        if num_items > Ease::MAX_ITEMS {
            let most = Ease::MAX_ITEMS;
            return Err(Error::Setting(format!("EASE: the catalogue has {num_items} items: the maximum is {most}")));
        }
        if !lambda.is_finite() || lambda <= 0.0 {
            return Err(Error::Setting(format!("EASE: λ is {lambda}: it must be positive")));
        }
        if num_items == 0 {
            return Ok(Ease { weights: vec![], num_items });
        }
        no_grad(|| {
            let gram = Tensor::from_slice(&gram(train)).view([num_items as i64; 2]);
            let _ = gram.f_diagonal(0, 0, 1)?.f_add_scalar_(lambda)?;
            // P. The Gram matrix is symmetric and positive definite.
            let inverse = gram.f_linalg_cholesky(false)?.f_cholesky_inverse(false)?;
            let weights = -&inverse / inverse.f_diagonal(0, 0, 1)?;
            let _ = weights.f_diagonal(0, 0, 1)?.f_zero_()?;
            Ok(Ease { weights: Vec::try_from(weights.f_flatten(0, -1)?)?, num_items })
        })
    }

    /// The score of each item `[I]` for a user who chose `items`. Items outside the catalogue are ignored.
    pub fn scores(&self, items: &[u32]) -> Vec<f32> {
        let mut scores = vec![0.0; self.num_items];
        for item in items.iter().map(|&item| item as usize).filter(|&item| item < self.num_items) {
            let weights = &self.weights[item * self.num_items..][..self.num_items];
            scores.iter_mut().zip(weights).for_each(|(score, weight)| *score += weight);
        }
        scores
    }
}

/// Xᵀ X, row by row: how many users chose both items.
fn gram(train: &Interactions) -> Vec<f32> {
    let num_items = train.num_items();
    let mut gram = vec![0.0; num_items * num_items];
    let of_users = ItemSets::new(train.positive_pairs());
    for user in 0..of_users.num_users() as u32 {
        for &i in of_users.of(user) {
            let row = &mut gram[i as usize * num_items..][..num_items];
            of_users.of(user).iter().for_each(|&j| row[j as usize] += 1.0);
        }
    }
    gram
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ITEMS: usize = 5;

    /// The minimum of ‖X - X B‖² + λ ‖B‖², one coordinate after another, until none moves.
    fn naive(rows: &[(u32, u32)], lambda: f64, chosen: &[u32]) -> Vec<f64> {
        let x = |user: u32, item: usize| f64::from(rows.contains(&(user, item as u32)));
        // The columns of B, which do not depend on one another.
        let mut columns = [[0.0; ITEMS]; ITEMS];
        for (j, column) in columns.iter_mut().enumerate() {
            for _ in 0..500 {
                for i in (0..ITEMS).filter(|&i| i != j) {
                    let (mut above, mut below) = (0.0, lambda);
                    for user in 0..6 {
                        let others: f64 = (0..ITEMS).filter(|&o| o != i).map(|o| x(user, o) * column[o]).sum();
                        above += x(user, i) * (x(user, j) - others);
                        below += x(user, i) * x(user, i);
                    }
                    column[i] = above / below;
                }
            }
        }
        columns.iter().map(|column| chosen.iter().map(|&i| column[i as usize]).sum()).collect()
    }

    proptest! {
        #[test]
        fn it_minimises_the_loss_of_its_paper(
            rows in prop::collection::vec((0u32..6, 0u32..ITEMS as u32), 0..25),
            lambda in prop_oneof![Just(0.5), Just(2.0), Just(50.0)],
            mut chosen in prop::collection::vec(0u32..ITEMS as u32, 0..4),
        ) {
            chosen.sort_unstable();
            chosen.dedup();
            let (users, items): (Vec<u32>, Vec<u32>) = rows.iter().copied().unzip();
            let train = Interactions::new(ITEMS, users, items, &vec![1.0; rows.len()]).unwrap();
            let found = Ease::fit(&train, lambda).unwrap().scores(&chosen);
            for (found, expected) in found.iter().zip(naive(&rows, lambda, &chosen)) {
                prop_assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} and {expected}");
            }
        }
    }

    #[test]
    fn it_refuses_large_catalogues_and_other_penalties_and_takes_an_empty_catalogue() {
        let of = |items: usize| Interactions::new(items, vec![], vec![], &[]).unwrap();
        let refused = |items, lambda| Ease::fit(&of(items), lambda).unwrap_err().to_string();
        assert_eq!(refused(10_001, 500.0), "EASE: the catalogue has 10001 items: the maximum is 10000");
        assert_eq!(refused(3, 0.0), "EASE: λ is 0: it must be positive");
        assert!(Ease::fit(&of(0), 500.0).unwrap().scores(&[7]).is_empty());
        assert_eq!(Ease::fit(&of(2), 500.0).unwrap().scores(&[0, 7]), [0.0, 0.0]);
    }
}
