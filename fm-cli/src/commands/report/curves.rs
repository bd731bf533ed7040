//! Learning curves: the training loss and each validation metric by epoch.

use anyhow::Result;
use fm_core::Task;
use fm_core::train::EpochRecord;
use maud::{Markup, html};

use super::absent;
use super::chart::{Axis, Chart, Mark, Paint, SIZE};
use super::page::{figure, figures};
use super::run::Run;
use super::summary::metric_title;
use crate::metric::in_order;
use crate::probabilities::shift;

/// Maximum number of epochs to draw as dots.
const DOTS: usize = 40;

pub fn body(runs: &[Run]) -> Result<Markup> {
    let metrics = in_order(runs.iter().flat_map(|run| &run.epochs).flat_map(|epoch| epoch.valid.keys()));
    // The metric that chooses the best epoch comes first.
    let is_monitored = |metric: &&String| runs.iter().any(|run| run.monitored() == metric.as_str());
    let (monitored, others): (Vec<&String>, Vec<&String>) = metrics.into_iter().partition(is_monitored);
    let mut charts = vec![];
    let both = losses(runs)?;
    if both.is_none() {
        charts.extend(chart(runs, "Training loss", |epoch| Some(epoch.train_loss))?);
    }
    charts.extend(both);
    for metric in
        monitored.into_iter().chain(others).filter(|metric| loss(runs).is_none_or(|(loss, _)| loss != *metric))
    {
        let title = format!("{} of the validation rows", metric_title(metric));
        charts.extend(chart(runs, &title, |epoch| epoch.valid.get(metric).copied())?);
    }
    let is_unvalidated = |run: &Run| run.epochs.last().is_some_and(|last| last.valid.is_empty());
    Ok(html! {
        @if !charts.is_empty() { p.note { "The large dot marks the best epoch, whose parameters are kept." } }
        (figures(&charts))
        (absent(runs, |run| match run.epochs.is_empty() {
            true => Some("no epoch is finished, so there is no curve".into()),
            false => is_unvalidated(run).then(|| {
                "there are no validation rows: the training loss is the only curve, and the last epoch counts as the best".into()
            }),
        }))
    })
}

/// The best epoch of a single run.
pub fn result(runs: &[Run]) -> String {
    let [run] = runs else { return String::new() };
    let best = run.best_epoch().map(|best| format!("best epoch {} of {}", best.epoch, run.epochs.len()));
    best.unwrap_or_default()
}

/// The chart that shows best how training went: losses of training and validation, or the metric that chooses the best epoch.
pub fn main(runs: &[Run]) -> Result<Option<Markup>> {
    if let Some(both) = losses(runs)? {
        return Ok(Some(both));
    }
    let Some(first) = runs.first() else { return Ok(None) };
    let metric = first.monitored();
    let same: Vec<&Run> = runs.iter().filter(|run| run.monitored() == metric).collect();
    let title = format!("{} of the validation rows", metric_title(metric));
    chart(same, &title, |epoch| epoch.valid.get(metric).copied())
}

/// A metric, given the mean loss.
type OfLoss = fn(f64) -> f64;

/// The metric of the validation rows that the training loss gives, too, and how; `None` if the loss is another quantity.
fn loss(runs: &[Run]) -> Option<(&'static str, OfLoss)> {
    let of = |run: &Run| match run.task() {
        Task::Regression => Some("rmse"),
        Task::Binary { .. } if shift(&run.predictor.settings.train).is_none() => Some("logloss"),
        Task::Binary { .. } | Task::Ranking { .. } => None,
    };
    let metric = of(runs.first()?)?;
    let are_same = runs.iter().all(|run| of(run) == Some(metric));
    are_same.then_some((metric, if metric == "rmse" { f64::sqrt } else { |loss| loss }))
}

/// The losses of the training and the validation rows in one chart, which shows overfitting.
fn losses(runs: &[Run]) -> Result<Option<Markup>> {
    let Some((metric, of_loss)) = loss(runs) else { return Ok(None) };
    let is_validated = |run: &Run| run.epochs.iter().any(|epoch| epoch.valid.contains_key(metric));
    if !runs.iter().all(is_validated) {
        return Ok(None);
    }
    let title = format!("{} of the training and validation rows", metric_title(metric));
    let mut lines = Lines::of(runs, |epoch| epoch.valid.get(metric).copied());
    for run in runs {
        let points: Vec<(f64, f64)> =
            run.epochs.iter().map(|epoch| (epoch.epoch as f64, of_loss(epoch.train_loss))).collect();
        lines.values.extend(points.iter().map(|point| point.1));
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            lines.words.push(format!("in training, {} goes from {:.4} to {:.4}", run.name, first.1, last.1));
        }
        if points.len() <= DOTS {
            lines.marks.insert(0, Mark::Dots(points.clone(), run.paint, 1.2));
        }
        lines.marks.insert(0, Mark::Faint(points, run.paint));
    }
    let note = "Faint: training rows, each measured before its step. The large dot marks the best epoch.";
    lines.figure(&title, note)
}

/// A number by epoch, with one line per run that has it; `None` if no run has it.
fn chart<'a>(
    runs: impl IntoIterator<Item = &'a Run>,
    title: &str,
    value: impl Fn(&EpochRecord) -> Option<f64>,
) -> Result<Option<Markup>> {
    Lines::of(runs, value).figure(title, "")
}

/// The lines of a chart by epoch.
struct Lines {
    marks: Vec<Mark>,
    legend: Vec<(Paint, String)>,
    /// What each line shows.
    words: Vec<String>,
    values: Vec<f64>,
    /// The last epoch.
    last: usize,
}

impl Lines {
    /// A number by epoch, with one line per run that has it.
    fn of<'a>(runs: impl IntoIterator<Item = &'a Run>, value: impl Fn(&EpochRecord) -> Option<f64>) -> Lines {
        let mut lines = Lines { marks: vec![], legend: vec![], words: vec![], values: vec![], last: 1 };
        for run in runs {
            let point = |epoch: &EpochRecord| Some((epoch.epoch as f64, value(epoch)?));
            let points: Vec<(f64, f64)> = run.epochs.iter().filter_map(point).collect();
            let (Some(first), Some(end)) = (points.first(), points.last()) else { continue };
            let mut told = format!("{} goes from {:.4} to {:.4}", run.name, first.1, end.1);
            lines.last = lines.last.max(end.0 as usize);
            lines.values.extend(points.iter().map(|point| point.1));
            if points.len() <= DOTS {
                lines.marks.push(Mark::Dots(points.clone(), run.paint, 2.0));
            }
            if let Some(best) = run.best_epoch().and_then(point) {
                let name = format!("{}, epoch {}: {:.4}", run.name, best.0, best.1);
                lines.marks.push(Mark::Named(best, run.paint, 4.5, name));
                told.push_str(&format!(", with {:.4} in its best epoch {}", best.1, best.0));
            }
            lines.marks.push(Mark::Line(points, run.paint));
            lines.legend.push((run.paint, run.name.clone()));
            lines.words.push(told);
        }
        lines
    }

    fn figure(self, title: &str, note: &str) -> Result<Option<Markup>> {
        let Lines { marks, legend, words, values, last } = self;
        if marks.is_empty() {
            return Ok(None);
        }
        let chart = Chart { size: SIZE, x: Axis::counting(last, "epoch"), y: Axis::over(values, ""), marks };
        let svg = chart.svg(&format!("{title} by epoch: {}.", words.join("; ")))?;
        Ok(Some(figure(title, &legend, &svg, note)))
    }
}
