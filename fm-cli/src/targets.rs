//! What the scores of rows are measured against.

use fm_core::metric::Scored;
use fm_core::{Records, Rows};

/// The labels of rows, and their weights and groups if they have some.
pub struct Targets {
    pub labels: Vec<f32>,
    pub weights: Option<Vec<f32>>,
    groups: Option<Vec<i64>>,
}

impl Targets {
    pub fn of(rows: &Records) -> Targets {
        Targets { labels: rows.labels(), weights: rows.weights(), groups: rows.groups() }
    }

    /// All rows with their scores.
    pub fn scored<'a>(&'a self, scores: &'a [f32]) -> Scored<'a> {
        let scored = Scored::new(scores, &self.labels);
        scored.with_weights(self.weights.as_deref()).with_groups(self.groups.as_deref())
    }

    /// Measures some of the rows, given the scores of all of them.
    pub fn measure<R>(&self, scores: &[f32], rows: &[usize], measure: impl FnOnce(&Scored<'_>) -> R) -> R {
        fn pick<T: Copy>(all: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| all[row]).collect()
        }
        let scores = pick(scores, rows);
        let of_rows = Targets {
            labels: pick(&self.labels, rows),
            weights: self.weights.as_ref().map(|weights| pick(weights, rows)),
            groups: self.groups.as_ref().map(|groups| pick(groups, rows)),
        };
        measure(&of_rows.scored(&scores))
    }
}
