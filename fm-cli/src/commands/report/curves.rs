//! Learning curves: the training loss and each validation metric by epoch.

use anyhow::Result;
use fm_core::train::EpochRecord;
use maud::{Markup, html};

use super::absent;
use super::chart::{Axis, Chart, Mark, SIZE};
use super::page::{figure, figures};
use super::run::Run;
use super::summary::metric_title;
use crate::metric::in_order;

/// Maximum number of epochs to draw as dots.
const DOTS: usize = 40;

pub fn body(runs: &[Run]) -> Result<Markup> {
    let metrics = in_order(runs.iter().flat_map(|run| &run.epochs).flat_map(|epoch| epoch.valid.keys()));
    // The metric that chooses the best epoch comes first.
    let is_monitored = |metric: &&String| runs.iter().any(|run| run.monitored() == metric.as_str());
    let (monitored, others): (Vec<&String>, Vec<&String>) = metrics.into_iter().partition(is_monitored);
    let mut charts = vec![];
    charts.extend(chart(runs, "Training loss", |epoch| Some(epoch.train_loss))?);
    for metric in monitored.into_iter().chain(others) {
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

/// A number by epoch, with one line per run that has it; `None` if no run has it.
fn chart(runs: &[Run], title: &str, value: impl Fn(&EpochRecord) -> Option<f64>) -> Result<Option<Markup>> {
    let (mut marks, mut legend, mut words) = (vec![], vec![], vec![]);
    let (mut values, mut last) = (vec![], 1);
    for run in runs {
        let point = |epoch: &EpochRecord| Some((epoch.epoch as f64, value(epoch)?));
        let points: Vec<(f64, f64)> = run.epochs.iter().filter_map(point).collect();
        let (Some(first), Some(end)) = (points.first(), points.last()) else { continue };
        let mut told = format!("{} goes from {:.4} to {:.4}", run.name, first.1, end.1);
        last = last.max(end.0 as usize);
        values.extend(points.iter().map(|point| point.1));
        if points.len() <= DOTS {
            marks.push(Mark::Dots(points.clone(), run.paint, 2.0));
        }
        if let Some(best) = run.best_epoch().and_then(point) {
            marks.push(Mark::Named(best, run.paint, 4.5, format!("{}, epoch {}: {:.4}", run.name, best.0, best.1)));
            told.push_str(&format!(", with {:.4} in its best epoch {}", best.1, best.0));
        }
        marks.push(Mark::Line(points, run.paint));
        legend.push((run.paint, run.name.clone()));
        words.push(told);
    }
    if marks.is_empty() {
        return Ok(None);
    }
    let chart = Chart { size: SIZE, x: Axis::counting(last, "epoch"), y: Axis::over(values, ""), marks };
    let svg = chart.svg(&format!("{title} by epoch: {}.", words.join("; ")))?;
    Ok(Some(figure(title, &legend, &svg, "")))
}
