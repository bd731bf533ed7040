//! Rows that cannot be read: one ends the reading with an error, or all are skipped and counted.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The number of skipped rows that a message shows.
const SHOWN: usize = 3;

/// What to do with a row of a table that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRow {
    /// Stop with an error that names the row.
    #[default]
    Fail,
    /// Leave the row out, and say at the end how many there were.
    Skip,
}

/// Takes the rows that cannot be read. All clones count together.
#[derive(Clone, Debug, Default)]
pub struct BadRows {
    on_bad_row: OnBadRow,
    skipped: Arc<Mutex<Skipped>>,
}

/// The rows of a table that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Their number.
    count: usize,
    /// The number of other rows.
    read: usize,
    /// What is wrong with the first of them.
    examples: Vec<String>,
}

impl BadRows {
    /// Rows that are treated in this way.
    pub fn new(on_bad_row: OnBadRow) -> BadRows {
        BadRows { on_bad_row, ..BadRows::default() }
    }

    /// The same treatment with a count of its own, to read a table a second time.
    pub(crate) fn again(&self) -> BadRows {
        BadRows::new(self.on_bad_row)
    }

    /// Whether they are skipped.
    pub(crate) fn are_skipped(&self) -> bool {
        self.on_bad_row == OnBadRow::Skip
    }

    /// Takes a row. `error` says what is wrong with it, and is only called if that will be shown.
    ///
    /// # Errors
    /// [`Error::BadRow`] unless such rows are skipped.
    pub(crate) fn reject(&self, error: impl FnOnce() -> Error) -> Result<()> {
        if !self.are_skipped() {
            return Err(error().of_row());
        }
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.count += 1;
        if skipped.examples.len() < SHOWN {
            skipped.examples.push(error().to_string());
        }
        Ok(())
    }

    /// The rows that were skipped beside the `read` other rows of `table`.
    ///
    /// # Errors
    /// [`Error::Data`] if they are more than half of all rows: then it is hardly the rows that are wrong.
    pub fn finish(&self, table: &Path, read: usize) -> Result<Skipped> {
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = Skipped { read, ..skipped.clone() };
        if skipped.count <= read {
            return Ok(skipped);
        }
        let (rows, examples) = (skipped.count + read, skipped.examples.join("; "));
        let reason = format!(
            "{} of {rows} rows cannot be read, more than half, so that the form of the table is hardly the one \
             expected: {examples}",
            skipped.count
        );
        Err(Error::data(table, None, reason))
    }
}

impl Skipped {
    /// Adds the rows of another table.
    pub(crate) fn add(&mut self, other: Skipped) {
        self.count += other.count;
        self.read += other.read;
        self.examples.extend(other.examples);
        self.examples.truncate(SHOWN);
    }

    /// How many rows were left out, with examples; `None` if there were none.
    pub fn warning(&self) -> Option<String> {
        let Skipped { count, read, examples } = self;
        let (rows, which) = (count + read, if *count > examples.len() { "such as " } else { "" });
        (*count > 0)
            .then(|| format!("left out {count} of {rows} rows, which cannot be read: {which}{}", examples.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: usize) -> Error {
        Error::data("t.csv", line, "is odd")
    }

    #[test]
    fn a_bad_row_is_an_error_or_is_counted() {
        let bad = BadRows::new(OnBadRow::Fail);
        assert!(matches!(bad.reject(|| error(3)), Err(Error::BadRow(_))));
        assert_eq!(bad.finish(Path::new("t.csv"), 0).unwrap().warning(), None);
        let bad = BadRows::new(OnBadRow::Skip);
        assert_eq!(bad.finish(Path::new("t.csv"), 0).unwrap().warning(), None);
        for line in 2..6 {
            bad.clone().reject(|| error(line)).unwrap();
        }
        let mut skipped = bad.finish(Path::new("t.csv"), 4).unwrap();
        let says = "left out 4 of 8 rows, which cannot be read: such as t.csv, line 2: is odd; t.csv, line 3: is odd; \
                    t.csv, line 4: is odd";
        assert_eq!(skipped.warning().unwrap(), says);
        skipped.add(skipped.clone());
        assert_eq!(skipped.warning().unwrap(), says.replace("4 of 8", "8 of 16"));
        let error = bad.finish(Path::new("t.csv"), 3).unwrap_err().to_string();
        assert!(error.starts_with("t.csv: 4 of 7 rows cannot be read, more than half"), "{error}");
        assert_eq!(bad.again().finish(Path::new("t.csv"), 0).unwrap(), Skipped::default());
    }
}
