//! `fm report`

use std::path::PathBuf;

use crate::completion;
use crate::flags::{Device, Folders, Moved};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm report runs/deepfm-1\n  \
                        fm report runs/fm-1 runs/deepfm-1 --output comparison.html\n  \
                        fm report runs/deepfm-1 --figures charts")]
pub struct Report {
    /// The folders of one or several runs, which the report compares
    #[arg(value_name = "RUN", required = true, add = completion::runs())]
    pub runs: Vec<PathBuf>,
    /// The location of the data of all runs, if it has moved, or other rows.
    #[command(flatten)]
    pub moved: Moved,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
    /// The HTML file to write
    #[arg(short, long, value_name = "FILE", default_value = "report.html", help_heading = "Output")]
    pub output: PathBuf,
    /// Also write each chart as an SVG file into this folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub figures: Option<PathBuf>,
    /// The device to compute on.
    #[command(flatten)]
    pub device: Device,
}
