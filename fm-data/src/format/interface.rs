//! The interface of a file format: a reader and a writer of chunks.

use std::io;
use std::path::Path;

use polars::prelude::DataFrame;

use super::bad_rows::BadRows;
use super::input::Input;
use super::output::Output;
use super::selection::Selection;
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

/// Maximum length of a record of text, so that an open quote does not load a large file into memory.
pub(super) const LONGEST_RECORD: usize = 256 << 20;

/// How a table is read. By default, all columns are read, and the header shows the separator.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The size of the chunks.
    pub size: ChunkSize,
    /// The ASCII character between the cells of a text file. Others are tried if the header does not have the needed
    /// columns with this one.
    pub separator: Option<char>,
    /// The columns to read.
    pub columns: Selection,
    /// What becomes of rows that cannot be read.
    pub bad_rows: BadRows,
}

/// A file type for tables.
pub trait Format: Sync {
    /// The extension of its files, in lower case and without the dot.
    fn extension(&self) -> &'static str;

    /// Whether its files are text, which may be compressed as a whole.
    fn is_text(&self) -> bool;

    /// Opens a table.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::Data`](crate::Error::Data) for a file that is not of this format, or
    /// a needed column that cannot be read.
    fn read(&self, input: Input, options: &ReadOptions) -> Result<Box<dyn ReadChunks>>;

    /// Starts a table.
    fn write(&self, output: Output) -> Box<dyn WriteChunks>;
}

/// Reads the rows of a table in order.
pub trait ReadChunks: Send {
    /// The names of all columns of the table, whether they are read or not.
    fn names(&self) -> &[String];

    /// The file of the last chunk, or the name of the stream.
    fn file(&self) -> &Path;

    /// The next rows, with every column as text; `None` after the last rows. A table without rows is one chunk without
    /// rows. A needed column that the table lacks is missing.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::BadRow`](crate::Error::BadRow) with the line of the first invalid row, unless
    /// such rows are skipped.
    fn next_chunk(&mut self) -> Result<Option<DataFrame>>;

    /// The bytes of the file read so far. A format that stores columns one after the other counts the share of rows
    /// read.
    fn bytes_read(&self) -> u64;

    /// Skips rows, and returns the line on which the next one starts, from 1. `None` for a format without lines, or
    /// after the last row.
    fn line_after(&mut self, _rows: usize) -> Option<usize> {
        None
    }
}

/// Writes the rows of a table in order. All chunks have the same columns.
pub trait WriteChunks: Send {
    /// Writes some rows.
    ///
    /// # Errors
    /// The operating system's error.
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()>;

    /// Ends the table, and returns its output.
    ///
    /// # Errors
    /// The operating system's error.
    fn finish(self: Box<Self>) -> io::Result<Output>;
}
