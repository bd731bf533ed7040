//! Where the rows of a table come from, so that an error names the file and the line.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::format::{self, Input, ReadOptions};

/// The files of a table, in the order of its rows.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The files, with their numbers of rows.
    files: Vec<(PathBuf, usize)>,
    /// How they were read.
    options: ReadOptions,
}

impl Origin {
    /// A table without rows, which is read with these options.
    pub(super) fn new(options: ReadOptions) -> Origin {
        Origin { files: vec![], options }
    }

    /// One file with all rows.
    pub fn file(path: impl AsRef<Path>) -> Origin {
        Origin { files: vec![(path.as_ref().to_owned(), usize::MAX)], ..Origin::default() }
    }

    /// Adds rows of a file.
    pub(super) fn push(&mut self, path: &Path, rows: usize) {
        match self.files.last_mut() {
            Some((last, sum)) if last == path => *sum += rows,
            _ => self.files.push((path.to_owned(), rows)),
        }
    }

    /// Adds the files of another table.
    pub(crate) fn append(&mut self, other: Origin) {
        self.files.extend(other.files);
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
        let read = || format::of(path)?.read(Input::open(path)?, &self.options);
        match read().ok().and_then(|mut rows| rows.line_after(row)) {
            Some(line) => Error::data(path, line, reason),
            None => Error::data(path, None, format!("row {}: {reason}", row + 1)),
        }
    }
}
