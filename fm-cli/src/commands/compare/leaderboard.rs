//! The table of a comparison: a line for each contestant, the best first.

use std::collections::BTreeMap;
use std::fmt::Write;

use fm_core::summary::grouped;
use serde::Serialize;

use super::significance::p_value;
use crate::metric::{Metric, in_order, is_of_length};
use crate::training::Results;

/// The results of one contestant on every seed or fold.
pub struct Entrant {
    pub name: String,
    pub results: Vec<Results>,
    pub bundle_bytes: u64,
}

/// A mean over trainings, and how far they lie apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub mean: f64,
    /// The sample's standard deviation; none of a single value.
    pub std: Option<f64>,
    pub values: Vec<f64>,
}

impl Spread {
    fn of(values: Vec<f64>) -> Spread {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        Spread { mean, std: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()), values }
    }

    fn show(&self, digits: usize) -> String {
        match self.std {
            Some(std) => format!("{:.digits$} ± {std:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }
}

/// A line of the leaderboard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    pub name: String,
    /// The metrics of the test rows.
    pub test: BTreeMap<String, Spread>,
    pub parameters: i64,
    /// Seconds of training.
    pub seconds: Spread,
    /// Training rows per second, over all epochs and their validation.
    pub rows_per_second: Spread,
    /// The size of the exported file, in bytes.
    pub bundle_bytes: u64,
    /// The p-value that the next line is as good by `metric`: see [`p_value`].
    pub p_value: Option<f64>,
}

/// All contestants, the best first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leaderboard {
    /// What the lines are ordered by.
    pub metric: String,
    /// The seeds or folds.
    pub variations: Vec<String>,
    pub lines: Vec<Line>,
}

impl Leaderboard {
    /// Orders contestants by the mean of a test metric; those that lack it come last.
    pub fn new(entrants: Vec<Entrant>, metric: &Metric, variations: Vec<String>) -> Leaderboard {
        let test_share = entrants.first().and_then(|entrant| entrant.results.first()).map_or(0.0, |results| {
            let rows = |part: &str| results.rows.get(part).copied().unwrap_or(0) as f64;
            rows("test") / rows("train").max(1.0)
        });
        let mut lines: Vec<Line> = entrants.into_iter().map(Line::new).collect();
        let key = |line: &Line| line.test.get(&metric.name).map_or(f64::INFINITY, |spread| metric.cost(spread.mean));
        lines.sort_by(|a, b| key(a).total_cmp(&key(b)));
        for at in 1..lines.len() {
            let values =
                |line: &Line| line.test.get(&metric.name).map(|spread| spread.values.clone()).unwrap_or_default();
            lines[at - 1].p_value = p_value(&values(&lines[at - 1]), &values(&lines[at]), test_share);
        }
        Leaderboard { metric: metric.name.clone(), variations, lines }
    }

    /// A table of Markdown, whose columns are aligned for a terminal, too. Of lists of several lengths, it has those of `metric`, or
    /// of length 10.
    pub fn markdown(&self) -> String {
        let mut metrics = in_order(self.lines.iter().flat_map(|line| line.test.keys()));
        let length = self.metric.split_once('@').map_or("10", |(_, length)| length);
        metrics.retain(|name| is_of_length(name, length));
        metrics.sort_by_key(|name| **name != self.metric);
        let mut rows = vec![vec!["".to_owned()]];
        rows[0].extend(metrics.iter().map(|name| (*name).clone()));
        rows[0].extend(["p to next", "parameters", "training", "rows/s", "file"].map(str::to_owned));
        for line in &self.lines {
            let mut row = vec![line.name.clone()];
            row.extend(metrics.iter().map(|name| line.test.get(*name).map_or("-".into(), |spread| spread.show(4))));
            row.push(line.p_value.map_or("-".into(), |p| if p < 0.001 { "<.001".into() } else { format!("{p:.3}") }));
            row.push(grouped(line.parameters));
            row.push(format!("{:.1} s", line.seconds.mean));
            row.push(grouped(line.rows_per_second.mean.round() as i64));
            row.push(megabytes(line.bundle_bytes));
            rows.push(row);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a text does not fail.
                let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
            }
            text.push_str("|\n");
            if number == 0 {
                let rules = widths.iter().enumerate().map(|(column, &width)| {
                    if column == 0 { format!("|{:-<1$}", "", width + 2) } else { format!("|{:-<1$}:", "", width + 1) }
                });
                text.extend(rules.chain(["|\n".to_owned()]));
            }
        }
        text
    }
}

impl Line {
    fn new(entrant: Entrant) -> Line {
        let Entrant { name, results, bundle_bytes } = entrant;
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (metric, value) in results.iter().flat_map(|result| &result.test) {
            values.entry(metric.clone()).or_default().push(*value);
        }
        // A metric that is undefined on one of the test sets has no mean to compare.
        values.retain(|_, values| values.len() == results.len());
        let speed = |result: &Results| {
            let rows = result.rows.get("train").copied().unwrap_or(0) * result.epochs;
            rows as f64 / result.seconds.max(1e-9)
        };
        Line {
            name,
            test: values.into_iter().map(|(metric, values)| (metric, Spread::of(values))).collect(),
            parameters: results.first().map_or(0, |result| result.parameters),
            seconds: Spread::of(results.iter().map(|result| result.seconds).collect()),
            rows_per_second: Spread::of(results.iter().map(speed).collect()),
            bundle_bytes,
            p_value: None,
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
