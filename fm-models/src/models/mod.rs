//! The models, one file each, and the registry that names them.
//!
//! The command line and the tests read [`MODELS`]: a new model is one file and one line here.

pub mod deepfm;
pub mod fm;
pub mod lr;

use fm_core::{Error, ModelEntry, Result};

/// All models.
pub const MODELS: &[ModelEntry] = &[lr::ENTRY, fm::ENTRY, deepfm::ENTRY];

/// The model of this name.
///
/// # Errors
/// [`Error::Setting`] that suggests the near name.
pub fn find(name: &str) -> Result<&'static ModelEntry> {
    fm_core::model::find(MODELS, name)
}

/// Checks the options that the models share.
fn check_options(embedding_dim: i64, init_std: f64, hidden_units: &[i64], dropout: f64) -> Result<()> {
    let refuse = |reason: String| Err(Error::Setting(reason));
    if !(1..=4096).contains(&embedding_dim) {
        return refuse(format!("embedding_dim is {embedding_dim}: it must be 1 to 4096"));
    }
    if !init_std.is_finite() || init_std < 0.0 {
        return refuse(format!("init_std is {init_std}: it must be a number of at least 0"));
    }
    if let Some(units) = hidden_units.iter().find(|units| !(1..=65536).contains(*units)) {
        return refuse(format!("hidden_units holds {units}: each layer must have 1 to 65536"));
    }
    if !(0.0..1.0).contains(&dropout) {
        return refuse(format!("dropout is {dropout}: it must be at least 0 and less than 1"));
    }
    Ok(())
}
