//! Where rows come from: a MovieLens release, a table, or a table for each part. A new source is one file, and one line in
//! [`SOURCES`].

mod interface;
mod movielens;
mod table;
mod tables;

use std::path::Path;

use self::interface::Source;
use crate::config::DataConfig;
use crate::error::{Error, Result};

pub use interface::{DeclaredTable, Division, Reader};

/// All sources. The first that applies to the settings reads the rows.
const SOURCES: [Source; 3] = [tables::SOURCE, table::SOURCE, movielens::SOURCE];

fn source(config: &DataConfig) -> Option<Source> {
    SOURCES.into_iter().find(|source| (source.applies)(config))
}

/// Finds the rows that the settings name. `data_dir` is the folder of downloaded data.
///
/// # Errors
/// [`Error::NoData`]; what the source finds wrong with the settings.
pub(crate) fn reader(config: &DataConfig, data_dir: &Path) -> Result<Box<dyn Reader>> {
    (source(config).ok_or(Error::NoData)?.open)(config, data_dir)
}

/// The terms under which the data may be used, with the citation that they ask for. `None` if they are not known.
pub fn terms_of_use(config: &DataConfig) -> Option<&'static str> {
    source(config)?.terms
}
