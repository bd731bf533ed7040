//! `fm compare --models auto`: climbs a ladder of models, stops the losers early, and says which model to take.

mod rung;

use std::io::Write;
use std::time::Instant;

use anyhow::{Result, bail};
use fm_args::commands::Compare;
use fm_core::atomic_file::write_atomically;
use fm_core::metric::Metrics;
use fm_core::terminal::grouped;
use fm_core::{Rows, predict};
use fm_data::TaskName;
use fm_models::Run;
use fm_models::models::bayesian_fm;
use serde::Serialize;
use tch::Device;

use super::check_fits;
use super::contest::{Contestant, Variation};
use crate::baselines::Baselines;
use crate::commands::{print, print_json};
use crate::console::{decimal, is_verbose, width};
use crate::interruption::resumable;
use crate::metric::Metric;
use crate::settings::Settings;
use crate::targets::Targets;
use crate::text_table::{Column, fitting, markdown};
use crate::training::{Machine, shell_word};
use rung::{Ending, Race, Rung};

/// The name that stands for the ladder.
pub const AUTO: &str = "auto";
/// The ladder for ratings and binary labels, from the simplest model to the most expensive one. Models that take as long as
/// all others, such as AutoInt, are not on it.
const LADDER: [&str; 8] = ["lr", "fm", "fwfm", "ffm", "deepfm", "dcn", "dcn_v2", "bayesian_fm"];
/// The ladder for rankings.
const OF_RANKINGS: [&str; 6] = ["lr", "fm", "fwfm", "ncf", "deepfm", "sasrec"];
/// The epochs of Bayesian FM at most. More draws after its burn-in improve it, but little.
const SAMPLED_EPOCHS: usize = 32;
/// The share of the best model's parameters up to which another one is worth a mention.
const LIGHTER: f64 = 0.5;

/// The outcome.
#[derive(Serialize)]
struct Outcome {
    metric: String,
    /// The model with the best validation result.
    take: String,
    /// The standard error of its validation result.
    standard_error: Option<f64>,
    /// A model that is within one standard error, with far fewer parameters.
    lighter: Option<String>,
    models: Vec<Rung>,
    /// The test metrics of the baselines.
    baselines: Baselines,
}

pub fn run(args: &Compare) -> Result<()> {
    if args.models.len() > 1 || !args.configs.is_empty() || !args.seeds.is_empty() || args.folds.is_some() {
        bail!(
            "`--models auto` chooses the models and trains each of them once: leave out other models, --configs, --seeds and \
             --folds, and compare the best models with them afterwards"
        );
    }
    let began = Instant::now();
    let is_late = || began.elapsed() >= args.budget;
    let variation = &Variation::all(args)[0];
    let task = Contestant::all(args, &[LADDER[0].to_owned()])?[0].settings(variation)?.data.task;
    let ladder = if matches!(task, TaskName::Ranking) { &OF_RANKINGS[..] } else { &LADDER };
    let names: Vec<String> = ladder.iter().map(|name| (*name).to_owned()).collect();
    let contestants = Contestant::all(args, &names)?;
    let plan = contestants.iter().map(|contestant| {
        let mut settings = contestant.settings(variation)?;
        if settings.model.name == bayesian_fm::ENTRY.name {
            settings.train.epochs = settings.train.epochs.min(SAMPLED_EPOCHS);
        }
        Ok((args.output.join(&contestant.name).join(&variation.name), settings))
    });
    let plan = plan.collect::<Result<Vec<_>>>()?;
    plan.iter().try_for_each(|(folder, settings)| check_fits(folder, settings))?;
    let metric = &plan[0].1.monitored()?;
    let machine = Machine::new(&args.rows.folders)?;
    let mut rungs: Vec<Rung> = vec![];
    let mut baselines = Baselines::new();
    for (number, (folder, settings)) in plan.iter().enumerate() {
        if is_late() && rungs.iter().any(|rung| matches!(rung.ending, Ending::Finished)) {
            tracing::info!("the time is up: {} of {} models are left out", plan.len() - number, plan.len());
            break;
        }
        let which = format!("model {} of {}: {}", number + 1, plan.len(), settings.model.name);
        tracing::info!("{which}");
        let leader = best(&rungs, metric).map(|rung| &rung.curve[..]);
        // The first model is trained to its end in any case.
        let race = Race { metric, leader, warmup: 0, is_late: &|| leader.is_some() && is_late() };
        let (rung, results) =
            Rung::climb(folder, settings, &machine, &race).map_err(|error| resumable(error, &which))?;
        if let Some(note) = rung.note(&race) {
            tracing::info!("{note}");
        }
        baselines.extend(results.map(|results| results.baselines).unwrap_or_default());
        rungs.push(rung);
    }
    let Some(winner) = best(&rungs, metric) else {
        bail!("none of the models could be trained within the time: give a longer --budget");
    };
    let settings = &plan.iter().find(|(folder, _)| *folder == winner.run).expect("it is of the plan").1;
    let standard_error = standard_error(winner, settings, &machine, metric)?;
    let outcome = Outcome {
        metric: metric.name.clone(),
        take: winner.model.clone(),
        standard_error,
        lighter: lighter(&rungs, winner, standard_error, metric).map(|rung| rung.model.clone()),
        models: rungs,
        baselines,
    };
    let json = serde_json::to_string_pretty(&outcome)?;
    write_atomically(args.output.join("auto.json"), |file| file.write_all(json.as_bytes()))?;
    if args.form.json {
        return print_json(&outcome);
    }
    print(outcome.table(metric, (!is_verbose()).then(width)).trim_end())?;
    outcome.sentences().into_iter().try_for_each(|sentence| print(format!("\n{sentence}")))
}

/// The finished model with the best validation result.
fn best<'a>(rungs: &'a [Rung], metric: &Metric) -> Option<&'a Rung> {
    let finished = rungs.iter().filter(|rung| matches!(rung.ending, Ending::Finished) && rung.valid.is_some());
    let cost = |rung: &Rung| rung.valid.map_or(f64::INFINITY, |value| metric.cost(value));
    finished.min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// The standard error of the winner's validation result; `None` where it cannot be resampled by rows.
fn standard_error(winner: &Rung, settings: &Settings, machine: &Machine<'_>, metric: &Metric) -> Result<Option<f64>> {
    let run = Run::open(&winner.run)?;
    let label = run.schema().label();
    if label.task.is_ranking() {
        return Ok(None);
    }
    let rows = machine.prepare(settings, Some(&run))?.valid;
    let logits = predict(&run.load_uncalibrated(Device::Cpu)?, &rows, Device::Cpu)?;
    let all: Vec<usize> = (0..rows.len()).collect();
    Ok(Targets::of(&rows).standard_error(label, &logits, &all, &metric.name))
}

/// The model with the fewest parameters that is within one standard error of the winner, if it has far fewer.
fn lighter<'a>(rungs: &'a [Rung], winner: &Rung, error: Option<f64>, metric: &Metric) -> Option<&'a Rung> {
    let (error, best, most) = (error?, metric.cost(winner.valid?), winner.parameters? as f64);
    let is_near = |rung: &&Rung| {
        matches!(rung.ending, Ending::Finished)
            && rung.valid.is_some_and(|value| metric.cost(value) <= best + error)
            && rung.parameters.is_some_and(|count| count as f64 <= LIGHTER * most)
    };
    rungs.iter().filter(is_near).min_by_key(|rung| rung.parameters)
}

impl Outcome {
    /// A table of the models and the baselines, best first, with the columns that fit into a width.
    fn table(&self, metric: &Metric, width: Option<usize>) -> String {
        let mut rungs: Vec<&Rung> = self.models.iter().collect();
        let cost = |rung: &Rung| rung.valid.map_or(f64::INFINITY, |value| metric.cost(value));
        rungs.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        let baselines: Vec<(&String, &Metrics)> = self.baselines.iter().collect();
        let column = |name: &str, rank: usize, cells: &dyn Fn(&Rung) -> Option<String>| {
            let of_baselines = baselines.iter().map(|_| None);
            let cells = rungs.iter().map(|rung| cells(rung)).chain(of_baselines);
            Column::new(name, rank, cells.map(|cell| cell.unwrap_or("–".into())))
        };
        let tested = |name: &str, rank: usize| {
            let all = rungs.iter().map(|rung| &rung.test).chain(baselines.iter().map(|(_, metrics)| *metrics));
            let cell = |metrics: &Metrics| metrics.get(name).map_or("–".into(), |value| decimal(*value, 4));
            Column::new(&format!("test {name}"), rank, all.map(cell))
        };
        let names = rungs.iter().map(|rung| rung.model.clone());
        let names = names.chain(baselines.iter().map(|(name, _)| format!("baseline: {name}")));
        let ending = |rung: &Rung| {
            Some(match &rung.ending {
                Ending::Finished => format!("{}", rung.epochs),
                Ending::Behind { .. } => format!("{}, behind", rung.epochs),
                Ending::OutOfTime => format!("{}, no time", rung.epochs),
                Ending::Diverged => "diverged".into(),
                Ending::Unsuitable { .. } => "left out".into(),
            })
        };
        let microseconds = |rung: &Rung| Some(format!("{:.2} µs", 1e6 * rung.seconds_per_row?));
        let mut columns = vec![
            Column::new("", 0, names),
            column(&format!("valid {}", self.metric), 1, &|rung| Some(decimal(rung.valid?, 4))),
            tested(&self.metric, 1),
            column("epochs", 2, &ending),
            column("training", 3, &|rung| Some(format!("{:.1} s", rung.seconds?))),
            column("parameters", 4, &|rung| Some(grouped(rung.parameters?))),
            column("a row", 5, &microseconds),
            column("file", 6, &|rung| Some(format!("{:.1} MB", rung.file_bytes? as f64 / 1e6))),
        ];
        if self.models.iter().any(|rung| rung.test.contains_key("ece")) && self.metric != "ece" {
            columns.push(tested("ece", 7));
        }
        markdown(&match width {
            Some(width) => fitting(columns, width),
            None => columns,
        })
    }

    /// Which model to take and why, and what to do next.
    fn sentences(&self) -> Vec<String> {
        let find = |name: &String| self.models.iter().find(|rung| rung.model == *name);
        let Some(winner) = find(&self.take) else { return vec![] };
        let error =
            self.standard_error.map_or(String::new(), |error| format!(", standard error {}", decimal(error, 4)));
        let value = winner.valid.map_or("–".into(), |value| decimal(value, 4));
        let mut sentences = vec![format!(
            "Take {}: it has the best {} on the validation rows ({value}{error}).",
            self.take, self.metric
        )];
        if let Some(lighter) = self.lighter.as_ref().and_then(find)
            && let (Some(few), Some(many)) = (lighter.parameters, winner.parameters)
        {
            let share = 100.0 * few as f64 / many.max(1) as f64;
            sentences.push(format!(
                "{} is within one standard error of it with {share:.0}% of its parameters: take that one if size or latency \
                 matters.",
                lighter.model
            ));
        }
        sentences.push(format!("next: fm report {}", shell_word(&winner.run.to_string_lossy())));
        sentences
    }
}
