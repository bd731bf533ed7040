//! Columns of categorical fields as numbers, so that each distinct text is read once.

use arrow::array::Array;
use polars::prelude::*;

use crate::error::Result;
use crate::spec::{FieldSpec, FieldSpecKind, TableSpec};
use crate::table::{NO_CODE, strings};
use crate::threads;

/// The texts of a column as codes 0, 1, … in the order of first appearance. An empty cell has the code [`NO_CODE`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Codes {
    /// `[N]`
    pub codes: Vec<u32>,
    /// The row in which each code appears first.
    first_rows: Vec<u32>,
}

impl Codes {
    /// The codes of a column.
    pub fn new(column: &StringChunked) -> Codes {
        // A view contains a text of up to twelve bytes, with its length.
        let (mut short, mut long) = (PlHashMap::<u128, u32>::new(), PlHashMap::<&str, u32>::new());
        let (mut codes, mut first_rows) = (Vec::with_capacity(column.len()), Vec::new());
        for array in column.downcast_iter() {
            for (row, view) in array.views().iter().enumerate() {
                let text = if array.is_null(row) { "" } else { array.value(row) };
                let number = codes.len() as u32;
                let mut new = || {
                    first_rows.push(number);
                    first_rows.len() as u32 - 1
                };
                codes.push(match text {
                    "" => NO_CODE,
                    _ if view.is_inline() => *short.entry(view.as_u128()).or_insert_with(&mut new),
                    _ => *long.entry(text).or_insert_with(&mut new),
                });
            }
        }
        Codes { codes, first_rows }
    }

    /// The text of each code.
    pub fn texts<'a>(&self, column: &'a StringChunked) -> Vec<&'a str> {
        self.first_rows.iter().map(|&row| column.get(row as usize).unwrap_or_default()).collect()
    }
}

/// The codes of the categorical fields of a table by the names of their columns.
pub(crate) type CodedColumns = PlHashMap<String, Codes>;

/// The codes of all categorical fields.
///
/// # Errors
/// [`Error::MissingColumn`](crate::Error::MissingColumn).
pub(crate) fn categorical(table: &DataFrame, spec: &TableSpec) -> Result<CodedColumns> {
    let fields = spec.fields.iter().filter(|field| matches!(field.kind, FieldSpecKind::Categorical));
    let codes = |field: &FieldSpec| Ok((field.name.clone(), Codes::new(&strings(table, &field.name)?)));
    threads::map(fields, table.height() * spec.fields.len(), codes).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_code_whatever_their_length() {
        let long = "thirteen chars";
        let texts = [Some("b"), None, Some(long), Some("b"), Some(""), Some("twelve chars"), Some(long), Some("c")];
        let mut column = StringChunked::from_iter(texts);
        column.append(&StringChunked::from_iter([Some(long), Some("c"), Some("d")])).unwrap();
        let codes = Codes::new(&column);
        assert_eq!(codes.codes, [0, NO_CODE, 1, 0, NO_CODE, 2, 1, 3, 1, 3, 4]);
        assert_eq!(codes.texts(&column), ["b", long, "twelve chars", "c", "d"]);
    }
}
