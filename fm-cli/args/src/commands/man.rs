//! `fm man`

use std::path::PathBuf;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm man | man -l -\n  \
                        fm man --output ~/.local/share/man/man1")]
pub struct Man {
    /// The folder to write to: fm.1, and a page for each command
    ///
    /// The folder to write to: fm.1, and a page for each command, such as fm-train.1. Without it, fm.1 is printed.
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub output: Option<PathBuf>,
}
