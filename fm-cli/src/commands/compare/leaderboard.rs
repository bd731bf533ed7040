//! The table of a comparison: one line per contestant, best first.

use std::collections::BTreeMap;

use fm_core::terminal::grouped;
use serde::Serialize;

use super::significance::p_value;
use crate::console::decimal;
use crate::metric::{Metric, has_cutoff, in_order};
use crate::results::Results;
use crate::text_table::{Column, fitting, markdown};

/// The results of one contestant on every seed or fold.
pub struct Entrant {
    pub name: String,
    pub results: Vec<Results>,
    pub bundle_bytes: u64,
}

/// Mean and standard deviation over runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub mean: f64,
    /// Sample standard deviation; `None` for a single value.
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
            Some(std) => format!("{} ± {}", decimal(self.mean, digits), decimal(std, digits)),
            None => decimal(self.mean, digits),
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
    /// p-value of the hypothesis that the next line with as many results has the same mean `metric`: see [`p_value`].
    pub p_value: Option<f64>,
}

/// All contestants, best first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leaderboard {
    /// The metric that orders the lines.
    pub metric: String,
    /// The seeds or folds.
    pub variations: Vec<String>,
    pub lines: Vec<Line>,
}

impl Leaderboard {
    /// Orders contestants by the mean of a test metric; those without it come last. `shares_rows` says whether all of an
    /// entrant's results are of the same split.
    pub fn new(entrants: Vec<Entrant>, metric: &Metric, variations: Vec<String>, shares_rows: bool) -> Leaderboard {
        let test_share = entrants.first().and_then(|entrant| entrant.results.first()).map_or(0.0, |results| {
            let rows = |part: &str| results.rows.get(part).copied().unwrap_or(0) as f64;
            // The same training rows do not overlap by chance.
            if shares_rows { 0.0 } else { rows("test") / rows("train").max(1.0) }
        });
        let mut lines: Vec<Line> = entrants.into_iter().map(Line::new).collect();
        let key = |line: &Line| line.test.get(&metric.name).map_or(f64::INFINITY, |spread| metric.cost(spread.mean));
        lines.sort_by(|a, b| key(a).total_cmp(&key(b)));
        let values = |line: &Line| line.test.get(&metric.name).map(|spread| spread.values.clone()).unwrap_or_default();
        for at in 0..lines.len() {
            let own = values(&lines[at]);
            // An ensemble has a single result, which cannot be compared.
            let next = lines[at + 1..].iter().map(values).find(|values| values.len() == own.len());
            lines[at].p_value = next.and_then(|next| p_value(&own, &next, test_share));
        }
        Leaderboard { metric: metric.name.clone(), variations, lines }
    }

    /// A Markdown table with aligned columns. Of metrics at several cutoffs k, it shows only those at the cutoff of
    /// `metric`, or at 10.
    ///
    /// If a width is given, the table leaves out columns that do not fit, starting with the other metrics.
    pub fn markdown(&self, width: Option<usize>) -> String {
        let mut metrics = in_order(self.lines.iter().flat_map(|line| line.test.keys()));
        let length = self.metric.split_once('@').map_or("10", |(_, length)| length);
        metrics.retain(|name| has_cutoff(name, length));
        metrics.sort_by_key(|name| **name != self.metric);
        let column = |name: &str, rank: usize, cell: &dyn Fn(&Line) -> String| {
            Column::new(name, rank, self.lines.iter().map(cell))
        };
        let p_value = |line: &Line| match line.p_value {
            None => "-".into(),
            Some(p) if p < 0.001 => "<.001".into(),
            Some(p) => format!("{p:.3}"),
        };
        let mut columns = vec![column("", 0, &|line| line.name.clone())];
        for (number, name) in metrics.iter().enumerate() {
            let rank = if number == 0 { 1 } else { 7 + number };
            columns.push(column(name, rank, &|line| line.test.get(*name).map_or("-".into(), |spread| spread.show(4))));
        }
        columns.extend([
            column("p to next", 2, &p_value),
            column("parameters", 4, &|line| grouped(line.parameters)),
            column("training", 3, &|line| format!("{:.1} s", line.seconds.mean)),
            column("rows/s", 5, &|line| match line.rows_per_second.mean {
                0.0 => "-".into(),
                speed => grouped(speed.round() as i64),
            }),
            column("file", 6, &|line| megabytes(line.bundle_bytes)),
        ]);
        markdown(&match width {
            Some(width) => fitting(columns, width),
            None => columns,
        })
    }
}

impl Line {
    fn new(entrant: Entrant) -> Line {
        let Entrant { name, results, bundle_bytes } = entrant;
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (metric, value) in results.iter().flat_map(|result| &result.test) {
            values.entry(metric.clone()).or_default().push(*value);
        }
        // A metric that is undefined on one of the test sets has no mean.
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
