//! The label: its column, the task, and its range over the training rows.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Task {
    /// The label itself; trained with the squared error.
    Regression,
    /// Whether the label reaches the threshold; trained with the logistic loss.
    Binary {
        /// Labels of at least this are positive.
        threshold: f32,
    },
    /// The order of a user's items; trained by comparing a row's item with other items ([`ranking`](crate::ranking)).
    Ranking {
        /// Rows whose label is at least this are positive; only positive rows are used for training and count as hits.
        /// Without a threshold, all rows are positive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threshold: Option<f32>,
    },
}

impl Task {
    /// The name in settings and files: "regression", "binary" or "ranking".
    pub fn name(self) -> &'static str {
        match self {
            Task::Regression => "regression",
            Task::Binary { .. } => "binary",
            Task::Ranking { .. } => "ranking",
        }
    }

    /// The minimum label of positive rows; `None` for a regression, and for a ranking whose rows are all positive.
    pub fn threshold(self) -> Option<f32> {
        match self {
            Task::Regression => None,
            Task::Binary { threshold } => Some(threshold),
            Task::Ranking { threshold } => threshold,
        }
    }

    /// Whether the task ranks items for users instead of predicting single rows.
    pub fn is_ranking(self) -> bool {
        matches!(self, Task::Ranking { .. })
    }
}

/// The label's column, its meaning, and its range over the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The column's name.
    pub column: String,
    /// What is predicted from it.
    #[serde(flatten)]
    pub task: Task,
    /// The minimum label of the training rows, after the threshold.
    pub min: f32,
    /// The maximum label of the training rows, after the threshold.
    pub max: f32,
    /// The mean label of the training rows, after the threshold; with weights, Σ w y / Σ w.
    pub mean: f32,
    /// The unit of a regression's logits: the label of a logit is `scale` times it. [`Label::fit`] takes the power of two nearest
    /// to the standard deviation of the training labels, so that training does not depend on their unit and division by
    /// `scale` is exact. 1 for other tasks.
    #[serde(default = "unscaled", skip_serializing_if = "is_unscaled")]
    pub scale: f32,
}

fn unscaled() -> f32 {
    1.0
}

fn is_unscaled(scale: &f32) -> bool {
    *scale == unscaled()
}

/// 2^n with the smallest distance to a standard deviation; 1 for labels that do not differ.
fn nearest_power_of_two(deviation: f64) -> f32 {
    if !deviation.is_finite() || deviation <= 0.0 {
        return unscaled();
    }
    let below = deviation.log2().floor();
    let exponent = if deviation / below.exp2() < 1.5 { below } else { below + 1.0 };
    exponent.clamp(f64::from(f32::MIN_EXP - 1), f64::from(f32::MAX_EXP - 1)).exp2() as f32
}

impl Label {
    /// The label of a column whose training rows have the labels `raw`, before the task's threshold.
    ///
    /// ```
    /// use fm_core::{Label, Task};
    ///
    /// let label = Label::fit("rating", Task::Binary { threshold: 4.0 }, [5.0, 1.0, 4.0, 3.0]);
    /// assert_eq!((label.min, label.max, label.mean), (0.0, 1.0, 0.5));
    /// assert_eq!(label.target(4.5), 1.0);
    /// assert_eq!(label.prediction(0.0), 0.5); // a logit of 0 is a probability of one half
    /// ```
    pub fn fit(column: impl Into<String>, task: Task, raw: impl IntoIterator<Item = f32>) -> Label {
        Label::fit_weighted(column, task, raw.into_iter().map(|raw| (raw, 1.0)))
    }

    /// Like [`Label::fit`], for weighted rows: pairs of a label and a weight of at least 0. A row of weight 0 is
    /// ignored.
    pub fn fit_weighted(column: impl Into<String>, task: Task, rows: impl IntoIterator<Item = (f32, f32)>) -> Label {
        let (min, max) = (f32::INFINITY, f32::NEG_INFINITY);
        let mut label = Label { column: column.into(), task, min, max, mean: 0.0, scale: unscaled() };
        let (mut sum, mut total) = (0.0, 0.0);
        // Welford's mean and sum of squared deviations, which keep the digits of labels far from 0.
        let (mut mean, mut squares) = (0.0, 0.0);
        for (raw, weight) in rows.into_iter().filter(|(_, weight)| *weight > 0.0) {
            let (target, weight) = (label.target(raw), f64::from(weight));
            (label.min, label.max) = (label.min.min(target), label.max.max(target));
            (sum, total) = (sum + weight * f64::from(target), total + weight);
            let deviation = f64::from(target) - mean;
            mean += deviation * weight / total;
            squares += weight * deviation * (f64::from(target) - mean);
        }
        // Without rows, none of these numbers is finite, and `Schema::new` returns an error.
        label.mean = (sum / total) as f32;
        if task == Task::Regression {
            label.scale = nearest_power_of_two((squares / total).sqrt());
        }
        label
    }

    /// # Errors
    /// [`Error::Schema`] for statistics that are not finite, or a scale that is not a positive number.
    pub(super) fn check(&self) -> Result<()> {
        let Label { column, min, max, mean, scale, .. } = self;
        if ![min, max, mean].iter().all(|x| x.is_finite()) || min > max {
            return Err(Error::Schema(format!("label `{column}` ranges from {min} to {max}")));
        }
        if !scale.is_finite() || *scale <= 0.0 {
            return Err(Error::Schema(format!("the scale of label `{column}` is {scale}")));
        }
        Ok(())
    }

    /// The training target: the raw label, or 1 if it reaches the threshold and 0 otherwise; 1 for every row of a
    /// ranking without a threshold.
    pub fn target(&self, raw: f32) -> f32 {
        match self.task {
            Task::Regression => raw,
            Task::Binary { threshold } => f32::from(raw >= threshold),
            Task::Ranking { threshold } => f32::from(threshold.is_none_or(|threshold| raw >= threshold)),
        }
    }

    /// The prediction of a logit: a probability, a label clamped to the range of the training rows, or, for a ranking,
    /// the logit itself, a score without a unit.
    ///
    /// ```
    /// use fm_core::{Label, Task};
    ///
    /// let price = Label::fit("price", Task::Regression, [1000.0, 3000.0]);
    /// assert_eq!((price.scale, price.prior_logit()), (1024.0, 2000.0 / 1024.0));
    /// assert_eq!([price.prediction(1.5), price.prediction(9.0)], [1536.0, 3000.0]);
    /// ```
    pub fn prediction(&self, logit: f32) -> f32 {
        match self.range() {
            Some([min, max]) => self.score(logit).clamp(min, max),
            None => self.score(logit),
        }
    }

    /// The score of a recommended item: the prediction of its logit, without the limits of labels, at which the best items
    /// would be equal. It is finite if the logit is.
    ///
    /// ```
    /// use fm_core::{Label, Task};
    ///
    /// let rating = Label::fit("rating", Task::Regression, [1.0, 5.0]);
    /// assert_eq!(rating.scale, 2.0);
    /// assert_eq!((rating.prediction(2.75), rating.score(2.75)), (5.0, 5.5));
    /// ```
    pub fn score(&self, logit: f32) -> f32 {
        match self.task {
            Task::Binary { .. } => 1.0 / (1.0 + (-logit).exp()),
            Task::Regression | Task::Ranking { .. } => (logit * self.scale).clamp(f32::MIN, f32::MAX),
        }
    }

    /// The range that predictions are clamped to; `None` for a binary task, whose predictions are probabilities. The
    /// range of a ranking is infinite.
    pub fn range(&self) -> Option<[f32; 2]> {
        match self.task {
            Task::Regression => Some([self.min, self.max]),
            Task::Binary { .. } => None,
            Task::Ranking { .. } => Some([f32::NEG_INFINITY, f32::INFINITY]),
        }
    }

    /// The logit of a model that knows only the mean label; 0 for a ranking, because a constant changes no order.
    pub fn prior_logit(&self) -> f32 {
        match self.task {
            Task::Regression => self.mean / self.scale,
            Task::Binary { .. } => {
                let p = self.mean.clamp(1e-6, 1.0 - 1e-6);
                (p / (1.0 - p)).ln()
            }
            Task::Ranking { .. } => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Field, Schema, Side};

    fn label() -> Label {
        Label { column: "rating".into(), task: Task::Regression, min: 1.0, max: 5.0, mean: 3.5, scale: 1.0 }
    }

    #[test]
    fn the_scale_is_the_power_of_two_nearest_to_the_deviation_whatever_is_added() {
        let scale = |labels: &[f32]| Label::fit("y", Task::Regression, labels.iter().copied()).scale;
        assert_eq!(scale(&[1.0, 2.0, 3.0, 4.0, 5.0]), 1.0); // the deviation is √2
        let labels = [3.0, 4.4, 5.1, 1.2, 3.3];
        for power in [-120, -20, -1, 0, 1, 20, 100] {
            let times = |label: f32| label * 2f32.powi(power);
            assert_eq!(scale(&labels.map(times)), times(1.0));
        }
        assert_eq!(scale(&labels.map(|label| label + 1e5)), 1.0);
        assert_eq!([scale(&[0.0, 2.99]), scale(&[0.0, 3.01])], [1.0, 2.0]);
        assert_eq!([scale(&[7.0, 7.0]), scale(&[f32::MIN, f32::MAX])], [1.0, 2f32.powi(127)]);
        assert_eq!(Label::fit("y", Task::Binary { threshold: 5e5 }, [0.0, 1e6]).scale, 1.0);
    }

    #[test]
    fn a_schema_keeps_a_scale_and_reads_one_without() {
        let field = || vec![Field::categorical("a", Side::Context, 1)];
        let schema = |scale| Schema::new(Label { scale, ..label() }, field());
        for scale in [1.0, 2f32.powi(-126), 1024.0] {
            let schema = schema(scale).unwrap();
            assert_eq!(schema.to_json().contains("scale"), scale != 1.0);
            assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
        }
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let error = schema(scale).unwrap_err().to_string();
            assert!(error.contains("the scale of label `rating`"), "{error}");
        }
        let taken_over = schema(1.0).unwrap().with_label_scale(8.0);
        assert_eq!(taken_over.ok(), schema(8.0).ok());
        assert!(schema(1.0).unwrap().with_label_scale(-8.0).is_err());
        let binary = Label::fit("y", Task::Binary { threshold: 1.0 }, [0.0, 1.0]);
        let binary = Schema::new(binary, field()).unwrap().with_label_scale(8.0).unwrap();
        assert_eq!(binary.label().scale, 1.0);
    }

    #[test]
    fn a_row_of_weight_two_counts_twice_and_a_row_of_weight_zero_does_not_count() {
        let weighted = Label::fit_weighted("y", Task::Regression, [(5.0, 2.0), (1.0, 0.0), (2.0, 1.0)]);
        assert_eq!(weighted, Label::fit("y", Task::Regression, [5.0, 5.0, 2.0]));
    }

    #[test]
    fn the_prior_logit_is_the_mean_or_its_log_odds() {
        let binary = Label { task: Task::Binary { threshold: 4.0 }, min: 0.0, max: 1.0, mean: 0.75, ..label() };
        assert_eq!(label().prior_logit(), 3.5);
        assert_eq!(Label { scale: 0.5, ..label() }.prior_logit(), 7.0);
        assert!((binary.prior_logit() - 3f32.ln()).abs() < 1e-6);
        assert_eq!((binary.target(4.0), binary.target(3.5)), (1.0, 0.0));
    }

    #[test]
    fn in_a_ranking_all_rows_or_those_at_the_threshold_are_positive_and_the_prediction_is_the_logit() {
        let ranking = |threshold| Label::fit("rating", Task::Ranking { threshold }, [1.0, 5.0]);
        let (implicit, liked) = (ranking(None), ranking(Some(4.0)));
        assert_eq!((implicit.min, implicit.mean, liked.min, liked.mean), (1.0, 1.0, 0.0, 0.5));
        assert_eq!([implicit.target(-1.0), liked.target(4.0), liked.target(3.5)], [1.0, 1.0, 0.0]);
        assert_eq!((liked.prediction(-7.5), liked.prior_logit()), (-7.5, 0.0));
        for label in [implicit, liked] {
            let schema = Schema::new(label, vec![Field::categorical("a", Side::Context, 1)]).unwrap();
            assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
        }
    }
}
