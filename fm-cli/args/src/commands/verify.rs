//! `fm verify`

use std::path::PathBuf;

use crate::completion;
use crate::flags::Form;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm verify model.pt\n  \
                        fm verify repository/deepfm/1/model.pt --json\n  \
                        fm verify runs/deepfm-1")]
pub struct Verify {
    /// An exported file, or the folder of a run
    ///
    /// A TorchScript file, also one in a Triton repository, or the folder of a run. Nothing in it is run.
    #[arg(value_name = "FILE|RUN", add = completion::runs())]
    pub file: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}
