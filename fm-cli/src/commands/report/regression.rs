//! Predicted labels compared with the true ones.

use std::collections::BTreeSet;

use anyhow::Result;
use fm_core::Task;
use maud::{Markup, html};

use super::absent;
use super::buckets::{bucket_of, buckets, quantile, range, short};
use super::chart::{Axis, Chart, Mark, Paint, SIZE};
use super::no_test_rows;
use super::page::{figure, figures};
use super::run::{Run, TestRows};

/// Maximum number of distinct labels to show separately.
const LABELS: usize = 10;
/// Number of bars between the smallest and the largest label.
const BARS: usize = 16;

pub fn body(runs: &[Run]) -> Result<Markup> {
    let scored: Vec<Predictions<'_>> = runs.iter().filter_map(Predictions::new).collect();
    Ok(html! {
        @if !scored.is_empty() { (figures(&[by_label(&scored)?, distributions(&scored)?])) }
        (absent(runs, |run| match run.task() {
            Task::Regression => no_test_rows(run),
            _ => None,
        }))
    })
}

/// The true and the predicted labels of a run's test rows.
struct Predictions<'a> {
    run: &'a Run,
    labels: Vec<f64>,
    predictions: Vec<f64>,
}

impl<'a> Predictions<'a> {
    fn new(run: &'a Run) -> Option<Predictions<'a>> {
        let TestRows { targets, logits, .. } = run.test_rows().filter(|_| run.task() == Task::Regression)?;
        let label = run.predictor.schema.label();
        let predictions = logits.iter().map(|&logit| label.prediction(logit).into()).collect();
        Some(Predictions { run, labels: targets.labels.iter().map(|&target| target.into()).collect(), predictions })
    }
}

/// Quantiles of the predictions for each label, or for buckets if there are many labels.
fn by_label(scored: &[Predictions<'_>]) -> Result<Markup> {
    let labels: Vec<f64> = scored.iter().flat_map(|run| &run.labels).copied().collect();
    let bounds = label_bounds(&labels);
    let names = bounds.iter().map(|&(low, high)| range(low, high));
    let width = 0.8 / scored.len() as f64;
    let (mut marks, mut legend, mut words, mut values) = (vec![], vec![], vec![], vec![]);
    for (place, bucket) in bounds.iter().enumerate() {
        // The position of perfect predictions.
        let middle = (bucket.0 + bucket.1) / 2.0;
        let place = place as f64;
        marks.push(Mark::Line(vec![(place - 0.47, middle), (place + 0.47, middle)], Paint::Muted));
        values.push(middle);
    }
    for (number, Predictions { run, labels, predictions }) in scored.iter().enumerate() {
        let mut told = vec![];
        for (place, name) in names.clone().enumerate() {
            let is_here = |label: f64| bucket_of(&bounds, label) == Some(place);
            let pairs = labels.iter().zip(predictions).filter(|(label, _)| is_here(**label));
            let mut here: Vec<f64> = pairs.map(|(_, prediction)| *prediction).collect();
            here.sort_by(f64::total_cmp);
            let quantiles: Option<Vec<f64>> =
                [0.05, 0.25, 0.5, 0.75, 0.95].iter().map(|&q| quantile(&here, q)).collect();
            let Some([low, lower, median, upper, high]) = quantiles.as_deref().and_then(|found| found.first_chunk())
            else {
                continue;
            };
            let left = place as f64 - 0.4 + width * (number as f64 + 0.08);
            let (middle, right) = (left + width * 0.42, left + width * 0.84);
            marks.push(Mark::Line(vec![(middle, *low), (middle, *high)], run.paint));
            marks.push(Mark::Block([(left, *lower), (right, *upper)], Paint::Back, 1.0));
            marks.push(Mark::Block([(left, *lower), (right, *upper)], run.paint, 0.4));
            marks.push(Mark::Line(vec![(left, *median), (right, *median)], run.paint));
            values.extend([*low, *high]);
            told.push(format!("{} for {name}", short(*median)));
        }
        legend.push((run.paint, run.name.clone()));
        words.push(format!("{}'s median predictions are {}", run.name, told.join(", ")));
    }
    legend.push((Paint::Muted, "the label itself".into()));
    let column = &scored[0].run.predictor.schema.label().column;
    let chart =
        Chart { size: SIZE, x: Axis::named(names, &format!("true {column}")), y: Axis::over(values, ""), marks };
    let title = format!("Predictions by true {column}");
    let svg = chart.svg(&format!("{title}: {}.", words.join("; ")))?;
    let note = "Line: 5% to 95% of the predictions; box: 25% to 75%, with the median.";
    Ok(figure(&title, &legend, &svg, note))
}

/// Single labels if there are few, otherwise buckets with about the same number of rows.
fn label_bounds(labels: &[f64]) -> Vec<(f64, f64)> {
    let distinct: BTreeSet<u64> = labels.iter().map(|label| label.to_bits()).collect();
    if distinct.len() > LABELS {
        return buckets(labels.iter().copied(), LABELS - 2);
    }
    let mut distinct: Vec<f64> = distinct.into_iter().map(f64::from_bits).collect();
    distinct.sort_by(f64::total_cmp);
    distinct.into_iter().map(|label| (label, label)).collect()
}

/// The distributions of labels and predictions.
fn distributions(scored: &[Predictions<'_>]) -> Result<Markup> {
    let labels: Vec<f64> = scored.iter().flat_map(|run| &run.labels).copied().collect();
    let all = || scored.iter().flat_map(|run| &run.predictions).copied().chain(labels.iter().copied());
    let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
    let step = if high > low { (high - low) / BARS as f64 } else { 1.0 };
    // The smallest and the largest label are in the middle of the first and the last bar.
    let edge = |bar: usize| low + (bar as f64 - 0.5) * step;
    let shares = |values: &[f64]| -> Vec<f64> {
        let mut shares = vec![0.0; BARS + 1];
        for value in values {
            shares[(((value - low) / step).round() as usize).min(BARS)] += 100.0 / values.len() as f64;
        }
        shares
    };
    let actual = shares(&labels);
    let (mut legend, mut heights) = (vec![(Paint::Muted, "true".to_owned())], actual.clone());
    let bar =
        |(bar, share): (usize, &f64)| Mark::Block([(edge(bar), *share), (edge(bar + 1), 0.0)], Paint::Muted, 0.35);
    let mut marks: Vec<Mark> = actual.iter().enumerate().filter(|(_, share)| **share > 0.0).map(bar).collect();
    for Predictions { run, predictions, .. } in scored {
        let found = shares(predictions);
        let steps = |(bar, share): (usize, &f64)| [(edge(bar), *share), (edge(bar + 1), *share)];
        marks.push(Mark::Line(found.iter().enumerate().flat_map(steps).collect(), run.paint));
        legend.push((run.paint, run.name.clone()));
        heights.extend(found);
    }
    let column = &scored[0].run.predictor.schema.label().column;
    let highest = heights.into_iter().fold(0.0, f64::max);
    let (x, y) = (Axis::new(edge(0)..edge(BARS + 1), column), Axis::new(0.0..1.08 * highest, ""));
    let title = format!("Distribution of true and predicted {column}");
    let spread = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        [0.05, 0.95].map(|q| quantile(&sorted, q).map_or("–".into(), short)).join(" to ")
    };
    let mut words = vec![format!("90% of the true labels are within {}", spread(&labels))];
    words.extend(
        scored.iter().map(|run| format!("of {}'s predictions within {}", run.run.name, spread(&run.predictions))),
    );
    let svg = Chart { size: SIZE, x, y, marks }.svg(&format!("{title}: {}.", words.join(", ")))?;
    Ok(figure(&title, &legend, &svg, "Percentage of the test rows."))
}
