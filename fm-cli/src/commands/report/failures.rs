//! Where the models fail: their metric on test rows by the number of training rows of the user and of the item, and by
//! time. For a ranking, over users by these numbers.

use anyhow::Result;
use fm_core::Task;
use fm_core::metric::Metrics;
use fm_core::terminal::grouped;
use maud::{Markup, html};

use super::buckets::{bucket_of, buckets, range};
use super::chart::{Axis, Chart, Mark, Paint, SIZE};
use super::page::{Cell, figure, figures, more, table};
use super::run::{Activity, Group, Run, TestRows};
use super::slices;
use super::summary::{capitalized, metric_name, metric_title};
use super::{absent, heading, no_test_rows};
use crate::periods::Periods;
use crate::ranking::TestRanks;

const BUCKETS: usize = 5;

/// The body, and what fails most in a few words.
pub fn section(runs: &[Run], groups: &[Group<'_>]) -> Result<(String, Markup)> {
    let slices = runs.iter().map(|run| slices::section(run, runs.len() > 1)).collect::<Result<Vec<_>>>()?;
    let slices: Vec<(String, Markup)> = slices.into_iter().flatten().collect();
    let result = if let ([_], [(sentence, _)]) = (runs, &slices[..]) { sentence.clone() } else { String::new() };
    let activity = activity(runs, groups)?;
    Ok((result, html! { (activity) @for (_, slices) in &slices { (slices) } }))
}

/// The metric by the number of training rows of the user and the item.
fn activity(runs: &[Run], groups: &[Group<'_>]) -> Result<Markup> {
    let mut parts = vec![];
    let (mut has_rows, mut has_rankings, mut has_charts) = (false, false, false);
    for group in groups {
        let Some(&measured) = group.runs.iter().find(|(run, _)| unmeasured(run).is_none()) else { continue };
        *(if measured.1.ranks.is_some() { &mut has_rankings } else { &mut has_rows }) = true;
        let (mut charts, mut tables, mut without) = (vec![], vec![], vec![]);
        for (what, seen) in ["user", "item"].into_iter().zip(seen(measured.1)?) {
            match seen {
                Some(seen) => {
                    let slices = Slices::new(group, measured, by_activity(what, &seen));
                    charts.push(slices.chart()?);
                    tables.push(slices.table());
                }
                None => without.push(what),
            }
        }
        if let Some(by_time) = by_time(measured.1)? {
            let slices = Slices::new(group, measured, by_time);
            charts.push(slices.chart()?);
            tables.push(more("By time, as a table", &slices.table()));
        }
        has_charts |= !charts.is_empty();
        parts.push(html! {
            (heading(group, groups))
            (figures(&charts))
            @for table in &tables { (table) }
            @if without.len() == 1 {
                @let what = without[0];
                p { "No field is declared as the " (what) ": name one as " code { (what) } " in schema.toml." }
            }
        });
    }
    Ok(html! {
        @if has_rows && has_charts {
            p {
                "Test rows by the number of training rows of their user and of their item, in buckets of about equal \
                 size. Those without training rows have a bucket of their own."
            }
        }
        @if has_rankings {
            p {
                "Users with relevant items in the test rows, by the number of their training rows, and by that of \
                 their relevant items (the mean over several items), in buckets of about equal size. Those without \
                 training rows have a bucket of their own."
            }
        }
        @for part in &parts { (part) }
        (absent(runs, unmeasured))
    })
}

/// Why the metric of a run cannot be measured on subsets of the test rows (or users, for a ranking); `None` if it can.
fn unmeasured(run: &Run) -> Option<String> {
    let Some(rows) = run.test_rows() else { return no_test_rows(run) };
    let (metric, all) = (run.monitored(), Vec::from_iter(rows.units()));
    if all.is_empty() {
        return Some("no user has relevant items in the test rows".into());
    }
    let metrics = rows.metrics(run.predictor.schema.label(), &all);
    (!metrics.contains_key(metric)).then(|| match &rows.ranks {
        Some(_) => format!(
            "{} is measured over the lists of all users together, and is not a mean over users",
            metric_name(metric)
        ),
        None => format!("{} is not a metric of single rows", metric_name(metric)),
    })
}

/// The numbers of training rows of each test row's user and item, if declared. For a ranking, those of each user and of
/// the user's relevant items.
fn seen(rows: &TestRows) -> Result<[Option<Vec<f64>>; 2]> {
    if let Some(TestRanks { user_rows, item_rows, .. }) = &rows.ranks {
        return Ok([Some(user_rows.clone()), Some(item_rows.clone())]);
    }
    let source = &rows.source;
    let of = |column: &Option<String>| -> Result<Option<Vec<f64>>> {
        let Some(column) = column else { return Ok(None) };
        let activity = Activity::of(source, column)?;
        Ok(Some(source.parts.test.iter().map(|&row| activity.of_row(row) as f64).collect()))
    };
    Ok([of(&source.spec.user)?, of(&source.spec.item)?])
}

/// Buckets of the test rows, or of the users for a ranking.
struct Buckets {
    /// What defines them.
    by: String,
    names: Vec<String>,
    /// The test rows or users in each.
    members: Vec<Vec<usize>>,
}

/// Buckets by the number of training rows of each test row's user or item.
fn by_activity(what: &str, seen: &[f64]) -> Buckets {
    // Units without training rows have a bucket of their own.
    let mut bounds = buckets(seen.iter().copied().filter(|&count| count > 0.0), BUCKETS);
    if seen.contains(&0.0) {
        bounds.insert(0, (0.0, 0.0));
    }
    let mut members: Vec<Vec<usize>> = vec![vec![]; bounds.len()];
    for (unit, &count) in seen.iter().enumerate() {
        if let Some(bucket) = bucket_of(&bounds, count) {
            members[bucket].push(unit);
        }
    }
    let names = bounds.iter().map(|&(low, high)| range(low, high)).collect();
    Buckets { by: format!("the training rows of the {what}"), names, members }
}

/// Buckets by the time of the test rows, if they have times of several periods.
fn by_time(rows: &TestRows) -> Result<Option<Buckets>> {
    let source = &rows.source;
    let Some(column) = source.spec.timestamp.as_ref().filter(|_| rows.ranks.is_none()) else { return Ok(None) };
    let times = source.rows.take(&source.parts.test, &[column])?;
    let periods = Periods::of(times.column(column)?.str()?.iter()).filter(|periods| periods.rows.len() > 1);
    Ok(periods.map(|Periods { unit, rows, .. }| {
        let (names, members) = rows.into_iter().unzip();
        Buckets { by: unit.to_owned(), names, members }
    }))
}

/// The metrics of a group of runs in buckets.
struct Slices<'a> {
    metric: &'a str,
    /// What defines the buckets.
    by: String,
    /// The content of the buckets.
    units: &'static str,
    names: Vec<String>,
    /// The size of each bucket.
    sizes: Vec<usize>,
    /// The metrics of each bucket, by run.
    runs: Vec<(&'a Run, Vec<Metrics>)>,
    /// The metrics of the baseline, and its name.
    baseline: (Vec<Metrics>, &'static str),
}

impl<'a> Slices<'a> {
    /// Slices by the metric of `measured`.
    fn new(group: &Group<'a>, measured: (&'a Run, &TestRows), buckets: Buckets) -> Slices<'a> {
        let Buckets { by, names, members } = buckets;
        let each = |metrics: &dyn Fn(&[usize]) -> Metrics| members.iter().map(|bucket| metrics(bucket)).collect();
        let label = |run: &'a Run| run.predictor.schema.label();
        let (run, rows) = measured;
        let (units, baseline) =
            if rows.ranks.is_some() { ("users", "popularity") } else { ("test rows", "mean label") };
        Slices {
            metric: run.monitored(),
            by,
            units,
            names,
            sizes: members.iter().map(Vec::len).collect(),
            runs: group
                .runs
                .iter()
                .map(|&(run, rows)| (run, each(&|bucket| rows.metrics(label(run), bucket))))
                .collect(),
            baseline: (each(&|bucket| rows.baseline(label(run), bucket)), baseline),
        }
    }

    fn chart(&self) -> Result<Markup> {
        let points = |metrics: &[Metrics]| -> Vec<(f64, f64)> {
            let value = |(at, metrics): (usize, &Metrics)| Some((at as f64, *metrics.get(self.metric)?));
            metrics.iter().enumerate().filter_map(value).collect()
        };
        let baseline = points(&self.baseline.0);
        let mut values: Vec<f64> = baseline.iter().map(|point| point.1).collect();
        let mut marks = vec![Mark::Dots(baseline.clone(), Paint::Muted, 2.5), Mark::Line(baseline, Paint::Muted)];
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
        legend.push((Paint::Muted, self.baseline.1.into()));
        let x = Axis::named(self.names.iter().cloned(), &self.by);
        let chart = Chart { size: SIZE, x, y: Axis::over(values, ""), marks };
        let title = format!("{} by {}", metric_title(self.metric), self.by);
        let svg = chart.svg(&format!("{title}: {}.", words.join("; ")))?;
        let smallest = self.sizes.iter().zip(&self.names).min_by_key(|(size, _)| **size);
        let note = smallest.map_or(String::new(), |(size, name)| {
            format!("The smallest bucket, {name}, has {} {}.", grouped(*size as i64), self.units)
        });
        Ok(figure(&title, &legend, &svg, &note))
    }

    fn table(&self) -> Markup {
        // For a binary task, also the AUC.
        let is_binary = self.runs.iter().any(|(run, _)| matches!(run.task(), Task::Binary { .. }));
        let shown: Vec<&str> = [self.metric].into_iter().chain(is_binary.then_some("auc")).collect();
        let mut head = vec![capitalized(&self.by), capitalized(self.units)];
        for metric in &shown {
            head.extend(self.runs.iter().map(|(run, _)| match self.runs.len() {
                1 => metric_title(metric),
                _ => format!("{}, {}", metric_title(metric), run.name),
            }));
            if *metric == self.metric {
                head.push(format!("{}, {}", metric_title(metric), self.baseline.1));
            }
        }
        let row = |bucket: usize| {
            let mut cells =
                vec![Cell::Text(self.names[bucket].clone()), Cell::Number(grouped(self.sizes[bucket] as i64))];
            for metric in &shown {
                let value = |metrics: &[Metrics]| Cell::metric(metrics[bucket].get(*metric).copied());
                cells.extend(self.runs.iter().map(|(_, metrics)| value(metrics)));
                if *metric == self.metric {
                    cells.push(value(&self.baseline.0));
                }
            }
            cells
        };
        let rows: Vec<Vec<Cell>> = (0..self.names.len()).map(row).collect();
        table(&format!("{} by {}", capitalized(self.units), self.by), &head, &rows)
    }
}
