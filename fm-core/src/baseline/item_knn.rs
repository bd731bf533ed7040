//! Item-based nearest neighbours.

use crate::ranking::{Interactions, ItemSets};

/// s(u, i) = Σ_{j ∈ N(i), u chose j} c_ij / (√(c_i c_j) + h): the cosine similarity of columns of the binary user ×
/// item matrix, with shrinkage h, summed over the k nearest neighbours N(i). c_i users chose item i, and c_ij users
/// chose i and j.
///
/// Source: Sarwar, Karypis, Konstan and Riedl, Item-based collaborative filtering recommendation algorithms, WWW 2001,
/// <https://doi.org/10.1145/371920.372071>; for shrinkage and the need to tune baselines, see Ferrari Dacrema,
/// Cremonesi and Jannach, Are we really making much progress?, RecSys 2019, <https://arxiv.org/abs/1907.06902>.
///
/// ```
/// use fm_core::baseline::ItemKnn;
/// use fm_core::ranking::Interactions;
///
/// // Users 0 and 1 chose the items 0 and 1, user 2 chose item 2.
/// let train = Interactions::new(3, vec![0, 0, 1, 1, 2], vec![0, 1, 0, 1, 2], &[1.0; 5])?;
/// let knn = ItemKnn::fit(&train, 100, 2.0);
/// assert_eq!(knn.scores(&[0]), [0.0, 0.5, 0.0]); // 2 / (√(2 · 2) + 2)
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ItemKnn {
    /// For each item j, the items i with j among their neighbours.
    neighbours: Vec<Vec<Neighbour>>,
}

#[derive(Clone, Copy, Debug)]
struct Neighbour {
    item: u32,
    similarity: f32,
    /// The number of nearer neighbours of the item.
    rank: u32,
}

impl ItemKnn {
    /// Finds the `k` nearest neighbours of each item of the catalogue from the positive rows of `train`, with the
    /// shrinkage `shrink`. Ties are broken by the order of the catalogue. The time is proportional to the sum of the
    /// users' squared numbers of items.
    pub fn fit(train: &Interactions, k: usize, shrink: f32) -> ItemKnn {
        let num_items = train.num_items();
        let of_users = ItemSets::new(train.positive_pairs());
        let of_items = ItemSets::new(train.positive_pairs().map(|(user, item)| (item, user)));
        let mut neighbours = vec![vec![]; num_items];
        // The number of users who chose each item and the current one, and the items with at least one.
        let (mut common, mut found) = (vec![0u32; num_items], vec![]);
        for item in 0..num_items as u32 {
            for &user in of_items.of(item) {
                for &other in of_users.of(user) {
                    if common[other as usize] == 0 {
                        found.push(other);
                    }
                    common[other as usize] += 1;
                }
            }
            let count = |item: u32| of_items.of(item).len() as f32;
            let similarity =
                |other: u32| common[other as usize] as f32 / ((count(item) * count(other)).sqrt() + shrink);
            let others = found.iter().filter(|&&other| other != item);
            let mut nearest: Vec<(u32, f32)> = others.map(|&other| (other, similarity(other))).collect();
            nearest.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            for (rank, (other, similarity)) in (0..).zip(nearest.into_iter().take(k)) {
                neighbours[other as usize].push(Neighbour { item, similarity, rank });
            }
            found.drain(..).for_each(|other| common[other as usize] = 0);
        }
        ItemKnn { neighbours }
    }

    /// The same with only the `k` nearest neighbours, without fitting again.
    pub fn nearest(&self, k: usize) -> ItemKnn {
        let within = |neighbours: &Vec<Neighbour>| {
            neighbours.iter().copied().filter(|neighbour| (neighbour.rank as usize) < k).collect()
        };
        ItemKnn { neighbours: self.neighbours.iter().map(within).collect() }
    }

    /// The score of each item `[I]` for a user who chose `items`. Items outside the catalogue are ignored.
    pub fn scores(&self, items: &[u32]) -> Vec<f32> {
        let mut scores = vec![0.0; self.neighbours.len()];
        for neighbours in items.iter().filter_map(|&item| self.neighbours.get(item as usize)) {
            for neighbour in neighbours {
                scores[neighbour.item as usize] += neighbour.similarity;
            }
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ITEMS: usize = 6;

    /// The formula on a dense matrix, in plain loops.
    fn naive(rows: &[(u32, u32)], k: usize, shrink: f64, chosen: &[u32]) -> Vec<f64> {
        let has = |user: u32, item: usize| rows.contains(&(user, item as u32));
        let both = |i: usize, j: usize| (0..5).filter(|&user| has(user, i) && has(user, j)).count() as f64;
        let similarity = |i: usize, j: usize| both(i, j) / ((both(i, i) * both(j, j)).sqrt() + shrink);
        let score = |i: usize| {
            let mut others: Vec<usize> = (0..ITEMS).filter(|&j| j != i && both(i, j) > 0.0).collect();
            others.sort_by(|&a, &b| (similarity(i, b) as f32).total_cmp(&(similarity(i, a) as f32)));
            others.iter().take(k).filter(|&&j| chosen.contains(&(j as u32))).map(|&j| similarity(i, j)).sum()
        };
        (0..ITEMS).map(score).collect()
    }

    proptest! {
        #[test]
        fn it_equals_its_formula(
            rows in prop::collection::vec((0u32..5, 0u32..ITEMS as u32), 0..25),
            k in 1usize..5,
            shrink in prop_oneof![Just(0u8), Just(1), Just(10)],
            mut chosen in prop::collection::vec(0u32..ITEMS as u32, 0..4),
        ) {
            chosen.sort_unstable();
            chosen.dedup();
            let (users, items): (Vec<u32>, Vec<u32>) = rows.iter().copied().unzip();
            let train = Interactions::new(ITEMS, users, items, &vec![1.0; rows.len()]).unwrap();
            let found = ItemKnn::fit(&train, k, f32::from(shrink)).scores(&chosen);
            prop_assert_eq!(&ItemKnn::fit(&train, 9, f32::from(shrink)).nearest(k).scores(&chosen), &found);
            for (found, expected) in found.iter().zip(naive(&rows, k, f64::from(shrink), &chosen)) {
                prop_assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} and {expected}");
            }
        }
    }
}
