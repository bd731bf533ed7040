//! The direction and the description of each metric.

use self::Direction::{Maximize, Minimize};
use crate::error::{Error, Result, nearest};
use crate::schema::Task;

/// Whether lower or higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Lower is better.
    Minimize,
    /// Higher is better.
    Maximize,
}

/// A metric of [`metrics`](super::metrics), or of [`ranking::evaluate`](crate::ranking::evaluate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricEntry {
    /// The key in [`Metrics`](super::Metrics), where a number replaces the k of `ndcg@k`.
    pub name: &'static str,
    /// Whether lower or higher is better.
    pub direction: Direction,
    /// A description in one line.
    pub description: &'static str,
}

impl MetricEntry {
    const fn new(name: &'static str, direction: Direction, description: &'static str) -> MetricEntry {
        MetricEntry { name, direction, description }
    }

    /// Whether a value is better than another. False if they are equal or one is NaN.
    pub fn is_better(&self, value: f64, than: f64) -> bool {
        match self.direction {
            Direction::Minimize => value < than,
            Direction::Maximize => value > than,
        }
    }
}

const REGRESSION: [MetricEntry; 3] = [
    MetricEntry::new("mae", Minimize, "mean absolute error"),
    MetricEntry::new("r2", Maximize, "share of the labels' variance that predictions explain"),
    MetricEntry::new("rmse", Minimize, "root mean squared error"),
];

const BINARY: [MetricEntry; 6] = [
    MetricEntry::new("auc", Maximize, "probability that a positive row scores above a negative one"),
    MetricEntry::new("average_precision", Maximize, "area under the precision-recall curve"),
    MetricEntry::new("ece", Minimize, "expected calibration error over 15 bins"),
    MetricEntry::new("gauc", Maximize, "AUC within each user's rows, averaged over users"),
    MetricEntry::new("logloss", Minimize, "mean negative log likelihood, with natural logarithms"),
    MetricEntry::new(
        "normalized_entropy",
        Minimize,
        "logloss divided by that of always predicting the share of positives",
    ),
];

const RANKING: [MetricEntry; 5] = [
    MetricEntry::new("coverage@k", Maximize, "share of the catalogue in the first k items of any user"),
    MetricEntry::new("hr@k", Maximize, "share of users with a relevant item in the first k"),
    MetricEntry::new("mrr", Maximize, "mean reciprocal rank of each user's first relevant item"),
    MetricEntry::new(
        "ndcg@k",
        Maximize,
        "discounted gain of relevant items in the first k, relative to the best order",
    ),
    MetricEntry::new("recall@k", Maximize, "share of a user's relevant items in the first k"),
];

/// The metrics of a task, sorted by name.
pub fn known(task: Task) -> &'static [MetricEntry] {
    match task {
        Task::Ranking { .. } => &RANKING,
        Task::Regression => &REGRESSION,
        Task::Binary { .. } => &BINARY,
    }
}

/// The metric with this name.
///
/// # Errors
/// [`Error::Setting`] if the task has no such metric.
///
/// ```
/// use fm_core::Task;
/// use fm_core::metric::find;
///
/// assert!(find(Task::Binary { threshold: 1.0 }, "auc")?.is_better(0.8, 0.7));
/// assert!(find(Task::Regression, "rmse")?.is_better(0.7, 0.8));
/// assert!(find(Task::Ranking { threshold: None }, "ndcg@10")?.is_better(0.3, 0.2));
/// let error = find(Task::Regression, "rsme").unwrap_err().to_string();
/// assert!(error.contains("unknown metric `rsme` for regression: did you mean `rmse`?"), "{error}");
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn find(task: Task, name: &str) -> Result<&'static MetricEntry> {
    let known = known(task);
    let is_asked_for = |entry: &&MetricEntry| match (entry.name.strip_suffix("@k"), name.split_once('@')) {
        (Some(family), Some((name, k))) => family == name && k.parse().is_ok_and(|k: usize| k > 0),
        (None, None) => entry.name == name,
        _ => false,
    };
    known.iter().find(is_asked_for).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|entry| entry.name).collect();
        let hint = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
        let of = match task {
            Task::Regression => "regression",
            Task::Binary { .. } => "a binary task",
            Task::Ranking { .. } => "a ranking",
        };
        Error::Setting(format!(
            "unknown metric `{name}` for {of}: {}the metrics are {}",
            hint.unwrap_or_default(),
            names.join(", ")
        ))
    })
}

/// The default metric for early stopping.
pub fn monitored(task: Task) -> &'static str {
    match task {
        Task::Regression => "rmse",
        Task::Binary { .. } => "logloss",
        Task::Ranking { .. } => "ndcg@10",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASKS: [Task; 2] = [Task::Regression, Task::Binary { threshold: 1.0 }];

    #[test]
    fn equal_values_and_nan_are_not_better() {
        for entry in TASKS.into_iter().flat_map(known) {
            assert!(!entry.is_better(0.5, 0.5) && !entry.is_better(f64::NAN, 0.5), "{}", entry.name);
            assert_ne!(entry.is_better(0.5, 0.6), entry.is_better(0.6, 0.5), "{}", entry.name);
        }
    }

    #[test]
    fn the_monitored_metric_is_known() {
        for task in TASKS {
            assert_eq!(find(task, monitored(task)).unwrap().direction, Minimize);
        }
    }

    #[test]
    fn a_metric_of_another_task_is_unknown() {
        let error = find(TASKS[1], "rmse").unwrap_err().to_string();
        let names = "auc, average_precision, ece, gauc, logloss, normalized_entropy";
        assert_eq!(error, format!("invalid setting: unknown metric `rmse` for a binary task: the metrics are {names}"),);
    }

    #[test]
    fn a_metric_at_k_needs_a_number() {
        let task = Task::Ranking { threshold: None };
        for name in [monitored(task), "hr@5", "recall@1000", "mrr"] {
            assert_eq!(find(task, name).unwrap().direction, Maximize, "{name}");
        }
        for name in ["ndcg", "ndcg@", "ndcg@k", "ndcg@0", "ndcg@-1", "ndcg@10@10", "mrr@10", "k"] {
            assert!(
                find(task, name).unwrap_err().to_string().contains("the metrics are coverage@k, hr@k, mrr"),
                "{name}"
            );
        }
    }
}
