//! `fm train`

use anyhow::{Result, bail};
use fm_args::commands;
use fm_args::flags::Tables;
use fm_core::metric::Metrics;
use fm_core::terminal::grouped;
use fm_models::Run;
use toml::Value;

use super::print;
use crate::changes::Values;
use crate::console;
use crate::metric::{has_cutoff, in_order};
use crate::processes::{self, agree, together};
use crate::results::Results;
use crate::settings::Settings;
use crate::suspicions;
use crate::training::{Machine, Start, check_replaceable, follow, shell_word, train};

pub fn run(args: &commands::Train) -> Result<()> {
    if args.print_config {
        return print(Settings::from_args(args)?.documented()?.trim_end());
    }
    let (group, is_restarted) = processes::join(&args.processes)?;
    let tables = args.processes.tables;
    // All processes exchange the same messages in the same order, here and in training: rank 0 below, the others first.
    if let Some(group) = group.as_ref().filter(|group| !group.is_first()) {
        together(Some(group), Ok(()))?;
        // A run need not be on the disk of this machine.
        let settings = Settings::parse(&group.text_of_first("")?)?;
        let own = together(Some(group), if args.resume.is_some() { Ok(settings) } else { Settings::from_args(args) })?;
        agree(Some(group), "settings", &own.to_toml()?)?;
        agree(Some(group), "`--tables`", &format!("{tables:?}"))?;
        let machine = together(Some(group), Machine::new(&args.rows.folders))?;
        return follow(&own, &machine.in_group(Some(group), tables));
    }
    let (settings, start) = together(group.as_ref(), start(args, is_restarted))?;
    if let Some(group) = &group {
        let text = settings.to_toml()?;
        group.text_of_first(&text)?;
        together(Some(group), Ok(()))?;
        agree(Some(group), "settings", &text)?;
        agree(Some(group), "`--tables`", &format!("{tables:?}"))?;
    }
    if let (Start::Resume(run), None) = (&start, &group)
        && let Some(results) = run.summary::<Results>()?.filter(|results| results.epochs == 0)
    {
        tracing::info!("an ensemble of trained models has nothing to resume: these are its results");
        return print_results(&results, run, &settings.monitored()?.name);
    }
    let mut machine = together(group.as_ref(), Machine::new(&args.rows.folders))?.in_group(group.as_ref(), tables);
    machine.tensorboard = args.tensorboard;
    let (run, results) = train(&settings, start, &machine)?;
    if let Some(warning) = suspicions::of_results(&results, &settings) {
        tracing::warn!("{warning}");
    }
    print_results(&results, &run, &settings.monitored()?.name)
}

/// The settings, and where training starts.
fn start(args: &commands::Train, is_restarted: bool) -> Result<(Settings, Start)> {
    if let Some(run) = &args.resume {
        let run = Run::open(run)?;
        let mut settings = Settings::of_run(&run)?;
        if let Some(device) = args.device.value("device").and_then(Value::as_str) {
            settings.device = device.parse()?;
        }
        return Ok((settings, Start::Resume(Box::new(run))));
    }
    let (settings, mut force) = (Settings::from_args(args)?, args.force);
    // A launcher starts the processes again when one of them has ended.
    if let Some(path) = args.run.as_ref().filter(|_| is_restarted) {
        let is_own = |run: &Run| Settings::of_run(run).is_ok_and(|of_run| of_run == settings);
        if let Some(run) = Run::open(path).ok().filter(is_own) {
            return Ok((settings, Start::Resume(Box::new(run))));
        }
        force |= Run::is_unbegun(path);
    }
    // Check this before reading the data.
    if settings.init_from.is_some() && args.processes.tables == Tables::Sharded {
        bail!("sharded tables cannot start from another run: leave out `--init-from`, or use `--tables replicated`");
    }
    match &args.run {
        Some(path) if force => check_replaceable(path)?,
        Some(path) => Run::check_free(path)?,
        None => {}
    }
    Ok((settings, Start::New { path: args.run.clone(), force }))
}

/// The widths of the first column and of the others.
const COLUMNS: (usize, usize) = (26, 12);

/// Prints a table of the results of a run beside the baselines, and what to do next. The table fits the terminal: the main
/// metric comes first, and `--verbose` prints all.
pub fn print_results(results: &Results, run: &Run, main: &str) -> Result<()> {
    let all = results.test.keys().chain(results.valid.keys()).chain(results.progressive.keys());
    let mut names = in_order(all);
    names.retain(|name| has_cutoff(name, "10"));
    let names = console::fitting(names, main, console::width() - COLUMNS.0, COLUMNS.1);
    match names.is_empty() {
        true => tracing::warn!("there are no validation or test rows: nothing is measured"),
        false => print_table(results, run, &names)?,
    }
    // An ensemble has no epochs of its own.
    let epochs = match results.epochs {
        0 => String::new(),
        epochs => format!("best epoch {} of {epochs}, ", results.best_epoch),
    };
    tracing::info!(
        "{epochs}{} parameters, {:.1} s; the run is in {}",
        grouped(results.parameters),
        results.seconds,
        run.folder().display()
    );
    let folder = shell_word(&run.folder().to_string_lossy());
    console::suggest(&[
        format!("fm report {folder}"),
        format!("fm evaluate {folder} --output scored.csv"),
        format!("fm export {folder} --output model.pt"),
    ]);
    Ok(())
}

/// Prints the metrics with these names.
fn print_table(results: &Results, run: &Run, names: &[&String]) -> Result<()> {
    let (first, column) = COLUMNS;
    let row = |name: &str, cells: Vec<String>| {
        print(format!("{name:<first$}{}", cells.iter().map(|cell| format!("{cell:>column$}")).collect::<String>()))
    };
    // Long names take two lines, so that a row takes one.
    let words = |name: &str| name.rsplit_once('_').map_or(("".into(), name.into()), |(a, b)| (a.into(), b.into()));
    let (above, below): (Vec<String>, Vec<String>) = names.iter().map(|name| words(name)).unzip();
    if above.iter().any(|word| !word.is_empty()) {
        row("", above)?;
    }
    row("", below)?;
    let line = |name: &str, metrics: &Metrics| {
        let cell = |name: &&String| metrics.get(*name).map_or("-".to_owned(), |value| console::decimal(*value, 4));
        row(name, names.iter().map(cell).collect())
    };
    if !results.progressive.is_empty() {
        line(&format!("{}, progressive", results.model), &results.progressive)?;
    }
    line(&format!("{}, validation", results.model), &results.valid)?;
    line(&format!("{}, test", results.model), &results.test)?;
    // The model of the run that training started from.
    if let Some(changes) = Values::of_run(run)?.and_then(|values| values.changes) {
        for (part, metrics) in [("validation", &changes.valid), ("test", &changes.test)] {
            if !metrics.is_empty() {
                line(&format!("before, {part}"), metrics)?;
            }
        }
    }
    for (name, metrics) in &results.valid_baselines {
        line(&format!("{name}, validation"), metrics)?;
    }
    for (name, metrics) in &results.baselines {
        line(&format!("{name}, test"), metrics)?;
    }
    Ok(())
}
