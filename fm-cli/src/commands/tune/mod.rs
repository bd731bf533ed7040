//! `fm tune`

mod importance;
mod space;
mod study;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;

use anyhow::{Result, anyhow, bail};
use fm_args::commands::Tune;
use fm_core::Error;
use fm_core::atomic_file::write_atomically;
use fm_core::train::EpochRecord;
use fm_models::Run;
use serde_json::json;
use toml::Value;

use self::importance::importance;
use self::space::Space;
use self::study::{Ending, Question, Study, Trial};
use super::{print, print_json};
use crate::console::{decimal, percent};
use crate::interruption::{Interrupted, resumable};
use crate::metric::{Metric, best_so_far, follow};
use crate::settings::Settings;
use crate::training::{Machine, Start, digests, train_watched};

pub fn run(args: &Tune) -> Result<()> {
    let Space { mut fixed, dimensions } = Space::open(&args.space)?;
    let data = [args.rows.keys(), args.device.keys()];
    let keys = data.into_iter().chain([args.model.keys(), args.options.keys(), args.set.keys()]);
    fixed.apply(keys.flatten().collect())?;
    fixed.declare()?;
    let settings = |values: &[Value]| -> Result<Settings> {
        let mut draft = fixed.clone();
        let keys = dimensions.iter().map(|dimension| dimension.key.clone());
        draft.apply(keys.zip(values.iter().cloned()).collect())?;
        draft.resolve()
    };
    // Report invalid values now, not in the middle of the search.
    let first: Vec<Value> = dimensions.iter().map(|dimension| dimension.samples()[0].clone()).collect();
    for (at, dimension) in dimensions.iter().enumerate() {
        for sample in dimension.samples() {
            let mut values = first.clone();
            values[at] = sample;
            settings(&values).map_err(|error| anyhow!("{}: `{}`: {error}", args.space.display(), dimension.key))?;
        }
    }
    let base = settings(&first)?;
    let metric = &base.monitored()?;
    let question = Question {
        settings: fixed.to_toml()?,
        space: dimensions.clone(),
        metric: metric.name.clone(),
        sampler: args.sampler,
        halving: args.halving.map(|first| (first, args.ratio)),
        seed: args.rows.seed().map_or(1, |seed| seed as u64),
        rows: BTreeMap::new(),
    };
    let machine = Machine::new(&args.rows.folders)?;
    let question = Question { rows: digests(&machine.prepare(&base, None)?), ..question };
    let mut study = Study::open(&args.study, question)?;
    while study.trials.len() < args.trials {
        let positions = study.propose(metric)?;
        let values: Vec<Value> =
            dimensions.iter().zip(&positions).map(|(dimension, &at)| dimension.value(at)).collect();
        let trial = attempt(&study, &machine, metric, settings(&values)?, positions, values)?;
        tracing::info!("{}", describe(&study, &trial, args.trials));
        study.add(trial)?;
        keep_best(&study, metric)?;
    }
    let Some(best) = study.best(metric) else { bail!("every trial diverged: search lower learning rates") };
    let text = settings(&best.values)?.to_toml()?;
    let file = args.study.join("best.toml");
    write_atomically(&file, |file| file.write_all(text.as_bytes()))?;
    tracing::info!("train it with `fm train --config {}`", file.display());
    if args.form.json {
        let importance = importance(&study, metric).into_iter().collect::<BTreeMap<String, f64>>();
        let found = json!({ "metric": metric.name, "best": best, "importance": importance, "trials": study.trials });
        return print_json(&found);
    }
    print(format!(
        "{} {} in trial {} of {}",
        metric.name,
        decimal(best.result.unwrap_or(f64::NAN), 4),
        best.number,
        study.trials.len()
    ))?;
    for (dimension, value) in dimensions.iter().zip(&best.values) {
        print(format!("{} = {value}", dimension.key))?;
    }
    let shares = importance(&study, metric);
    let shares: Vec<String> = shares.iter().map(|(key, share)| format!("{key} {}", percent(*share))).collect();
    if !shares.is_empty() {
        print(format!("share of the results' variance that each setting explains: {}", shares.join(", ")))?;
    }
    Ok(())
}

/// Trains a trial, or resumes it if it was interrupted.
fn attempt(
    study: &Study,
    machine: &Machine,
    metric: &Metric,
    settings: Settings,
    positions: Vec<f64>,
    values: Vec<Value>,
) -> Result<Trial> {
    let number = study.trials.len() + 1;
    let folder = study.run(number);
    let (start, mut curve) = match Run::open(&folder) {
        Ok(run) if run.files().has_checkpoint() && Settings::of_run(&run)? == settings => {
            let curve = best_so_far(metric, &run.files().epochs()?);
            (Start::Resume(Box::new(run)), curve)
        }
        _ => (Start::New { path: Some(folder.clone()), force: folder.exists() }, vec![]),
    };
    let began = std::time::Instant::now();
    let ending = match (1..=curve.len()).find(|&epochs| study.is_behind(metric, &curve[..epochs])) {
        // The program was killed after this epoch, before it could record that the trial ends here.
        Some(epochs) => {
            curve.truncate(epochs);
            Ending::Stopped
        }
        None => {
            let mut is_behind = false;
            let mut watch = |record: &EpochRecord| {
                follow(metric, &mut curve, record);
                is_behind = study.is_behind(metric, &curve);
                if is_behind { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let trained = train_watched(&settings, start, machine, &mut watch);
            let ending = ending_of(trained.map(drop), is_behind, machine.is_stopping());
            ending.map_err(|error| resumable(error, &format!("trial {number}")))?
        }
    };
    let result = if ending == Ending::Diverged { None } else { curve.last().copied() };
    Ok(Trial { number, positions, values, result, curve, ending, seconds: began.elapsed().as_secs_f64() })
}

/// How a trial ended, or the error that ends the study. A trial that falls behind in the epoch in which the user stops the
/// program is not recorded: it ends there when the study continues.
fn ending_of(trained: Result<()>, is_behind: bool, is_stopping: bool) -> Result<Ending> {
    match trained {
        Ok(()) => Ok(Ending::Finished),
        Err(error) if error.is::<Interrupted>() && is_behind && !is_stopping => Ok(Ending::Stopped),
        Err(error) if matches!(error.downcast_ref(), Some(Error::Diverged { .. })) => Ok(Ending::Diverged),
        Err(error) => Err(error),
    }
}

/// Removes the runs of all trials except the best one: large models would fill the disk.
fn keep_best(study: &Study, metric: &Metric) -> Result<()> {
    let best = study.best(metric).map(|trial| trial.number);
    for trial in study.trials.iter().filter(|trial| Some(trial.number) != best) {
        let folder = study.run(trial.number);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))?;
        }
    }
    Ok(())
}

fn describe(study: &Study, trial: &Trial, trials: usize) -> String {
    let values = study
        .question
        .space
        .iter()
        .zip(&trial.values)
        .map(|(dimension, value)| format!("  {} = {value}", dimension.key));
    let result = trial
        .result
        .map_or("diverged".to_owned(), |result| format!("{} {}", study.question.metric, decimal(result, 4)));
    let how = match trial.ending {
        Ending::Stopped => format!(" (stopped in epoch {})", trial.curve.len()),
        Ending::Finished | Ending::Diverged => String::new(),
    };
    format!("trial {} of {trials}: {result}{how}{}", trial.number, values.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_in_the_epoch_in_which_a_trial_falls_behind_ends_the_study() {
        let interrupted = || Err(Interrupted("in epoch 2".into()).into());
        assert_eq!(ending_of(interrupted(), true, false).unwrap(), Ending::Stopped);
        for is_behind in [true, false] {
            assert!(ending_of(interrupted(), is_behind, true).unwrap_err().is::<Interrupted>());
        }
        assert_eq!(ending_of(Ok(()), false, true).unwrap(), Ending::Finished);
        assert!(ending_of(Err(anyhow!("no space")), true, false).is_err());
    }
}
