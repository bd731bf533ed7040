//! What is measured: rows with what a model says of them.

/// Rows with their scores, and optionally a weight and a group for each.
///
/// ```
/// use fm_core::metric::{Scored, auc, gauc};
///
/// let (scores, labels, users) = ([0.9, 0.8, 0.3, 0.2], [0.0, 0.0, 1.0, 0.0], [7, 7, 8, 8]);
/// let rows = Scored::new(&scores, &labels).with_groups(Some(&users));
/// assert_eq!(auc(&rows), Some(1.0 / 3.0));
/// assert_eq!(gauc(&rows), Some(1.0)); // user 8's rows are in order, and user 7's are of one class
///
/// let weights = [0.0, 0.0, 1.0, 1.0]; // as if the first two rows were not there
/// assert_eq!(auc(&rows.with_weights(Some(&weights))), Some(1.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    pub(super) scores: &'a [f32],
    pub(super) labels: &'a [f32],
    pub(super) weights: Option<&'a [f32]>,
    pub(super) groups: Option<&'a [i64]>,
}

impl<'a> Scored<'a> {
    /// Rows `[N]` of equal weight and of no group. `scores` are logits or predictions: each metric says what it takes.
    /// `labels` are targets, 0 or 1 for binary ones.
    ///
    /// # Panics
    /// If there are not as many labels as scores.
    pub fn new(scores: &'a [f32], labels: &'a [f32]) -> Scored<'a> {
        assert_eq!(scores.len(), labels.len(), "a score for each label");
        Scored { scores, labels, weights: None, groups: None }
    }

    /// A weight for each row, as if it stood there so many times; a row of weight 0 counts for nothing. `None` makes all
    /// rows count alike.
    ///
    /// # Panics
    /// If there are not as many weights as rows, or one is negative, infinite or NaN.
    pub fn with_weights(self, weights: Option<&'a [f32]>) -> Scored<'a> {
        if let Some(weights) = weights {
            assert_eq!(weights.len(), self.scores.len(), "a weight for each row");
            assert!(weights.iter().all(|&w| w >= 0.0 && w.is_finite()), "weights are finite and not negative");
        }
        Scored { weights, ..self }
    }

    /// The group of each row, such as its user. Negative: of none.
    ///
    /// # Panics
    /// If there are not as many groups as rows.
    pub fn with_groups(self, groups: Option<&'a [i64]>) -> Scored<'a> {
        assert!(groups.is_none_or(|groups| groups.len() == self.scores.len()), "a group for each row");
        Scored { groups, ..self }
    }

    /// A row's weight.
    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| f64::from(weights[row]))
    }

    /// Whether a row's binary label is 1.
    pub(super) fn is_positive(&self, row: usize) -> bool {
        self.labels[row] > 0.5
    }

    /// Score, label and weight of each row that has a weight.
    pub(super) fn rows(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let all = self.scores.iter().zip(self.labels).enumerate();
        let all = all.map(|(row, (&score, &label))| (score.into(), label.into(), self.weight(row)));
        all.filter(|(_, _, weight)| *weight > 0.0)
    }

    /// Σ w f(score, label) / Σ w; none without weight.
    pub(super) fn mean(&self, f: impl Fn(f64, f64) -> f64) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (score, label, weight) in self.rows() {
            sum += weight * f(score, label);
            weights += weight;
        }
        (weights > 0.0).then(|| sum / weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_counts_a_row_as_often_as_it_weighs() {
        let rows = Scored::new(&[1.0, 2.0, f32::NAN], &[0.0; 3]);
        assert_eq!(rows.with_weights(Some(&[3.0, 1.0, 0.0])).mean(|score, _| score), Some(1.25));
        assert_eq!(rows.with_weights(Some(&[0.0; 3])).mean(|score, _| score), None);
        assert_eq!(Scored::new(&[], &[]).mean(|score, _| score), None);
    }

    #[test]
    #[should_panic(expected = "weights are finite and not negative")]
    fn a_weight_that_is_no_number_is_refused() {
        let _ = Scored::new(&[1.0], &[1.0]).with_weights(Some(&[f32::NAN]));
    }
}
