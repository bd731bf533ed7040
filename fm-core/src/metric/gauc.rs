//! Group AUC.

use hashbrown::HashMap;

use super::Scored;
use super::auc::Pairs;
use super::by_score::ByScore;

/// Σ_g w_g AUC_g / Σ_g w_g over the groups g with rows of both classes. It measures the order within each user's rows,
/// whereas [`auc`](super::auc()) also compares rows of different users. w_g is the weight of the group's rows, or their
/// number if they have no weights. Rows without a group are ignored. `None` if no group has both classes or the rows
/// have no groups.
///
/// Source: Zhu et al., Optimized cost per click in Taobao display advertising, KDD 2017,
/// <https://arxiv.org/abs/1703.02091>, with impressions as weights.
///
/// ```
/// use fm_core::metric::{Scored, gauc};
///
/// // Three of user 1's four pairs are in order; user 2's only pair is not.
/// let (scores, labels) = ([0.9, 0.4, 0.6, 0.1, 0.2, 0.8], [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
/// let rows = Scored::new(&scores, &labels);
/// assert_eq!(gauc(&rows.with_groups(Some(&[1, 1, 1, 1, 2, 2]))), Some((4.0 * 0.75 + 2.0 * 0.0) / 6.0));
/// assert_eq!(gauc(&rows), None);
/// ```
pub fn gauc(scored: &Scored<'_>) -> Option<f64> {
    scored.groups?;
    of(&ByScore::new(scored))
}

pub(super) fn of(by_score: &ByScore<'_>) -> Option<f64> {
    let groups = by_score.scored.groups?;
    // In order of appearance, so that sums are reproducible.
    let mut pairs: Vec<Pairs> = Vec::new();
    let mut positions: HashMap<i64, usize> = HashMap::new();
    for (row, weight, is_positive) in by_score.rows() {
        let group = groups[row];
        if group < 0 {
            continue;
        }
        let position = *positions.entry(group).or_insert(pairs.len());
        if position == pairs.len() {
            pairs.push(Pairs::default());
        }
        pairs[position].add(by_score.scored.scores[row], weight, is_positive);
    }
    let (mut sum, mut weights) = (0.0, 0.0);
    for counted in pairs.into_iter().filter_map(Pairs::finish) {
        sum += counted.weight * counted.auc;
        weights += counted.weight;
    }
    (weights != 0.0).then(|| sum / weights)
}

#[cfg(test)]
mod tests {
    use super::super::auc;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_of_one_class_and_rows_without_a_group_are_ignored() {
        let (scores, labels) = ([0.9, 0.1, 0.5, 0.6, 0.7, 0.8], [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
        let rows = Scored::new(&scores, &labels);
        assert_eq!(gauc(&rows.with_groups(Some(&[1, 1, 2, 2, -1, -1]))), Some(1.0));
        assert_eq!(gauc(&rows.with_groups(Some(&[1, 2, 3, 4, 5, 6]))), None);
        assert_eq!(gauc(&rows.with_groups(Some(&[-1; 6]))), None);
        assert_eq!(gauc(&Scored::new(&[], &[]).with_groups(Some(&[]))), None);
    }

    #[test]
    fn a_model_that_only_knows_the_user_has_one_half() {
        let (scores, labels) = ([0.9, 0.9, 0.2, 0.2], [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(gauc(&Scored::new(&scores, &labels).with_groups(Some(&[1, 1, 2, 2]))), Some(0.5));
    }

    proptest! {
        #[test]
        fn it_is_the_mean_of_each_groups_auc(
            rows in prop::collection::vec((0u8..6, any::<bool>(), 0u8..4, -1i64..5), 0..60),
        ) {
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
            let labels: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let weights: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
            let groups: Vec<i64> = rows.iter().map(|row| row.3).collect();
            let (mut sum, mut total) = (0.0, 0.0);
            for group in 0..5 {
                let of_group = |values: &[f32]| -> Vec<f32> {
                    values.iter().zip(&groups).filter(|(_, g)| **g == group).map(|(value, _)| *value).collect()
                };
                let (scores, labels, weights) = (of_group(&scores), of_group(&labels), of_group(&weights));
                if let Some(auc) = auc(&Scored::new(&scores, &labels).with_weights(Some(&weights))) {
                    let weight: f64 = weights.iter().map(|&w| f64::from(w)).sum();
                    sum += weight * auc;
                    total += weight;
                }
            }
            let scored = Scored::new(&scores, &labels).with_weights(Some(&weights)).with_groups(Some(&groups));
            match gauc(&scored) {
                Some(value) => prop_assert!((value - sum / total).abs() < 1e-12),
                None => prop_assert_eq!(total, 0.0),
            }
        }
    }
}
