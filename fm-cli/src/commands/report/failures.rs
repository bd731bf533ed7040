//! Where the models fail: their metric on test rows of users and items of which training has seen little or much.

use anyhow::Result;
use fm_core::Task;
use fm_core::metric::Metrics;
use fm_core::summary::grouped;
use maud::{Markup, html};

use super::buckets::{bucket_of, buckets, range};
use super::chart::{Axis, Chart, Mark, Paint, SIZE};
use super::page::{Cell, figure, figures, table};
use super::run::{Activity, Group, Run, TestRows};
use super::summary::{metric_name, metric_title};
use super::{absent, heading, no_test_rows};

const BUCKETS: usize = 5;

pub fn body(runs: &[Run], groups: &[Group<'_>]) -> Result<Markup> {
    let mut parts = vec![];
    for group in groups.iter().filter(|group| group.runs.iter().any(|(run, _)| unmeasured(run).is_none())) {
        let spec = &group.source().spec;
        let (mut charts, mut tables, mut without) = (vec![], vec![], vec![]);
        for (what, column) in [("user", &spec.user), ("item", &spec.item)] {
            match column {
                Some(column) => {
                    let slices = Slices::new(group, column)?;
                    charts.push(slices.chart(what)?);
                    tables.push(slices.table(what));
                }
                None => without.push(what),
            }
        }
        parts.push(html! {
            (heading(group, groups))
            (figures(&charts))
            @for table in &tables { (table) }
            @for what in without {
                p { "Which field is the " (what) " is not declared: it could be named as " code { (what) } " in schema.toml." }
            }
        });
    }
    Ok(html! {
        @if !parts.is_empty() {
            p {
                "Test rows by how many training rows their user and their item have, in buckets of about equally many test rows; \
                 those with none stand apart."
            }
        }
        @for part in &parts { (part) }
        (absent(runs, unmeasured))
    })
}

/// Why a run's metric cannot be taken of single test rows, if it cannot.
fn unmeasured(run: &Run) -> Option<String> {
    let Some(rows) = run.test_rows() else { return no_test_rows(run) };
    let all: Vec<usize> = (0..rows.logits.len()).collect();
    let metrics = rows.metrics(run.predictor.schema.label(), &rows.logits, &all);
    let metric = run.monitored();
    (!metrics.contains_key(metric)).then(|| format!("{} is no metric of single rows", metric_name(metric)))
}

/// The test rows of a group of runs, by the training rows that they have in common with a value of a column.
struct Slices<'a> {
    metric: &'a str,
    names: Vec<String>,
    /// The number of test rows of each bucket.
    rows: Vec<usize>,
    /// For each run the metrics of each bucket.
    runs: Vec<(&'a Run, Vec<Metrics>)>,
    /// The metrics of the mean label.
    mean: Vec<Metrics>,
}

impl<'a> Slices<'a> {
    fn new(group: &Group<'a>, column: &str) -> Result<Slices<'a>> {
        let activity = Activity::of(group.source(), column)?;
        let seen: Vec<f64> = group.source().parts.test.iter().map(|&row| activity.of_row(row) as f64).collect();
        // What is cold is a bucket by itself.
        let mut bounds = buckets(seen.iter().copied().filter(|&count| count > 0.0), BUCKETS);
        if seen.contains(&0.0) {
            bounds.insert(0, (0.0, 0.0));
        }
        let mut members: Vec<Vec<usize>> = vec![vec![]; bounds.len()];
        for (row, &count) in seen.iter().enumerate() {
            if let Some(bucket) = bucket_of(&bounds, count) {
                members[bucket].push(row);
            }
        }
        let of = |run: &Run, rows: &TestRows, logits: &[f32]| -> Vec<Metrics> {
            let label = run.predictor.schema.label();
            members.iter().map(|bucket| rows.metrics(label, logits, bucket)).collect()
        };
        let (first, test) = group.runs[0];
        let prior = vec![first.predictor.schema.label().prior_logit(); test.logits.len()];
        Ok(Slices {
            metric: first.monitored(),
            names: bounds.iter().map(|&(low, high)| range(low, high)).collect(),
            rows: members.iter().map(Vec::len).collect(),
            runs: group.runs.iter().map(|&(run, rows)| (run, of(run, rows, &rows.logits))).collect(),
            mean: of(first, test, &prior),
        })
    }

    fn chart(&self, what: &str) -> Result<Markup> {
        let points = |metrics: &[Metrics]| -> Vec<(f64, f64)> {
            let value = |(at, metrics): (usize, &Metrics)| Some((at as f64, *metrics.get(self.metric)?));
            metrics.iter().enumerate().filter_map(value).collect()
        };
        let mean = points(&self.mean);
        let mut values: Vec<f64> = mean.iter().map(|point| point.1).collect();
        let mut marks = vec![Mark::Dots(mean.clone(), Paint::Muted, 2.5), Mark::Line(mean, Paint::Muted)];
        let (mut legend, mut words) = (vec![], vec![]);
        for (run, metrics) in &self.runs {
            let points = points(metrics);
            values.extend(points.iter().map(|point| point.1));
            if let (Some(first), Some(last)) = (points.first(), points.last()) {
                let (low, high) = (&self.names[first.0 as usize], &self.names[last.0 as usize]);
                words.push(format!("{} {:.4} at {low} and {:.4} at {high}", run.name, first.1, last.1));
            }
            marks.extend([Mark::Dots(points.clone(), run.paint, 3.0), Mark::Line(points, run.paint)]);
            legend.push((run.paint, run.name.clone()));
        }
        legend.push((Paint::Muted, "mean label".into()));
        let x = Axis::named(self.names.iter().cloned(), &format!("training rows of the {what}"));
        let chart = Chart { size: SIZE, x, y: Axis::over(values, ""), marks };
        let title = format!("{} by the training rows of the {what}", metric_title(self.metric));
        let svg = chart.svg(&format!("{title}: {}.", words.join("; ")))?;
        let smallest = self.rows.iter().zip(&self.names).min_by_key(|(rows, _)| **rows);
        let note = smallest.map_or(String::new(), |(rows, name)| {
            format!("The smallest bucket, {name}, holds {} test rows.", grouped(*rows as i64))
        });
        Ok(figure(&title, &legend, &svg, &note))
    }

    fn table(&self, what: &str) -> Markup {
        // Of a binary task how well rows are told apart, too.
        let is_binary = self.runs.iter().any(|(run, _)| matches!(run.task(), Task::Binary { .. }));
        let shown: Vec<&str> = [self.metric].into_iter().chain(is_binary.then_some("auc")).collect();
        let mut head = vec![format!("Training rows of the {what}"), "Test rows".into()];
        for metric in &shown {
            head.extend(self.runs.iter().map(|(run, _)| match self.runs.len() {
                1 => metric_title(metric),
                _ => format!("{}, {}", metric_title(metric), run.name),
            }));
            if *metric == self.metric {
                head.push(format!("{}, mean label", metric_title(metric)));
            }
        }
        let row = |bucket: usize| {
            let mut cells =
                vec![Cell::Text(self.names[bucket].clone()), Cell::Number(grouped(self.rows[bucket] as i64))];
            for metric in &shown {
                let value = |metrics: &[Metrics]| Cell::metric(metrics[bucket].get(*metric).copied());
                cells.extend(self.runs.iter().map(|(_, metrics)| value(metrics)));
                if *metric == self.metric {
                    cells.push(value(&self.mean));
                }
            }
            cells
        };
        let rows: Vec<Vec<Cell>> = (0..self.names.len()).map(row).collect();
        table(&format!("Test rows by the training rows of their {what}"), &head, &rows)
    }
}
