//! From settings to encoded rows.

use std::path::Path;

use fm_core::{Encoder, Rows};

use crate::cache::{CacheKey, Prepared, prepare};
use crate::config::{DataConfig, TaskName};
use crate::error::Result;
use crate::fit::Fitted;
use crate::raw_data::RawData;
use crate::source::reader;

impl DataConfig {
    /// Reads the rows and encodes them, or opens the encoded rows in the cache. Either way, it warns about odd values of the
    /// training rows, and says what was decided about the rows. `data_dir` is the folder of downloaded data.
    ///
    /// # Errors
    /// Like [`RawData::open`] and [`RawData::fit`].
    pub fn prepare(&self, data_dir: &Path, cache_dir: &Path) -> Result<Prepared> {
        let files = reader(self, data_dir)?.files()?;
        let prepared = prepare(&CacheKey { inputs: &files, settings: self }, cache_dir, || {
            let data = RawData::open_declared(self, data_dir)?;
            let Fitted { schema, warnings } = data.fit_and_warn()?;
            // What the rows hold does not depend on the shares.
            let encoder = Encoder::new(&schema);
            let rows = data.encodable(&encoder)?;
            let train = rows.encode(&data.parts.train)?;
            let share = |unknown: usize| unknown as f32 / train.len().max(1) as f32;
            let shares: Vec<f32> = train.unknown_counts().into_iter().map(share).collect();
            let (valid, test) = (rows.encode(&data.parts.valid)?, rows.encode(&data.parts.test)?);
            let schema = schema.clone().with_unknown_shares(&shares)?;
            let ranking = (self.task == TaskName::Ranking).then(|| data.ranking(&schema)).transpose()?;
            Ok(Prepared { train, valid, test, ranking, schema, warnings, notes: data.notes.clone(), lock: None })
        })?;
        prepared.notes.iter().for_each(|note| tracing::info!("{note}"));
        prepared.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(prepared)
    }
}
