//! `fm doctor`

use crate::flags::Folders;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  fm doctor")]
pub struct Doctor {
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
}
