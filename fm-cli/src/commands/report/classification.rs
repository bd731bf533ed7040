//! How well probabilities separate the classes, and how well they are calibrated.

use anyhow::Result;
use fm_core::Task;
use fm_core::metric::{auc, average_precision, calibration_curve, ece, precision_recall_curve, roc_curve};
use maud::{Markup, html};

use super::absent;
use super::chart::{Axis, Chart, Mark, Paint, SIZE};
use super::no_test_rows;
use super::page::{figure, figures};
use super::run::{Run, TestRows};
use super::thinning::thin;

/// The number of probability intervals of the calibration curve, as for the ECE.
const BINS: usize = 15;

pub fn body(runs: &[Run]) -> Result<Markup> {
    let scored: Vec<(&Run, &TestRows)> = runs
        .iter()
        .filter(|run| matches!(run.task(), Task::Binary { .. }))
        .filter_map(|run| Some((run, run.test_rows()?)))
        .collect();
    let charts = match scored.is_empty() {
        true => vec![],
        false => vec![roc(&scored)?, precision_recall(&scored)?, calibration(&scored)?, histogram(&scored)?],
    };
    Ok(html! {
        (figures(&charts))
        (absent(runs, |run| match run.task() {
            Task::Binary { .. } => no_test_rows(run),
            _ => None,
        }))
        @for (run, _) in &scored {
            @if let Some(shift) = run.predictor.shift() { p { (run.name) ": " (shift) } }
        }
    })
}

/// An axis from 0 to 1.
fn unit(title: &str) -> Axis {
    Axis::new(0.0..1.0, title)
}

/// A curve over the unit square and the number that summarises it; each is `None` where it is undefined.
struct Curve<'a> {
    run: &'a Run,
    points: Option<Vec<(f64, f64)>>,
    number: Option<f64>,
}

/// A chart of curves over the unit square.
struct Square<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    /// The name of the curves' number.
    number: &'a str,
    /// A reference line and its name.
    guide: (&'a str, Vec<(f64, f64)>),
}

impl Square<'_> {
    fn figure<'a>(self, curves: impl Iterator<Item = Curve<'a>>) -> Result<Markup> {
        let Square { title, x, y, number, guide: (name, line) } = self;
        let mut marks = vec![Mark::Line(line, Paint::Muted)];
        let (mut legend, mut words) = (vec![], vec![]);
        for Curve { run, points, number: value } in curves {
            let (Some(points), Some(value)) = (points, value) else {
                legend.push((run.paint, format!("{}: undefined, because one class is missing", run.name)));
                continue;
            };
            legend.push((run.paint, format!("{}: {number} {value:.4}", run.name)));
            words.push(format!("{} {value:.4}", run.name));
            if points.len() <= BINS {
                marks.push(Mark::Dots(points.clone(), run.paint, 2.5));
            }
            marks.push(Mark::Line(points, run.paint));
        }
        legend.push((Paint::Muted, name.into()));
        let chart = Chart { size: SIZE, x: unit(x), y: unit(""), marks };
        let svg = chart.svg(&format!("{title}, {y} over {x}; {number}: {}.", words.join(", ")))?;
        Ok(figure(&format!("{title}: {y}"), &legend, &svg, ""))
    }
}

fn roc(runs: &[(&Run, &TestRows)]) -> Result<Markup> {
    let curves = runs.iter().map(|(run, rows)| {
        let scored = rows.scored();
        let curve = roc_curve(&scored);
        let points = curve.map(|curve| thin(curve.iter().map(|at| (at.false_positive_rate, at.true_positive_rate))));
        Curve { run, points, number: auc(&scored) }
    });
    let guide = ("by chance", vec![(0.0, 0.0), (1.0, 1.0)]);
    let (x, y) = ("false positive rate", "true positive rate");
    Square { title: "ROC curve", x, y, number: "AUC", guide }.figure(curves)
}

fn precision_recall(runs: &[(&Run, &TestRows)]) -> Result<Markup> {
    let curves = runs.iter().map(|(run, rows)| {
        let scored = rows.scored();
        let points = precision_recall_curve(&scored).map(|curve| {
            // A precision applies from the previous recall to its own.
            let from = std::iter::once(0.0).chain(curve.iter().map(|at| at.recall));
            thin(curve.iter().zip(from).flat_map(|(at, from)| [(from, at.precision), (at.recall, at.precision)]))
        });
        Curve { run, points, number: average_precision(&scored) }
    });
    // A random order has the share of positives as precision. If runs have different rows, the line is the first one's.
    let targets = &runs[0].1.targets.labels;
    let share = targets.iter().map(|&target| f64::from(target)).sum::<f64>() / targets.len() as f64;
    let guide = ("by chance", vec![(0.0, share), (1.0, share)]);
    Square { title: "Precision-recall curve", x: "recall", y: "precision", number: "AP", guide }.figure(curves)
}

fn calibration(runs: &[(&Run, &TestRows)]) -> Result<Markup> {
    let curves = runs.iter().map(|(run, rows)| {
        let scored = rows.scored();
        let points = calibration_curve(&scored, BINS).iter().map(|bin| (bin.prediction, bin.positives)).collect();
        Curve { run, points: Some(points), number: ece(&scored) }
    });
    let guide = ("calibrated", vec![(0.0, 0.0), (1.0, 1.0)]);
    let (x, y) = ("predicted probability", "share of positives");
    Square { title: "Calibration", x, y, number: "ECE", guide }.figure(curves)
}

/// The distribution of predicted probabilities.
fn histogram(runs: &[(&Run, &TestRows)]) -> Result<Markup> {
    let edge = |bin: usize| bin as f64 / BINS as f64;
    let (mut marks, mut legend, mut words, mut highest) = (vec![], vec![], vec![], 0f64);
    for (run, rows) in runs {
        let bins = calibration_curve(&rows.scored(), BINS);
        let total: f64 = bins.iter().map(|bin| bin.weight).sum();
        let mut shares = [0.0; BINS];
        for bin in &bins {
            // The mean of a bin is inside it or on its upper edge.
            let place = ((bin.prediction * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            shares[place] += 100.0 * bin.weight / total;
        }
        highest = shares.iter().copied().fold(highest, f64::max);
        let steps = |(bin, share): (usize, &f64)| [(edge(bin), *share), (edge(bin + 1), *share)];
        marks.push(Mark::Line(shares.iter().enumerate().flat_map(steps).collect(), run.paint));
        legend.push((run.paint, run.name.clone()));
        let extremes = shares[0] + shares[BINS - 1];
        words.push(format!("{} predicts {extremes:.1}% of the rows within 1/{BINS} of 0 or 1", run.name));
    }
    let (x, y) = (unit("predicted probability"), Axis::new(0.0..1.08 * highest, ""));
    let title = "Distribution of the predicted probabilities";
    let svg = Chart { size: SIZE, x, y, marks }.svg(&format!("{title}: {}.", words.join(", ")))?;
    Ok(figure(title, &legend, &svg, "Percentage of the test rows."))
}
