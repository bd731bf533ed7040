//! From settings to encoded rows.

use std::path::Path;

use crate::cache::{CacheKey, Prepared, prepare};
use crate::config::{DataConfig, TaskName};
use crate::error::Result;
use crate::raw_data::RawData;
use crate::source::reader;

impl DataConfig {
    /// Reads the rows and encodes them, or opens the encoded rows in the cache. `data_dir` is the folder of downloaded
    /// data.
    ///
    /// # Errors
    /// Like [`RawData::open`] and [`RawData::fit`].
    pub fn prepare(&self, data_dir: &Path, cache_dir: &Path) -> Result<Prepared> {
        let files = reader(self, data_dir)?.files()?;
        prepare(&CacheKey { inputs: &files, settings: self }, cache_dir, || {
            let data = RawData::open(self, data_dir)?;
            let schema = data.fit()?;
            let ranking = (self.task == TaskName::Ranking).then(|| data.ranking(&schema)).transpose()?;
            let part = |rows: &[u32]| data.encode(&schema, rows);
            let (train, valid, test) = (part(&data.parts.train)?, part(&data.parts.valid)?, part(&data.parts.test)?);
            Ok(Prepared { train, valid, test, ranking, schema: schema.clone() })
        })
    }
}
