//! `fm compare --models auto`: climbs a ladder of models, stops the losers early, and says which model to take.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use fm_args::commands::Compare;
use fm_core::atomic_file::write_atomically;
use fm_core::metric::Metrics;
use fm_core::terminal::grouped;
use fm_core::train::EpochRecord;
use fm_core::{Error, Rows, predict};
use fm_data::TaskName;
use fm_models::Run;
use serde::Serialize;
use tch::Device;

use super::contest::{Contestant, Variation};
use super::{bundle_of, check_fits, finished};
use crate::baselines::Baselines;
use crate::commands::export::latency;
use crate::commands::{print, print_json};
use crate::console::{decimal, is_verbose, width};
use crate::interruption::{Interrupted, resumable};
use crate::metric::{Metric, best_so_far, better};
use crate::results::Results;
use crate::settings::Settings;
use crate::targets::Targets;
use crate::text_table::{Column, fitting, markdown};
use crate::training::{Machine, Start, shell_word, train_watched};

/// The name that stands for the ladder.
pub const AUTO: &str = "auto";
/// The ladder for ratings and binary labels, from the simplest model to the most expensive one.
const LADDER: [&str; 9] = ["lr", "fm", "fwfm", "ffm", "deepfm", "dcn", "dcn_v2", "autoint", "bayesian_fm"];
/// The ladder for rankings.
const OF_RANKINGS: [&str; 6] = ["lr", "fm", "fwfm", "ncf", "deepfm", "sasrec"];
/// How much an epoch improves a model compared with the epoch before, as long as only one improvement is known.
const DECAY: f64 = 0.7;
/// The same at most.
const SLOWEST_DECAY: f64 = 0.8;
/// The share of the best model's parameters up to which another one is worth a mention.
const LIGHTER: f64 = 0.5;

/// A model of the ladder.
#[derive(Serialize)]
struct Rung {
    model: String,
    run: PathBuf,
    #[serde(flatten)]
    ending: Ending,
    /// The best validation result so far.
    valid: Option<f64>,
    /// The best validation result up to each epoch.
    curve: Vec<f64>,
    epochs: usize,
    /// The rest is of a finished run.
    test: Metrics,
    parameters: Option<i64>,
    seconds: Option<f64>,
    file_bytes: Option<u64>,
    /// The time to score one row of a thousand.
    seconds_per_row: Option<f64>,
}

/// How the training of a rung ended.
#[derive(Serialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
enum Ending {
    Finished,
    /// Its curve would not have reached the best model.
    Behind {
        heads_for: f64,
    },
    OutOfTime,
    Diverged,
    /// The model does not take this data.
    Unsuitable {
        reason: String,
    },
}

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
        let settings = contestant.settings(variation)?;
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
        let leader = best(&rungs, metric).map(|rung| rung.curve.clone());
        let (rung, results) = climb(folder, settings, &machine, metric, leader.as_deref(), &is_late)
            .map_err(|error| resumable(error, &which))?;
        if let Some(note) = note(&rung, metric, leader.and_then(|curve| curve.last().copied())) {
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

/// Trains a model until its end, or until it cannot become the best one any more.
fn climb(
    folder: &std::path::Path,
    settings: &Settings,
    machine: &Machine<'_>,
    metric: &Metric,
    leader: Option<&[f64]>,
    is_late: &dyn Fn() -> bool,
) -> Result<(Rung, Option<Results>)> {
    let mut rung = Rung {
        model: settings.model.name.clone(),
        run: folder.to_owned(),
        ending: Ending::Finished,
        valid: None,
        curve: vec![],
        epochs: 0,
        test: Metrics::new(),
        parameters: None,
        seconds: None,
        file_bytes: None,
        seconds_per_row: None,
    };
    let is_first = leader.is_none();
    let mut curve = match Run::open(folder) {
        Ok(run) => best_so_far(metric, &run.files().epochs()?),
        Err(_) => vec![],
    };
    let model = settings.model.build(&machine.prepare(settings, None)?.schema, Device::Cpu);
    let model = match model {
        Ok(built) => built.model,
        Err(Error::Model { source, .. }) => {
            return Ok((Rung { ending: Ending::Unsuitable { reason: source.to_string() }, ..rung }, None));
        }
        Err(error) => return Err(error.into()),
    };
    // The curve of a sampler begins to improve after its burn-in.
    let leader = if model.posterior_sampler().is_some() { None } else { leader };
    let behind = |curve: &[f64]| {
        let (heads_for, leader, now) = (heads_for(metric, curve)?, leader?, *curve.last()?);
        let at_this_epoch = leader.get(curve.len() - 1).or(leader.last())?;
        // A model that is ahead of what the best one was after as many epochs is not stopped.
        let is_behind = metric.is_better(*at_this_epoch, now) && metric.is_better(*leader.last()?, heads_for);
        is_behind.then_some(heads_for)
    };
    let is_finished =
        || -> Result<bool> { Ok(!Run::is_unbegun(folder) && Run::open(folder)?.summary::<Results>()?.is_some()) };
    let results = if is_finished()? {
        Some(finished(folder, settings, machine)?)
    } else if let Some(heads_for) = (1..=curve.len()).find_map(|epochs| behind(&curve[..epochs])) {
        // An earlier comparison has stopped it here.
        rung.ending = Ending::Behind { heads_for };
        None
    } else {
        let start = match Run::open(folder) {
            Ok(run) if run.files().has_checkpoint() => Start::Resume(Box::new(run)),
            _ => Start::New { path: Some(folder.to_owned()), force: folder.exists() },
        };
        let mut stopped = None;
        let mut watch = |record: &EpochRecord| {
            let Some(value) = metric.among(&record.valid) else { return ControlFlow::Continue(()) };
            curve.truncate(record.epoch - 1);
            curve.push(better(metric, curve.last().copied(), value));
            stopped = behind(&curve).map(|heads_for| Ending::Behind { heads_for });
            if stopped.is_none() && !is_first && is_late() {
                stopped = Some(Ending::OutOfTime);
            }
            if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match train_watched(settings, start, machine, &mut watch) {
            Ok((_, results)) => Some(results),
            Err(error) if error.is::<Interrupted>() && !machine.is_stopping() && stopped.is_some() => {
                rung.ending = stopped.unwrap_or(Ending::OutOfTime);
                None
            }
            Err(error) => {
                rung.ending = match error.downcast_ref() {
                    Some(Error::Diverged { .. }) => Ending::Diverged,
                    _ => return Err(error),
                };
                None
            }
        }
    };
    rung.valid = curve.last().copied();
    rung.epochs = curve.len();
    rung.curve = curve;
    if let Some(results) = &results {
        let run = Run::open(folder)?;
        let bundle = bundle_of(&run)?;
        rung.valid = metric.among(&results.valid).filter(|value| value.is_finite());
        rung.epochs = results.epochs;
        rung.test = results.test.clone();
        rung.parameters = Some(results.parameters);
        rung.seconds = Some(results.seconds);
        rung.file_bytes = Some(super::bundle_bytes(&run, &bundle)?);
        let [_, of_many] = latency(&bundle, run.schema())?;
        rung.seconds_per_row = Some(of_many.seconds / of_many.rows as f64);
    }
    Ok((rung, results))
}

/// The value that a curve of best validation results heads for if each epoch improves it by the same share of the
/// improvement before; `None` before its second epoch.
fn heads_for(metric: &Metric, curve: &[f64]) -> Option<f64> {
    let [.., before, last] = *curve else { return None };
    let latest = metric.cost(before) - metric.cost(last);
    let decay = match curve {
        [.., earlier, before, _] => {
            let earlier = metric.cost(*earlier) - metric.cost(*before);
            if earlier > 0.0 { (latest / earlier).clamp(0.0, SLOWEST_DECAY) } else { SLOWEST_DECAY }
        }
        _ => DECAY,
    };
    let rest = latest * decay / (1.0 - decay);
    // The cost of a cost is the value.
    Some(metric.cost(metric.cost(last) - rest))
}

/// What became of a model, if that needs words.
fn note(rung: &Rung, metric: &Metric, to_beat: Option<f64>) -> Option<String> {
    let Rung { model, epochs, .. } = rung;
    let number = |value: f64| decimal(value, 4);
    Some(match &rung.ending {
        Ending::Finished => return None,
        Ending::Behind { heads_for } => format!(
            "{model} is stopped after epoch {epochs}: its {} heads for {}, and the best is {}",
            metric.name,
            number(*heads_for),
            number(to_beat?)
        ),
        Ending::OutOfTime => format!("{model} is stopped after epoch {epochs}, because the time is up"),
        Ending::Diverged => format!("{model} diverged: it needs a lower learning rate"),
        Ending::Unsuitable { reason } => format!("{model} is left out: {reason}"),
    })
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

#[cfg(test)]
mod tests {
    use fm_core::Task;

    use super::*;

    #[test]
    fn a_curve_heads_for_the_limit_of_its_improvements() {
        let rmse = Metric::of(Task::Regression, "rmse").unwrap();
        let auc = Metric::of(Task::Binary { threshold: 1.0 }, "auc").unwrap();
        assert_eq!(heads_for(&rmse, &[1.0]), None);
        // Improvements of 0.2 and 0.1 continue with 0.05, 0.025, ...
        assert!((heads_for(&rmse, &[1.0, 0.8, 0.7]).unwrap() - 0.6).abs() < 1e-9);
        assert!((heads_for(&auc, &[0.5, 0.7, 0.8]).unwrap() - 0.9).abs() < 1e-9);
        // A curve that has stopped improving stays where it is.
        assert_eq!(heads_for(&rmse, &[1.0, 0.8, 0.8]), Some(0.8));
        assert!(heads_for(&rmse, &[1.0, 0.9]).unwrap() < 0.7);
        // Improvements that grow are not continued forever.
        assert!((heads_for(&rmse, &[1.0, 0.95, 0.85]).unwrap() - 0.45).abs() < 1e-9);
    }
}
