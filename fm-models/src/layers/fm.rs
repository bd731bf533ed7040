//! The second-order part of a factorization machine.

use tch::nn::Module;
use tch::{Kind, Tensor};

/// Σ_{i<j} ⟨e_i, e_j⟩ = ½ Σ_f [(Σ_i e_{i,f})² - Σ_i e_{i,f}²]: all pairs in linear time.
///
/// # Shapes
/// `[B, S, k]` → `[B]`
///
/// Source: Rendle, Factorization machines, ICDM 2010, lemma 3.1,
/// <https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf>. Keras: the second half of `FM_Layer`.
#[derive(Debug, Default)]
pub struct FmInteraction;

impl Module for FmInteraction {
    fn forward(&self, embeddings: &Tensor) -> Tensor {
        let sum = embeddings.sum_dim_intlist(1, false, Kind::Float);
        let squares = embeddings.square().sum_dim_intlist(&[1i64, 2][..], false, Kind::Float);
        (sum.square().sum_dim_intlist(1, false, Kind::Float) - squares) * 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: every pair once.
    fn by_pairs(row: &[Vec<f64>]) -> f64 {
        let mut sum = 0.0;
        for i in 0..row.len() {
            for j in i + 1..row.len() {
                sum += row[i].iter().zip(&row[j]).map(|(a, b)| a * b).sum::<f64>();
            }
        }
        sum
    }

    proptest! {
        #[test]
        fn it_equals_the_sum_over_pairs(
            (slots, k, numbers) in (1usize..8, 1usize..6).prop_flat_map(|(slots, k)| {
                (Just(slots), Just(k), prop::collection::vec(-2.0f64..2.0, 3 * slots * k))
            }),
        ) {
            let rows: Vec<Vec<Vec<f64>>> =
                numbers.chunks(slots * k).map(|row| row.chunks(k).map(<[f64]>::to_vec).collect()).collect();
            let tensor = Tensor::from_slice(&numbers).view([3, slots as i64, k as i64]).to_kind(Kind::Float);
            let found = Vec::<f32>::try_from(FmInteraction.forward(&tensor)).unwrap();
            for (row, found) in rows.iter().zip(found) {
                prop_assert!((by_pairs(row) - f64::from(found)).abs() < 1e-4);
            }
        }
    }
}
