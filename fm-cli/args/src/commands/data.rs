//! `fm data`

use std::path::PathBuf;

use clap::Subcommand;

use crate::completion;
use crate::flags::{Folders, Form, Given, SelectionFlags, at_least_one};

/// The subcommands of `fm data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Download a MovieLens release from GroupLens
    Download(Download),
    /// Write a table in another format
    Convert(Convert),
    /// Write a first schema.toml for a table
    Infer(Infer),
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

/// The arguments of `fm data convert`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm data convert clicks.csv clicks.parquet\n  \
                        fm data convert days/ clicks.jsonl.gz --columns user,ad,click\n  \
                        fm data convert - clicks.tsv")]
pub struct Convert {
    /// The table to read, or a folder or a pattern of its parts; - reads CSV from standard input
    ///
    /// The table to read (.csv, .tsv, .txt, .jsonl, .ndjson, .parquet, .arrow, .feather, .ipc; text also as in .csv.gz
    /// and .csv.zst), a folder with its parts, or a pattern of their names, as in 'parts/*.csv'; - reads CSV from
    /// standard input.
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The file to write, in the format of its extension; - writes CSV to standard output
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// Columns to write, in this order [default: all]
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', help_heading = "Output")]
    pub columns: Option<Vec<String>>,
}

/// The arguments of `fm data infer`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm data infer clicks.csv > schema.toml\n  \
                        fm data infer clicks.parquet --label bought --rows 1000000")]
pub struct Infer {
    /// A table: a file, or a folder of files
    #[arg(value_name = "FILE|DIR", value_hint = clap::ValueHint::AnyPath)]
    pub table: PathBuf,
    /// Column of the label [default: the first one with a usual name, such as label, click or rating]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub label: Option<String>,
    /// Maximum number of rows to read, from the start of the table
    #[arg(long, value_name = "N", default_value = "100000", value_parser = at_least_one, help_heading = "Data")]
    pub rows: usize,
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
