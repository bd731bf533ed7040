//! Comma-separated and tab-separated values with quotes (RFC 4180).

mod chunks;
mod records;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use fm_core::atomic_file::AtomicFile;
use fm_core::mapped_file::MappedFile;
use fm_core::terminal::page;
use polars::prelude::DataFrame;
use polars_io::SerWriter;
use polars_io::prelude::CsvWriter;

use self::records::{Records, without_byte_order_mark};
use super::interface::{ChunkSize, Format, ReadChunks, WriteChunks};
use crate::error::{Error, Result, io_error};

pub use chunks::CsvChunks;

/// Values separated by commas.
pub const CSV: Separated = Separated { extension: "csv", separator: b',' };

/// Values separated by tabs.
pub const TSV: Separated = Separated { extension: "tsv", separator: b'\t' };

/// A header line, then one record per row, with a separator between cells.
pub struct Separated {
    extension: &'static str,
    separator: u8,
}

impl Format for Separated {
    fn extension(&self) -> &'static str {
        self.extension
    }

    fn read(&self, path: &Path, size: ChunkSize) -> Result<Box<dyn ReadChunks>> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        Ok(Box::new(CsvChunks::new(Box::new(file), path.to_owned(), self.separator, size)?))
    }

    fn write(&self, file: AtomicFile) -> Box<dyn WriteChunks> {
        Box::new(CsvWriting { output: Output::File(file), separator: self.separator, is_first: true })
    }

    fn line_of_row(&self, path: &Path, row: usize) -> Option<usize> {
        // A quoted cell may span lines, so the file is read again. Without it, each row counts as one line.
        let line = MappedFile::open(path).ok().and_then(|file| {
            let mut records = Records::new(without_byte_order_mark(file.bytes()), self.separator, 1);
            records.nth(row + 1)?.ok().map(|record| record.line)
        });
        Some(line.unwrap_or(row + 2))
    }
}

/// Writes CSV to standard output.
pub fn to_stdout() -> Box<dyn WriteChunks> {
    Box::new(CsvWriting { output: Output::Stdout, separator: CSV.separator, is_first: true })
}

struct CsvWriting {
    output: Output,
    separator: u8,
    is_first: bool,
}

enum Output {
    File(AtomicFile),
    Stdout,
}

impl WriteChunks for CsvWriting {
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()> {
        let header = std::mem::take(&mut self.is_first);
        match &self.output {
            Output::File(file) => write(file.file(), self.separator, header, table),
            Output::Stdout if io::stdout().is_terminal() => {
                let mut text = vec![];
                write(&mut text, self.separator, header, table)?;
                io::stdout().write_all(page(&String::from_utf8_lossy(&text)).as_bytes())
            }
            Output::Stdout => write(io::stdout(), self.separator, header, table),
        }
    }

    fn finish(self: Box<Self>) -> io::Result<Option<AtomicFile>> {
        Ok(match self.output {
            Output::File(file) => Some(file),
            Output::Stdout => None,
        })
    }
}

fn write(to: impl io::Write, separator: u8, header: bool, table: &mut DataFrame) -> io::Result<()> {
    CsvWriter::new(to).with_separator(separator).include_header(header).finish(table).map_err(io_error)
}
