//! `fm recommend`

use std::path::PathBuf;

use crate::completion;
use crate::flags::{Device, Folders, Form, Moved, at_least_one, pair, share};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm recommend runs/deepfm-1 --user 42 --top 20\n  \
                        fm recommend runs/deepfm-1 --user 42 --exclude 50,181\n  \
                        fm recommend runs/deepfm-1 --user 42 --where genres=Drama --diversity 0.3\n  \
                        fm recommend runs/deepfm-1 --users all --output recommended.parquet\n  \
                        fm recommend model.pt --user 42 --about age=25 --about gender=F")]
pub struct Recommend {
    /// The folder of a run, or an exported file
    #[arg(value_name = "RUN|FILE", add = completion::runs())]
    pub model: PathBuf,
    /// The user's id
    #[arg(
        long,
        value_name = "ID",
        allow_negative_numbers = true,
        required_unless_present = "users",
        conflicts_with = "users",
        help_heading = "Data"
    )]
    pub user: Option<String>,
    /// Many users: `all` of the data, or a table with a column of their ids
    ///
    /// Many users: `all` of the data, or a table with a column of their ids, which has the name of the user's column or is
    /// the only one. Requires `--output`.
    #[arg(
        long,
        value_name = "all|FILE",
        requires = "output",
        conflicts_with_all = ["about", "json"],
        help_heading = "Data"
    )]
    pub users: Option<String>,
    /// A value of the user or the context, to recommend without the data; repeatable
    ///
    /// A value of the user or the context; repeatable. With this flag, the items come from the exported file, and no
    /// data is read.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = pair, conflicts_with_all = ["data", "train", "valid", "test"], help_heading = "Data")]
    pub about: Vec<(String, String)>,
    /// Items to leave out, in addition to those that the user already has in the data
    #[arg(long, value_name = "ID,...", value_delimiter = ',', help_heading = "Data")]
    pub exclude: Vec<String>,
    /// Recommend only items whose field has this value, such as genres=Drama; repeatable
    #[arg(long, value_name = "FIELD=VALUE", value_parser = pair, help_heading = "Data")]
    pub r#where: Vec<(String, String)>,
    /// How much an item counts less if it resembles those before it, from 0 to 1
    ///
    /// How much an item counts less if it resembles those before it, from 0 to 1: maximal marginal relevance, with the share of
    /// common values of the items' fields as similarity.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Output")]
    pub diversity: f64,
    /// The location of data that has moved.
    #[command(flatten)]
    pub moved: Moved,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// Number of items
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = at_least_one, help_heading = "Output")]
    pub top: usize,
    /// The table to write for many users (.csv, .parquet, .jsonl): a row per user and item
    #[arg(long, value_name = "FILE", requires = "users", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// The device to compute on.
    #[command(flatten)]
    pub device: Device,
}
