//! The program `fm`: factorization machines from the command line.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod args;
mod commands;
mod predictor;
mod progress;
mod settings;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use args::{Args, Command, DataCommand};

fn main() -> ExitCode {
    let args = Args::parse();
    let level = match (args.quiet, args.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(args.verbose > 0)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, args.verbose > 0);
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Data(DataCommand::Download(command)) => commands::data::download(command),
        Command::Data(DataCommand::Inspect(command)) => commands::data::inspect(command),
        Command::Models(command) => commands::models::run(command),
        Command::Summary(command) => commands::summary::run(command),
        Command::Train(command) => commands::train::run(command),
        Command::Evaluate(command) => commands::evaluate::run(command),
        Command::Predict(command) => commands::predict::run(command),
        Command::Recommend(command) => commands::recommend::run(command),
        Command::Export(command) => commands::export::run(command),
        Command::Doctor(command) => commands::doctor::run(command),
        Command::Completions(command) => commands::completions::run(command),
    }
}

/// One line; the chain behind it with `--verbose`.
fn report(error: &anyhow::Error, verbose: bool) {
    let mut line = format!("error: {error}");
    if verbose {
        for cause in error.chain().skip(1) {
            line.push_str(&format!("\n  because: {cause}"));
        }
    }
    #[allow(clippy::print_stderr, reason = "the program's own error message")]
    {
        eprintln!("{line}");
    }
}

/// `fm ... | head` is no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |io: &std::io::Error| io.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(is_closed)
}
