//! Area under the ROC curve.

use super::Scored;
use super::by_score::ByScore;

/// The probability that a positive row scores above a negative one, where ties count half. This is the Mann-Whitney
/// statistic over all pairs; the weight of a pair is the product of its rows' weights. Scores can have any scale;
/// labels are 0 or 1. `None` if a class is missing.
///
/// Source: Fawcett, An introduction to ROC analysis, 2006, <https://doi.org/10.1016/j.patrec.2005.10.010>.
///
/// ```
/// use fm_core::metric::{Scored, auc};
///
/// // Three of the four pairs of a positive and a negative row are in order.
/// assert_eq!(auc(&Scored::new(&[0.9, 0.4, 0.6, 0.1], &[1.0, 1.0, 0.0, 0.0])), Some(0.75));
/// assert_eq!(auc(&Scored::new(&[0.9, 0.4], &[1.0, 1.0])), None);
/// ```
pub fn auc(scored: &Scored<'_>) -> Option<f64> {
    of(&ByScore::new(scored))
}

pub(super) fn of(by_score: &ByScore<'_>) -> Option<f64> {
    let mut pairs = Pairs::default();
    for (row, weight, is_positive) in by_score.rows() {
        pairs.add(by_score.scored.scores[row], weight, is_positive);
    }
    Some(pairs.finish()?.auc)
}

/// Counts the pairs of a positive and a negative row in order, from rows sorted by descending score.
#[derive(Default)]
pub(super) struct Pairs {
    /// The score and the weights of the current tie.
    score: f32,
    tied_positives: f64,
    tied_negatives: f64,
    /// The weights of the rows before the tie.
    positives: f64,
    negatives: f64,
    /// The weight of pairs in order, plus half of that of tied pairs.
    wins: f64,
}

/// The result of counting.
pub(super) struct Counted {
    pub(super) auc: f64,
    /// The weight of all rows.
    pub(super) weight: f64,
}

impl Pairs {
    pub(super) fn add(&mut self, score: f32, weight: f64, is_positive: bool) {
        if score != self.score {
            self.end_tie();
            self.score = score;
        }
        *(if is_positive { &mut self.tied_positives } else { &mut self.tied_negatives }) += weight;
    }

    fn end_tie(&mut self) {
        self.wins += self.tied_negatives * (self.positives + self.tied_positives / 2.0);
        self.positives += std::mem::take(&mut self.tied_positives);
        self.negatives += std::mem::take(&mut self.tied_negatives);
    }

    /// The result. `None` if a class is missing.
    pub(super) fn finish(mut self) -> Option<Counted> {
        self.end_tie();
        let (positives, negatives) = (self.positives, self.negatives);
        let has_both = positives != 0.0 && negatives != 0.0;
        has_both.then(|| Counted { auc: self.wins / (positives * negatives), weight: positives + negatives })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_pairs(scores: &[f32], labels: &[f32], weights: &[f32]) -> f64 {
        let rows = |label: f32| (0..labels.len()).filter(move |&row| labels[row] == label);
        let (mut wins, mut pairs) = (0.0, 0.0);
        for a in rows(1.0) {
            for b in rows(0.0) {
                let weight = f64::from(weights[a]) * f64::from(weights[b]);
                wins += if scores[a] > scores[b] {
                    weight
                } else if scores[a] == scores[b] {
                    0.5 * weight
                } else {
                    0.0
                };
                pairs += weight;
            }
        }
        wins / pairs
    }

    #[test]
    fn a_single_class_has_no_auc() {
        let of = |scores, labels| auc(&Scored::new(scores, labels));
        assert_eq!(of(&[0.1, 0.9], &[1.0, 1.0]), None);
        assert_eq!(of(&[0.1, 0.9], &[0.0, 0.0]), None);
        assert_eq!(of(&[], &[]), None);
        assert_eq!(auc(&Scored::new(&[0.1, 0.9], &[0.0, 1.0]).with_weights(Some(&[0.0, 1.0]))), None);
    }

    #[test]
    fn equal_scores_count_half() {
        let of = |scores, labels| auc(&Scored::new(scores, labels));
        assert_eq!(of(&[0.5; 4], &[1.0, 0.0, 1.0, 0.0]), Some(0.5));
        assert_eq!(of(&[0.0, -0.0], &[1.0, 0.0]), Some(0.5));
    }

    #[test]
    fn a_nan_score_makes_the_auc_nan() {
        assert!(auc(&Scored::new(&[f32::NAN, 0.5, 0.1], &[1.0, 1.0, 0.0])).unwrap().is_nan());
    }

    proptest! {
        #[test]
        fn it_counts_the_pairs_in_order(rows in prop::collection::vec((0u8..6, any::<bool>(), 0u8..4), 2..60)) {
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0) / 4.0 - 0.5).collect();
            let labels: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let weights: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
            let scored = Scored::new(&scores, &labels);
            if let Some(value) = auc(&scored) {
                prop_assert!((value - by_pairs(&scores, &labels, &vec![1.0; rows.len()])).abs() < 1e-12);
            }
            if let Some(value) = auc(&scored.with_weights(Some(&weights))) {
                prop_assert!((value - by_pairs(&scores, &labels, &weights)).abs() < 1e-12);
            }
        }
    }
}
