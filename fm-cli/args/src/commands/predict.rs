//! `fm predict`

use std::path::PathBuf;

use crate::completion;
use crate::flags::Device;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm predict runs/deepfm-1 --input rows.csv --output scored.csv\n  \
                        fm predict model.pt --input rows.parquet --output scored.parquet --keep user_id,movie_id\n  \
                        fm predict model.pt --input - --output - --only-scores")]
pub struct Predict {
    /// The folder of a run, or an exported file
    #[arg(value_name = "RUN|FILE", add = completion::runs())]
    pub model: PathBuf,
    /// A table of rows of any size, a folder or a pattern of its parts; - reads standard input
    ///
    /// A table of rows of any size (.csv, .tsv, .txt, .jsonl, .ndjson, .parquet, .arrow, .feather, .ipc, .libsvm, .svm,
    /// .libffm, .ffm; text also as in .csv.gz and .csv.zst), a folder with its parts, or a pattern of their names, as in
    /// 'parts/*.csv'; - reads text from standard input, whose
    /// start shows the format.
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub input: PathBuf,
    /// Treat a field without a column as unknown in every row
    #[arg(long, help_heading = "Data")]
    pub allow_missing: bool,
    /// The table to write: all rows with a column `score`; - writes CSV to standard output
    ///
    /// The table to write (.csv, .tsv, .txt, .jsonl, .ndjson, .parquet, .arrow, .feather, .ipc; text also as in .csv.gz
    /// and .csv.zst): all rows as text, in their order, with a column `score`; - writes CSV to standard output.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: PathBuf,
    /// Columns to write before the score, in this order [default: all]
    #[arg(
        long,
        value_name = "COLUMN,...",
        value_delimiter = ',',
        conflicts_with = "only_scores",
        help_heading = "Output"
    )]
    pub keep: Option<Vec<String>>,
    /// Write only the column `score`
    #[arg(long, help_heading = "Output")]
    pub only_scores: bool,
    /// The device to compute on.
    #[command(flatten)]
    pub device: Device,
}
