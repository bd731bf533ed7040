//! `fm tune`

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::flags::{DeviceFlags, Form, Given, ModelFlags, ModelOptions, Rows, Set, at_least_one};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm tune space.toml --data ml-100k --trials 100\n  \
                        fm tune space.toml --sampler random --halving 3 --study runs/search")]
pub struct Tune {
    /// A settings file in which some values are ranges or choices
    ///
    /// A settings file in which some values are ranges, such as lr = { min = 0.001, max = 0.1, scale = "log" }, or
    /// choices, such as embedding_dim = { choices = [8, 16] }
    #[arg(value_name = "FILE")]
    pub space: PathBuf,
    /// The data.
    #[command(flatten)]
    pub rows: Rows,
    /// The model.
    #[command(flatten)]
    pub model: Given<ModelFlags>,
    /// Its options.
    #[command(flatten)]
    pub options: ModelOptions,
    /// Total number of trials, including those of earlier calls
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one, help_heading = "Training")]
    pub trials: usize,
    /// How to choose the next trial
    #[arg(long, value_enum, default_value = "tpe", help_heading = "Training")]
    pub sampler: Sampler,
    /// First epoch in which a trial may be stopped early [default: never]
    ///
    /// Successive halving: stop a trial after EPOCH, EPOCH × R, EPOCH × R², ... epochs unless it is among the best 1/R
    /// of all trials so far [default: never]
    #[arg(long, value_name = "EPOCH", value_parser = at_least_one, help_heading = "Training")]
    pub halving: Option<usize>,
    /// The R of --halving
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = at_least_two, requires = "halving", help_heading = "Training")]
    pub ratio: usize,
    /// Folder of the study; an existing study continues
    #[arg(long, value_name = "DIR", default_value = "runs/study", help_heading = "Output")]
    pub study: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// Settings that stay fixed.
    #[command(flatten)]
    pub set: Set,
    /// The device to train on.
    #[command(flatten)]
    pub device: Given<DeviceFlags>,
}

/// How to choose the next trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sampler {
    /// Tree-structured Parzen estimators (Bergstra et al. 2011), after ten random trials
    Tpe,
    /// At random
    Random,
}

fn at_least_two(text: &str) -> Result<usize, String> {
    match at_least_one(text)? {
        1 => Err("it must be at least 2".into()),
        number => Ok(number),
    }
}
