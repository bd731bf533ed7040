//! Sparse lines, as LIBSVM, libFM and LIBFFM read them: `label index:value …` and `label field:index:value …`.
//!
//! A row of a libsvm file has the columns `label` and `features`, and that of a libffm file `label` and a column
//! `field_0`, `field_1`, … for each field. The cell of `features` or of a field lists its indices with their values:
//! `3:0.5 17` for 0.5 at index 3 and 1 at index 17.

mod line;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fm_core::terminal::shortened;
use polars::prelude::*;

use self::line::{Line, parse, without_comment};
use super::bad_rows::BadRows;
use super::input::{Input, Text};
use super::interface::{ChunkSize, Format, LONGEST_RECORD, ReadChunks, ReadOptions, WriteChunks};
use super::output::Output;
use super::selection::{Chosen, Needed};
use super::text::text_of;
use crate::error::{Error, Result};

/// The column of the labels.
pub const LABEL: &str = "label";
/// The column of a libsvm file's features.
pub const FEATURES: &str = "features";
/// The column of the queries of a libsvm file, if its lines have some.
pub const QUERY: &str = "qid";
/// The separator between the features of a cell.
pub const SEPARATOR: &str = " ";

/// What the columns of a libffm file start with.
const FIELD: &str = "field_";

/// `label index:value …`
pub const LIBSVM: Sparse = Sparse { extension: "libsvm", has_fields: false };
/// The same, under its other name.
pub const SVM: Sparse = Sparse { extension: "svm", has_fields: false };
/// `label field:index:value …`
pub const LIBFFM: Sparse = Sparse { extension: "libffm", has_fields: true };
/// The same, under its other name.
pub const FFM: Sparse = Sparse { extension: "ffm", has_fields: true };

/// A line for each row, with the numbers that are not 0.
pub struct Sparse {
    extension: &'static str,
    has_fields: bool,
}

/// Whether the sparse lines of files with this name have fields; `None` for another format.
pub fn has_fields(path: &Path) -> Option<bool> {
    let format = super::of(path).ok()?;
    [LIBSVM, SVM, LIBFFM, FFM].iter().find(|sparse| sparse.is(format)).map(|sparse| sparse.has_fields)
}

/// The column of a field.
pub fn column_of_field(field: u16) -> String {
    format!("{FIELD}{field}")
}

/// The field of a column; `None` for another column.
pub fn field_of_column(column: &str) -> Option<u16> {
    let field = column.strip_prefix(FIELD)?.parse().ok()?;
    (column_of_field(field) == column).then_some(field)
}

/// Whether these are lines of a sparse file, some with features.
pub(super) fn are_lines(lines: &[&[u8]], has_fields: bool) -> bool {
    let mut features = 0;
    let mut is_row = |bytes: &[u8]| {
        let mut line = Line::default();
        let is_row = without_comment(bytes).and_then(|text| parse(text, has_fields, &mut line)).is_ok();
        features += line.features.len();
        is_row
    };
    // A row that cannot be read makes no other format of the file.
    let rows = lines.iter().filter(|line| is_row(line)).count();
    2 * rows > lines.len() && features > 0
}

impl Sparse {
    fn is(&self, format: &dyn Format) -> bool {
        self.extension == format.extension()
    }
}

impl Format for Sparse {
    fn extension(&self) -> &'static str {
        self.extension
    }

    fn is_text(&self) -> bool {
        true
    }

    fn read(&self, input: Input, options: &ReadOptions) -> Result<Box<dyn ReadChunks>> {
        Ok(Box::new(SparseChunks::new(input, self.has_fields, options)?))
    }

    fn write(&self, output: Output) -> Box<dyn WriteChunks> {
        Box::new(SparseWriting { output, has_fields: self.has_fields })
    }
}

/// The rows of a file.
struct Lines {
    source: BufReader<Box<dyn Read + Send>>,
    path: PathBuf,
    has_fields: bool,
    bad_rows: BadRows,
    bytes: Vec<u8>,
    /// The number of the last line.
    number: usize,
    /// What stands in it.
    line: Line,
}

impl Lines {
    fn new(Text { source, path, .. }: Text, has_fields: bool, bad_rows: BadRows) -> Lines {
        let source = BufReader::with_capacity(1 << 18, source);
        Lines { source, path, has_fields, bad_rows, bytes: vec![], number: 0, line: Line::default() }
    }

    /// Reads the next line that is not blank. Returns whether there is one.
    fn advance(&mut self) -> Result<bool> {
        loop {
            self.bytes.clear();
            let read = (&mut self.source).take(LONGEST_RECORD as u64 + 1).read_until(b'\n', &mut self.bytes);
            if read.map_err(Error::io("read", &self.path))? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.number == 1 && self.bytes.starts_with(b"\xEF\xBB\xBF") {
                self.bytes.drain(..3);
            }
            let has_row = match self.bytes.len() {
                0..=LONGEST_RECORD => {
                    without_comment(&self.bytes).and_then(|text| parse(text, self.has_fields, &mut self.line))
                }
                _ => Err(format!("has more than {} MiB", LONGEST_RECORD >> 20)),
            };
            match has_row {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(reason) => self.reject(&reason)?,
            }
            if self.bytes.len() > LONGEST_RECORD && !self.bytes.ends_with(b"\n") {
                self.source.skip_until(b'\n').map_err(Error::io("read", &self.path))?;
            }
        }
    }

    /// Rejects the current line.
    fn reject(&self, reason: &str) -> Result<()> {
        self.bad_rows.reject(|| Error::data(&self.path, self.number, reason))
    }

    fn text(&self, range: &Range<usize>) -> &str {
        self.bytes.get(range.clone()).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// The fields of a whole file, in their order.
fn fields_of(text: Text, bad_rows: BadRows) -> Result<BTreeSet<u16>> {
    let mut lines = Lines::new(text, true, bad_rows);
    let mut fields = BTreeSet::new();
    while lines.advance()? {
        fields.extend(lines.line.features.iter().map(|feature| feature.field));
    }
    Ok(fields)
}

/// How the parts of a table are read: all parts of libffm files have the fields of each, because a field that no row of a part
/// has is not in its lines.
pub(super) fn with_fields_of_all(files: &[PathBuf], options: &ReadOptions) -> Result<ReadOptions> {
    let mut options = options.clone();
    let is_open_ended = options.columns.others || options.columns.needed.is_empty();
    let [first, _, ..] = files else { return Ok(options) };
    if !is_open_ended || has_fields(first) != Some(true) {
        return Ok(options);
    }
    let mut fields = BTreeSet::new();
    for file in files {
        fields.extend(fields_of(Input::open(file)?.into_text()?, options.bad_rows.again())?);
    }
    let is_needed = |name: &String| options.columns.needed.iter().any(|needed| needed.name == *name);
    let new: Vec<String> = fields.into_iter().map(column_of_field).filter(|name| !is_needed(name)).collect();
    options.columns.needed.extend(new.into_iter().map(Needed::any));
    options.columns.others = true;
    Ok(options)
}

/// The chunks of a sparse file.
struct SparseChunks {
    lines: Lines,
    bytes_read: Arc<AtomicU64>,
    size: ChunkSize,
    /// The names of all columns.
    names: Vec<String>,
    columns: Vec<ReadColumn>,
    /// The position in `columns` of each field that is read; of field 0 for all features.
    of_fields: HashMap<u16, usize>,
    has_queries: bool,
    /// Whether the current line is yet to be returned.
    is_pending: bool,
    is_first: bool,
}

/// A column to read.
struct ReadColumn {
    name: PlSmallStr,
    content: Content,
}

#[derive(Clone, Copy)]
enum Content {
    Label,
    Query,
    /// The features of a field.
    Features(u16),
}

impl SparseChunks {
    fn new(input: Input, has_fields: bool, options: &ReadOptions) -> Result<SparseChunks> {
        let is_open_ended = options.columns.others || options.columns.needed.is_empty();
        let (input, fields) = match has_fields {
            true if is_open_ended => {
                let (input, again) = input.twice("the fields of a libffm file are known only at its end")?;
                (again, fields_of(input.into_text()?, options.bad_rows.again())?)
            }
            _ => (input, BTreeSet::new()),
        };
        let text = input.into_text()?;
        let bytes_read = Arc::clone(&text.bytes_read);
        let mut lines = Lines::new(text, has_fields, options.bad_rows.clone());
        if !lines.advance()? {
            lines.bad_rows.finish(&lines.path, 0)?;
            let form = if has_fields { "1 0:3:0.5 2:17:1" } else { "1 3:0.5 17:1" };
            return Err(Error::data(&lines.path, None, format!("is empty: expected lines such as `{form}`")));
        }
        let has_queries = lines.line.query.is_some();
        let mut known: Vec<(String, Content)> = vec![(LABEL.into(), Content::Label)];
        if has_queries {
            known.push((QUERY.into(), Content::Query));
        }
        if has_fields {
            let needed = options.columns.needed.iter().filter_map(|needed| field_of_column(&needed.name));
            let all: BTreeSet<u16> = fields.into_iter().chain(needed).collect();
            let column = |field: u16| (column_of_field(field), Content::Features(field));
            known.extend(all.into_iter().map(column));
        } else {
            known.push((FEATURES.into(), Content::Features(0)));
        }
        let names: Vec<String> = known.iter().map(|(name, _)| name.clone()).collect();
        let chosen = options.columns.choose(&names).map_err(|reason| Error::data(&lines.path, None, reason))?;
        let column = |chosen: Chosen<'_>| ReadColumn { name: chosen.name.into(), content: known[chosen.position].1 };
        let columns: Vec<ReadColumn> = chosen.into_iter().map(column).collect();
        let of_fields = columns.iter().enumerate().filter_map(|(at, column)| match column.content {
            Content::Features(field) => Some((field, at)),
            Content::Label | Content::Query => None,
        });
        Ok(SparseChunks {
            of_fields: of_fields.collect(),
            lines,
            bytes_read,
            size: options.size,
            names,
            columns,
            has_queries,
            is_pending: true,
            is_first: true,
        })
    }

    /// Moves to the next row, and checks that it has a query if the first one has. Returns whether there is a row.
    fn advance(&mut self) -> Result<bool> {
        while std::mem::take(&mut self.is_pending) || self.lines.advance()? {
            let reason = match (self.lines.line.query.is_some(), self.has_queries) {
                (true, false) => "has a qid, but the first row has none",
                (false, true) => "has no qid, but the first row has one",
                _ => return Ok(true),
            };
            self.lines.reject(reason)?;
        }
        Ok(false)
    }
}

impl ReadChunks for SparseChunks {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn file(&self) -> &Path {
        &self.lines.path
    }

    fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        let builder = |column: &ReadColumn| StringChunkedBuilder::new(column.name.clone(), 0);
        let mut builders: Vec<StringChunkedBuilder> = self.columns.iter().map(builder).collect();
        let mut cells = vec![String::new(); self.columns.len()];
        let (mut rows, mut bytes) = (0, 0);
        while rows < self.size.rows && bytes < self.size.bytes && self.advance()? {
            let Lines { line, .. } = &self.lines;
            for feature in &line.features {
                let Some(&at) = self.of_fields.get(&feature.field) else { continue };
                let cell = &mut cells[at];
                if !cell.is_empty() {
                    cell.push_str(SEPARATOR);
                }
                cell.push_str(itoa::Buffer::new().format(feature.index));
                if !feature.value.is_empty() {
                    cell.push(':');
                    cell.push_str(self.lines.text(&feature.value));
                }
            }
            for ((column, builder), cell) in self.columns.iter().zip(&mut builders).zip(&mut cells) {
                match (column.content, &line.query) {
                    (Content::Label, _) => builder.append_value(self.lines.text(&line.label)),
                    (Content::Query, Some(query)) => builder.append_value(self.lines.text(query)),
                    (Content::Query, None) => builder.append_null(),
                    (Content::Features(_), _) if cell.is_empty() => builder.append_null(),
                    (Content::Features(_), _) => builder.append_value(&*cell),
                }
                cell.clear();
            }
            rows += 1;
            bytes += self.lines.bytes.len();
        }
        if rows == 0 && !self.is_first {
            return Ok(None);
        }
        self.is_first = false;
        let columns = builders.into_iter().map(|builder| builder.finish().into_column()).collect();
        Ok(Some(DataFrame::new(rows, columns)?))
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    fn line_after(&mut self, rows: usize) -> Option<usize> {
        for _ in 0..=rows {
            if !self.advance().ok()? {
                return None;
            }
        }
        Some(self.lines.number)
    }
}

/// Writes the columns of such a file again.
struct SparseWriting {
    output: Output,
    has_fields: bool,
}

impl WriteChunks for SparseWriting {
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()> {
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
        let expected = if self.has_fields { "label, field_0, field_1, …" } else { "label, qid and features" };
        let mut columns = Vec::new();
        for column in table.columns() {
            let name = column.name().as_str();
            let content = match field_of_column(name) {
                _ if name == LABEL => Content::Label,
                Some(field) if self.has_fields => Content::Features(field),
                None if name == QUERY && !self.has_fields => Content::Query,
                None if name == FEATURES && !self.has_fields => Content::Features(0),
                _ => return Err(invalid(format!("unexpected column `{name}`: expected {expected}"))),
            };
            columns.push((content, text_of(column).map_err(invalid)?));
        }
        // The label comes first, then the query.
        columns.sort_by_key(|(content, _)| match content {
            Content::Label => (0, 0),
            Content::Query => (1, 0),
            Content::Features(field) => (2, *field),
        });
        let Some((Content::Label, _)) = columns.first() else {
            return Err(invalid(format!("the column `{LABEL}` is missing")));
        };
        let mut text = String::new();
        for row in 0..table.height() {
            text.clear();
            for (content, cells) in &columns {
                let cell = cells.get(row).unwrap_or_default();
                // Writing to a string does not fail.
                let _ = match content {
                    Content::Label => write!(text, "{cell}"),
                    Content::Query => write!(text, " {QUERY}:{cell}"),
                    Content::Features(field) => cell.split_ascii_whitespace().try_for_each(|feature| {
                        let value = if feature.contains(':') { "" } else { ":1" };
                        match self.has_fields {
                            true => write!(text, " {field}:{feature}{value}"),
                            false => write!(text, " {feature}{value}"),
                        }
                    }),
                };
            }
            let mut line = Line::default();
            match parse(&text, self.has_fields, &mut line) {
                Ok(true) => text.push('\n'),
                Ok(false) => return Err(invalid("has a row without a label".into())),
                Err(reason) => {
                    return Err(invalid(format!("cannot have the row `{}`: {reason}", shortened(&text, 60))));
                }
            }
            self.output.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Output> {
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests;
