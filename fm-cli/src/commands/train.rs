//! `fm train`

use anyhow::Result;
use fm_args::commands;
use fm_core::metric::Metrics;
use fm_core::train::RunDir;
use toml::Value;

use super::print;
use crate::metric::{in_order, is_of_length};
use crate::settings::Settings;
use crate::training::{Machine, Results, Start, check_replaceable, train};

pub fn run(args: &commands::Train) -> Result<()> {
    let (settings, start) = match &args.resume {
        Some(run) => {
            let run = RunDir::open(run)?;
            let mut settings = Settings::load(&run.settings())?;
            if let Some(device) = args.device.value("device").and_then(Value::as_str) {
                settings.device = device.parse()?;
            }
            (settings, Start::Resume(run))
        }
        None => {
            let settings = Settings::from_args(args)?;
            if args.print_config {
                return print(settings.documented()?.trim_end());
            }
            // Before anyone waits for data.
            match &args.run {
                Some(path) if args.force => check_replaceable(path)?,
                Some(path) => RunDir::check_free(path)?,
                None => {}
            }
            (settings, Start::New { path: args.run.clone(), force: args.force })
        }
    };
    let mut machine = Machine::new(&args.folders)?;
    machine.tensorboard = args.tensorboard;
    let (run, results) = train(&settings, start, &machine)?;
    print_results(&results, &run)
}

fn print_results(results: &Results, run: &RunDir) -> Result<()> {
    let mut names = in_order(results.test.keys().chain(results.valid.keys()));
    names.retain(|name| is_of_length(name, "10"));
    let row = |name: &str, cells: Vec<String>| {
        print(format!("{name:<26}{}", cells.iter().map(|cell| format!("{cell:>12}")).collect::<String>()))
    };
    // Long names take two lines, so that a row takes one.
    let words = |name: &str| name.rsplit_once('_').map_or(("".into(), name.into()), |(a, b)| (a.into(), b.into()));
    let (above, below): (Vec<String>, Vec<String>) = names.iter().map(|name| words(name)).unzip();
    if above.iter().any(|word| !word.is_empty()) {
        row("", above)?;
    }
    row("", below)?;
    let line = |name: &str, metrics: &Metrics| {
        let cell = |name: &&String| metrics.get(*name).map_or("-".to_owned(), |value| format!("{value:.4}"));
        row(name, names.iter().map(cell).collect())
    };
    line(&format!("{}, validation", results.model), &results.valid)?;
    line(&format!("{}, test", results.model), &results.test)?;
    for (name, metrics) in &results.valid_baselines {
        line(&format!("{name}, validation"), metrics)?;
    }
    for (name, metrics) in &results.baselines {
        line(&format!("{name}, test"), metrics)?;
    }
    tracing::info!(
        "best epoch {} of {}, {} parameters, {:.1} s; the run is in {}",
        results.best_epoch,
        results.epochs,
        results.parameters,
        results.seconds,
        run.path().display()
    );
    Ok(())
}
