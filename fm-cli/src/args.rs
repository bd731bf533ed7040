//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use fm_core::device::DeviceChoice;
use fm_core::script::Precision;

use crate::logging::LogFormat;

use crate::commands::explain::Explain;

/// Factorization machines for recommendation and click-through prediction.
///
/// Data goes to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(name = "fm", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// libtorch's threads on the CPU [default: OMP_NUM_THREADS, or 1: more pay with wide networks and large batches alone]
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; with errors, what lies behind them
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What goes to standard error: lines for people, or an object of JSON a line
    #[arg(long, global = true, value_enum, value_name = "FORM", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch and look at data sets
    #[command(subcommand)]
    Data(DataCommand),
    /// List the models
    Models(Models),
    /// List the files of settings that the program brings along, or print one
    Settings(crate::commands::settings::Settings),
    /// Show a model's layers, shapes and parameter counts
    Summary(Summary),
    /// Train a model
    Train(Box<Train>),
    /// Train several models on several seeds or folds, and rank them
    Compare(Box<crate::commands::compare::Compare>),
    /// Search for the best settings
    Tune(Box<crate::commands::tune::Tune>),
    /// Measure a trained model
    Evaluate(Evaluate),
    /// Score the rows of a table
    Predict(Predict),
    /// List the items that a user would like most
    Recommend(Recommend),
    /// Show what a prediction is made of
    Explain(Explain),
    /// Write one HTML file that shows what runs came to
    Report(crate::commands::report::Report),
    /// Write a trained model for PyTorch and libtorch, for ONNX runtimes, or for NVIDIA Triton
    Export(Export),
    /// Show versions, devices and folders, and what to mend
    Doctor(Doctor),
    /// Print a completion script for a shell
    Completions(Completions),
}

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Fetch a MovieLens release from GroupLens
    Download(Download),
    /// Show fields, cardinalities, coverage, sparsity and labels
    Inspect(Box<Inspect>),
}

/// The options of `fm train` that a resumed run has settled: all but the devices and folders of this machine, and TensorBoard.
const DECIDED_BY_THE_RUN: [&str; 30] = [
    "config",
    "set",
    "print_config",
    "data",
    "train",
    "valid",
    "test",
    "schema",
    "fields",
    "task",
    "threshold",
    "split",
    "seed",
    "history",
    "implicit",
    "min_count",
    "model",
    "embedding_dim",
    "hidden_units",
    "dropout",
    "others",
    "epochs",
    "batch_size",
    "lr",
    "l2",
    "patience",
    "optimizer",
    "init_from",
    "run",
    "force",
];

pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("it must be a whole number".into()),
    }
}

/// A name that is one folder on any system, and needs no escape in a URL.
fn folder_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !text.chars().all(is_plain) {
        return Err("it must be of letters, digits, `_`, `-` and `.`, and begin with a letter or a digit".into());
    }
    Ok(text.to_owned())
}

fn line_of_text(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it must not be empty".into()),
        line if line.chars().any(char::is_control) => Err("it must be one line".into()),
        line => Ok(line.into()),
    }
}

/// Where data sets lie.
#[derive(Debug, clap::Args)]
pub struct Folders {
    /// The folder of data sets; by default the user's data directory [/fm]
    #[arg(long, value_name = "DIR", env = "FM_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Download {
    /// ml-100k, ml-1m, ml-10m, ml-20m, ml-25m, ml-32m or ml-latest-small
    pub name: String,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TaskArg {
    /// Predict the label itself
    Regression,
    /// Predict whether the label reaches the threshold
    Binary,
    /// Rank the items for each user, as rows that reach the threshold show what is chosen
    Ranking,
}

/// Which rows, fields and split.
#[derive(Debug, clap::Args)]
pub struct Data {
    /// A MovieLens release, a folder that holds one, or a table (.csv, .tsv, .parquet)
    #[arg(long, value_name = "NAME|DIR|FILE")]
    pub data: Option<String>,
    #[command(flatten)]
    pub selection: Selection,
}

/// How rows are read and split.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// A table of training rows, instead of --data and --split
    #[arg(long, value_name = "FILE")]
    pub train: Option<PathBuf>,
    /// A table of validation rows
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// A table of test rows
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// The declaration of a table's fields (schema.toml)
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// The fields to use; all by default
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub fields: Option<Vec<String>>,
    #[arg(long, value_enum, help = "What is predicted [default: regression]")]
    pub task: Option<TaskArg>,
    /// Labels of at least this are positive [default of --task binary for MovieLens: 4, of --task ranking: all labels]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub threshold: Option<f32>,
    /// random, leave-last-out, time, fold:u1, kfold:5:0 [default: random]
    #[arg(long)]
    pub split: Option<String>,
    /// The seed of split, first weights, order and dropout [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..), allow_negative_numbers = true)]
    pub seed: Option<i64>,
    /// MovieLens: how many of the films last liked are a field, 0 for none [default: 100, or 20 beyond 2 million ratings]
    #[arg(long, value_name = "N")]
    pub history: Option<usize>,
    /// MovieLens: how many of the films that a user rated, and of the users who rated a film, are fields [default: 0]
    #[arg(long, value_name = "N")]
    pub implicit: Option<usize>,
    /// MovieLens: values that fewer training rows hold count as unknown [default: 1]
    #[arg(long, value_name = "N")]
    pub min_count: Option<u32>,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// A MovieLens release, a folder that holds one, or a table
    #[arg(value_name = "NAME|DIR|FILE")]
    pub data: Option<String>,
    #[command(flatten)]
    pub selection: Selection,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Models {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which model, with which options.
#[derive(Debug, clap::Args)]
pub struct ModelOptions {
    /// k, the length of the latent vectors
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub embedding_dim: Option<i64>,
    /// The widths of the hidden layers
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    pub hidden_units: Option<Vec<i64>>,
    /// The probability that a hidden unit is dropped in training
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub dropout: Option<f64>,
    /// Any other option of the model (see `fm models`)
    #[arg(long = "model-option", value_name = "NAME=VALUE")]
    pub others: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct Summary {
    /// A model (see `fm models`)
    pub model: String,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub options: ModelOptions,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Train {
    /// A file of settings, or one that `fm settings` lists; what else is given here comes on top of it
    #[arg(long, value_name = "FILE|NAME")]
    pub config: Option<String>,
    /// Any setting of such a file, as in train.patience=5
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the settings with their documentation, as a file for --config, and train nothing
    #[arg(long)]
    pub print_config: bool,
    #[command(flatten)]
    pub data: Data,
    /// A model (see `fm models`) [default: deepfm]
    #[arg(long)]
    pub model: Option<String>,
    #[command(flatten)]
    pub options: ModelOptions,
    /// At most so many passes over the training rows [default: 50]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub epochs: Option<usize>,
    /// The rows of a step [default: 512]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub batch_size: Option<usize>,
    /// The learning rate [default: 0.003]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// The L2 penalty on the table rows that a batch looks up [default: 0.05, or 0.005 for --task binary; 0 for afm, which has `attention_l2`]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub l2: Option<f64>,
    /// Stop after so many epochs without a better validation result; 0 never stops early [default: 3]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
    /// sgd, adagrad, rmsprop, adam or adamw, with Keras's defaults [default: adam]
    #[arg(long)]
    pub optimizer: Option<String>,
    /// auto, cpu, cuda or cuda:1 [default: auto]
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// The folder of the run [default: runs/MODEL-1]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Replace an earlier run in this folder
    #[arg(long)]
    pub force: bool,
    /// Start from the parameters of an earlier run with the same fields; values that it did not know start anew
    #[arg(long, value_name = "RUN")]
    pub init_from: Option<PathBuf>,
    /// Write event files into the folder of the run, too: `tensorboard --logdir runs` draws them, also while it trains
    #[arg(long)]
    pub tensorboard: bool,
    /// Go on with an interrupted run, with its own settings
    #[arg(long, value_name = "RUN", conflicts_with_all = DECIDED_BY_THE_RUN)]
    pub resume: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The rows that were trained on
    Train,
    /// The rows that chose the best epoch
    Valid,
    /// The rows kept for the end
    Test,
}

#[derive(Debug, clap::Args)]
pub struct Evaluate {
    /// The folder of a run
    pub run: PathBuf,
    /// The rows to measure on
    #[arg(long, value_enum, default_value = "test")]
    pub part: Part,
    /// Also write these rows with their scores (.csv, .parquet)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:1
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Debug, clap::Args)]
pub struct Predict {
    /// The folder of a run, or an exported file
    #[arg(value_name = "RUN|BUNDLE")]
    pub model: PathBuf,
    /// A table of rows, of any size (.csv, .tsv, .parquet); - for CSV from standard input
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Where the rows go, as text, in their order and with a column `score` (.csv, .tsv, .parquet); - for CSV to standard output
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// The columns of the input to write before the score, in this order [default: all]
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', conflicts_with = "only_scores")]
    pub keep: Option<Vec<String>>,
    /// Write the column `score` alone
    #[arg(long)]
    pub only_scores: bool,
    /// Take a field whose column is missing as unknown in every row
    #[arg(long)]
    pub allow_missing: bool,
    /// auto, cpu, cuda or cuda:1
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}

#[derive(Debug, clap::Args)]
pub struct Recommend {
    /// The folder of a run, or an exported file
    #[arg(value_name = "RUN|BUNDLE")]
    pub model: PathBuf,
    /// The user's id
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub user: String,
    /// How many items
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = at_least_one)]
    pub top: usize,
    /// The data to take users and items from, if it has moved since training
    #[arg(long, value_name = "NAME|DIR|FILE")]
    pub data: Option<String>,
    /// What is known of the user and the moment; then the items are those in the exported file, and no data is read
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "data")]
    pub about: Vec<String>,
    /// Items to leave out; those that the user has a row with in the data are left out anyway
    #[arg(long, value_name = "ID,...", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// auto, cpu, cuda or cuda:1
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One file for PyTorch and libtorch: raw values or ids in, predictions out
    Torchscript,
    /// One file for ONNX runtimes: ids in, logits out
    Onnx,
    /// Two models in a repository of NVIDIA Triton: raw values or ids in, predictions out
    Triton,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Dtype {
    /// As trained
    F32,
    /// Half the size; keeps three digits or four
    F16,
    /// Half the size; keeps two digits or three, and the range of f32
    Bf16,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Quantization {
    Int8,
}

#[derive(Debug, clap::Args)]
pub struct Export {
    /// The folder of a run
    pub run: PathBuf,
    /// The file to write; for triton, the model repository
    #[arg(short, long, value_name = "FILE|DIR")]
    pub output: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value = "torchscript")]
    pub format: ExportFormat,
    /// For triton: the model's name in the repository [default: that of `fm models`, such as deepfm]
    #[arg(long, value_parser = folder_name)]
    pub name: Option<String>,
    /// Keep all items in the file, so that it can recommend without the data
    #[arg(long)]
    pub with_catalogue: bool,
    /// What the tables are stored in; rows are computed with in float32
    #[arg(long, value_enum, default_value = "f32", conflicts_with = "quantize")]
    pub dtype: Dtype,
    /// Store the tables of vectors in 8 bits a number, with a scale for each row
    #[arg(long, value_enum)]
    pub quantize: Option<Quantization>,
    /// The licence of the data, for the model card [default: GroupLens' terms for MovieLens, else not stated]
    #[arg(long, value_name = "TEXT", value_parser = line_of_text)]
    pub data_licence: Option<String>,
    /// The data, if it has moved since training
    #[arg(long, value_name = "NAME|DIR|FILE")]
    pub data: Option<String>,
    #[command(flatten)]
    pub folders: Folders,
}

impl Export {
    /// What the tables are stored in.
    pub fn precision(&self) -> Precision {
        match (self.quantize, self.dtype) {
            (Some(Quantization::Int8), _) => Precision::Int8,
            (None, Dtype::F32) => Precision::F32,
            (None, Dtype::F16) => Precision::F16,
            (None, Dtype::Bf16) => Precision::Bf16,
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct Doctor {
    #[command(flatten)]
    pub folders: Folders,
}

#[derive(Debug, clap::Args)]
pub struct Completions {
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_resumed_run_settles_every_option_but_those_of_the_machine() {
        let command = Args::command();
        let train = command.find_subcommand("train").unwrap();
        let of_the_machine = ["data_dir", "device", "tensorboard", "resume", "help"];
        let settled: Vec<&str> =
            train.get_arguments().map(|arg| arg.get_id().as_str()).filter(|id| !of_the_machine.contains(id)).collect();
        let unlisted: Vec<_> = settled.iter().filter(|id| !DECIDED_BY_THE_RUN.contains(id)).collect();
        assert!(unlisted.is_empty(), "{unlisted:?}");
        Args::command().debug_assert();
    }
}
