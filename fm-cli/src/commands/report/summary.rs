//! Results beside those of the baselines, in sentences and in tables.

use anyhow::Result;
use fm_core::Task;
use fm_core::metric::{Direction, MetricSet, Metrics, standard_errors};
use fm_core::terminal::grouped;
use maud::{Markup, html};

use super::buckets::short;
use super::curves;
use super::page::{Cell, decimals, more, table};
use super::run::{Group, Run, TestRows};
use crate::metric::in_order;
use crate::results::Results;

/// Metrics that are shown without opening anything, besides the one that chooses the best epoch.
const MAIN: [&str; 8] = ["rmse", "mae", "r2", "logloss", "auc", "ndcg@10", "hr@10", "mrr"];

pub fn section(runs: &[Run], groups: &[Group<'_>]) -> Result<Markup> {
    Ok(html! {
        section id="summary" aria-label="Summary" {
            div.verdict {
                div {
                    @if let Some(sentence) = comparison(runs, groups) { p { strong { (sentence) } } }
                    @for run in runs { p { (sentence(run)) } }
                    ul.headline { @for run in runs { (headline(run)) } }
                }
                @if let Some(chart) = curves::main(runs)? { (chart) }
            }
            (results(runs))
        }
    })
}

/// The metric that chooses the best epoch with its interval.
fn headline(run: &Run) -> Markup {
    let (metric, label) = (run.monitored(), run.predictor.schema.label());
    let value = run.results.as_ref().and_then(|results| results.test.get(metric));
    // Of other rows than those that the run was tested on, the interval would be another one.
    let margin = run.test_rows().filter(|rows| !rows.has_changed).and_then(|rows| rows.margin(label, metric));
    html! {
        @if let Some(&value) = value {
            li {
                b { (decimals(value)) @if let Some(margin) = margin { " ±" (decimals(margin)) } }
                (run.name) ": " (metric_name(metric)) " of the test rows" @if margin.is_some() { ", with its 95% interval" }
            }
        }
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
    let calibrated = match run.predictor.is_calibrated {
        true => " Its scores are calibrated on the validation rows; the learning curves are those of training.",
        false => "",
    };
    format!("{start}. {} on {rows} test rows: {}{against}.{calibrated}", metric_title(metric), decimals(value))
}

/// The best value of the metric that chooses a run's best epoch, and its source.
fn best<T>(run: &Run, values: impl Iterator<Item = (f64, T)>) -> Option<(f64, T)> {
    let entry = MetricSet::of(run.task()).find(run.monitored()).ok()?;
    values.reduce(|best, next| if entry.is_better(next.0, best.0) { next } else { best })
}

/// The best of several runs, if all were measured on the same rows.
fn comparison(runs: &[Run], groups: &[Group<'_>]) -> Option<String> {
    let measured: Vec<(&Run, f64)> =
        runs.iter().filter_map(|run| Some((run, *run.results.as_ref()?.test.get(run.monitored())?))).collect();
    let [(first, _), _, ..] = measured[..] else { return None };
    if !measured.iter().all(|(run, _)| run.task() == first.task() && same_baselines(run, first)) {
        return Some(
            "The runs have different tasks or test rows: compare each one with its own baselines, not with other runs."
                .into(),
        );
    }
    let (value, leader) = best(first, measured.iter().map(|(run, value)| (*value, *run)))?;
    let others = measured.iter().filter(|(run, _)| run.name != leader.name);
    let second = best(first, others.map(|(run, value)| (*value, *run))).map(|(_, second)| second);
    let lead = second.and_then(|second| lead(leader, second, groups)).unwrap_or_default();
    let metric = metric_name(first.monitored());
    Some(format!("{} has the best {metric} on the test rows: {}.{lead}", leader.name, decimals(value)))
}

/// Whether one run is better than another by more than chance, if they were measured on the same rows.
fn lead(leader: &Run, second: &Run, groups: &[Group<'_>]) -> Option<String> {
    let rows = |of: &Run| {
        let is_of = |(run, _): &&(&Run, &TestRows)| run.name == of.name;
        groups.iter().enumerate().find_map(|(at, group)| group.runs.iter().find(is_of).map(|(_, rows)| (at, *rows)))
    };
    let ((group, a), (other, b)) = (rows(leader)?, rows(second)?);
    let are_new = a.has_changed || b.has_changed;
    if group != other || are_new || a.units() != b.units() || leader.monitored() != second.monitored() {
        return None;
    }
    let value =
        |run: &Run, rows: &TestRows, units: &[usize]| rows.metric(run.predictor.schema.label(), run.monitored(), units);
    let difference = |units: &[usize]| Some([(value(leader, a, units)? - value(second, b, units)?).abs()]);
    let signed = |units: &[usize]| Some([value(leader, a, units)? - value(second, b, units)?]);
    let [lead] = difference(&Vec::from_iter(a.units()))?;
    let [error] = standard_errors(a.units().len(), signed)?;
    let margin = 1.96 * error;
    let chance = if lead > margin { "more than chance explains" } else { "which may be chance" };
    Some(format!(" It leads {} by {} ±{}, {chance}.", second.name, decimals(lead), decimals(margin)))
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
            @let title = title(results, "Test rows, with baselines; and validation rows, which choose the best epoch");
            (metrics(&title, results))
        }
    }
}

/// A table of the main metrics, with a column for each run and each baseline, and one of the others.
fn metrics(title: &str, results: &[(&Run, &Results)]) -> Markup {
    let all = in_order(results.iter().flat_map(|(_, results)| results.test.keys().chain(results.valid.keys())));
    let is_monitored = |name: &str| results.iter().any(|(run, _)| run.monitored() == name);
    let (mut main, others): (Vec<&String>, Vec<&String>) =
        all.into_iter().partition(|name| MAIN.contains(&name.as_str()) || is_monitored(name));
    main.sort_by_key(|name| !is_monitored(name));
    html! {
        @if !main.is_empty() { (table_of(title, results, &main)) }
        @if !others.is_empty() { (more("Other metrics", &table_of("Other metrics", results, &others))) }
    }
}

fn table_of(title: &str, results: &[(&Run, &Results)], names: &[&String]) -> Markup {
    let baselines = baselines(results);
    let named = |part: &str| -> Vec<String> {
        let name = |(run, _): &(&Run, &Results)| match (results.len(), part) {
            (1, part) => part.to_owned(),
            (_, "test") => run.name.clone(),
            (_, part) => format!("{}, {part}", run.name),
        };
        results.iter().map(name).collect()
    };
    let mut head = vec!["Metric".to_owned()];
    head.extend(named("test"));
    head.extend(baselines.iter().map(|(name, _)| name.clone()));
    head.extend(named("validation"));
    head.push("Meaning".into());
    let row = |name: &&String| {
        let entry = results.iter().find_map(|(run, _)| MetricSet::of(run.task()).find(name).ok());
        let values = |of: fn(&Results) -> &Metrics| -> Vec<Cell> {
            let values: Vec<Option<f64>> = results.iter().map(|(_, results)| of(results).get(*name).copied()).collect();
            let is_best = |value: f64| {
                let is_worse = |other: &f64| entry.is_some_and(|entry| entry.is_better(*other, value));
                values.iter().flatten().count() > 1 && !values.iter().flatten().any(is_worse)
            };
            let cell = |value: &Option<f64>| match value {
                Some(value) if is_best(*value) => Cell::Best(decimals(*value)),
                value => Cell::metric(*value),
            };
            values.iter().map(cell).collect()
        };
        let words = entry.map(|entry| match entry.direction {
            Direction::Minimize => format!("{}; lower is better", entry.description),
            Direction::Maximize => format!("{}; higher is better", entry.description),
        });
        let mut cells = vec![Cell::Text(metric_title(name))];
        cells.extend(values(|results| &results.test));
        cells.extend(baselines.iter().map(|(_, metrics)| Cell::metric(metrics.get(*name).copied())));
        cells.extend(values(|results| &results.valid));
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
pub fn training(runs: &[Run]) -> Markup {
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
