//! From settings to encoded rows.

use std::path::Path;

use fm_core::schema::Inheritance;
use fm_core::{Encoder, Records, Schema};
use serde::Serialize;

use crate::cache::{CacheKey, Prepared, prepare, rows_file};
use crate::config::{DataConfig, TaskName};
use crate::encoded::{EncodedRows, Place};
use crate::error::Result;
use crate::fit::Fitted;
use crate::raw_data::RawData;
use crate::source::reader;
use crate::split::Parts;

/// A run that training starts from, and what the schema takes over from the run's.
#[derive(Clone, Debug, Serialize)]
pub struct Earlier {
    /// Its schema.
    pub schema: Schema,
    /// What is taken over.
    pub inheritance: Inheritance,
}

impl DataConfig {
    /// Reads the rows and encodes them, or opens the encoded rows in the cache. Either way, it warns about odd values of the
    /// training rows, and says what was decided about the rows. `data_dir` is the folder of downloaded data.
    ///
    /// # Errors
    /// Like [`RawData::open`] and [`RawData::fit`].
    pub fn prepare(&self, data_dir: &Path, cache_dir: &Path) -> Result<Prepared> {
        self.prepare_after(None, false, data_dir, cache_dir)
    }

    /// As [`DataConfig::prepare`], for training that starts from an earlier run if one is given, and with the training rows
    /// [in sequence](RawData::in_sequence) if `is_sequential`.
    ///
    /// # Errors
    /// As [`DataConfig::prepare`], and as [`Schema::inheriting`].
    pub fn prepare_after(
        &self,
        earlier: Option<&Earlier>,
        is_sequential: bool,
        data_dir: &Path,
        cache_dir: &Path,
    ) -> Result<Prepared> {
        let files = reader(self, data_dir)?.files()?;
        let prepared =
            prepare(&CacheKey { inputs: &files, settings: &(self, earlier, is_sequential) }, cache_dir, |folder| {
                let data = RawData::open_declared(self, data_dir)?;
                let data = if is_sequential { data.in_sequence() } else { data };
                let Fitted { schema, warnings } = data.fit_and_warn()?;
                let schema = match earlier {
                    Some(Earlier { schema: earlier, inheritance }) => schema.inheriting(earlier, *inheritance)?,
                    None => schema,
                };
                // What the rows hold does not depend on the shares.
                let encoder = Encoder::new(&schema);
                let rows = data.encodable(&encoder)?;
                let set = |part: &[u32], name| {
                    let file = folder.map(|folder| rows_file(folder, name));
                    rows.set(part.len(), file.as_deref().map_or(Place::Memory, Place::File))
                };
                let Parts { train, valid, test } = &data.parts;
                let mut trained = set(train, "train")?.counting_unknown(&schema);
                rows.encode(train, &mut trained)?;
                let schema = schema.clone().with_unknown_shares(&trained.unknown_shares())?;
                let finish = |set: EncodedRows, part: &[u32]| -> Result<Records> {
                    Ok(set.finish(&schema, rows.groups(part)?)?)
                };
                let others = |part: &[u32], name| {
                    let mut set = set(part, name)?;
                    rows.encode(part, &mut set)?;
                    finish(set, part)
                };
                let train = finish(trained, train)?;
                let (valid, test) = (others(valid, "valid")?, others(test, "test")?);
                let ranking = (self.task == TaskName::Ranking).then(|| data.ranking(&schema)).transpose()?;
                Ok(Prepared { train, valid, test, ranking, schema, warnings, notes: data.notes.clone(), lock: None })
            })?;
        prepared.notes.iter().for_each(|note| tracing::info!("{note}"));
        prepared.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(prepared)
    }
}
