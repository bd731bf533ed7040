//! The program `fm`: factorization machines from the command line.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod args;
mod commands;
mod interruption;
mod predictor;
mod progress;
mod settings;
mod tensorboard;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::filter::LevelFilter;

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
            print_error(&one_line(&error.render().to_string()));
            return ExitCode::from(2);
        }
    };
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
    set_threads(args.threads);
    report_panics(args.verbose > 0);
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, args.verbose > 0);
            // 130 is what shells give to what Ctrl-C ended.
            if error.is::<Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

/// A panic in one line. What libtorch panics with is mostly memory that is not there.
fn report_panics(verbose: bool) {
    let with_trace = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if verbose {
            return with_trace(panic);
        }
        let text = panic.payload_as_str().unwrap_or("unknown");
        let is_memory = ["out of memory", "not enough memory", "can't allocate"].iter().any(|sign| text.contains(sign));
        let what =
            if is_memory { "there is not enough memory: take a smaller model or batch" } else { "internal error" };
        let detail: String = one_line(text).chars().take(200).collect();
        print_error(&format!("error: {what} ({detail}); `-v` shows where"));
    }));
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
        Command::Summary(command) => commands::summary::run(command),
        Command::Train(command) => commands::train::run(command),
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

/// One line; the chain behind it with `--verbose`.
fn report(error: &anyhow::Error, verbose: bool) {
    let mut line = format!("error: {}", one_line(&error.to_string()));
    if verbose {
        for cause in error.chain().skip(1) {
            line.push_str(&format!("\n  because: {cause}"));
        }
    }
    print_error(&line);
}

#[allow(clippy::print_stderr, reason = "the program's own error message")]
fn print_error(text: &str) {
    eprintln!("{text}");
}

/// An error's text without line ends, and without the usage that clap adds to its own.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ")
}

/// `fm ... | head` is no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is_closed = |io: &std::io::Error| io.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(is_closed)
}
