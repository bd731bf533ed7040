//! What a file format provides: a reader and a writer of chunks, and the place of a row in its file.

use std::io;
use std::path::Path;

use fm_core::atomic_file::AtomicFile;
use polars::prelude::DataFrame;

use crate::error::Result;

/// How much of a table is held at once: whichever limit is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSize {
    /// The maximum number of rows of a chunk, at least 1.
    pub rows: usize,
    /// The bytes after which a chunk ends: of its text, or of its columns in a Parquet file. The last record may exceed them.
    pub bytes: usize,
}

impl Default for ChunkSize {
    fn default() -> ChunkSize {
        ChunkSize { rows: 32_768, bytes: 64 << 20 }
    }
}

/// A type of file that holds a table.
pub trait Format: Sync {
    /// The ending of its files' names, in lower case and without the dot.
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

/// Reads the rows of a table in their order.
pub trait ReadChunks: Send {
    /// The next rows, every column as text; `None` after the last. A table without rows is one chunk without rows.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::Data`](crate::Error::Data) with the line of the first invalid row.
    fn next_chunk(&mut self) -> Result<Option<DataFrame>>;

    /// The bytes read so far. A format that stores column after column counts the share of the rows read.
    fn bytes_read(&self) -> u64;
}

/// Writes the rows of a table in their order. All chunks have the columns of the first.
pub trait WriteChunks: Send {
    /// Writes some rows.
    ///
    /// # Errors
    /// The operating system's error.
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()>;

    /// Ends the table, and returns the file to put in its place; `None` for a stream.
    ///
    /// # Errors
    /// The operating system's error.
    fn finish(self: Box<Self>) -> io::Result<Option<AtomicFile>>;
}
