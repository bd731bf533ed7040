//! `fm calibrate`

use std::path::PathBuf;

use clap::ValueEnum;

use crate::completion;
use crate::flags::{Device, Folders, Form, Moved};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm calibrate runs/deepfm-1\n  \
                        fm calibrate runs/deepfm-1 --method isotonic\n  \
                        fm calibrate runs/deepfm-1 --remove")]
pub struct Calibrate {
    /// The folder of a run of a binary task
    #[arg(add = completion::runs())]
    pub run: PathBuf,
    /// How scores become probabilities
    #[arg(long, value_enum, default_value = "platt", help_heading = "Model")]
    pub method: CalibrationMethod,
    /// Remove the calibration of the run instead
    #[arg(long, conflicts_with = "method", help_heading = "Model")]
    pub remove: bool,
    /// The run's data.
    #[command(flatten)]
    pub moved: Moved,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// The device to compute on.
    #[command(flatten)]
    pub device: Device,
}

/// How to fit a calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CalibrationMethod {
    /// A logistic regression on the score: a slope and an intercept
    Platt,
    /// A slope only
    Temperature,
    /// Any map that rises, from some thousand rows
    Isotonic,
}
