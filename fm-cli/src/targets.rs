//! What the scores of rows are measured against.

use fm_core::metric::{MetricSet, Scored, metric, standard_errors};
use fm_core::{Label, Records, Rows};

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

    /// The standard error of a metric of some of the rows; `None` for a metric within groups, of which a sample of rows
    /// would lose some, and where it is undefined.
    pub fn standard_error(&self, label: &Label, scores: &[f32], rows: &[usize], name: &str) -> Option<f64> {
        let entry = MetricSet::of(label.task).find(name).ok()?;
        let of_sample = |units: &[usize]| {
            let units: Vec<usize> = units.iter().map(|unit| rows[*unit]).collect();
            self.measure(scores, &units, |scored| Some([metric(label, scored, name)?]))
        };
        if entry.is_within_groups { None } else { standard_errors(rows.len(), of_sample).map(|[error]| error) }
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
