//! Makes a compact table of chunks.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::Array;
use polars::prelude::*;

use super::segment::{Growing, ROWS, Segment, move_to_file};
use super::{CompactTable, Stored};
use crate::error::Result;
use crate::table::{NO_CODE, strings};
use crate::threads;

/// Columns with fewer distinct texts are coded, however few rows repeat them.
pub(super) const FEW: usize = 1 << 16;

/// Number of bytes of a column's distinct texts above which further rows are texts, too, however often they repeat.
const MAX_DISTINCT_BYTES: usize = 64 << 20;

/// Number of bytes in memory above which rows move to a file.
const MAX_BYTES: usize = 256 << 20;

/// Where rows go that take much memory.
#[derive(Clone, Debug)]
pub(super) struct Overflow {
    /// The folder of files without a name; `None` if all rows stay in memory.
    pub folder: Option<PathBuf>,
    /// Number of bytes in memory above which they move.
    pub max_bytes: usize,
}

/// Makes a table of chunks.
pub(crate) struct CompactBuilder {
    height: usize,
    columns: Vec<(String, Coding)>,
    overflow: Overflow,
}

impl CompactBuilder {
    /// A table whose rows move to files in `folder` if they take much memory. An empty path keeps them in memory.
    pub fn new(folder: impl Into<PathBuf>) -> CompactBuilder {
        let folder = Some(folder.into()).filter(|folder: &PathBuf| !folder.as_os_str().is_empty());
        CompactBuilder::with(Overflow { folder, max_bytes: MAX_BYTES })
    }

    pub(super) fn with(overflow: Overflow) -> CompactBuilder {
        CompactBuilder { height: 0, columns: vec![], overflow }
    }

    /// The number of rows so far.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Adds the rows of a chunk, which has the columns of the first one.
    ///
    /// # Errors
    /// As [`strings`]; [`Error::MissingColumn`](crate::Error::MissingColumn).
    pub fn push(&mut self, chunk: &DataFrame) -> Result<()> {
        if self.columns.is_empty() {
            let names = chunk.get_column_names();
            self.columns = names.into_iter().map(|name| (name.to_string(), Coding::default())).collect();
        }
        let cells = chunk.height() * self.columns.len();
        let push = |(name, coding): &mut (String, Coding)| -> Result<()> {
            coding.push(&strings(chunk, name)?);
            Ok(())
        };
        threads::map(&mut self.columns, cells, push).into_iter().collect::<Result<()>>()?;
        self.height += chunk.height();
        self.overflow.relieve(self.columns.iter_mut().map(|(_, coding)| coding));
        Ok(())
    }

    pub fn finish(self) -> CompactTable {
        let columns = self.columns.into_iter().map(|(name, coding)| (name, Arc::new(coding.finish()))).collect();
        CompactTable { height: self.height, columns, overflow: self.overflow }
    }
}

impl Overflow {
    /// Moves whole segments to a file if they take much memory. If that fails, they stay.
    pub fn relieve<'a>(&mut self, columns: impl Iterator<Item = &'a mut Coding>) {
        let Some(folder) = &self.folder else { return };
        let mut columns: Vec<&mut Coding> = columns.collect();
        let in_memory =
            |coding: &&mut Coding| coding.segments[coding.moved..].iter().map(Segment::in_memory).sum::<usize>();
        if columns.iter().map(in_memory).sum::<usize>() <= self.max_bytes {
            return;
        }
        let segments = columns.iter_mut().flat_map(|coding| &mut coding.segments[coding.moved..]);
        let moved = std::fs::create_dir_all(folder).and_then(|()| move_to_file(segments, folder));
        match moved {
            Ok(()) => columns.iter_mut().for_each(|coding| coding.moved = coding.segments.len()),
            Err(error) => {
                tracing::warn!(
                    "the rows stay in memory, because a temporary file in {} cannot be written: {error}",
                    folder.display()
                );
                self.folder = None;
            }
        }
    }
}

/// A column that grows.
pub(super) struct Coding {
    rows: usize,
    segments: Vec<Segment>,
    /// The number of segments in files.
    moved: usize,
    growing: Growing,
    /// The code of each text of up to twelve bytes, whose view contains it with its length.
    short: PlHashMap<u128, u32>,
    /// The code of each longer text.
    long: PlHashMap<Box<str>, u32>,
    /// The number of bytes of the distinct texts.
    distinct_bytes: usize,
    /// The distinct texts, a chunk for each chunk of rows with new ones.
    texts: Option<StringChunked>,
    /// Whether further segments have texts: the column hardly repeats any, or its distinct texts take much memory.
    is_plain: bool,
}

impl Default for Coding {
    fn default() -> Coding {
        let (short, long) = (PlHashMap::default(), PlHashMap::default());
        let growing = Growing::of_codes();
        Coding {
            rows: 0,
            segments: vec![],
            moved: 0,
            growing,
            short,
            long,
            distinct_bytes: 0,
            texts: None,
            is_plain: false,
        }
    }
}

impl Coding {
    pub fn push(&mut self, column: &StringChunked) {
        let mut new = StringChunkedBuilder::new(column.name().clone(), 0);
        let mut distinct = self.distinct();
        let Coding { segments, growing, short, long, distinct_bytes, is_plain, .. } = self;
        let mut add = |text: &str| {
            new.append_value(text);
            *distinct_bytes += text.len();
            distinct += 1;
            distinct as u32 - 1
        };
        let mut codes = vec![];
        for array in column.downcast_iter() {
            let text = |row| (!array.is_null(row)).then(|| array.value(row));
            let mut code = |row| match text(row) {
                None => NO_CODE,
                Some(text) if array.views()[row].is_inline() => {
                    let view = array.views()[row].as_u128();
                    // Most texts occurred before. An entry would make room for the others each time.
                    short.get(&view).copied().unwrap_or_else(|| *short.entry(view).or_insert(add(text)))
                }
                Some(text) => match long.get(text) {
                    Some(&code) => code,
                    None => *long.entry(text.into()).or_insert(add(text)),
                },
            };
            let mut start = 0;
            while start < array.len() {
                if growing.len() == ROWS {
                    let next = if *is_plain { Growing::of_texts() } else { Growing::of_codes() };
                    segments.push(std::mem::replace(growing, next).finish());
                }
                let rows = start..array.len().min(start + ROWS - growing.len());
                start = rows.end;
                match growing {
                    Growing::Texts(texts) => rows.for_each(|row| texts.push(text(row))),
                    Growing::Codes(growing) => {
                        codes.clear();
                        codes.extend(rows.map(&mut code));
                        growing.push(&codes);
                    }
                }
            }
        }
        self.rows += column.len();
        let new = new.finish();
        match &mut self.texts {
            None => self.texts = Some(new),
            Some(texts) => append(texts, &new),
        }
        // The segment that grows keeps its form.
        self.is_plain |= distinct > FEW && (2 * distinct > self.rows || self.distinct_bytes > MAX_DISTINCT_BYTES);
        if matches!(self.growing, Growing::Texts(_)) {
            (self.short, self.long) = Default::default();
        }
    }

    fn distinct(&self) -> usize {
        self.short.len() + self.long.len()
    }

    pub fn finish(mut self) -> Stored {
        self.segments.push(self.growing.finish());
        let texts = self.texts.unwrap_or_default().rechunk().into_owned();
        Stored { segments: self.segments, texts }
    }
}

/// Appends texts to others.
fn append(texts: &mut StringChunked, more: &StringChunked) {
    // Fails only for columns that are longer than Polars can count.
    #[expect(clippy::expect_used, reason = "a column of a chunk is short")]
    texts.append(more).expect("a column of fewer than 2^32 rows");
}
