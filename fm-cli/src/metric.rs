//! Metrics in results.

use anyhow::Result;
use fm_core::Task;
use fm_core::metric::{Direction, MetricEntry, MetricSet, Metrics};
use fm_core::train::EpochRecord;

/// A metric with its full name, such as `ndcg@10`, and its entry, such as that of `ndcg@k`.
#[derive(Clone, Debug)]
pub struct Metric {
    pub name: String,
    entry: &'static MetricEntry,
}

impl Metric {
    /// The metric of this name, if the task has it.
    pub fn of(task: Task, name: &str) -> Result<Metric> {
        Ok(Metric { name: name.to_owned(), entry: MetricSet::of(task).find(name)? })
    }

    /// The value of this metric.
    pub fn among(&self, metrics: &Metrics) -> Option<f64> {
        metrics.get(&self.name).copied()
    }

    /// Whether it is measured within groups of rows, so that a sample of rows has another value.
    pub fn is_within_groups(&self) -> bool {
        self.entry.is_within_groups
    }

    /// Whether a value is better than another.
    pub fn is_better(&self, value: f64, than: f64) -> bool {
        self.entry.is_better(value, than)
    }

    /// The value, negated if higher is better; infinite for NaN.
    pub fn cost(&self, value: f64) -> f64 {
        match self.entry.direction {
            _ if value.is_nan() => f64::INFINITY,
            Direction::Minimize => value,
            Direction::Maximize => -value,
        }
    }
}

/// The best validation result up to each epoch.
pub fn best_so_far(metric: &Metric, records: &[EpochRecord]) -> Vec<f64> {
    let mut curve = Vec::new();
    records.iter().for_each(|record| follow(metric, &mut curve, record));
    curve
}

/// Sets the best validation result up to this epoch in a curve that has one for each epoch before. What the curve has for
/// this epoch already, and for later ones, is from before the program was killed.
pub fn follow(metric: &Metric, curve: &mut Vec<f64>, record: &EpochRecord) {
    let Some(value) = metric.among(&record.valid) else { return };
    curve.truncate(record.epoch - 1);
    let best = curve.last().copied().filter(|&best| metric.is_better(best, value));
    curve.push(best.unwrap_or(value));
}

/// The distinct names of metrics in alphabetical order, and by cutoff: `ndcg@5` before `ndcg@10`.
pub fn in_order<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
    let mut names: Vec<&String> = names.into_iter().collect();
    names.sort_by_key(|name| match name.split_once('@') {
        Some((family, length)) => (family, length.parse().unwrap_or(usize::MAX)),
        None => (name.as_str(), 0),
    });
    names.dedup();
    names
}

/// Whether a metric has this cutoff or none. A line has room for only one cutoff.
pub fn has_cutoff(name: &str, cutoff: &str) -> bool {
    name.split_once('@').is_none_or(|(_, k)| k == cutoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_worst() {
        for (task, name) in [(Task::Regression, "rmse"), (Task::Binary { threshold: 1.0 }, "auc")] {
            let metric = Metric::of(task, name).unwrap();
            assert!([0.1, 9.0, -9.0].iter().all(|&value| metric.cost(value) < metric.cost(f64::NAN)), "{name}");
            assert!(metric.cost(-f64::NAN) == f64::INFINITY);
        }
    }

    #[test]
    fn metrics_are_sorted_by_name_and_then_by_cutoff() {
        let names = ["ndcg@10", "mrr", "hr@100", "ndcg@5", "hr@20", "ndcg@20", "mrr", "hr@5"].map(str::to_owned);
        assert_eq!(in_order(&names), ["hr@5", "hr@20", "hr@100", "mrr", "ndcg@5", "ndcg@10", "ndcg@20"]);
        let rows = ["logloss", "auc", "average_precision"].map(str::to_owned);
        assert_eq!(in_order(&rows), ["auc", "average_precision", "logloss"]);
    }

    #[test]
    fn metrics_without_a_cutoff_are_shown_with_those_of_one_cutoff() {
        let is_shown = ["ndcg@5", "ndcg@10", "hr@100", "mrr"].map(|name| has_cutoff(name, "10"));
        assert_eq!(is_shown, [false, true, false, true]);
    }
}
