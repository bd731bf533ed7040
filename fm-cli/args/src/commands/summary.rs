//! `fm summary`

use crate::flags::{Form, ModelOptions, Rows, model_name};

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        fm summary deepfm --data ml-100k\n  \
                        fm summary fm --data books.csv --schema schema.toml --embedding-dim 8")]
pub struct Summary {
    /// A model (see `fm models`)
    #[arg(value_parser = model_name())]
    pub model: String,
    /// The data.
    #[command(flatten)]
    pub rows: Rows,
    /// The model's options.
    #[command(flatten)]
    pub options: ModelOptions,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}
