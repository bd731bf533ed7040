//! `fm runs`

use std::path::PathBuf;

use crate::flags::{Form, at_least_one, pair};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm runs\n  \
                        fm runs runs/study --sort auc --top 5\n  \
                        fm runs --where model.name=deepfm --show train.lr,train.seed")]
pub struct Runs {
    /// The folder of the runs, also of those in its folders
    #[arg(value_name = "DIR", default_value = "runs")]
    pub folder: PathBuf,
    /// Only runs with this setting; repeatable
    ///
    /// Only runs with this setting, such as `model.name=fm`; repeatable. `fm train --print-config` shows the names of all settings.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Data")]
    pub r#where: Vec<(String, String)>,
    /// Sort by a metric of the test rows, `name` or `created`
    ///
    /// Sort by a metric of the test rows, the best first, by `name`, or by `created`, the newest first. The default is the
    /// metric that chooses the best epoch if it is the same in all runs, and otherwise `created`.
    #[arg(long, value_name = "COLUMN", help_heading = "Output")]
    pub sort: Option<String>,
    /// Settings to show, instead of those that differ between runs
    #[arg(long, value_name = "KEY,...", value_delimiter = ',', help_heading = "Output")]
    pub show: Vec<String>,
    /// Number of runs to show, the first ones
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Output")]
    pub top: Option<usize>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}
