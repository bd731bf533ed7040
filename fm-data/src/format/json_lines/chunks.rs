//! The chunks of a file of JSON lines.

use std::path::Path;

use polars::prelude::*;

use super::super::input::Input;
use super::super::interface::{ChunkSize, ReadChunks, ReadOptions};
use super::keys::Keys;
use super::lines::Lines;
use crate::error::{Error, Result};

/// The memory of an empty cell. Objects may have few of many keys, so that a chunk has many empty cells.
const CELL: usize = 16;

/// The chunks of a file.
///
/// The columns are the keys of the first chunk, which is read at once, and the needed columns that occur later.
pub(super) struct JsonChunks {
    lines: Lines,
    keys: Keys,
    size: ChunkSize,
    /// The first chunk until it is returned.
    first: Option<DataFrame>,
    /// The lines of its rows.
    first_lines: Vec<usize>,
}

impl JsonChunks {
    /// Reads the first chunk. If it lacks a needed column, the rest of the file is searched.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file without rows; [`Error::BadRow`].
    pub(super) fn new(input: Input, options: &ReadOptions) -> Result<JsonChunks> {
        JsonChunks::of(Lines::new(input, options.bad_rows.clone())?, options)
    }

    pub(super) fn of(lines: Lines, options: &ReadOptions) -> Result<JsonChunks> {
        let keys = Keys::new(options.columns.clone());
        let mut chunks = JsonChunks { lines, keys, size: options.size, first: None, first_lines: Vec::new() };
        let mut numbers = Vec::new();
        let is_rest = chunks.read_rows(|number| numbers.push(number))?;
        if numbers.is_empty() {
            chunks.lines.bad_rows.finish(&chunks.lines.path, 0)?;
            return Err(Error::data(&chunks.lines.path, None, "is empty: expected an object on each line"));
        }
        chunks.first_lines = numbers;
        chunks.keys.close();
        if is_rest && chunks.keys.missing().next().is_some() {
            chunks.search_needed()?;
        }
        chunks.first = Some(chunks.keys.take()?);
        Ok(chunks)
    }

    /// Reads the rows of a chunk, with their lines; whether more may follow.
    fn read_rows(&mut self, mut on_row: impl FnMut(usize)) -> Result<bool> {
        let mut bytes = 0;
        while self.keys.rows < self.size.rows && bytes < self.size.bytes {
            if !self.lines.next()? {
                return Ok(false);
            }
            if let Err(reason) = self.keys.read_row(self.lines.line()) {
                self.lines.bad_rows.reject(|| self.lines.error(reason))?;
                continue;
            }
            on_row(self.lines.number);
            bytes += self.lines.line().len() + CELL * self.keys.width;
        }
        Ok(true)
    }

    /// Searches the lines after the first chunk for needed columns. A stream cannot be read twice: its columns are
    /// those of the first chunk.
    fn search_needed(&mut self) -> Result<()> {
        if !self.lines.is_file {
            return Ok(());
        }
        let mut lines = Lines::new(Input::open(&self.lines.path)?, self.lines.bad_rows.again())?;
        while self.keys.missing().next().is_some() && lines.next()? {
            if lines.number > self.lines.number
                && let Err(reason) = self.keys.find_needed(lines.line())
            {
                lines.bad_rows.reject(|| lines.error(reason))?;
            }
        }
        Ok(())
    }
}

impl ReadChunks for JsonChunks {
    fn names(&self) -> &[String] {
        &self.keys.names
    }

    fn file(&self) -> &Path {
        &self.lines.path
    }

    fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        self.read_rows(|_| ())?;
        Ok(if self.keys.rows == 0 { None } else { Some(self.keys.take()?) })
    }

    fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }

    fn line_after(&mut self, rows: usize) -> Option<usize> {
        if let Some(&line) = self.first_lines.get(rows) {
            return Some(line);
        }
        self.first = None;
        let mut line = None;
        let size = ChunkSize { rows: rows + 1 - self.first_lines.len(), bytes: usize::MAX };
        self.size = size;
        self.read_rows(|number| line = Some(number)).ok()?;
        line.filter(|_| self.keys.rows == size.rows)
    }
}
