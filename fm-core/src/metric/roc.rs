//! The ROC curve.

use super::Scored;
use super::by_score::ByScore;

/// The rates when all rows with a score of at least a threshold are predicted positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// The threshold. Infinite for the first point, where no row is predicted positive.
    pub threshold: f32,
    /// The share of negatives that are predicted positive, by weight.
    pub false_positive_rate: f64,
    /// The share of positives that are predicted positive, by weight.
    pub true_positive_rate: f64,
}

/// The curve from (0, 0) to (1, 1), with one point per distinct score, in descending order of scores. The area under
/// the lines between points is the [`auc`](super::auc()). Scores can have any scale; labels are 0 or 1. `None` if a
/// class is missing.
///
/// Source: Fawcett, An introduction to ROC analysis, 2006, <https://doi.org/10.1016/j.patrec.2005.10.010>.
///
/// ```
/// use fm_core::metric::{RocPoint, Scored, roc_curve};
///
/// let curve = roc_curve(&Scored::new(&[0.9, 0.5, 0.5], &[1.0, 1.0, 0.0])).unwrap();
/// let point = |threshold, false_positive_rate, true_positive_rate| RocPoint {
///     threshold,
///     false_positive_rate,
///     true_positive_rate,
/// };
/// assert_eq!(curve, [point(f32::INFINITY, 0.0, 0.0), point(0.9, 0.0, 0.5), point(0.5, 1.0, 1.0)]);
/// ```
pub fn roc_curve(scored: &Scored<'_>) -> Option<Vec<RocPoint>> {
    let (mut positives, mut negatives) = (0.0, 0.0);
    let mut points = vec![RocPoint { threshold: f32::INFINITY, false_positive_rate: 0.0, true_positive_rate: 0.0 }];
    for tie in ByScore::new(scored).ties() {
        positives += tie.positives;
        negatives += tie.negatives;
        points.push(RocPoint { threshold: tie.score, false_positive_rate: negatives, true_positive_rate: positives });
    }
    for point in &mut points {
        point.false_positive_rate /= negatives;
        point.true_positive_rate /= positives;
    }
    (positives != 0.0 && negatives != 0.0).then_some(points)
}

#[cfg(test)]
mod tests {
    use super::super::auc;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_single_class_has_no_curve() {
        assert_eq!(roc_curve(&Scored::new(&[0.1, 0.9], &[1.0, 1.0])), None);
        assert_eq!(roc_curve(&Scored::new(&[0.1, 0.9], &[0.0, 0.0])), None);
        assert_eq!(roc_curve(&Scored::new(&[], &[])), None);
    }

    proptest! {
        #[test]
        fn the_area_under_it_is_the_auc(rows in prop::collection::vec((0u8..6, any::<bool>(), 0u8..4), 2..60)) {
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
            let labels: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let weights: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
            let scored = Scored::new(&scores, &labels).with_weights(Some(&weights));
            let area = roc_curve(&scored).map(|points| {
                let trapezoid = |pair: &[RocPoint]| {
                    let width = pair[1].false_positive_rate - pair[0].false_positive_rate;
                    width * (pair[0].true_positive_rate + pair[1].true_positive_rate) / 2.0
                };
                points.windows(2).map(trapezoid).sum::<f64>()
            });
            match (area, auc(&scored)) {
                (Some(area), Some(auc)) => prop_assert!((area - auc).abs() < 1e-12),
                (area, auc) => prop_assert_eq!(area, auc),
            }
        }
    }
}
