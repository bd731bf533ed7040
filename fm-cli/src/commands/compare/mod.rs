//! `fm compare`

mod auto;
mod contest;
mod leaderboard;
mod significance;

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use fm_args::commands::Compare;
use fm_core::atomic_file::write_atomically;
use fm_core::script::{Bundle, BundleOptions, Origin, SETTINGS_FILE};
use fm_models::Run;
use tch::Device;

use self::contest::{Contestant, Variation};
use self::leaderboard::{Entrant, Leaderboard};
use super::{print, print_json};
use crate::console::{is_verbose, width};
use crate::interruption::resumable;
use crate::metric::Metric;
use crate::results::Results;
use crate::settings::Settings;
use crate::training::{Machine, Start, assemble, check_replaceable, digests, train};

/// The name of the run of an ensemble, beside those of its members.
const ENSEMBLE: &str = "ensemble";

pub fn run(args: &Compare) -> Result<()> {
    if args.models.iter().any(|name| name == auto::AUTO) {
        return auto::run(args);
    }
    let (contestants, variations) = (Contestant::all(args, &args.models)?, Variation::all(args));
    // Check all settings before the first training: an error in the last one should not appear after hours.
    let mut plan = Vec::new();
    for contestant in &contestants {
        for variation in &variations {
            let folder = args.output.join(&contestant.name).join(&variation.name);
            plan.push((folder, contestant.settings(variation)?));
        }
    }
    plan.iter().try_for_each(|(folder, settings)| check_fits(folder, settings))?;
    if args.ensemble {
        if variations.len() < 2 {
            bail!("`--ensemble` needs at least two `--seeds`");
        }
        let ensembles = contestants.iter().map(|contestant| args.output.join(&contestant.name).join(ENSEMBLE));
        ensembles.filter(|folder| folder.exists()).try_for_each(|folder| check_replaceable(&folder))?;
    }
    let first = &plan[0].1;
    if let Some((folder, other)) = plan.iter().find(|(_, settings)| settings.data.task != first.data.task) {
        bail!(
            "{} has the task {:?}, unlike the first run: their metrics cannot be compared",
            folder.display(),
            other.data.task
        );
    }
    let metric = match &args.metric {
        Some(name) => Metric::of(first.data.task.of_any_threshold(), name)?,
        None => first.monitored()?,
    };
    let machine = Machine::new(&args.rows.folders)?;
    let mut results = Vec::with_capacity(plan.len());
    for (number, (folder, settings)) in plan.iter().enumerate() {
        let which = format!("training {} of {}: {}", number + 1, plan.len(), folder.display());
        tracing::info!("{which}");
        results.push(finished(folder, settings, &machine).map_err(|error| resumable(error, &which))?);
    }
    let mut results = results.into_iter();
    let mut entrants = Vec::new();
    if args.ensemble {
        for contestant in &contestants {
            entrants.push(ensemble_of(&args.output.join(&contestant.name), &variations, &machine)?);
        }
    }
    for contestant in contestants {
        let first = Run::open(args.output.join(&contestant.name).join(&variations[0].name))?;
        let results = results.by_ref().take(variations.len()).collect();
        entrants.push(Entrant {
            name: contestant.name,
            results,
            bundle_bytes: bundle_bytes(&first, &bundle_of(&first)?)?,
        });
    }
    let names = variations.into_iter().map(|variation| variation.name).collect();
    let board = Leaderboard::new(entrants, &metric, names, args.ensemble);
    let (json, markdown) = (serde_json::to_string_pretty(&board)?, board.markdown(None));
    write_atomically(args.output.join("leaderboard.json"), |file| file.write_all(json.as_bytes()))?;
    write_atomically(args.output.join("leaderboard.md"), |file| file.write_all(markdown.as_bytes()))?;
    tracing::info!("leaderboard.md and leaderboard.json are in {}", args.output.display());
    if args.form.json { print_json(&board) } else { print(board.markdown((!is_verbose()).then(width)).trim_end()) }
}

/// The mean of the models of all seeds in a folder, which becomes a run beside them.
fn ensemble_of(folder: &Path, variations: &[Variation], machine: &Machine) -> Result<Entrant> {
    let members = variations.iter().map(|variation| Run::open(folder.join(&variation.name)));
    let members = members.collect::<fm_core::Result<Vec<_>>>()?;
    let (run, results) = assemble(&members, (Some(folder.join(ENSEMBLE)), true), machine)?;
    let name = format!("ensemble of {} {}", members.len(), folder.file_name().unwrap_or_default().to_string_lossy());
    Ok(Entrant { name, results: vec![results], bundle_bytes: bundle_bytes(&run, &bundle_of(&run)?)? })
}

/// Checks that a folder is free, or contains a run with exactly these settings.
fn check_fits(folder: &Path, settings: &Settings) -> Result<()> {
    if Run::is_unbegun(folder) {
        return Ok(());
    }
    if Settings::of_run(&Run::open(folder)?)? != *settings {
        bail!("{} was trained with other settings: choose another --output, or remove it", folder.display());
    }
    Ok(())
}

/// The results of a run. Resumes or starts its training if it is not finished.
fn finished(folder: &Path, settings: &Settings, machine: &Machine) -> Result<Results> {
    if Run::is_unbegun(folder) {
        // What a program that was killed at the start has left is replaced.
        let start = Start::New { path: Some(folder.to_owned()), force: true };
        return Ok(train(settings, start, machine)?.1);
    }
    let run = Run::open(folder)?;
    // As training has left it: a calibration of some of the runs would make them incomparable.
    match run.summary()? {
        Some(results) => {
            check_data(&run, settings, machine)?;
            Ok(results)
        }
        None => Ok(train(settings, Start::Resume(Box::new(run)), machine)?.1),
    }
}

/// Checks that a finished run was trained on the rows that the data has now: results on other rows cannot be compared.
fn check_data(run: &Run, settings: &Settings, machine: &Machine) -> Result<()> {
    let folder = run.folder().display();
    match machine.prepare(settings, Some(run)) {
        Ok(data) if run.has_rows(&digests(&data)) => {}
        Ok(_) => bail!("the data has changed since {folder} was trained: choose another --output, or remove it"),
        Err(error) => {
            tracing::warn!("the data of {folder} cannot be read, so its results may be of other rows: {error}")
        }
    }
    Ok(())
}

/// The exported model of a run.
fn bundle_of(run: &Run) -> Result<Bundle> {
    let trained = run.load_uncalibrated(Device::Cpu)?;
    Ok(Bundle::new(trained.model.as_ref(), &trained.store, run.schema(), &BundleOptions::default())?)
}

/// The size of the file that `fm export` would write, without metrics and a model card.
fn bundle_bytes(run: &Run, bundle: &Bundle) -> Result<u64> {
    let origin = serde_json::to_string(&run.origin())?;
    Ok(bundle.size(&[(SETTINGS_FILE, run.settings()), (Origin::FILE, &origin)])?)
}
