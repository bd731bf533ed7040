//! The cells of a column; those that its declaration counts as null are missing.

use fm_core::schema::Reading;

use super::{TextColumn, TextColumns};
use crate::error::Result;

/// The cells of a column as text, without those that its declaration counts as null.
#[derive(Debug)]
pub(crate) struct Present<'a> {
    pub cells: TextColumn<'a>,
    pub reading: Reading<'a>,
}

impl<'a> Present<'a> {
    /// A column of a table.
    ///
    /// # Errors
    /// As [`TextColumns::column`].
    pub fn of(table: &'a impl TextColumns, name: &str, reading: Reading<'a>) -> Result<Present<'a>> {
        Ok(Present { cells: table.column(name)?, reading })
    }

    /// The value of a row, in the form in which values are compared.
    pub fn value(&self, row: u32) -> Option<&str> {
        self.reading.value(self.cells.get(row as usize)?)
    }

    /// The text of a row.
    pub fn get(&self, row: u32) -> Option<&str> {
        self.cells.get(row as usize).filter(|text| !self.reading.is_null(text))
    }

    /// The value of each row as a number, the same for equal values; [`NO_CODE`](super::NO_CODE) for none.
    pub fn codes(&self) -> Vec<u32> {
        self.cells.codes_of_values(self.reading, 0..self.cells.len() as u32)
    }
}
