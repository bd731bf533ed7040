//! `fm settings`

use crate::completion;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm settings\n  \
                        fm settings ml-100k/deepfm > own.toml")]
pub struct Settings {
    /// The file to print; it can be used with `fm train --config`
    #[arg(add = completion::settings())]
    pub name: Option<String>,
}
