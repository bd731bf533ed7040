//! The input of metrics: rows with a model's scores.

/// Rows with scores and labels, and optionally weights and groups.
///
/// ```
/// use fm_core::metric::{Scored, auc, gauc};
///
/// let (scores, labels, users) = ([0.9, 0.8, 0.3, 0.2], [0.0, 0.0, 1.0, 0.0], [7, 7, 8, 8]);
/// let rows = Scored::new(&scores, &labels).with_groups(Some(&users));
/// assert_eq!(auc(&rows), Some(1.0 / 3.0));
/// assert_eq!(gauc(&rows), Some(1.0)); // user 8's rows are in order; user 7's have one class
///
/// let weights = [0.0, 0.0, 1.0, 1.0]; // ignores the first two rows
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
    /// Rows `[N]` with equal weights and without groups. `scores` are logits or predictions, as each metric documents.
    /// `labels` are targets; binary ones are 0 or 1.
    ///
    /// # Panics
    /// If the numbers of labels and scores differ.
    pub fn new(scores: &'a [f32], labels: &'a [f32]) -> Scored<'a> {
        assert_eq!(scores.len(), labels.len(), "a score for each label");
        Scored { scores, labels, weights: None, groups: None }
    }

    /// Sets a weight per row: a row of weight w counts like w rows, and a row of weight 0 is ignored. `None` gives all
    /// rows the same weight.
    ///
    /// # Panics
    /// If the numbers of weights and rows differ, or a weight is negative, infinite or NaN.
    pub fn with_weights(self, weights: Option<&'a [f32]>) -> Scored<'a> {
        if let Some(weights) = weights {
            assert_eq!(weights.len(), self.scores.len(), "a weight for each row");
            assert!(weights.iter().all(|&w| w >= 0.0 && w.is_finite()), "weights are finite and not negative");
        }
        Scored { weights, ..self }
    }

    /// Sets the group of each row, such as its user. A negative number means no group.
    ///
    /// # Panics
    /// If the numbers of groups and rows differ.
    pub fn with_groups(self, groups: Option<&'a [i64]>) -> Scored<'a> {
        assert!(groups.is_none_or(|groups| groups.len() == self.scores.len()), "a group for each row");
        Scored { groups, ..self }
    }

    /// The weight of a row.
    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| f64::from(weights[row]))
    }

    /// Whether the binary label of a row is 1.
    pub(super) fn is_positive(&self, row: usize) -> bool {
        self.labels[row] > 0.5
    }

    /// Score, label and weight of each row with a positive weight.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        let all = self.scores.iter().zip(self.labels).enumerate();
        let all = all.map(|(row, (&score, &label))| (score.into(), label.into(), self.weight(row)));
        all.filter(|(_, _, weight)| *weight > 0.0)
    }

    /// Σ w f(score, label) / Σ w. `None` if the weights sum to 0.
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
    fn a_mean_is_weighted() {
        let rows = Scored::new(&[1.0, 2.0, f32::NAN], &[0.0; 3]);
        assert_eq!(rows.with_weights(Some(&[3.0, 1.0, 0.0])).mean(|score, _| score), Some(1.25));
        assert_eq!(rows.with_weights(Some(&[0.0; 3])).mean(|score, _| score), None);
        assert_eq!(Scored::new(&[], &[]).mean(|score, _| score), None);
    }

    #[test]
    #[should_panic(expected = "weights are finite and not negative")]
    fn a_nan_weight_panics() {
        let _ = Scored::new(&[1.0], &[1.0]).with_weights(Some(&[f32::NAN]));
    }
}
