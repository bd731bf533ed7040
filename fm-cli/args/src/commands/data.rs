//! `fm data`

use std::path::PathBuf;

use clap::Subcommand;

use crate::completion;
use crate::flags::{BadRowFlags, Folders, Form, Given, SelectionFlags, at_least_one};

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
    /// List or print the declarations of public data sets
    ///
    /// Lists the public data sets whose declaration is built in, with where to get their files; prints the schema.toml of
    /// one; or checks that files are those that were published. `--schema NAME` uses a declaration without a file.
    Presets(Presets),
    /// List encoded rows and downloads that are kept, or remove them
    ///
    /// Lists what is kept on this machine, the last used first: rows that were encoded for training, which later runs on
    /// the same data share; MovieLens releases; and what interrupted commands left. Training removes the oldest encoded
    /// rows by itself where they exceed 5 GB. Everything that is removed can be made or downloaded again.
    Cache(Cache),
    /// Write synthetic rows whose best possible AUC and logloss are known
    ///
    /// Writes rows drawn from a planted factorization machine: to measure speed on data of any size, and to see how
    /// close a trained model comes to the best possible AUC and logloss, which are printed.
    ///
    /// A row has a column `label` (0 or 1) and a value such as `v17` in each of the columns `c1`, `c2` and so on.
    /// Values follow Zipf's law, and `v1` is the most frequent one of each column. The logit of a row is the sum of a
    /// linear part and a part for all pairs of fields, each standardised and scaled, and of an intercept that gives the
    /// click rate. All rows are independent of each other, so any split is fair. The same settings give the same rows
    /// on all platforms, and memory does not grow with the number of rows or values.
    Synth(Synth),
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
                        fm data convert - clicks.tsv\n  \
                        fm data convert broken.csv clean.csv --on-bad-row skip\n  \
                        fm data convert clicks.csv clicks.libffm --schema schema.toml")]
pub struct Convert {
    /// The table to read, or a folder or a pattern of its parts; - reads standard input
    ///
    /// The table to read (.csv, .tsv, .txt, .jsonl, .ndjson, .parquet, .arrow, .feather, .ipc, .libsvm, .svm, .libffm,
    /// .ffm; text also as in .csv.gz and .csv.zst), a folder with its parts, or a pattern of their names, as in 'parts/*.csv'; - reads
    /// text from standard input, whose start shows the format.
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The file to write, in the format of its extension; - writes CSV to standard output
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// Columns to write, in this order [default: all]
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', help_heading = "Output")]
    pub columns: Option<Vec<String>>,
    /// Declaration of the fields, for .libsvm and .libffm files [default: inferred]
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub schema: Option<PathBuf>,
    /// Column of the label, for .libsvm and .libffm files [default: that of the schema, or inferred]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub label: Option<String>,
    /// Rows that cannot be read.
    #[command(flatten)]
    pub bad_rows: Given<BadRowFlags>,
}

/// The arguments of `fm data infer`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm data infer clicks.csv > schema.toml\n  \
                        fm data infer clicks.parquet --label bought --rows 1000000")]
pub struct Infer {
    /// A table: a file, a folder of files, or - for standard input
    #[arg(value_name = "FILE|DIR", value_hint = clap::ValueHint::AnyPath)]
    pub table: PathBuf,
    /// Column of the label [default: the first one with a usual name, such as label, click or rating]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub label: Option<String>,
    /// Maximum number of rows to read, from the start of the table
    #[arg(long, value_name = "N", default_value = "100000", value_parser = at_least_one, help_heading = "Data")]
    pub rows: usize,
    /// Rows that cannot be read.
    #[command(flatten)]
    pub bad_rows: Given<BadRowFlags>,
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
    /// Rows that cannot be read.
    #[command(flatten)]
    pub bad_rows: Given<BadRowFlags>,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}

/// The arguments of `fm data presets`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm data presets\n  \
                        fm data presets criteo_x4 > schema.toml\n  \
                        fm data presets criteo_x4 --check train.csv --check test.csv")]
pub struct Presets {
    /// The preset to print [default: list all]
    pub name: Option<String>,
    /// Check that a file is one of the preset; repeatable
    ///
    /// Check that a file has the columns of the preset and, where a digest was published, the same bytes; repeatable.
    #[arg(long, value_name = "FILE", requires = "name", help_heading = "Data")]
    pub check: Vec<PathBuf>,
}

/// The arguments of `fm data cache`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm data cache\n  \
                        fm data cache --clear\n  \
                        fm data cache --clear all --older-than 30")]
pub struct Cache {
    /// Remove encoded rows and leftovers, or also releases (all)
    ///
    /// Remove encoded rows and leftovers, or also MovieLens releases (all). What a running command uses is kept.
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        num_args = 0..=1,
        default_missing_value = "encoded",
        help_heading = "Data"
    )]
    pub clear: Option<Clear>,
    /// Remove only what has not been used for this number of days
    #[arg(long, value_name = "DAYS", requires = "clear", help_heading = "Data")]
    pub older_than: Option<u64>,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}

/// What `fm data cache` removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Clear {
    /// Encoded rows, and what interrupted commands left
    Encoded,
    /// Also MovieLens releases
    All,
}

/// The arguments of `fm data synth`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm data synth --output clicks.csv\n  \
                        fm data synth --rows 1000000 --fields 39 --cardinality 100000 --output clicks.parquet\n  \
                        fm data synth --fields 3 --cardinality 50,2000,10 --interactions 2 --output clicks.csv.gz\n  \
                        fm data synth --output clicks.libffm")]
pub struct Synth {
    /// Number of rows
    #[arg(long, value_name = "N", default_value = "100000", value_parser = at_least_one, help_heading = "Data")]
    pub rows: usize,
    /// Number of fields, each a column
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_least_one, help_heading = "Data")]
    pub fields: usize,
    /// Number of values of each field, or one number for all
    #[arg(
        long,
        value_name = "N,...",
        default_value = "1000",
        value_delimiter = ',',
        value_parser = at_least_one,
        help_heading = "Data"
    )]
    pub cardinality: Vec<usize>,
    /// Exponent of Zipf's law: 0 for equally frequent values
    #[arg(long, value_name = "S", default_value = "1.1", allow_negative_numbers = true, help_heading = "Data")]
    pub zipf: f64,
    /// Share of rows with label 1
    #[arg(long, value_name = "P", default_value = "0.25", allow_negative_numbers = true, help_heading = "Data")]
    pub click_rate: f64,
    /// Seed of the machine and the rows
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Data")]
    pub seed: u64,
    /// Length of the planted vectors
    #[arg(long, value_name = "K", default_value = "8", value_parser = at_least_one, help_heading = "Model")]
    pub embedding_dim: usize,
    /// Standard deviation of the linear part of the logit
    #[arg(long, value_name = "X", default_value = "1", allow_negative_numbers = true, help_heading = "Model")]
    pub linear: f64,
    /// Standard deviation of the pairwise part of the logit
    #[arg(long, value_name = "X", default_value = "1", allow_negative_numbers = true, help_heading = "Model")]
    pub interactions: f64,
    /// The table to write, in the format of its name
    ///
    /// The table to write (.csv, .tsv, .txt, .jsonl, .ndjson, .parquet, .libsvm, .svm, .libffm, .ffm; text also as in
    /// .csv.gz and .csv.zst). In libsvm and libffm files, values are numbers that continue from field to field.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}
