//! Tables of any size, written a chunk at a time.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use fm_core::atomic_file::AtomicFile;
use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;

use super::Format;
use crate::error::{Error, Result};

/// The most rows of a Parquet row group.
const ROW_GROUP: usize = 1 << 18;

/// Writes a table a chunk at a time: a file, which is there whole or not at all, or standard output.
///
/// All chunks have the columns of the first. A file that is not [finished](TableWriter::finish) is not there.
pub struct TableWriter {
    /// The file, for errors.
    path: PathBuf,
    output: Output,
    is_first: bool,
}

type RowGroupWriter = Box<BatchedWriter<BufWriter<File>>>;

enum Output {
    Csv {
        file: AtomicFile,
        separator: u8,
    },
    /// The writer is made with the first chunk, whose columns it needs.
    Parquet {
        file: AtomicFile,
        writer: Option<RowGroupWriter>,
    },
    Stdout,
}

impl TableWriter {
    /// Starts a file of the type that the extension says: `.csv`, `.tsv` or `.parquet`.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`], or [`Error::Data`] for another extension.
    pub fn create(path: impl AsRef<Path>) -> Result<TableWriter> {
        let path = path.as_ref();
        let format = Format::of(path)?;
        let file = AtomicFile::create(path)?;
        let output = match format {
            Format::Csv { separator } => Output::Csv { file, separator },
            Format::Parquet => Output::Parquet { file, writer: None },
        };
        Ok(TableWriter { path: path.to_owned(), output, is_first: true })
    }

    /// Writes CSV to standard output.
    pub fn stdout() -> TableWriter {
        TableWriter { path: "standard output".into(), output: Output::Stdout, is_first: true }
    }

    /// Writes rows.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, table: &mut DataFrame) -> Result<()> {
        let is_first = std::mem::take(&mut self.is_first);
        let written = match &mut self.output {
            Output::Csv { file, separator } => write_csv(file.file(), *separator, is_first, table),
            Output::Stdout => write_csv(io::stdout(), b',', is_first, table),
            Output::Parquet { file, writer } => write_row_groups(file, writer, table),
        };
        written.map_err(io_error).map_err(Error::io("write", &self.path))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Io`] or [`fm_core::Error::Io`]; an old file of this name is left as it was.
    pub fn finish(self) -> Result<()> {
        match self.output {
            Output::Csv { file, .. } => file.commit()?,
            Output::Parquet { file, writer } => {
                let ended = writer.map_or(Ok(0), |writer| writer.finish());
                ended.map_err(io_error).map_err(Error::io("write", &self.path))?;
                file.commit()?;
            }
            Output::Stdout => {}
        }
        Ok(())
    }
}

fn write_csv(to: impl io::Write, separator: u8, header: bool, table: &mut DataFrame) -> PolarsResult<()> {
    CsvWriter::new(to).with_separator(separator).include_header(header).finish(table)
}

fn write_row_groups(file: &AtomicFile, writer: &mut Option<RowGroupWriter>, table: &mut DataFrame) -> PolarsResult<()> {
    let writer = match writer {
        Some(writer) => writer,
        None => {
            // Buffered, since a page's head is written byte by byte; the writer flushes at its end.
            let file = BufWriter::new(file.file().try_clone()?);
            writer.insert(Box::new(ParquetWriter::new(file).batched(table.schema())?))
        }
    };
    table.rechunk_mut_par();
    for start in (0..table.height()).step_by(ROW_GROUP) {
        writer.write_batch(&table.slice(start as i64, ROW_GROUP))?;
    }
    Ok(())
}

/// The system's own error, if there is one: its kind tells a closed pipe.
fn io_error(error: PolarsError) -> io::Error {
    match error {
        PolarsError::IO { error, .. } => io::Error::new(error.kind(), error),
        error => io::Error::other(error),
    }
}
