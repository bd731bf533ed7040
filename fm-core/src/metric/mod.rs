//! Metrics over a whole set of rows, never averages over batches.
//!
//! A [`Scored`] is the input of the metrics. A row of weight w counts like w equal rows; a row of weight 0 is ignored.
//! A metric that is undefined on a set, such as the AUC of a single class, is `None`. If a score is NaN, the metric is
//! NaN. All sums are in float64.

mod auc;
mod average_precision;
mod bootstrap;
mod by_score;
mod calibration;
mod decisions;
mod entry;
mod gauc;
mod logloss;
mod mae;
mod normalized_entropy;
mod precision_recall;
mod r2;
pub mod ranking;
mod reading;
mod rmse;
mod roc;
mod scored;

use std::cell::OnceCell;
use std::collections::BTreeMap;

pub use auc::auc;
pub use average_precision::average_precision;
pub use bootstrap::standard_errors;
pub use calibration::{CalibrationBin, calibration_curve, ece};
pub use decisions::{Costs, Decision, decisions};
pub use entry::{Direction, MetricEntry, MetricSet};
pub use gauc::gauc;
pub use logloss::logloss;
pub use mae::mae;
pub use normalized_entropy::normalized_entropy;
pub use precision_recall::{PrecisionRecallPoint, precision_recall_curve};
pub use r2::r2;
pub use reading::{metrics_from_json, number_from_json};
pub use rmse::rmse;
pub use roc::{RocPoint, roc_curve};
pub use scored::Scored;

use self::by_score::ByScore;
use crate::rows::Rows;
use crate::schema::{Label, Task};

/// Metrics by name. Metrics that are undefined on a set are absent.
pub type Metrics = BTreeMap<String, f64>;

/// The metrics of a task ([`MetricSet`]), from logits.
///
/// - regression: [`mae`], [`r2`] and [`rmse`] of [`Label::prediction`], which is within the range of the training
///   labels
/// - binary: [`auc`], [`average_precision`], [`ece`], [`logloss`], [`normalized_entropy`] and, for rows with groups,
///   [`gauc`]; labels are 0 or 1
/// - ranking: none, because its metrics are measured over users and all items:
///   [`ranking::evaluate`](crate::ranking::evaluate)
///
/// ```
/// use fm_core::metric::{Scored, metrics};
/// use fm_core::{Label, Task};
///
/// let stars = Label::fit("rating", Task::Regression, [2.0, 3.0, 4.0, 5.0]);
/// assert_eq!(metrics(&stars, &Scored::new(&[4.0, 9.0], &[3.0, 5.0]))["mae"], 0.5); // 9 counts as 5
/// ```
pub fn metrics(label: &Label, scored: &Scored<'_>) -> Metrics {
    with_values(label, scored, |values, of| {
        values.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value(of)?))).collect()
    })
}

/// One of the [`metrics`], without the others. `None` if it is undefined, or is no metric of the task.
pub fn metric(label: &Label, scored: &Scored<'_>, name: &str) -> Option<f64> {
    with_values(label, scored, |values, of| values.iter().find(|(other, _)| *other == name)?.1(of))
}

/// A metric of rows.
type Value = fn(&ScoredOnce<'_>) -> Option<f64>;

const OF_REGRESSION: &[(&str, Value)] =
    &[("mae", |of| mae(of.scored)), ("r2", |of| r2(of.scored)), ("rmse", |of| rmse(of.scored))];

const OF_BINARY: &[(&str, Value)] = &[
    ("auc", |of| auc::of(of.by_score())),
    ("average_precision", |of| average_precision::of(of.by_score())),
    ("ece", |of| ece(of.scored)),
    ("gauc", |of| gauc::of(of.by_score())),
    ("logloss", |of| logloss(of.scored)),
    ("normalized_entropy", |of| normalized_entropy(of.scored)),
];

/// Rows that are sorted at most once, for all metrics that need it.
struct ScoredOnce<'a> {
    scored: &'a Scored<'a>,
    by_score: OnceCell<ByScore<'a>>,
}

impl<'a> ScoredOnce<'a> {
    fn by_score(&self) -> &ByScore<'a> {
        self.by_score.get_or_init(|| ByScore::new(self.scored))
    }
}

/// Calls `take` with the metrics of a task, and with what they measure.
fn with_values<R>(label: &Label, scored: &Scored<'_>, take: impl FnOnce(&[(&str, Value)], &ScoredOnce<'_>) -> R) -> R {
    let once = |scored| ScoredOnce { scored, by_score: OnceCell::new() };
    match label.task {
        Task::Regression => {
            let predictions: Vec<f32> = scored.scores.iter().map(|&logit| label.prediction(logit)).collect();
            take(OF_REGRESSION, &once(&Scored { scores: &predictions, ..*scored }))
        }
        Task::Binary { .. } => take(OF_BINARY, &once(scored)),
        Task::Ranking { .. } => take(&[], &once(scored)),
    }
}

/// The [`metrics`] of a model's logits `[N]` for `rows`, with the labels, weights and groups of the rows.
///
/// # Panics
/// If the numbers of logits, labels, weights and groups are not that of the rows, or if weights are invalid: see
/// [`Rows::weights`].
pub fn metrics_of_rows(label: &Label, logits: &[f32], rows: &dyn Rows) -> Metrics {
    let (labels, weights, groups) = (rows.labels(), rows.weights(), rows.groups());
    let scored = Scored::new(logits, &labels).with_weights(weights.as_deref()).with_groups(groups.as_deref());
    metrics(label, &scored)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::error::{Error, Result};
    use crate::rows::Batch;

    #[test]
    fn all_metrics_of_a_task_are_present_if_defined() {
        for task in [Task::Regression, Task::Binary { threshold: 1.0 }] {
            let label = Label::fit("y", task, [0.0, 1.0]);
            let names = |groups: Option<&[i64]>| -> Vec<String> {
                let scored = Scored::new(&[0.1, 0.9], &[0.0, 1.0]).with_groups(groups);
                metrics(&label, &scored).into_keys().collect()
            };
            let mut known: Vec<&str> = MetricSet::of(task).entries.iter().map(|entry| entry.name).collect();
            assert_eq!(names(Some(&[1, 1])), known);
            known.retain(|name| *name != "gauc");
            assert_eq!(names(None), known);
            assert!(metrics(&label, &Scored::new(&[], &[])).is_empty());
        }
    }

    #[test]
    fn rows_are_measured_with_their_weights_and_within_their_groups() {
        struct Measured;
        impl Rows for Measured {
            fn len(&self) -> usize {
                5
            }

            fn batch(&self, _: &[usize], _: Device) -> Result<Batch> {
                Err(Error::Rows("only their labels are needed".into()))
            }

            fn labels(&self) -> Vec<f32> {
                vec![1.0, 0.0, 1.0, 0.0, 0.0]
            }

            fn weights(&self) -> Option<Vec<f32>> {
                Some(vec![1.0, 1.0, 1.0, 3.0, 0.0])
            }

            fn groups(&self) -> Option<Vec<i64>> {
                Some(vec![1, 1, 2, 2, 2])
            }
        }
        let label = Label::fit("y", Task::Binary { threshold: 1.0 }, [0.0, 1.0]);
        let found = metrics_of_rows(&label, &[2.0, 1.0, 0.0, 0.5, 9.0], &Measured);
        // The total weight of pairs is 8, and the first row wins 4. Group 1 has the weight 2, group 2 the weight 4.
        assert_eq!((found["auc"], found["gauc"]), (4.0 / 8.0, 2.0 / 6.0));
    }

    #[test]
    fn the_metrics_of_a_task_are_those_of_each_function() {
        let label = Label::fit("y", Task::Binary { threshold: 1.0 }, [0.0, 1.0]);
        let (logits, labels) = ([0.3, -0.2, 1.5, 0.3, -4.0], [1.0, 0.0, 1.0, 0.0, 1.0]);
        let scored = Scored::new(&logits, &labels).with_groups(Some(&[1, 1, 1, 2, 2]));
        let all = metrics(&label, &scored);
        let each = [
            ("auc", auc(&scored)),
            ("average_precision", average_precision(&scored)),
            ("ece", ece(&scored)),
            ("gauc", gauc(&scored)),
            ("logloss", logloss(&scored)),
            ("normalized_entropy", normalized_entropy(&scored)),
        ];
        assert_eq!(all.into_iter().collect::<Vec<_>>(), each.map(|(name, value)| (name.to_owned(), value.unwrap())));
        assert!(each.iter().all(|(name, value)| metric(&label, &scored, name) == *value));
        assert_eq!(metric(&label, &scored, "rmse"), None);
    }
}
