//! The engine of `fm`: parses the command line like `fm` and runs the command. It is a library so that fuzz targets can
//! call its readers.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod baselines;
mod changes;
mod commands;
mod console;
mod evaluation;
mod extremes;
mod hints;
mod importance;
mod interruption;
mod labels;
mod logging;
mod memory;
mod metric;
mod periods;
mod predictor;
mod probabilities;
mod processes;
mod progress;
mod ranking;
mod ranking_baselines;
mod results;
mod selection;
mod settings;
mod suspicions;
mod targets;
mod tensorboard;
mod text_table;
mod thresholds;
mod training;
mod values;

use std::process::ExitCode;

use fm_args::commands::DataCommand;
use fm_args::{Args, Command};
use fm_core::mapped_file::report_lost_parts;
use fm_data::threads::set_num_threads;

use interruption::{EXIT_CODE, Interrupted};
use settings::keep_standard_input;

/// Runs the program.
pub fn main() -> ExitCode {
    fm_args::completion::answer();
    let args = match fm_args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let general = &args.general;
    let is_quiet = general.quiet || processes::is_follower(&args.command);
    logging::start(general.log_format, is_quiet, general.verbose);
    if let Err(error) = check_version() {
        logging::report(&error, general.verbose > 0);
        return ExitCode::FAILURE;
    }
    set_threads(general.threads);
    logging::report_panics(general.verbose > 0);
    report_lost_parts();
    let code = match run(&args) {
        Ok(()) => 0,
        Err(error) if is_closed_pipe(&error) => 0,
        Err(error) => {
            if !processes::is_told_elsewhere(&error, &args.command) {
                logging::report(&error, general.verbose > 0);
            }
            if error.is::<Interrupted>() { EXIT_CODE } else { 1 }
        }
    };
    fm_data::table::standard_input::remove();
    fm_core::device::end_process(code)
}

/// Checks that `fm` has the same version, if it started this program.
fn check_version() -> anyhow::Result<()> {
    if let Some(version) = std::env::var_os(fm_args::VERSION_VARIABLE).filter(|version| *version != fm_args::VERSION) {
        anyhow::bail!(
            "`fm` has version {}, but its engine has {}: install both together",
            version.display(),
            fm_args::VERSION
        );
    }
    Ok(())
}

/// One thread of libtorch by default: the operations are small, and idle OpenMP threads spin, which slows down other
/// processes. Tables are read and encoded on all cores by default.
fn set_threads(asked: Option<usize>) {
    match asked {
        Some(threads) => {
            let processors = std::thread::available_parallelism().map_or(threads, usize::from);
            if threads > processors {
                tracing::warn!(
                    "`--threads {threads}` is more than this machine's {processors} processors: {processors} threads are used"
                );
            }
            let threads = threads.min(processors);
            tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
            set_num_threads(threads);
        }
        None if std::env::var_os("OMP_NUM_THREADS").is_none() => tch::set_num_threads(1),
        None => {}
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Train(command) => keep_standard_input(&command.rows.folders),
        Command::Compare(command) => keep_standard_input(&command.rows.folders),
        Command::Tune(command) => keep_standard_input(&command.rows.folders),
        Command::Summary(command) => keep_standard_input(&command.rows.folders),
        Command::Evaluate(command) => keep_standard_input(&command.folders),
        Command::Data(DataCommand::Inspect(command)) => keep_standard_input(&command.folders),
        _ => {}
    }
    match &args.command {
        Command::Data(command) => commands::data::run(command),
        Command::Models(command) => commands::models::run(command),
        Command::Settings(command) => commands::settings::run(command),
        Command::Summary(command) => commands::summary::run(command),
        Command::Train(command) => commands::train::run(command),
        Command::Compare(command) => commands::compare::run(command),
        Command::Tune(command) => commands::tune::run(command),
        Command::Evaluate(command) => commands::evaluate::run(command),
        Command::Calibrate(command) => commands::calibrate::run(command),
        Command::Ensemble(command) => commands::ensemble::run(command),
        Command::Predict(command) => commands::predict::run(command),
        Command::Recommend(command) => commands::recommend::run(command),
        Command::Explain(command) => commands::explain::run(command),
        Command::Report(command) => commands::report::run(command),
        Command::Runs(command) => commands::runs::run(command),
        Command::Export(command) => commands::export::run(command),
        Command::Serve(command) => commands::serve::run(command, args.general.threads),
        Command::Verify(command) => commands::verify::run(command),
        Command::Doctor(command) => commands::doctor::run(command),
        Command::Completions(command) => commands::print_completions(&command.shell),
        Command::Man(command) => commands::man::run(command),
    }
}

/// Reads a settings file as `fm train --config` does, and returns the text of a file with all settings.
///
/// # Errors
/// What is wrong with the file.
pub fn resolved_settings(file: &str) -> anyhow::Result<String> {
    settings::Draft::open(file)?.resolve()?.to_toml()
}

/// `fm ... | head` is not an error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |io: &std::io::Error| io.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(is_closed)
}
