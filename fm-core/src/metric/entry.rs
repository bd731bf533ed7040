//! The names and directions of the metrics of each task.

use self::Direction::{Maximize, Minimize};
use crate::error::{Error, Result};
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
    /// Whether it is measured within groups of rows, so that a sample of rows has another value.
    pub is_within_groups: bool,
}

impl MetricEntry {
    const fn new(name: &'static str, direction: Direction, description: &'static str) -> MetricEntry {
        MetricEntry { name, direction, description, is_within_groups: false }
    }

    const fn within_groups(self) -> MetricEntry {
        MetricEntry { is_within_groups: true, ..self }
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
    MetricEntry::new("r2", Maximize, "share of the labels' variance that the predictions explain"),
    MetricEntry::new("rmse", Minimize, "root mean squared error"),
];

const BINARY: [MetricEntry; 6] = [
    MetricEntry::new("auc", Maximize, "probability that a positive row scores above a negative one"),
    MetricEntry::new("average_precision", Maximize, "area under the precision-recall curve"),
    MetricEntry::new("ece", Minimize, "expected calibration error over 15 bins"),
    MetricEntry::new("gauc", Maximize, "AUC within each user's rows, averaged over users").within_groups(),
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

/// The metrics of a task.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricSet {
    /// The task: "regression".
    task: &'static str,
    /// The default monitored metric.
    pub monitored: &'static str,
    /// All metrics, by name.
    pub entries: &'static [MetricEntry],
}

impl MetricSet {
    /// Metrics of predicted numbers.
    pub const REGRESSION: MetricSet = MetricSet { task: "regression", monitored: "rmse", entries: &REGRESSION };
    /// Metrics of predicted probabilities.
    pub const BINARY: MetricSet = MetricSet { task: "a binary task", monitored: "logloss", entries: &BINARY };
    /// Metrics of rankings of a catalogue.
    pub const RANKING: MetricSet = MetricSet { task: "a ranking", monitored: "ndcg@10", entries: &RANKING };

    /// The metrics of a task.
    pub fn of(task: Task) -> &'static MetricSet {
        match task {
            Task::Regression => &MetricSet::REGRESSION,
            Task::Binary { .. } => &MetricSet::BINARY,
            Task::Ranking { .. } => &MetricSet::RANKING,
        }
    }

    /// The metric of this name. The name of `ndcg@k` has a number instead of k.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    ///
    /// ```
    /// use fm_core::metric::MetricSet;
    ///
    /// assert!(MetricSet::BINARY.find("auc")?.is_better(0.8, 0.7));
    /// assert!(MetricSet::REGRESSION.find("rmse")?.is_better(0.7, 0.8));
    /// assert!(MetricSet::RANKING.find("ndcg@10")?.is_better(0.3, 0.2));
    /// let error = MetricSet::REGRESSION.find("rsme").unwrap_err().to_string();
    /// assert_eq!(error, "unknown metric of regression `rsme`; did you mean `rmse`? known: mae, r2, rmse");
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn find(&self, name: &str) -> Result<&'static MetricEntry> {
        let is_asked_for = |entry: &&MetricEntry| match (entry.name.strip_suffix("@k"), name.split_once('@')) {
            (Some(family), Some((name, k))) => family == name && k.parse().is_ok_and(|k: usize| k > 0),
            (None, None) => entry.name == name,
            _ => false,
        };
        self.entries.iter().find(is_asked_for).ok_or_else(|| {
            Error::unknown(format!("metric of {}", self.task), name, self.entries.iter().map(|entry| entry.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: [MetricSet; 3] = [MetricSet::REGRESSION, MetricSet::BINARY, MetricSet::RANKING];

    #[test]
    fn neither_an_equal_value_nor_nan_is_better() {
        for entry in SETS.iter().flat_map(|set| set.entries) {
            assert!(!entry.is_better(0.5, 0.5) && !entry.is_better(f64::NAN, 0.5), "{}", entry.name);
            assert_ne!(entry.is_better(0.5, 0.6), entry.is_better(0.6, 0.5), "{}", entry.name);
        }
    }

    #[test]
    fn the_monitored_metric_is_known() {
        let directions = SETS.map(|set| set.find(set.monitored).unwrap().direction);
        assert_eq!(directions, [Minimize, Minimize, Maximize]);
    }

    #[test]
    fn a_metric_of_another_task_is_unknown() {
        let error = MetricSet::BINARY.find("rmse").unwrap_err().to_string();
        let names = "auc, average_precision, ece, gauc, logloss, normalized_entropy";
        assert_eq!(error, format!("unknown metric of a binary task `rmse`; known: {names}"));
    }

    #[test]
    fn the_name_of_a_metric_at_k_has_a_number() {
        for name in ["ndcg@10", "hr@5", "recall@1000", "mrr"] {
            assert_eq!(MetricSet::RANKING.find(name).unwrap().direction, Maximize, "{name}");
        }
        for name in ["ndcg", "ndcg@", "ndcg@k", "ndcg@0", "ndcg@-1", "ndcg@10@10", "mrr@10", "k"] {
            let error = MetricSet::RANKING.find(name).unwrap_err().to_string();
            assert!(error.contains("known: coverage@k, hr@k, mrr"), "{name}");
        }
    }
}
