//! `fm explain`

use std::path::PathBuf;

use crate::completion;
use crate::flags::{Device, Folders, Form, Moved, Part, at_least_one, pair};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without a row, it shows how much the model needs each field.\n\n\
                        Examples:\n  \
                        fm explain runs/deepfm-1\n  \
                        fm explain runs/deepfm-1 --user 42 --item 50\n  \
                        fm explain model.pt --row user_id=42 --row movie_id=50")]
pub struct Explain {
    /// The folder of a run, or an exported file
    #[arg(value_name = "RUN|FILE", add = completion::runs())]
    pub model: PathBuf,
    /// The user's id
    #[arg(long, value_name = "ID", allow_negative_numbers = true, requires = "item", help_heading = "Data")]
    pub user: Option<String>,
    /// The item's id
    ///
    /// The item's id. If the data has a row of this user and item, that row is explained, with its label.
    #[arg(
        long,
        visible_alias = "movie",
        value_name = "ID",
        allow_negative_numbers = true,
        requires = "user",
        help_heading = "Data"
    )]
    pub item: Option<String>,
    /// A value of the row, instead of a user and an item; repeatable
    ///
    /// A value of the row, instead of a user and an item from the data; repeatable. Other fields are missing.
    #[arg(
        long,
        value_name = "FIELD=VALUE",
        value_parser = pair,
        conflicts_with_all = ["user", "item", "data", "train", "valid", "test"],
        help_heading = "Data"
    )]
    pub row: Vec<(String, String)>,
    /// The part on which all fields are measured, if no row is given
    #[arg(
        long,
        value_enum,
        value_name = "PART",
        default_value = "test",
        conflicts_with_all = ["user", "item", "row"],
        help_heading = "Data"
    )]
    pub part: Part,
    /// The location of data that has moved.
    #[command(flatten)]
    pub moved: Moved,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// Number of terms of each kind or of fields to print, the largest first; JSON has all
    ///
    /// Number of terms of each kind or of fields to print, the largest first; JSON has all. The default is 5 terms, and 20
    /// fields.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Output")]
    pub top: Option<usize>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// The device to compute on.
    #[command(flatten)]
    pub device: Device,
}
