//! Writes tables of any size, one chunk at a time.

use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

use crate::error::{Error, Result};
use crate::format::{self, WriteChunks};

/// Writes a table one chunk at a time, to standard output or to a file. A file is written atomically.
///
/// All chunks have the same columns. A writer that is dropped before it is [finished](TableWriter::finish) leaves no
/// file.
pub struct TableWriter {
    /// The file, for errors.
    path: PathBuf,
    chunks: Box<dyn WriteChunks>,
}

impl TableWriter {
    /// Starts a file in the format of the extension, such as `.csv`, `.jsonl` or `.parquet`. Text is compressed if the
    /// name ends in `.gz` or `.zst`, too.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`], or [`Error::Data`] for another extension.
    pub fn create(path: impl AsRef<Path>) -> Result<TableWriter> {
        let path = path.as_ref();
        Ok(TableWriter { path: path.to_owned(), chunks: format::create(path)? })
    }

    /// Writes CSV to standard output.
    pub fn stdout() -> TableWriter {
        TableWriter { path: "standard output".into(), chunks: format::to_stdout() }
    }

    /// Writes rows.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, table: &mut DataFrame) -> Result<()> {
        self.chunks.write(table).map_err(Error::io("write", &self.path))
    }

    /// Commits the file.
    ///
    /// # Errors
    /// [`Error::Io`] or [`fm_core::Error::Io`]; an existing file of this name then stays unchanged.
    pub fn finish(self) -> Result<()> {
        let output = self.chunks.finish().map_err(Error::io("write", &self.path))?;
        match output.finish().map_err(Error::io("write", &self.path))? {
            Some(file) => Ok(file.commit()?),
            None => Ok(()),
        }
    }
}
