//! Where the rows of a table come from, so that an error names the file and the line.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::format::{self, Input, ReadOptions, Skipped};

/// The files of a table, in the order of its rows.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The files, with their numbers of rows.
    files: Vec<(PathBuf, usize)>,
    /// How they were read.
    options: ReadOptions,
    /// The rows that were left out.
    skipped: Skipped,
}

impl Origin {
    /// A table without rows, which is read with these options.
    pub(crate) fn new(options: ReadOptions) -> Origin {
        Origin { options, ..Origin::default() }
    }

    /// One file with all rows.
    pub fn file(path: impl AsRef<Path>) -> Origin {
        Origin { files: vec![(path.as_ref().to_owned(), usize::MAX)], ..Origin::default() }
    }

    /// Adds rows of a file.
    pub(crate) fn push(&mut self, path: &Path, rows: usize) {
        match self.files.last_mut() {
            Some((last, sum)) if last == path => *sum += rows,
            _ => self.files.push((path.to_owned(), rows)),
        }
    }

    /// Adds the files of another table.
    pub(crate) fn append(&mut self, other: Origin) {
        self.files.extend(other.files);
        self.skipped.add(other.skipped);
    }

    /// The number of rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.files.iter().map(|(_, rows)| rows).sum()
    }

    /// The rows that were left out.
    pub(crate) fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Says that these rows were left out.
    pub(super) fn set_skipped(&mut self, skipped: Skipped) {
        self.skipped = skipped;
    }

    /// An error about a row. The reason follows the file and its line or, in a format without lines, the number of the row.
    pub(crate) fn error(&self, mut row: usize, reason: &str) -> Error {
        let mut files = self.files.iter().peekable();
        while let Some((_, rows)) = files.peek().filter(|(_, rows)| *rows <= row) {
            row -= rows;
            files.next();
        }
        let Some((path, _)) = files.next() else { return Error::Spec(reason.to_owned()) };
        // The file is read again up to the row: cells in quotes may span lines.
        let options = ReadOptions { bad_rows: self.options.bad_rows.again(), ..self.options.clone() };
        let read = || format::of(path)?.read(Input::open(path)?, &options);
        match read().ok().and_then(|mut rows| rows.line_after(row)) {
            Some(line) => Error::data(path, line, reason),
            None => Error::data(path, None, format!("row {}: {reason}", row + 1)),
        }
    }
}
