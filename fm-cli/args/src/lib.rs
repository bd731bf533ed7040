//! The command line of `fm`: arguments, help, errors and completion.
//!
//! This crate depends neither on libtorch nor on the data crates: `fm` parses with it in milliseconds, and starts the
//! engine only if the command line is valid. The help of flags for settings comes from `settings.schema.json`, which is
//! generated from the types of the settings.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod commands;
pub mod completion;
mod documentation;
pub mod flags;
pub mod manual;
pub mod ready_made;

pub use clap;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueEnum};

use commands::*;

/// Factorization machines for recommendation and click-through prediction.
///
/// Results go to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(
    name = "fm",
    version,
    max_term_width = 100,
    disable_help_flag = true,
    disable_version_flag = true,
    after_help = "Examples:\n  \
                  fm data download ml-100k\n  \
                  fm train --data ml-100k --model deepfm\n  \
                  fm evaluate runs/deepfm-1\n  \
                  fm recommend runs/deepfm-1 --user 42\n\n\
                  `fm COMMAND --help` explains a command with examples."
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub general: General,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "General")]
    version: Option<bool>,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "General")]
pub struct General {
    /// Number of CPU threads [default: OMP_NUM_THREADS, or 1]
    ///
    /// Number of CPU threads of libtorch and of encoding. By default, libtorch uses the value of OMP_NUM_THREADS, or 1:
    /// more threads help only with wide networks and large batches. Rows are encoded on all cores by default.
    #[arg(long, global = true, value_name = "N", value_parser = flags::at_least_one)]
    pub threads: Option<usize>,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more: all metrics, and the causes of an error
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Format of the messages on standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Print help; -h prints a summary
    #[arg(short, long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
}

/// The format of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people, and a progress bar on a terminal
    Text,
    /// One JSON object per line, with a timestamp
    Json,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Download, infer, inspect, convert and generate data sets
    #[command(subcommand)]
    Data(DataCommand),
    /// List the models
    Models(Models),
    /// List the built-in settings files, or print one
    Settings(Settings),
    /// Show a model's layers, shapes and parameter counts
    Summary(Box<Summary>),
    /// Train a model
    Train(Box<Train>),
    /// Train several models on several seeds or folds, and rank them
    Compare(Box<Compare>),
    /// Combine trained models into a run of their mean
    Ensemble(Ensemble),
    /// Search for the best settings
    Tune(Box<Tune>),
    /// Measure a trained model
    Evaluate(Evaluate),
    /// Turn the scores of a trained model into probabilities
    Calibrate(Calibrate),
    /// Score the rows of a table
    Predict(Predict),
    /// List the best items for a user
    Recommend(Recommend),
    /// Explain a prediction
    Explain(Explain),
    /// Write an HTML report on one or several runs
    Report(Report),
    /// List runs with their results, and the settings that differ
    Runs(Runs),
    /// Export a trained model to TorchScript, ONNX or NVIDIA Triton
    Export(Export),
    /// Serve exported files and runs over HTTP, with a page to try them
    Serve(Serve),
    /// Check that a file or a run is whole, and say where it comes from
    Verify(Verify),
    /// Show versions, devices and folders, and report problems
    Doctor(Doctor),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page, or write the pages of all commands
    Man(Man),
}

/// Parses the command line of this process.
///
/// # Errors
/// The exit code, after printing the help, the version or a one-line error.
pub fn parse() -> Result<Args, ExitCode> {
    Args::try_parse().map_err(|error| {
        let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if !error.use_stderr() || is_help {
            return match error.print().and_then(|()| std::io::stdout().flush()) {
                // If standard output is closed, there is nobody to tell.
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    print_error(&format!("cannot write to standard output: {error}"));
                    ExitCode::FAILURE
                }
                _ if is_help => ExitCode::from(2),
                _ => ExitCode::SUCCESS,
            };
        }
        let text = one_line(&error.render().to_string());
        print_error(text.strip_prefix("error: ").unwrap_or(&text));
        ExitCode::from(2)
    })
}

/// The environment variable in which `fm` tells its engine its version.
pub const VERSION_VARIABLE: &str = "FM_VERSION_OF_PROGRAM";

/// The version of both.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The command line, for completion and tests.
pub fn command() -> clap::Command {
    Args::command()
}

/// Prints an error in the program's format.
#[allow(clippy::print_stderr, reason = "all errors of the program are printed here")]
pub fn print_error(text: &str) {
    eprintln!("error: {text}");
}

/// The text of an error in one line, without the usage that clap appends.
pub fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &clap::Command, path: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            if sub.has_subcommands() { leaves(sub, &path, visit) } else { visit(&path, sub) }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        leaves(&command(), "fm", &mut |path, command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().map(str::trim).filter(|line| line.starts_with("fm ")).collect();
            assert!(!examples.is_empty(), "{path} has no examples");
            for example in examples {
                assert!(example.starts_with(path), "{path}: {example}");
                let words = example.split_whitespace().take_while(|word| !["|", ">"].contains(word));
                if let Err(error) = Args::try_parse_from(words) {
                    panic!("{example}: {error}");
                }
            }
        });
    }

    #[test]
    fn every_flag_has_a_text_and_a_heading() {
        leaves(&command(), "fm", &mut |path, command| {
            for arg in command.get_arguments() {
                let id = arg.get_id();
                assert!(arg.get_help().is_some_and(|help| !help.to_string().is_empty()), "{path}: {id} has no help");
                let heading = arg.get_help_heading();
                let known = ["Data", "Model", "Training", "Output", "Server", "Limits", "General"];
                assert!(arg.is_positional() || heading.is_some_and(|heading| known.contains(&heading)), "{path}: {id}");
            }
        });
    }

    #[test]
    fn a_short_help_fits_a_screen_of_80_columns() {
        leaves(&command(), "fm", &mut |path, command| {
            let help = command.clone().term_width(80).render_help().to_string();
            let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{path}: {long:#?}");
        });
    }

    #[test]
    fn an_error_of_several_lines_becomes_one() {
        let error = Args::try_parse_from(["fm", "train", "--epoch", "3"]).unwrap_err();
        let line = one_line(&error.render().to_string());
        assert!(line.contains("--epoch") && line.contains("--epochs") && !line.contains('\n'), "{line}");
    }
}
