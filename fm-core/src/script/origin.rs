//! What a file is: the run that it comes from, and whether it is whole.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SCHEMA_FILE;
use super::archive::{Archive, unusable};
use crate::error::Result;
use crate::schema::Schema;

/// What an archive tells of the run that it was exported from, in the extra file [`Origin::FILE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The name of the model.
    pub model: String,
    /// The name of the run's folder.
    pub run: String,
    /// When the run was created, in UTC.
    pub created: String,
    /// The epoch that the parameters are of.
    pub epoch: usize,
    /// The hash of the checkpoint with the parameters.
    pub checkpoint: String,
    /// The method of the calibration, if the model has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// A digest of the run's schema.
    pub schema: String,
    /// A digest of the rows of each part.
    pub rows: BTreeMap<String, String>,
    /// The version of this program.
    pub fm: String,
    /// The version of libtorch.
    pub libtorch: String,
}

impl Origin {
    /// The name of the extra file.
    pub const FILE: &str = "origin.json";
}

/// An archive that has proved whole.
#[derive(Debug)]
pub struct Verified {
    /// Where it comes from; `None` if it was not exported from a run.
    pub origin: Option<Origin>,
    /// Its fields and vocabularies.
    pub schema: Schema,
    /// Number of its records.
    pub records: usize,
    /// Number of bytes in them.
    pub bytes: u64,
}

/// Checks an archive without running it: its records are those that were written, with the right checksums; they have
/// the bytes of their tensors; and parameters are finite.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io); [`Error::Format`](crate::Error::Format) with what is wrong.
pub fn verify(path: impl AsRef<Path>) -> Result<Verified> {
    let path = path.as_ref();
    let mut archive = Archive::open(path)?;
    archive.check()?;
    let schema = Schema::from_json(&archive.extra_file(SCHEMA_FILE)?);
    let schema = schema.map_err(|error| unusable(path, error.to_string()))?;
    let origin = archive.has_extra_file(Origin::FILE).then(|| archive.extra_file(Origin::FILE)).transpose()?;
    let origin = origin.map(|text| serde_json::from_str(&text)).transpose();
    let origin = origin.map_err(|error| unusable(path, format!("its {}: {error}", Origin::FILE)))?;
    let (records, bytes) = archive.size();
    Ok(Verified { origin, schema, records, bytes })
}
