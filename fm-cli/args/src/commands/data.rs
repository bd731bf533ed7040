//! `fm data`

use clap::Subcommand;

use crate::completion;
use crate::flags::{Folders, Form, Given, SelectionFlags};

/// The subcommands of `fm data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Download a MovieLens release from GroupLens
    Download(Download),
    /// Show fields, cardinalities, coverage, sparsity and labels
    Inspect(Box<Inspect>),
}

/// The arguments of `fm data download`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm data download ml-100k\n  \
                        fm data download ml-25m --data-dir /data")]
pub struct Download {
    /// The release: ml-100k, ml-1m, ml-10m, ml-20m, ml-25m, ml-32m or ml-latest-small
    #[arg(add = completion::releases())]
    pub name: String,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
}

/// The arguments of `fm data inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm data inspect ml-100k\n  \
                        fm data inspect books.csv --schema schema.toml --json")]
pub struct Inspect {
    /// A MovieLens release, a folder with one, or a table
    #[arg(value_name = "NAME|DIR|FILE", add = completion::data())]
    pub data: Option<String>,
    /// How to read and split it.
    #[command(flatten)]
    pub selection: Given<SelectionFlags>,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}
