//! Area under the ROC curve.

/// The probability that a positive row scores above a negative one, ties counting half: the Mann-Whitney statistic
/// with averaged ranks, over the whole set. `labels` are 0 or 1. None if one of the classes is missing.
///
/// Source: Fawcett, An introduction to ROC analysis, 2006, <https://doi.org/10.1016/j.patrec.2005.10.010>.
///
/// # Panics
/// If there are not as many labels as scores.
///
/// ```
/// use fm_core::metric::auc;
///
/// // Of the four pairs of a positive and a negative row, three are in order.
/// assert_eq!(auc(&[0.9, 0.4, 0.6, 0.1], &[1.0, 1.0, 0.0, 0.0]), Some(0.75));
/// assert_eq!(auc(&[0.9, 0.4], &[1.0, 1.0]), None);
/// ```
pub fn auc(scores: &[f32], labels: &[f32]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "a score for each label");
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
    let (mut positives, mut rank_sum, mut start) = (0u64, 0.0, 0);
    while start < order.len() {
        let score = scores[order[start] as usize];
        let tied = order[start..].iter().take_while(|&&row| scores[row as usize] == score).count().max(1);
        let tied_positives = order[start..start + tied].iter().filter(|&&row| labels[row as usize] > 0.5).count();
        // Ranks start + 1 to start + tied, averaged.
        rank_sum += tied_positives as f64 * (start as f64 + (tied as f64 + 1.0) / 2.0);
        positives += tied_positives as u64;
        start += tied;
    }
    let negatives = scores.len() as u64 - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let (positives, negatives) = (positives as f64, negatives as f64);
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_pairs(scores: &[f32], labels: &[f32]) -> f64 {
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (a, _) in scores.iter().zip(labels).filter(|(_, y)| **y == 1.0) {
            for (b, _) in scores.iter().zip(labels).filter(|(_, y)| **y == 0.0) {
                wins += if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                };
                pairs += 1.0;
            }
        }
        wins / pairs
    }

    #[test]
    fn one_class_alone_has_none() {
        assert_eq!(auc(&[0.1, 0.9], &[1.0, 1.0]), None);
        assert_eq!(auc(&[0.1, 0.9], &[0.0, 0.0]), None);
        assert_eq!(auc(&[], &[]), None);
    }

    #[test]
    fn equal_scores_are_worth_half() {
        assert_eq!(auc(&[0.5; 4], &[1.0, 0.0, 1.0, 0.0]), Some(0.5));
        assert_eq!(auc(&[0.0, -0.0], &[1.0, 0.0]), Some(0.5));
    }

    proptest! {
        #[test]
        fn it_counts_the_pairs_in_order(rows in prop::collection::vec((0u8..6, any::<bool>()), 2..60)) {
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0) / 4.0 - 0.5).collect();
            let labels: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            if let Some(value) = auc(&scores, &labels) {
                prop_assert!((value - by_pairs(&scores, &labels)).abs() < 1e-12);
            }
        }
    }
}
