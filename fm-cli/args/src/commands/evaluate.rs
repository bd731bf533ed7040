//! `fm evaluate`

use std::path::PathBuf;

use crate::completion;
use crate::flags::{BadRowFlags, Device, Folders, Form, Given, MovedTables, Part};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm evaluate runs/deepfm-1\n  \
                        fm evaluate runs/deepfm-1 --part valid --json\n  \
                        fm evaluate runs/deepfm-1 --data new.csv --drift\n  \
                        fm evaluate runs/deepfm-1 --output scored.csv")]
pub struct Evaluate {
    /// The folder of a run
    #[arg(add = completion::runs())]
    pub run: PathBuf,
    /// New rows with labels to measure on, all of them
    ///
    /// New rows with labels to measure on, all of them: a table with the columns of the run's label and fields. If they
    /// are the data of the run at another location, its --part is measured.
    #[arg(long, value_name = "FILE|NAME|DIR", help_heading = "Data", add = completion::data())]
    pub data: Option<String>,
    /// The rows of the run's data to measure on [default: test]
    #[arg(long, value_enum, help_heading = "Data")]
    pub part: Option<Part>,
    /// Also compare the rows with the training rows of the run
    ///
    /// Also compare the distribution of each field's values with that of the run's training rows, which need not exist any more.
    #[arg(long, help_heading = "Data")]
    pub drift: bool,
    /// The tables of a run that was trained on a table for each part.
    #[command(flatten)]
    pub tables: MovedTables,
    /// Rows that cannot be read, instead of what the run's settings say.
    #[command(flatten)]
    pub bad_rows: Given<BadRowFlags>,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// Also write these rows with their scores (.csv, .parquet, .jsonl)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// The device to compute on.
    #[command(flatten)]
    pub device: Device,
}
