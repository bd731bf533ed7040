//! `fm models`

use crate::flags::Form;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  fm models\n  fm models --json")]
pub struct Models {
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}
