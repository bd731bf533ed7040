//! `fm ensemble`

use std::path::PathBuf;

use crate::completion;
use crate::flags::Folders;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm ensemble runs/a runs/b runs/c\n  \
                        fm ensemble runs/deepfm-1 runs/dcn-1 --run runs/both")]
pub struct Ensemble {
    /// The folders of finished runs on the same rows
    ///
    /// The folders of finished runs on the same rows: with the same data, split and `data.seed`. Their models can differ.
    #[arg(required = true, num_args = 2.., add = completion::runs())]
    pub runs: Vec<PathBuf>,
    /// Folder of the new run [default: runs/ensemble-1, or the next free number]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub run: Option<PathBuf>,
    /// Replace an earlier run in this folder
    #[arg(long, help_heading = "Output")]
    pub force: bool,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
}
