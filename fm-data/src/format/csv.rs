//! Text with a separator between cells and with quotes (RFC 4180).

mod chunks;
mod header;
mod parts;
pub(crate) mod records;
mod text_builder;

use std::io::{self, Write};

use fm_core::terminal::page;
use polars::prelude::{DataFrame, PlSmallStr};
use polars_io::SerWriter;
use polars_io::prelude::CsvWriter;

use super::input::{Input, is_signature};
use super::interface::{Format, ReadChunks, ReadOptions, WriteChunks};
use super::output::Output;
use crate::error::{Result, io_error};

pub use chunks::CsvChunks;

/// Values separated by commas.
pub const CSV: Separated = Separated { extension: "csv", separator: b',' };

/// Values separated by tabs.
pub const TSV: Separated = Separated { extension: "tsv", separator: b'\t' };

/// Values separated by tabs, under the name of any text.
pub const TXT: Separated = Separated { extension: "txt", separator: b'\t' };

/// A header line, then one record per row, with a separator between cells.
pub struct Separated {
    extension: &'static str,
    /// The separator of written files, and the first that is tried when reading.
    separator: u8,
}

impl Format for Separated {
    fn extension(&self) -> &'static str {
        self.extension
    }

    fn is_text(&self) -> bool {
        true
    }

    fn read(&self, input: Input, options: &ReadOptions) -> Result<Box<dyn ReadChunks>> {
        Ok(Box::new(CsvChunks::new(input, self.separator, options)?))
    }

    fn write(&self, output: Output) -> Box<dyn WriteChunks> {
        Box::new(CsvWriting { output, separator: self.separator, is_first: true })
    }
}

/// The header line. Names are in quotes where they are empty or could be divided, by any separator that readers try,
/// and where the file would begin as one of another kind.
fn header(table: &DataFrame, separator: u8) -> String {
    let cell = |(number, name): (usize, &PlSmallStr)| {
        let is_odd = name.is_empty()
            || name.contains(['"', '\n', '\r', ',', ';', '\t', '|', char::from(separator)])
            || (number == 0 && is_signature(name.as_bytes()));
        if is_odd { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_string() }
    };
    let cells: Vec<String> = table.get_column_names().into_iter().enumerate().map(cell).collect();
    cells.join(char::from(separator).encode_utf8(&mut [0; 4])) + "\n"
}

struct CsvWriting {
    output: Output,
    separator: u8,
    is_first: bool,
}

impl WriteChunks for CsvWriting {
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()> {
        let header = if std::mem::take(&mut self.is_first) { header(table, self.separator) } else { String::new() };
        // In the only column, a missing value would be a blank line, of which those at the end of a file do not count.
        let null = if table.width() == 1 { "\"\"" } else { "" };
        let mut write = |to: &mut dyn Write| {
            to.write_all(header.as_bytes())?;
            let writer = CsvWriter::new(to).with_separator(self.separator).include_header(false);
            writer.with_null_value(null.into()).finish(table).map_err(io_error)
        };
        if !self.output.is_terminal() {
            return write(&mut self.output);
        }
        let mut text = vec![];
        write(&mut text)?;
        self.output.write_all(page(&String::from_utf8_lossy(&text)).as_bytes())
    }

    fn finish(self: Box<Self>) -> io::Result<Output> {
        Ok(self.output)
    }
}
