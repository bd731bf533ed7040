//! What there is to say about each metric, and which way is better.

use self::Direction::{Maximize, Minimize};
use crate::error::{Error, Result, nearest};
use crate::schema::Task;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The less, the better.
    Minimize,
    /// The more, the better.
    Maximize,
}

/// A metric of [`metrics`](super::metrics).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricEntry {
    /// The name by which [`Metrics`](super::Metrics) holds it.
    pub name: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// What it says, in a line.
    pub description: &'static str,
}

impl MetricEntry {
    const fn new(name: &'static str, direction: Direction, description: &'static str) -> MetricEntry {
        MetricEntry { name, direction, description }
    }

    /// Whether a value is better than another. Of two that are equal, or one of which is NaN, neither is better.
    pub fn is_better(&self, value: f64, than: f64) -> bool {
        match self.direction {
            Direction::Minimize => value < than,
            Direction::Maximize => value > than,
        }
    }
}

const REGRESSION: [MetricEntry; 3] = [
    MetricEntry::new("mae", Minimize, "the mean distance of predictions from labels"),
    MetricEntry::new("r2", Maximize, "the part of the labels' variance that predictions explain"),
    MetricEntry::new("rmse", Minimize, "the root of the mean squared distance of predictions from labels"),
];

const BINARY: [MetricEntry; 6] = [
    MetricEntry::new("auc", Maximize, "how often a positive row scores above a negative one"),
    MetricEntry::new("average_precision", Maximize, "precision, averaged over the recalls that scores can reach"),
    MetricEntry::new("ece", Minimize, "how far probabilities lie from the share of positives, over 15 bins"),
    MetricEntry::new("gauc", Maximize, "auc within the rows of each user, averaged over the users"),
    MetricEntry::new("logloss", Minimize, "the mean surprise at the labels, in natural logarithms"),
    MetricEntry::new("normalized_entropy", Minimize, "logloss, where always predicting the share of positives is 1"),
];

/// The metrics of a task, by name.
pub fn known(task: Task) -> &'static [MetricEntry] {
    match task {
        Task::Regression => &REGRESSION,
        Task::Binary { .. } => &BINARY,
    }
}

/// The metric of this name.
///
/// # Errors
/// [`Error::Setting`] if the task has none of this name.
///
/// ```
/// use fm_core::Task;
/// use fm_core::metric::find;
///
/// assert!(find(Task::Binary { threshold: 1.0 }, "auc")?.is_better(0.8, 0.7));
/// assert!(find(Task::Regression, "rmse")?.is_better(0.7, 0.8));
/// let error = find(Task::Regression, "rsme").unwrap_err().to_string();
/// assert!(error.contains("no metric `rsme` of regression: did you mean `rmse`?"), "{error}");
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn find(task: Task, name: &str) -> Result<&'static MetricEntry> {
    let known = known(task);
    known.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|entry| entry.name).collect();
        let hint = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
        let of = match task {
            Task::Regression => "regression",
            Task::Binary { .. } => "a binary task",
        };
        Error::Setting(format!(
            "there is no metric `{name}` of {of}: {}there are {}",
            hint.unwrap_or_default(),
            names.join(", ")
        ))
    })
}

/// The metric that a task is stopped by, unless another is asked for.
pub fn monitored(task: Task) -> &'static str {
    match task {
        Task::Regression => "rmse",
        Task::Binary { .. } => "logloss",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASKS: [Task; 2] = [Task::Regression, Task::Binary { threshold: 1.0 }];

    #[test]
    fn an_equal_value_is_no_better_and_neither_is_a_nan() {
        for entry in TASKS.into_iter().flat_map(known) {
            assert!(!entry.is_better(0.5, 0.5) && !entry.is_better(f64::NAN, 0.5), "{}", entry.name);
            assert_ne!(entry.is_better(0.5, 0.6), entry.is_better(0.6, 0.5), "{}", entry.name);
        }
    }

    #[test]
    fn the_metric_that_is_monitored_is_known() {
        for task in TASKS {
            assert_eq!(find(task, monitored(task)).unwrap().direction, Minimize);
        }
    }

    #[test]
    fn a_metric_of_the_other_task_is_none_of_this_one() {
        let error = find(TASKS[1], "rmse").unwrap_err().to_string();
        let names = "auc, average_precision, ece, gauc, logloss, normalized_entropy";
        assert_eq!(error, format!("invalid setting: there is no metric `rmse` of a binary task: there are {names}"),);
    }
}
