//! Metrics over a whole set of rows, never means over batches.

mod auc;
mod logloss;
mod mae;
mod rmse;

use std::collections::BTreeMap;

pub use auc::auc;
pub use logloss::logloss;
pub use mae::mae;
pub use rmse::rmse;

use crate::schema::{Label, Task};

/// Metrics by name. One that is undefined on a set is absent.
pub type Metrics = BTreeMap<String, f64>;

/// The metrics of a task: `rmse` and `mae` of the predictions for regression; `auc` and `logloss` for binary.
///
/// `labels` `[N]` are targets, 0 or 1 for binary. Regression is judged by what [`Label::prediction`] gives, which stays
/// in the range of the training labels.
///
/// # Panics
/// If there are not as many labels as logits.
///
/// ```
/// use fm_core::metric::metrics;
/// use fm_core::{Label, Task};
///
/// let stars = Label::fit("rating", Task::Regression, [1.0, 5.0]);
/// assert_eq!(metrics(&stars, &[4.0, 9.0], &[3.0, 5.0])["mae"], 0.5); // 9 counts as 5
/// ```
pub fn metrics(label: &Label, logits: &[f32], labels: &[f32]) -> Metrics {
    let named: Vec<(&str, Option<f64>)> = match label.task {
        Task::Regression => {
            let predictions: Vec<f32> = logits.iter().map(|&logit| label.prediction(logit)).collect();
            vec![("rmse", rmse(&predictions, labels)), ("mae", mae(&predictions, labels))]
        }
        Task::Binary { .. } => vec![("auc", auc(logits, labels)), ("logloss", logloss(logits, labels))],
        Task::Ranking { .. } => vec![],
    };
    named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The metric that a task is stopped by: the less, the better.
pub fn monitored(task: Task) -> &'static str {
    match task {
        Task::Regression => "rmse",
        Task::Binary { .. } => "logloss",
        Task::Ranking { .. } => "ndcg@10",
    }
}

/// The mean of `f` over the pairs, in float64; none of an empty set.
fn mean(predictions: &[f32], labels: &[f32], f: impl Fn(f64, f64) -> f64) -> Option<f64> {
    assert_eq!(predictions.len(), labels.len(), "a prediction for each label");
    let sum: f64 = predictions.iter().zip(labels).map(|(&p, &y)| f(p.into(), y.into())).sum();
    (!labels.is_empty()).then(|| sum / labels.len() as f64)
}
