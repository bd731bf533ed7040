//! `fm compare`

use std::path::PathBuf;
use std::time::Duration;

use crate::completion;
use crate::flags::{DeviceFlags, Form, Given, ModelOptions, Rows, Set, duration, model_name_or_auto};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm compare --data ml-100k --models fm,deepfm --seeds 1,2,3\n  \
                        fm compare --data ml-100k --models auto --budget 10m\n  \
                        fm compare --data ml-100k --models deepfm --seeds 1,2,3 --ensemble\n  \
                        fm compare --configs frappe/fm,frappe/deepfm --data frappe.csv --schema schema.toml\n  \
                        fm compare --data ml-100k --models lr,fm --folds 5 --output runs/folds")]
pub struct Compare {
    /// Models to compare (see `fm models`), or `auto` to find one
    ///
    /// Models to compare (see `fm models`), or `auto`: it trains a ladder of models from the simplest to the most expensive one,
    /// stops those that cannot win, and says which one to take.
    #[arg(
        long,
        value_name = "MODEL,...|auto",
        value_delimiter = ',',
        value_parser = model_name_or_auto(),
        help_heading = "Model"
    )]
    pub models: Vec<String>,
    /// With --models auto, the time after which no model begins, such as 90s, 30m or 2h
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30m", help_heading = "Training")]
    pub budget: Duration,
    /// Settings files to compare, or built-in ones (see `fm settings`)
    ///
    /// Settings files to compare, or built-in ones (see `fm settings`). With --models, each model is trained with each
    /// file.
    #[arg(long, value_name = "FILE|NAME,...", value_delimiter = ',', help_heading = "Model", add = completion::configs())]
    pub configs: Vec<String>,
    /// Options of all models.
    #[command(flatten)]
    pub options: ModelOptions,
    /// Train each model once per seed [default: 1]
    ///
    /// Train each model once per seed. The seed decides the split, the initial weights, the order of the rows and
    /// dropout [default: 1]
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        conflicts_with = "seed",
        value_parser = clap::value_parser!(i64).range(0..),
        help_heading = "Training"
    )]
    pub seeds: Vec<i64>,
    /// Train each model K times, each time with another random fold as test rows
    ///
    /// Train each model K times, each time with another random fold as test rows. The split in the settings decides
    /// which share of the other rows validates.
    #[arg(
        long,
        value_name = "K",
        conflicts_with = "split",
        value_parser = clap::value_parser!(u32).range(2..),
        help_heading = "Training"
    )]
    pub folds: Option<u32>,
    /// Also measure the mean of each model's seeds, which then have the same rows
    ///
    /// Also measure the mean of each model's seeds, as `fm ensemble` makes it. The first seed then decides the split of all.
    #[arg(long, conflicts_with = "folds", requires = "seeds", help_heading = "Training")]
    pub ensemble: bool,
    /// The test metric that orders the leaderboard [default: the validation metric]
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    pub metric: Option<String>,
    /// Folder of the runs and the leaderboard; finished runs in it are reused
    #[arg(short, long, value_name = "DIR", default_value = "runs/compare", help_heading = "Output")]
    pub output: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// The data.
    #[command(flatten)]
    pub rows: Rows,
    /// Settings for all models.
    #[command(flatten)]
    pub set: Set,
    /// The device to train on.
    #[command(flatten)]
    pub device: Given<DeviceFlags>,
}
