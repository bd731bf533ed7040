//! The precision-recall curve.

use super::Scored;
use super::by_score::ByScore;

/// Precision and recall when all rows with a score of at least a threshold are predicted positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecallPoint {
    /// The threshold.
    pub threshold: f32,
    /// The share of predicted positives that are positive, by weight.
    pub precision: f64,
    /// The share of positives that are predicted positive, by weight.
    pub recall: f64,
}

/// The curve with one point per distinct score, in descending order of scores, so that recall rises to 1. Without a
/// predicted positive, precision is undefined, so there is no such point; some programs draw it at (0, 1). Join points
/// by steps, not by lines: the area below is the [`average_precision`](super::average_precision()). Scores can have any
/// scale; labels are 0 or 1. `None` without a positive row.
///
/// Source: Davis and Goadrich, The relationship between precision-recall and ROC curves, 2006,
/// <https://doi.org/10.1145/1143844.1143874>.
///
/// ```
/// use fm_core::metric::{PrecisionRecallPoint, Scored, precision_recall_curve};
///
/// let curve = precision_recall_curve(&Scored::new(&[0.9, 0.5, 0.5], &[1.0, 1.0, 0.0])).unwrap();
/// let point = |threshold, precision, recall| PrecisionRecallPoint { threshold, precision, recall };
/// assert_eq!(curve, [point(0.9, 1.0, 0.5), point(0.5, 2.0 / 3.0, 1.0)]);
/// ```
pub fn precision_recall_curve(scored: &Scored<'_>) -> Option<Vec<PrecisionRecallPoint>> {
    let (mut positives, mut negatives) = (0.0, 0.0);
    let mut points = vec![];
    for tie in ByScore::new(scored).ties() {
        positives += tie.positives;
        negatives += tie.negatives;
        let precision = positives / (positives + negatives);
        points.push(PrecisionRecallPoint { threshold: tie.score, precision, recall: positives });
    }
    points.iter_mut().for_each(|point| point.recall /= positives);
    (positives != 0.0).then_some(points)
}

#[cfg(test)]
mod tests {
    use super::super::average_precision;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_undefined_without_a_positive_row() {
        assert_eq!(precision_recall_curve(&Scored::new(&[0.1, 0.9], &[0.0, 0.0])), None);
        assert_eq!(precision_recall_curve(&Scored::new(&[], &[])), None);
    }

    proptest! {
        #[test]
        fn the_steps_under_it_are_the_average_precision(
            rows in prop::collection::vec((0u8..6, any::<bool>(), 0u8..4), 2..60),
        ) {
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
            let labels: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let weights: Vec<f32> = rows.iter().map(|row| f32::from(row.2)).collect();
            let scored = Scored::new(&scores, &labels).with_weights(Some(&weights));
            let mut before = 0.0;
            let area = precision_recall_curve(&scored).map(|points| {
                let step = |point: &PrecisionRecallPoint| {
                    point.precision * (point.recall - std::mem::replace(&mut before, point.recall))
                };
                points.iter().map(step).sum::<f64>()
            });
            match (area, average_precision(&scored)) {
                (Some(area), Some(value)) => prop_assert!((area - value).abs() < 1e-12),
                (area, value) => prop_assert_eq!(area, value),
            }
        }
    }
}
