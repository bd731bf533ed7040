//! JSON lines: an object on each line, whose keys are the names of the columns.

mod chunks;
mod keys;
mod lines;
mod values;

use std::io::{self, Write};

use polars::prelude::*;

use self::chunks::JsonChunks;
use super::input::Input;
use super::interface::{Format, ReadChunks, ReadOptions, WriteChunks};
use super::output::Output;
use super::text::text_of;
use crate::error::Result;

/// JSON lines.
pub const JSONL: JsonLines = JsonLines { extension: "jsonl" };

/// The same under its other name.
pub const NDJSON: JsonLines = JsonLines { extension: "ndjson" };

/// An object per row.
pub struct JsonLines {
    extension: &'static str,
}

impl Format for JsonLines {
    fn extension(&self) -> &'static str {
        self.extension
    }

    fn is_text(&self) -> bool {
        true
    }

    fn read(&self, input: Input, options: &ReadOptions) -> Result<Box<dyn ReadChunks>> {
        Ok(Box::new(JsonChunks::new(input, options)?))
    }

    fn write(&self, output: Output) -> Box<dyn WriteChunks> {
        Box::new(JsonWriting { output })
    }
}

/// Writes text as strings, and numbers and truth values as such. Missing values are null, so that the first object has
/// all keys. JSON has no infinite numbers: they are null, too.
struct JsonWriting {
    output: Output,
}

impl WriteChunks for JsonWriting {
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()> {
        let columns = table.columns().iter().map(ColumnToWrite::new).collect::<io::Result<Vec<_>>>()?;
        let mut line = Vec::new();
        for row in 0..table.height() {
            line.clear();
            for (number, column) in columns.iter().enumerate() {
                line.extend_from_slice(if number == 0 { b"{" } else { b"," });
                line.extend_from_slice(&column.key);
                match column.cells.get(row) {
                    None => line.extend_from_slice(b"null"),
                    Some(text) if column.is_text => serde_json::to_writer(&mut line, text)?,
                    Some(number) if number.ends_with("inf") => line.extend_from_slice(b"null"),
                    Some(number) => line.extend_from_slice(number.as_bytes()),
                }
            }
            line.extend_from_slice(if columns.is_empty() { b"{}\n" } else { b"}\n" });
            self.output.write_all(&line)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Output> {
        Ok(self.output)
    }
}

/// A column to write.
struct ColumnToWrite {
    /// Its name as a JSON string, and a colon.
    key: Vec<u8>,
    cells: StringChunked,
    is_text: bool,
}

impl ColumnToWrite {
    fn new(column: &Column) -> io::Result<ColumnToWrite> {
        let mut key = serde_json::to_vec(column.name().as_str())?;
        key.push(b':');
        let kind = column.dtype();
        let is_text = !(kind.is_primitive_numeric() || kind.is_bool());
        Ok(ColumnToWrite { key, cells: text_of(column).map_err(io::Error::other)?, is_text })
    }
}

#[cfg(test)]
mod tests;
