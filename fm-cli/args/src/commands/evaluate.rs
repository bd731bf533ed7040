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
                        fm evaluate runs/deepfm-1 --by country\n  \
                        fm evaluate runs/deepfm-1 --part valid --costs 1:5\n  \
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
    /// Also measure the rows of each value of a column, or of each day if it has times
    #[arg(long, value_name = "COLUMN", help_heading = "Output")]
    pub by: Option<String>,
    /// Also list thresholds for decisions: what a false positive and a false negative cost, such as 1:5
    ///
    /// Also list thresholds for decisions of a binary task. FP:FN are the cost of acting on a negative row and that of
    /// not acting on a positive one, in any unit, such as 1:5.
    #[arg(long, value_name = "FP:FN", value_parser = costs, help_heading = "Output")]
    pub costs: Option<Costs>,
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

/// What errors cost.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Acting on a negative row.
    pub false_positive: f64,
    /// Not acting on a positive row.
    pub false_negative: f64,
}

/// `FP:FN`: two costs, of which at least one is more than 0.
fn costs(text: &str) -> Result<Costs, String> {
    let cost = |text: &str| text.trim().parse::<f64>().ok().filter(|cost| cost.is_finite() && *cost >= 0.0);
    let costs = text.split_once(':').and_then(|(positive, negative)| Some((cost(positive)?, cost(negative)?)));
    match costs {
        Some((false_positive, false_negative)) if false_positive + false_negative > 0.0 => {
            Ok(Costs { false_positive, false_negative })
        }
        Some(_) => Err("one of the costs must be more than 0".into()),
        None => Err("it must be two costs with a colon between them, such as 1:5".into()),
    }
}
