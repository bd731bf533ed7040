//! Results beside those of the baselines, in sentences and in tables.

use fm_core::Task;
use fm_core::metric::{Direction, MetricSet, Metrics};
use fm_core::terminal::grouped;
use maud::{Markup, html};

use super::buckets::short;
use super::page::{Cell, decimals, table};
use super::run::Run;
use crate::metric::in_order;
use crate::results::Results;

pub fn body(runs: &[Run]) -> Markup {
    html! {
        @if let Some(sentence) = comparison(runs) { p { strong { (sentence) } } }
        @for run in runs { p { (sentence(run)) } }
        (results(runs))
        (training(runs))
    }
}

/// The usual name of a metric.
pub fn metric_name(metric: &str) -> String {
    let (name, cutoff) = metric.split_at(metric.find('@').unwrap_or(metric.len()));
    match name {
        "logloss" => "log loss".into(),
        "r2" => "R²".into(),
        "rmse" | "mae" | "auc" | "gauc" | "ece" | "ndcg" | "hr" | "mrr" => name.to_uppercase() + cutoff,
        _ => name.replace('_', " ") + cutoff,
    }
}

/// The same with a capital letter.
pub fn metric_title(metric: &str) -> String {
    capitalized(&metric_name(metric))
}

/// A text with a capital first letter.
pub fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn sentence(run: &Run) -> String {
    let label = run.predictor.schema.label();
    let learns = match label.task {
        Task::Regression => {
            format!("predicts {}, from {} to {}", label.column, short(label.min.into()), short(label.max.into()))
        }
        Task::Binary { threshold } => format!("predicts whether {} is at least {threshold}", label.column),
        Task::Ranking { .. } => "ranks all items for each user".to_owned(),
    };
    let start = format!("{} ({}) {learns}", run.name, run.title());
    let Some(results) = &run.results else {
        let epochs = match run.epochs.len() {
            0 => "in its first epoch".to_owned(),
            1 => "after 1 epoch".to_owned(),
            epochs => format!("after {epochs} epochs"),
        };
        return format!("{start}. Its training was interrupted {epochs}; there are no results yet.");
    };
    let metric = run.monitored();
    let Some(&value) = results.test.get(metric) else {
        return format!("{start}. There are no test rows.");
    };
    let rows = grouped(results.rows.get("test").map_or(0, |&rows| rows as i64));
    let of =
        |(baseline, metrics): (&String, &Metrics)| metrics.get(metric).map(|value| (*value, baseline_name(baseline)));
    let against = match best(run, results.baselines.iter().filter_map(of)) {
        Some((baseline, name)) if baseline > 0.0 => {
            let change = 100.0 * (value - baseline) / baseline;
            let amount = match change {
                -0.05..=0.05 => "as much as".into(),
                ..0.0 => format!("{:.1}% less than", -change),
                _ => format!("{change:.1}% more than"),
            };
            format!(", {amount} the best baseline ({name}, {})", decimals(baseline))
        }
        _ => String::new(),
    };
    format!("{start}. {} on {rows} test rows: {}{against}.", metric_title(metric), decimals(value))
}

/// The best value of the metric that chooses a run's best epoch, and its source.
fn best<T>(run: &Run, values: impl Iterator<Item = (f64, T)>) -> Option<(f64, T)> {
    let entry = MetricSet::of(run.task()).find(run.monitored()).ok()?;
    values.reduce(|best, next| if entry.is_better(next.0, best.0) { next } else { best })
}

/// The best of several runs, if all were measured on the same rows.
fn comparison(runs: &[Run]) -> Option<String> {
    let measured: Vec<(&Run, f64)> =
        runs.iter().filter_map(|run| Some((run, *run.results.as_ref()?.test.get(run.monitored())?))).collect();
    let [(first, _), _, ..] = measured[..] else { return None };
    if !measured.iter().all(|(run, _)| run.task() == first.task() && same_baselines(run, first)) {
        return Some(
            "The runs have different tasks or test rows: compare each one with its own baselines, not with other runs."
                .into(),
        );
    }
    let (value, best) = best(first, measured.iter().map(|(run, value)| (*value, *run)))?;
    Some(format!(
        "{} has the best {} on the test rows: {}.",
        best.name,
        metric_name(first.monitored()),
        decimals(value)
    ))
}

/// Whether a baseline has the same metrics for both runs. The mean label and popularity depend only on the rows, so
/// equal metrics mean equal rows.
fn same_baselines(a: &Run, b: &Run) -> bool {
    let (Some(a), Some(b)) = (&a.results, &b.results) else { return false };
    a.baselines.iter().any(|(name, metrics)| b.baselines.get(name) == Some(metrics))
}

/// Metrics of the runs and of their baselines, by task.
fn results(runs: &[Run]) -> Markup {
    let mut by_task: Vec<Vec<(&Run, &Results)>> = vec![];
    for run in runs {
        let Some(results) = &run.results else { continue };
        match by_task.iter_mut().find(|same| same[0].0.task() == run.task()) {
            Some(same) => same.push((run, results)),
            None => by_task.push(vec![(run, results)]),
        }
    }
    let title = |results: &[(&Run, &Results)], rows: &str| match by_task.len() {
        1 => rows.to_owned(),
        _ => format!("{}: {rows}", task_name(results[0].0.task())),
    };
    html! {
        @for results in &by_task {
            @let test: Vec<(&Run, &Metrics)> = results.iter().map(|(run, results)| (*run, &results.test)).collect();
            @let valid: Vec<(&Run, &Metrics)> = results.iter().map(|(run, results)| (*run, &results.valid)).collect();
            (metrics(&title(results, "Test rows, with baselines"), &test, Some(&baselines(results))))
            (metrics(&title(results, "Validation rows, which choose the best epoch"), &valid, None))
        }
    }
}

/// A table of metrics, with a column for each run and each baseline.
fn metrics(title: &str, runs: &[(&Run, &Metrics)], baselines: Option<&[(String, Metrics)]>) -> Markup {
    let names = in_order(runs.iter().flat_map(|(_, metrics)| metrics.keys()));
    if names.is_empty() {
        return html! {};
    }
    let mut head = vec!["Metric".to_owned()];
    head.extend(runs.iter().map(|(run, _)| run.name.clone()));
    if let Some(baselines) = baselines {
        head.extend(baselines.iter().map(|(name, _)| name.clone()));
        head.push("Meaning".into());
    }
    let row = |name: &&String| {
        let entry = runs.iter().find_map(|(run, _)| MetricSet::of(run.task()).find(name).ok());
        let values: Vec<Option<f64>> = runs.iter().map(|(_, metrics)| metrics.get(*name).copied()).collect();
        let is_best = |value: f64| {
            let is_worse = |other: &f64| entry.is_some_and(|entry| entry.is_better(*other, value));
            values.iter().flatten().count() > 1 && !values.iter().flatten().any(is_worse)
        };
        let mut cells = vec![Cell::Text(metric_title(name))];
        cells.extend(values.iter().map(|value| match value {
            Some(value) if is_best(*value) => Cell::Best(decimals(*value)),
            value => Cell::metric(*value),
        }));
        let Some(baselines) = baselines else { return cells };
        cells.extend(baselines.iter().map(|(_, metrics)| Cell::metric(metrics.get(*name).copied())));
        let words = entry.map(|entry| match entry.direction {
            Direction::Minimize => format!("{}; lower is better", entry.description),
            Direction::Maximize => format!("{}; higher is better", entry.description),
        });
        cells.push(Cell::Words(words.unwrap_or_default()));
        cells
    };
    table(title, &head, &names.iter().map(row).collect::<Vec<_>>())
}

fn baseline_name(name: &str) -> String {
    if name == "mean" { "mean label".into() } else { name.into() }
}

/// Each distinct baseline once, with the names of its runs unless it is the same for all.
fn baselines(results: &[(&Run, &Results)]) -> Vec<(String, Metrics)> {
    let mut found: Vec<(&String, &Metrics, Vec<&str>)> = vec![];
    for (run, results) in results {
        for (name, metrics) in &results.baselines {
            match found.iter_mut().find(|known| (known.0, known.1) == (name, metrics)) {
                Some(known) => known.2.push(&run.name),
                None => found.push((name, metrics, vec![&run.name])),
            }
        }
    }
    let named = |(name, metrics, of): (&String, &Metrics, Vec<&str>)| match of.len() == results.len() {
        true => (baseline_name(name), metrics.clone()),
        false => (format!("{}, for {}", baseline_name(name), of.join(", ")), metrics.clone()),
    };
    found.into_iter().map(named).collect()
}

fn task_name(task: Task) -> String {
    match task {
        Task::Regression => "Regression".into(),
        Task::Binary { threshold } => format!("Binary, from {threshold}"),
        Task::Ranking { threshold: Some(threshold) } => format!("Ranking, from {threshold}"),
        Task::Ranking { threshold: None } => "Ranking".into(),
    }
}

/// The models, and the cost of training.
fn training(runs: &[Run]) -> Markup {
    let head = [
        "Run",
        "Model",
        "Task",
        "Split",
        "Parameters",
        "Best epoch",
        "Epochs",
        "Seconds",
        "Device",
        "Training rows",
        "Validation rows",
        "Test rows",
    ];
    let number = |value: Option<i64>| Cell::Number(value.map_or("–".into(), grouped));
    let row = |run: &Run| {
        let data = &run.predictor.settings.data;
        let split = if data.train.is_some() { "a table for each part" } else { &data.split };
        let parameters: i64 = run.predictor.model.store.variables().values().map(|tensor| tensor.numel() as i64).sum();
        let results = run.results.as_ref();
        let rows = |part: &str| number(results.and_then(|results| results.rows.get(part)).map(|&rows| rows as i64));
        vec![
            Cell::Text(run.name.clone()),
            Cell::Text(run.title().into()),
            Cell::Text(task_name(run.task())),
            Cell::Text(split.into()),
            number(Some(parameters)),
            number(run.best_epoch().map(|epoch| epoch.epoch as i64)),
            number(Some(run.epochs.len() as i64)),
            Cell::Number(results.map_or("–".into(), |results| format!("{:.1}", results.seconds))),
            Cell::Text(results.map_or("–".into(), |results| results.device.clone())),
            rows("train"),
            rows("valid"),
            rows("test"),
        ]
    };
    table("Training", &head.map(str::to_owned), &runs.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_that_papers_give_them() {
        let names = ["rmse", "logloss", "average_precision", "ndcg@10", "hr@5", "coverage@20", "mrr", "r2"];
        let titles = ["RMSE", "Log loss", "Average precision", "NDCG@10", "HR@5", "Coverage@20", "MRR", "R²"];
        assert_eq!(names.map(metric_title), titles);
        assert_eq!(metric_name("logloss"), "log loss");
    }
}
