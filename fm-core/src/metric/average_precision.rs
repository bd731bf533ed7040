//! Average precision: the area under the stepwise precision-recall curve.

use super::Scored;
use super::by_score::ByScore;

/// Σ_t (R_t - R_{t-1}) P_t over the distinct scores t in descending order. P_t and R_t are precision and recall when
/// all rows with a score of at least t are predicted positive. Unlike [`auc`](super::auc()), it depends on the share of
/// positives, which is the value of a random model. Scores can have any scale; labels are 0 or 1. `None` without a
/// positive row.
///
/// Source: Davis and Goadrich, The relationship between precision-recall and ROC curves, 2006,
/// <https://doi.org/10.1145/1143844.1143874>: linear interpolation between points would be too optimistic.
///
/// ```
/// use fm_core::metric::{Scored, average_precision};
///
/// // The positives are found first and third: 1/2 · 1/1 + 1/2 · 2/3.
/// let found = average_precision(&Scored::new(&[0.9, 0.6, 0.4, 0.1], &[1.0, 0.0, 1.0, 0.0]));
/// assert!((found.unwrap() - 5.0 / 6.0).abs() < 1e-15);
/// ```
pub fn average_precision(scored: &Scored<'_>) -> Option<f64> {
    of(&ByScore::new(scored))
}

pub(super) fn of(by_score: &ByScore<'_>) -> Option<f64> {
    let (mut positives, mut negatives, mut sum) = (0.0, 0.0, 0.0);
    for tie in by_score.ties() {
        positives += tie.positives;
        negatives += tie.negatives;
        sum += tie.positives * positives / (positives + negatives);
    }
    (positives != 0.0).then(|| sum / positives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_score_gives_the_share_of_positives() {
        assert_eq!(average_precision(&Scored::new(&[0.3; 4], &[1.0, 0.0, 0.0, 0.0])), Some(0.25));
    }

    #[test]
    fn it_is_undefined_without_a_positive_row() {
        assert_eq!(average_precision(&Scored::new(&[0.3, 0.4], &[0.0, 0.0])), None);
        assert_eq!(average_precision(&Scored::new(&[], &[])), None);
        assert_eq!(average_precision(&Scored::new(&[0.3, 0.4], &[1.0, 1.0])), Some(1.0));
    }
}
