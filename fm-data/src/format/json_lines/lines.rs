//! The lines of a file.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::bad_rows::BadRows;
use super::super::input::{Input, Text};
use super::super::interface::LONGEST_RECORD;
use crate::error::{Error, Result};

/// Number of bytes to read at once.
const BLOCK: usize = 1 << 20;

/// The lines of a file that are not blank.
pub(super) struct Lines {
    source: BufReader<Box<dyn Read + Send>>,
    /// The file, for errors.
    pub path: PathBuf,
    /// Whether it can be read twice.
    pub is_file: bool,
    bytes_read: Arc<AtomicU64>,
    pub bad_rows: BadRows,
    /// Maximum length of a line.
    pub longest: usize,
    /// The current line.
    line: Vec<u8>,
    /// Its number, from 1.
    pub number: usize,
}

impl Lines {
    /// The lines of an input, which starts before the first.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file that is recognised as no text.
    pub fn new(input: Input, bad_rows: BadRows) -> Result<Lines> {
        let is_file = input.is_file();
        let Text { path, source, bytes_read } = input.into_text()?;
        let source = BufReader::with_capacity(BLOCK, source);
        let (line, number, longest) = (Vec::new(), 0, LONGEST_RECORD);
        Ok(Lines { source, path, is_file, bytes_read, bad_rows, longest, line, number })
    }

    /// Goes to the next line that is not blank; `false` if there is none.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadRow`] for a line that is too long, unless such lines are skipped.
    pub fn next(&mut self) -> Result<bool> {
        loop {
            self.line.clear();
            let most = self.longest as u64 + 1;
            let mut rest = (&mut self.source).take(most);
            let read = rest.read_until(b'\n', &mut self.line).map_err(Error::io("read", &self.path))?;
            self.number += 1;
            if read == 0 {
                return Ok(false);
            }
            if read as u64 == most && !self.line.ends_with(b"\n") {
                let reason = format!("a line of more than {} MiB: write one object per line", self.longest >> 20);
                self.bad_rows.reject(|| self.error(reason))?;
                self.source.skip_until(b'\n').map_err(Error::io("read", &self.path))?;
                continue;
            }
            if self.number == 1 && self.line.starts_with(b"\xEF\xBB\xBF") {
                self.line.drain(..3);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// The current line.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The bytes read so far, before they are unpacked.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// An error about the current line.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::data(&self.path, self.number, reason)
    }
}
