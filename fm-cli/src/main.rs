//! The program `fm`: factorization machines from the command line.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod args;
mod baselines;
mod commands;
mod hints;
mod interruption;
mod logging;
mod metric;
mod predictor;
mod progress;
mod ranking;
mod settings;
mod tensorboard;
mod training;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Args, Command, DataCommand};
use interruption::Interrupted;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        // Help and version are no errors.
        Err(help) if !help.use_stderr() || help.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            help.exit()
        }
        Err(error) => {
            let text = logging::one_line(&error.render().to_string());
            logging::print_error(text.strip_prefix("error: ").unwrap_or(&text));
            return ExitCode::from(2);
        }
    };
    logging::start(args.log_format, args.quiet, args.verbose);
    set_threads(args.threads);
    logging::report_panics(args.verbose > 0);
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            logging::report(&error, args.verbose > 0);
            // 130 is what shells give to what Ctrl-C ended.
            if error.is::<Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

/// One thread by default: the operations are small, and idle threads of OpenMP spin, which takes the processor from others.
fn set_threads(asked: Option<usize>) {
    match asked {
        Some(threads) => tch::set_num_threads(threads.min(1024) as i32),
        None if std::env::var_os("OMP_NUM_THREADS").is_none() => tch::set_num_threads(1),
        None => {}
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Data(DataCommand::Download(command)) => commands::data::download(command),
        Command::Data(DataCommand::Inspect(command)) => commands::data::inspect(command),
        Command::Models(command) => commands::models::run(command),
        Command::Settings(command) => commands::settings::run(command),
        Command::Summary(command) => commands::summary::run(command),
        Command::Train(command) => commands::train::run(command),
        Command::Compare(command) => commands::compare::run(command),
        Command::Tune(command) => commands::tune::run(command),
        Command::Evaluate(command) => commands::evaluate::run(command),
        Command::Predict(command) => commands::predict::run(command),
        Command::Recommend(command) => commands::recommend::run(command),
        Command::Explain(command) => commands::explain::run(command),
        Command::Report(command) => commands::report::run(command),
        Command::Export(command) => commands::export::run(command),
        Command::Doctor(command) => commands::doctor::run(command),
        Command::Completions(command) => commands::completions::run(command),
    }
}

/// `fm ... | head` is no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |io: &std::io::Error| io.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(is_closed)
}
