//! CSV from any source, one chunk of whole records at a time.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::Utf8ViewArray;
use memchr::memchr_iter;
use polars::prelude::*;

use super::super::bad_rows::BadRows;
use super::super::input::{Input, Text};
use super::super::interface::{ChunkSize, LONGEST_RECORD, ReadChunks, ReadOptions};
use super::super::selection::Chosen;
use super::header::{line_end, separator_and_names};
use super::parts::parts;
use super::records::{Cell, Dialect, Fault, Records, is_open_quote, without_closing_line_ends};
use super::text_builder::TextBuilder;
use crate::error::{Error, Result};
use crate::threads;

/// Number of bytes to read at once, unless a record is longer. Threads that divide them must be worth starting.
const BLOCK: usize = 1 << 20;

/// The chunks of a CSV file.
///
/// All threads read parts of the buffer. If one of them finds anything unusual, such as a misplaced quote or a missing cell, the
/// records from its part on are read once more, one by one, which finds what is wrong and in which line, and skips it or fails.
///
/// Every byte is visited a fixed number of times: a record that the buffer cuts is read again when the buffer has
/// doubled.
pub struct CsvChunks {
    source: Box<dyn Read + Send>,
    /// The file, for errors.
    path: PathBuf,
    bytes_read: Arc<AtomicU64>,
    size: ChunkSize,
    /// The minimum number of bytes read at once.
    block: usize,
    /// Maximum length of a record.
    longest: usize,
    dialect: Dialect,
    /// The names of all columns.
    names: Vec<String>,
    columns: Vec<ColumnToRead>,
    bad_rows: BadRows,
    /// Bytes of the source. Those before `start` belong to records that have been read. Those from `end` are line ends that
    /// may be the last.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The line number of the next record.
    line: usize,
    at_end: bool,
    is_first: bool,
}

/// A column to read.
struct ColumnToRead {
    /// Its position in a record.
    position: usize,
    name: PlSmallStr,
    /// Whether its text must be UTF-8. In other columns, characters take the place of bytes that are not.
    is_needed: bool,
}

/// Some rows of the columns to read.
struct Batch {
    rows: usize,
    /// The length of their records, and the number of lines.
    bytes: usize,
    lines: usize,
    columns: Vec<Utf8ViewArray>,
}

/// Where a record starts.
struct Start {
    /// Its position in the buffer.
    at: usize,
    /// Its line in the file.
    line: usize,
}

impl CsvChunks {
    /// Reads the header. `usual` is the separator that is tried first.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a source without a header, or a needed column whose name occurs twice.
    pub fn new(input: Input, usual: u8, options: &ReadOptions) -> Result<CsvChunks> {
        CsvChunks::in_blocks(input, usual, options, BLOCK)
    }

    fn in_blocks(input: Input, usual: u8, options: &ReadOptions, block: usize) -> Result<CsvChunks> {
        let Text { path, source, bytes_read } = input.into_text()?;
        let mut chunks = CsvChunks {
            source,
            path,
            bytes_read,
            size: options.size,
            block,
            longest: LONGEST_RECORD,
            dialect: Dialect { separator: usual, line_end: b'\n' },
            names: Vec::new(),
            columns: Vec::new(),
            bad_rows: options.bad_rows.clone(),
            buffer: Vec::new(),
            start: 0,
            end: 0,
            line: 1,
            at_end: false,
            is_first: true,
        };
        chunks.read_header(options)?;
        Ok(chunks)
    }

    fn read_header(&mut self, options: &ReadOptions) -> Result<()> {
        // Read at least the whole byte-order mark.
        self.fill(self.block.max(3))?;
        if self.buffer.starts_with(b"\xEF\xBB\xBF") {
            self.buffer.drain(..3);
        }
        let len = loop {
            if let Some((len, end)) = line_end(&self.buffer) {
                self.dialect.line_end = end;
                break len;
            }
            if self.at_end {
                break without_closing_line_ends(&self.buffer).len();
            }
            self.check_length(self.buffer.len()).map_err(|fault| self.error(fault))?;
            self.fill(self.buffer.len().max(self.block))?;
        };
        let header = &self.buffer[..len];
        if header.is_empty() {
            // Line ends alone are an empty file, wherever a block ends.
            while !self.at_end && without_closing_line_ends(&self.buffer).is_empty() {
                self.buffer.clear();
                self.fill(self.block)?;
            }
            let fault: Fault = match without_closing_line_ends(&self.buffer).is_empty() {
                true => (None, "is empty: expected a header line and rows".into()),
                false => (Some(1), "is blank: expected the names of the columns".into()),
            };
            return Err(self.error(fault));
        }
        let needed = options.columns.needed.iter().map(|needed| needed.name.as_str());
        let declared = options.separator.and_then(|separator| u8::try_from(separator).ok());
        let found = separator_and_names(header, declared, self.dialect.separator, needed);
        (self.dialect.separator, self.names) = found.map_err(|fault| self.error(fault))?;
        let chosen = options.columns.choose(&self.names).map_err(|reason| self.error((Some(1), reason)))?;
        let column = |column: Chosen<'_>| ColumnToRead {
            position: column.position,
            name: column.name.into(),
            is_needed: column.needed.is_some() || options.columns.needed.is_empty(),
        };
        self.columns = chosen.into_iter().map(column).collect();
        // The header is a record, so that its line end is that of a record.
        self.update_end();
        match self.next_record(&mut Vec::new())? {
            Some(Err(fault)) => Err(self.error(fault)),
            _ => Ok(()),
        }
    }

    /// The next rows as far as all threads can read them, at most this number of rows and bytes. None if a single record does
    /// not fit, or something unusual is in the first part.
    fn next_parts(&mut self, max_rows: usize, max_bytes: usize) -> Result<Vec<Batch>> {
        let missing = self.block.saturating_sub(self.buffer.len() - self.start);
        if missing > 0 && !self.at_end {
            self.fill(missing)?;
        }
        let text = &self.buffer[self.start..self.end];
        let text = &text[..text.len().min(self.block).min(max_bytes)];
        let lines = memchr_iter(self.dialect.line_end, text).take(max_rows);
        let text = lines.last().map_or(&text[..0], |last| &text[..=last]);
        let parts = parts(text, self.dialect, threads::num_threads());
        let (columns, width) = (&self.columns, self.names.len());
        let limits = (self.dialect, width, self.longest);
        let cells = text.len() / 8;
        let read = threads::map(parts, cells, |part| read_part(part, limits, columns));
        let batches: Vec<Batch> = read.into_iter().map_while(|batch| batch).collect();
        for batch in &batches {
            self.start += batch.bytes;
            self.line += batch.lines;
        }
        Ok(batches)
    }

    /// The next rows one by one: at most this number of rows, and of bytes except for the last row.
    fn next_rows(&mut self, max_rows: usize, max_bytes: usize) -> Result<Batch> {
        let mut columns: Vec<TextBuilder> = self.columns.iter().map(|_| TextBuilder::default()).collect();
        let (mut rows, mut bytes, mut cells) = (0, 0, Vec::new());
        while rows < max_rows && bytes < max_bytes {
            let Some(Start { at, .. }) = self.next_row(&mut cells)? else { break };
            let record = &self.buffer[at..self.start];
            for (column, builder) in self.columns.iter().zip(&mut columns) {
                builder.push_lossy(cells[column.position], record);
            }
            rows += 1;
            bytes += record.len();
        }
        Ok(Batch { rows, bytes, lines: 0, columns: columns.into_iter().map(TextBuilder::finish).collect() })
    }

    /// As [`CsvChunks::next_record`], for the next record that is a row of the table.
    fn next_row(&mut self, cells: &mut Vec<Cell>) -> Result<Option<Start>> {
        loop {
            let fault = match self.next_record(cells)? {
                None => return Ok(None),
                Some(Err(fault)) => fault,
                Some(Ok(start)) => match self.check(cells, start.at) {
                    Ok(()) => return Ok(Some(start)),
                    Err(reason) => (Some(start.line), reason),
                },
            };
            self.bad_rows.reject(|| self.error(fault))?;
        }
    }

    /// Puts the cells of the next record into `cells`, as positions in the buffer from its first byte, and returns where it
    /// starts; `None` after the last record. What follows a fault is read from the next line.
    fn next_record(&mut self, cells: &mut Vec<Cell>) -> Result<Option<Result<Start, Fault>>> {
        loop {
            let mut records = Records::new(&self.buffer[self.start..self.end], self.dialect, self.line);
            let read = records.read(cells);
            let is_whole = match &read {
                Ok(None) => false,
                // What follows may belong to its last cell or line end.
                Ok(Some(_)) => records.position() < self.end - self.start,
                Err(fault) => !is_open_quote(fault),
            };
            let begun = self.buffer.len() - self.start;
            let (at, len, line) = (self.start, records.position(), records.line());
            let read = match self.check_length(if is_whole { len } else { begun }) {
                Err(fault) => Err(fault),
                Ok(()) if is_whole || self.at_end => read,
                Ok(()) => {
                    self.fill(begun.max(self.block))?;
                    continue;
                }
            };
            match read {
                Ok(read) => {
                    (self.start, self.line) = ((at + len).min(self.end), line);
                    return Ok(read.map(|line| Ok(Start { at, line })));
                }
                Err(fault) => {
                    self.skip_line()?;
                    return Ok(Some(Err(fault)));
                }
            }
        }
    }

    /// Skips the rest of the line on which the next record starts. It need not fit the buffer.
    fn skip_line(&mut self) -> Result<()> {
        self.line += 1;
        loop {
            let rest = &self.buffer[self.start..self.end];
            if let Some(len) = rest.iter().position(|&byte| byte == self.dialect.line_end) {
                self.start += len + 1;
                return Ok(());
            }
            self.buffer.drain(self.start..self.end);
            self.end = self.start;
            if self.at_end {
                return Ok(());
            }
            self.fill(self.block)?;
        }
    }

    fn check_length(&self, begun: usize) -> Result<(), Fault> {
        if begun <= self.longest {
            return Ok(());
        }
        let reason = format!("a record of more than {} MiB: is a quote left open?", self.longest >> 20);
        Err((Some(self.line), reason))
    }

    /// Drops the bytes of records that have been read, and reads up to `len` more bytes.
    fn fill(&mut self, len: usize) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let read = (&mut self.source).take(len as u64).read_to_end(&mut self.buffer);
        self.at_end = read.map_err(Error::io("read", &self.path))? < len;
        self.update_end();
        Ok(())
    }

    /// Line ends at the end of the file are not records. Whether this is the end is known after the next read.
    fn update_end(&mut self) {
        self.end = self.start + without_closing_line_ends(&self.buffer[self.start..]).len();
    }

    /// Checks that the record which starts at `at` and has just been read has as many cells as the header, and that those of
    /// needed columns are text.
    fn check(&self, cells: &[Cell], at: usize) -> Result<(), String> {
        if cells.len() != self.names.len() {
            let is_blank = cells.len() == 1 && cells[0].is_empty();
            let found = if is_blank { "is blank".into() } else { format!("has {} cells", cells.len()) };
            return Err(format!("{found}, but the header has {}", self.names.len()));
        }
        let record = &self.buffer[at..self.start];
        if str::from_utf8(record).is_ok() {
            return Ok(());
        }
        let is_text = |column: &ColumnToRead| str::from_utf8(cells[column.position].bytes(record)).is_ok();
        match self.columns.iter().find(|column| column.is_needed && !is_text(column)) {
            None => Ok(()),
            Some(column) => {
                Err(format!("is not UTF-8 in column `{}`: convert the file, for example with iconv", column.name))
            }
        }
    }

    fn error(&self, (line, reason): Fault) -> Error {
        Error::data(&self.path, line, reason)
    }
}

impl ReadChunks for CsvChunks {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn file(&self) -> &Path {
        &self.path
    }

    fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        let mut columns: Vec<Vec<Utf8ViewArray>> = self.columns.iter().map(|_| vec![]).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < self.size.rows && bytes < self.size.bytes {
            let (max_rows, max_bytes) = (self.size.rows - rows, self.size.bytes - bytes);
            let mut batches = self.next_parts(max_rows, max_bytes)?;
            if batches.is_empty() {
                batches.push(self.next_rows(max_rows, max_bytes.min(self.block))?);
            }
            let before = rows;
            for batch in batches {
                rows += batch.rows;
                bytes += batch.bytes;
                columns.iter_mut().zip(batch.columns).for_each(|(column, part)| column.push(part));
            }
            if rows == before {
                break;
            }
        }
        if rows == 0 && !self.is_first {
            return Ok(None);
        }
        self.is_first = false;
        let column = |(column, parts): (&ColumnToRead, _)| {
            StringChunked::from_chunk_iter(column.name.clone(), parts).into_column()
        };
        let columns = self.columns.iter().zip(columns).map(column).collect();
        Ok(Some(DataFrame::new(rows, columns)?))
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    fn line_after(&mut self, rows: usize) -> Option<usize> {
        let mut cells = Vec::new();
        for _ in 0..rows {
            self.next_row(&mut cells).ok()??;
        }
        self.next_row(&mut cells).ok()?.map(|start| start.line)
    }
}

/// The rows of a part of a table, which ends with a record; `None` if something in it is unusual: misplaced quotes, a record
/// that is too long or has another number of cells than the header, bytes that are not UTF-8.
fn read_part(
    part: &[u8],
    (dialect, width, longest): (Dialect, usize, usize),
    columns: &[ColumnToRead],
) -> Option<Batch> {
    let text = str::from_utf8(part).ok()?;
    // A row has a byte for each cell, also if it is empty.
    let lines = memchr_iter(dialect.line_end, part).count().min(part.len() / width.max(1));
    let mut builders: Vec<TextBuilder> = columns.iter().map(|_| TextBuilder::with_capacity(lines)).collect();
    let (mut records, mut cells, mut rows) = (Records::new(part, dialect, 0), Vec::new(), 0);
    loop {
        let start = records.position();
        if records.read(&mut cells).ok()?.is_none() {
            let columns = builders.into_iter().map(TextBuilder::finish).collect();
            return Some(Batch { rows, bytes: part.len(), lines: records.line(), columns });
        }
        if cells.len() != width || records.position() - start > longest {
            return None;
        }
        for (column, builder) in columns.iter().zip(&mut builders) {
            builder.push(cells[column.position], text);
        }
        rows += 1;
    }
}

#[cfg(test)]
mod tests;
