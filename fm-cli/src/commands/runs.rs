//! `fm runs`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use fm_args::commands::Runs;
use fm_core::Task;
use fm_core::error::nearest;
use fm_core::metric::Metrics;
use fm_core::terminal::grouped;
use fm_models::Run;
use serde::Serialize;

use super::{print, print_json};
use crate::console::{decimal, width};
use crate::metric::{Metric, has_cutoff, in_order};
use crate::results::Results;
use crate::settings::Settings;
use crate::text_table::{Column, fitting, markdown};

/// Settings that say where a run is, and not what it is.
const PLACES: [&str; 2] = ["run", "tensorboard"];
/// Maximum number of characters of a setting in the table.
const LONGEST: usize = 24;

/// A run in the list.
#[derive(Serialize)]
struct Listed {
    /// Its folder.
    run: String,
    model: String,
    created: String,
    /// `finished` or `interrupted`.
    state: &'static str,
    best_epoch: Option<usize>,
    epochs: usize,
    parameters: Option<i64>,
    seconds: Option<f64>,
    /// The metric that chooses the best epoch.
    metric: String,
    valid: Metrics,
    test: Metrics,
    settings: BTreeMap<String, String>,
    #[serde(skip)]
    task: Task,
}

pub fn run(args: &Runs) -> Result<()> {
    let folders = Run::all_in(&args.folder);
    if folders.is_empty() {
        let folder = args.folder.display();
        bail!("there is no run in {folder}: name the folder of your runs, as in `fm runs DIR`");
    }
    let mut listed = vec![];
    for folder in &folders {
        match read(folder) {
            Ok(run) => listed.push(run),
            Err(error) => tracing::warn!("{} is left out: {error}", folder.display()),
        }
    }
    let readable = listed.len();
    if readable == 0 {
        bail!("no run in {} can be read", args.folder.display());
    }
    check_keys(args, &listed)?;
    listed.retain(|run| args.r#where.iter().all(|(key, value)| run.settings.get(key) == Some(value)));
    sort(&mut listed, args.sort.as_deref())?;
    listed.truncate(args.top.unwrap_or(usize::MAX));
    if args.form.json {
        return print_json(&listed);
    }
    if listed.is_empty() {
        bail!("none of the {readable} runs in {} has these settings", args.folder.display());
    }
    print(table(&listed, args).trim_end())
}

fn read(folder: &Path) -> Result<Listed> {
    let run = Run::open(folder)?;
    let settings = Settings::of_run(&run)?;
    let results = Results::of_run(&run)?;
    let epochs = run.files().epochs()?;
    let best = epochs.iter().rev().find(|epoch| epoch.best);
    Ok(Listed {
        run: folder.display().to_string(),
        model: run.model().name.clone(),
        created: run.created().to_owned(),
        state: if results.is_some() { "finished" } else { "interrupted" },
        best_epoch: best.map(|best| best.epoch),
        epochs: epochs.len(),
        parameters: results.as_ref().map(|results| results.parameters),
        seconds: results.as_ref().map(|results| results.seconds),
        metric: settings.monitored()?.name,
        valid: match &results {
            Some(results) => results.valid.clone(),
            None => best.map(|best| best.valid.clone()).unwrap_or_default(),
        },
        test: results.map(|results| results.test).unwrap_or_default(),
        settings: settings.by_key()?,
        task: run.schema().label().task,
    })
}

/// Fails for a setting that no run has.
fn check_keys(args: &Runs, listed: &[Listed]) -> Result<()> {
    let known: BTreeSet<&str> = listed.iter().flat_map(|run| run.settings.keys()).map(String::as_str).collect();
    for key in args.r#where.iter().map(|(key, _)| key).chain(&args.show) {
        if !known.contains(key.as_str()) {
            let near = nearest(key, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            bail!("no run has the setting `{key}`{}", near.unwrap_or_default());
        }
    }
    Ok(())
}

/// Sorts runs by a column. Those without it come last.
fn sort(listed: &mut [Listed], by: Option<&str>) -> Result<()> {
    let shared = listed.first().map(|first| first.metric.clone());
    let shared = shared.filter(|metric| listed.iter().all(|run| run.metric == *metric));
    let by = by.map(str::to_owned).or(shared).unwrap_or_else(|| "created".into());
    match by.as_str() {
        "name" => listed.sort_by(|a, b| a.run.cmp(&b.run)),
        "created" => listed.sort_by(|a, b| b.created.cmp(&a.created)),
        name => {
            let metrics: Vec<Option<Metric>> = listed.iter().map(|run| Metric::of(run.task, name).ok()).collect();
            if metrics.iter().all(Option::is_none)
                && let Some(first) = listed.first()
            {
                // An error that names the metrics there are.
                Metric::of(first.task, name)?;
            }
            let cost = |run: &Listed| {
                let metric = Metric::of(run.task, name).ok();
                metric.and_then(|metric| Some(metric.cost(metric.among(&run.test)?))).unwrap_or(f64::INFINITY)
            };
            listed.sort_by(|a, b| cost(a).total_cmp(&cost(b)).then_with(|| a.run.cmp(&b.run)));
        }
    }
    Ok(())
}

fn table(listed: &[Listed], args: &Runs) -> String {
    let column =
        |name: &str, rank: usize, cell: &dyn Fn(&Listed) -> String| Column::new(name, rank, listed.iter().map(cell));
    let sorted = args.sort.as_ref().filter(|name| listed.iter().any(|run| run.test.contains_key(*name)));
    let shared = listed.first().map(|first| &first.metric);
    let shared = shared.filter(|metric| listed.iter().all(|run| run.metric == **metric));
    let number = |metrics: &Metrics, name: &str| metrics.get(name).map_or("-".into(), |value| decimal(*value, 4));
    let mut columns = vec![column("run", 0, &|run| run.run.clone()), column("model", 2, &|run| run.model.clone())];
    match sorted.or(shared) {
        Some(main) => {
            columns.push(column(&format!("valid {main}"), 4, &|run| number(&run.valid, main)));
            let mut metrics = in_order(listed.iter().flat_map(|run| run.test.keys()));
            let length = main.split_once('@').map_or("10", |(_, length)| length);
            metrics.retain(|name| has_cutoff(name, length));
            metrics.sort_by_key(|name| *name != main);
            for (at, name) in metrics.iter().enumerate() {
                let rank = if at == 0 { 1 } else { 60 + at };
                columns.push(column(name, rank, &|run| number(&run.test, name)));
            }
        }
        // Each run has the metric that chooses its best epoch.
        None => columns.extend([
            column("metric", 1, &|run| run.metric.clone()),
            column("valid", 4, &|run| number(&run.valid, &run.metric)),
            column("test", 1, &|run| number(&run.test, &run.metric)),
        ]),
    }
    columns.push(column("epochs", 3, &|run| match (run.best_epoch, run.state) {
        (Some(best), "finished") => format!("{best}/{}", run.epochs),
        (_, "finished") => "-".into(),
        _ => format!("{}, interrupted", run.epochs),
    }));
    for (at, key) in shown(listed, &args.show).into_iter().enumerate() {
        let cell = |run: &Listed| {
            let value = run.settings.get(&key).cloned().unwrap_or_else(|| "-".into());
            match value.chars().count() {
                0..=LONGEST => value,
                _ => value.chars().take(LONGEST - 1).chain(['…']).collect(),
            }
        };
        columns.push(column(&key, if args.show.is_empty() { 10 + at } else { 1 }, &cell));
    }
    columns.extend([
        column("training", 50, &|run| run.seconds.map_or("-".into(), |seconds| format!("{seconds:.1} s"))),
        column("parameters", 51, &|run| run.parameters.map_or("-".into(), grouped)),
        column("created", 52, &|run| run.created.clone()),
    ]);
    markdown(&fitting(columns, width()))
}

/// The settings to show: those asked for, or those that differ between the runs.
fn shown(listed: &[Listed], asked: &[String]) -> Vec<String> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let keys: BTreeSet<&String> = listed.iter().flat_map(|run| run.settings.keys()).collect();
    let differs = |key: &&String| {
        let first = listed.first().and_then(|run| run.settings.get(*key));
        listed.iter().any(|run| run.settings.get(*key) != first)
    };
    // The model has a column of its own.
    let is_told = |key: &str| key == "model.name" || PLACES.contains(&key);
    keys.into_iter().filter(differs).filter(|key| !is_told(key)).cloned().collect()
}
