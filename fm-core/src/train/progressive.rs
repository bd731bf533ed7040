//! Progressive validation: metrics of predictions that are made before their rows are trained on. Blum, Kalai and Langford,
//! COLT 1999, <https://doi.org/10.1145/307400.307439>.

use std::ops::Range;

use crate::metric::{Metrics, Scored};
use crate::objective::Objective;
use crate::rows::Rows;

/// Number of reports in an epoch.
const REPORTS: usize = 10;

/// The results of progressive validation so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Progressive {
    /// Number of rows trained on.
    pub rows: usize,
    /// Number of training rows.
    pub of: usize,
    /// The metrics over all of the rows so far.
    pub all: Metrics,
    /// The metrics over the rows since the last report.
    pub recent: Metrics,
}

/// What the predictions of the training rows are compared with.
pub(super) struct Targets {
    labels: Vec<f32>,
    weights: Option<Vec<f32>>,
    groups: Option<Vec<i64>>,
    /// Number of rows that have been reported.
    reported: usize,
}

impl Targets {
    /// Those of the training rows, of which `seen` have been trained on before.
    pub fn new(train: &dyn Rows, seen: usize) -> Targets {
        Targets { labels: train.labels(), weights: train.weights(), groups: train.groups(), reported: seen }
    }

    /// A report, if it is due after a step. `logits` are those of the first training rows.
    pub fn report(&mut self, objective: &dyn Objective, logits: &[f32]) -> Option<Progressive> {
        let (rows, of, before) = (logits.len(), self.labels.len(), self.reported);
        let tenth = |rows: usize| rows * REPORTS / of.max(1);
        if tenth(rows) == tenth(before) {
            return None;
        }
        self.reported = rows;
        let metrics = |range| self.metrics(objective, logits, range);
        Some(Progressive { rows, of, all: metrics(0..rows), recent: metrics(before..rows) })
    }

    /// The metrics over some of the rows.
    pub fn metrics(&self, objective: &dyn Objective, logits: &[f32], rows: Range<usize>) -> Metrics {
        let scored = Scored::new(&logits[rows.clone()], &self.labels[rows.clone()])
            .with_weights(self.weights.as_ref().map(|weights| &weights[rows.clone()]))
            .with_groups(self.groups.as_ref().map(|groups| &groups[rows]));
        objective.metrics_of(&scored)
    }
}
