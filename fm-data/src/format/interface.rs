//! The interface of a file format: a reader and a writer of chunks, and the line of a row in its file.

use std::io;
use std::path::Path;

use fm_core::atomic_file::AtomicFile;
use polars::prelude::DataFrame;

use crate::error::Result;

/// The size of a chunk. Whichever limit is reached first applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSize {
    /// Maximum number of rows of a chunk, at least 1.
    pub rows: usize,
    /// Number of bytes after which a chunk ends: of its text or, in a Parquet file, of its columns. The last record may
    /// exceed it.
    pub bytes: usize,
}

impl Default for ChunkSize {
    fn default() -> ChunkSize {
        ChunkSize { rows: 32_768, bytes: 64 << 20 }
    }
}

/// A file type for tables.
pub trait Format: Sync {
    /// The extension of its files, in lower case and without the dot.
    fn extension(&self) -> &'static str;

    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::Data`](crate::Error::Data) for a file that is not of this format.
    fn read(&self, path: &Path, size: ChunkSize) -> Result<Box<dyn ReadChunks>>;

    /// Starts a file.
    fn write(&self, file: AtomicFile) -> Box<dyn WriteChunks>;

    /// The line, from 1, on which a row starts; rows count from 0. `None` for a format without lines.
    fn line_of_row(&self, path: &Path, row: usize) -> Option<usize>;
}

/// Reads the rows of a table in order.
pub trait ReadChunks: Send {
    /// The next rows, with every column as text; `None` after the last rows. A table without rows is one chunk without
    /// rows.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::Data`](crate::Error::Data) with the line of the first invalid row.
    fn next_chunk(&mut self) -> Result<Option<DataFrame>>;

    /// The bytes read so far. A format that stores columns one after the other counts the share of rows read.
    fn bytes_read(&self) -> u64;
}

/// Writes the rows of a table in order. All chunks have the same columns.
pub trait WriteChunks: Send {
    /// Writes some rows.
    ///
    /// # Errors
    /// The operating system's error.
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()>;

    /// Ends the table, and returns the file to commit; `None` for a stream.
    ///
    /// # Errors
    /// The operating system's error.
    fn finish(self: Box<Self>) -> io::Result<Option<AtomicFile>>;
}
