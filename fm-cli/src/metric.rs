//! A metric as results hold it.

use anyhow::Result;
use fm_core::Task;
use fm_core::metric::{Direction, MetricEntry, Metrics, find};

/// A metric by its full name, such as `ndcg@10`, whose entry is that of `ndcg@k`.
#[derive(Clone, Debug)]
pub struct Metric {
    pub name: String,
    entry: &'static MetricEntry,
}

impl Metric {
    /// The metric of this name, if the task has it.
    pub fn of(task: Task, name: &str) -> Result<Metric> {
        Ok(Metric { name: name.to_owned(), entry: find(task, name)? })
    }

    /// Its value among others.
    pub fn among(&self, metrics: &Metrics) -> Option<f64> {
        metrics.get(&self.name).copied()
    }

    /// Whether a value is better than another.
    pub fn is_better(&self, value: f64, than: f64) -> bool {
        self.entry.is_better(value, than)
    }

    /// A value of which less is better.
    pub fn cost(&self, value: f64) -> f64 {
        match self.entry.direction {
            Direction::Minimize => value,
            Direction::Maximize => -value,
        }
    }
}
