//! `fm evaluate`

use std::path::PathBuf;

use crate::completion;
use crate::flags::{Device, Folders, Form, Part};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm evaluate runs/deepfm-1\n  \
                        fm evaluate runs/deepfm-1 --part valid --json\n  \
                        fm evaluate runs/deepfm-1 --output scored.csv")]
pub struct Evaluate {
    /// The folder of a run
    #[arg(add = completion::runs())]
    pub run: PathBuf,
    /// The rows to measure on
    #[arg(long, value_enum, default_value = "test", help_heading = "Data")]
    pub part: Part,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// Also write these rows with their scores (.csv, .parquet)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// The device to compute on.
    #[command(flatten)]
    pub device: Device,
}
