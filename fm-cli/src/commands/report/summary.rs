//! What came out: metrics beside what any model must beat, in a sentence and in a table.

use std::collections::BTreeSet;

use fm_core::Task;
use fm_core::metric::Metrics;
use fm_core::summary::grouped;
use maud::{Markup, html};

use super::page::{Cell, table};
use super::run::Run;
use crate::commands::train::Results;

pub fn body(runs: &[Run]) -> Markup {
    html! {
        @if let Some(sentence) = comparison(runs) { p { strong { (sentence) } } }
        @for run in runs { p { (sentence(run)) } }
        (results(runs))
        (training(runs))
    }
}

/// The name of a metric for people.
pub fn metric_name(metric: &str) -> String {
    match metric {
        "rmse" => "RMSE".into(),
        "mae" => "MAE".into(),
        "auc" => "AUC".into(),
        "logloss" => "log loss".into(),
        other => other.replace('_', " "),
    }
}

/// The same at the beginning of a line.
pub fn metric_title(metric: &str) -> String {
    let name = metric_name(metric);
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Whether a greater value is a better one.
fn is_gain(metric: &str) -> bool {
    !["rmse", "mae", "logloss"].contains(&metric)
}

fn sentence(run: &Run) -> String {
    let label = run.predictor.schema.label();
    let learns = match label.task {
        Task::Regression => format!("predicts {}, from {} to {}", label.column, label.min, label.max),
        Task::Binary { threshold } => format!("predicts whether {} is at least {threshold}", label.column),
    };
    let start = format!("{} ({}) {learns}", run.name, run.title());
    let Some(results) = &run.results else {
        let epochs = match run.epochs.len() {
            0 => "before its first epoch was done".to_owned(),
            1 => "after 1 epoch".to_owned(),
            epochs => format!("after {epochs} epochs"),
        };
        return format!("{start}. Its training was interrupted {epochs}, and has no results yet.");
    };
    let metric = run.monitored();
    let Some(value) = results.test.get(metric) else {
        return format!("{start}. There are no test rows to measure it on.");
    };
    let rows = grouped(results.rows.get("test").map_or(0, |&rows| rows as i64));
    let name = metric_title(metric);
    let of = |(baseline, metrics): (&String, &Metrics)| metrics.get(metric).map(|value| (*value, baseline.clone()));
    let best = results.baselines.iter().filter_map(of).min_by(|a, b| a.0.total_cmp(&b.0));
    let against = match best {
        Some((baseline, name)) if baseline > 0.0 => {
            let change = 100.0 * (value - baseline) / baseline;
            let word = if change <= 0.0 { "less" } else { "more" };
            format!(", {:.1}% {word} than the best baseline ({name}, {baseline:.4})", change.abs())
        }
        _ => String::new(),
    };
    format!("{start}. {name} on {rows} test rows: {value:.4}{against}.")
}

/// Which of several runs is the best, where they have been measured on the same rows.
fn comparison(runs: &[Run]) -> Option<String> {
    let metric = runs.first()?.monitored();
    let measured: Vec<(&Run, f64)> =
        runs.iter().filter_map(|run| Some((run, *run.results.as_ref()?.test.get(metric)?))).collect();
    let is_one_test = runs.iter().all(|run| run.task() == runs[0].task() && same_baselines(run, &runs[0]));
    if measured.len() < 2 || !is_one_test {
        return None;
    }
    let (best, value) = measured.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(format!("{} has the lowest {} on the test rows: {value:.4}.", best.name, metric_name(metric)))
}

/// The mean label's results depend on the rows alone: where they are the same, so are the rows.
fn same_baselines(a: &Run, b: &Run) -> bool {
    let mean = |run: &Run| run.results.as_ref().and_then(|results| results.baselines.get("mean").cloned());
    mean(a) == mean(b)
}

/// Metrics of the runs, and of their baselines.
fn results(runs: &[Run]) -> Markup {
    let results: Vec<(&Run, &Results)> = runs.iter().filter_map(|run| Some((run, run.results.as_ref()?))).collect();
    let metrics: BTreeSet<&String> =
        results.iter().flat_map(|(_, results)| results.test.keys().chain(results.valid.keys())).collect();
    if metrics.is_empty() {
        return html! { p { "No run has results to show." } };
    }
    let best = |metric: &str| {
        let values = results.iter().filter_map(|(_, results)| results.test.get(metric).copied());
        values.reduce(|a, b| if is_gain(metric) { a.max(b) } else { a.min(b) })
    };
    let mut head: Vec<String> = ["Run", "Model", "Task", "Split"].map(str::to_owned).to_vec();
    head.extend(metrics.iter().map(|metric| metric_title(metric)));
    head.extend(metrics.iter().map(|metric| format!("{}, validation", metric_title(metric))));
    let mut rows: Vec<Vec<Cell>> = vec![];
    for (run, results) in &results {
        let data = &run.predictor.settings.data;
        let split = if data.train.is_some() { "a table for each part".into() } else { data.split.clone() };
        let mut row = vec![
            Cell::Text(run.name.clone()),
            Cell::Text(run.title().into()),
            Cell::Text(task_name(run.task())),
            Cell::Text(split),
        ];
        row.extend(metrics.iter().map(|metric| match results.test.get(*metric).copied() {
            Some(value) if runs.len() > 1 && Some(value) == best(metric) => Cell::Best(format!("{value:.4}")),
            value => Cell::metric(value),
        }));
        row.extend(metrics.iter().map(|metric| Cell::metric(results.valid.get(*metric).copied())));
        rows.push(row);
    }
    for (name, values, of) in baselines(&results) {
        let whose =
            if of.len() == results.len() { "baseline".into() } else { format!("baseline of {}", of.join(", ")) };
        let mut row = vec![Cell::Text(name), Cell::Text(whose), Cell::Text(String::new()), Cell::Text(String::new())];
        row.extend(metrics.iter().map(|metric| Cell::metric(values.get(*metric).copied())));
        row.extend(metrics.iter().map(|_| Cell::metric(None)));
        rows.push(row);
    }
    table("Results on the test rows, with baselines beside them, and on the validation rows", &head, &rows)
}

pub fn task_name(task: Task) -> String {
    match task {
        Task::Regression => "regression".into(),
        Task::Binary { .. } => "binary".into(),
    }
}

/// Each baseline once, with the runs that it is of.
fn baselines(results: &[(&Run, &Results)]) -> Vec<(String, Metrics, Vec<String>)> {
    let mut found: Vec<(String, Metrics, Vec<String>)> = vec![];
    for (run, results) in results {
        for (name, metrics) in &results.baselines {
            match found.iter_mut().find(|known| known.0 == *name && known.1 == *metrics) {
                Some(known) => known.2.push(run.name.clone()),
                None => found.push((name.clone(), metrics.clone(), vec![run.name.clone()])),
            }
        }
    }
    found
}

/// What training took.
fn training(runs: &[Run]) -> Markup {
    let head = [
        "Run",
        "Parameters",
        "Best epoch",
        "Epochs",
        "Seconds",
        "Device",
        "Training rows",
        "Validation rows",
        "Test rows",
    ];
    let number = |value: i64| Cell::Number(grouped(value));
    let row = |run: &Run| {
        let parameters: i64 = run.predictor.store.variables().values().map(|tensor| tensor.numel() as i64).sum();
        let best = run.best_epoch().map_or("–".into(), |epoch| epoch.epoch.to_string());
        let rows =
            |part: &str| run.results.as_ref().and_then(|results| results.rows.get(part)).map(|&rows| rows as i64);
        let mut cells = vec![
            Cell::Text(run.name.clone()),
            number(parameters),
            Cell::Number(best),
            number(run.epochs.len() as i64),
            Cell::Number(run.results.as_ref().map_or("–".into(), |results| format!("{:.1}", results.seconds))),
            Cell::Text(run.results.as_ref().map_or("–".into(), |results| results.device.clone())),
        ];
        cells.extend(["train", "valid", "test"].map(|part| rows(part).map_or(Cell::Number("–".into()), number)));
        cells
    };
    table("Training", &head.map(str::to_owned), &runs.iter().map(row).collect::<Vec<_>>())
}
