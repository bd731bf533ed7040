//! The texts of a column as numbers, so that each distinct text is read once.

use arrow::array::Array;
use polars::prelude::*;

/// The code of a missing value in [`codes`](super::codes).
pub const NO_CODE: u32 = u32::MAX;

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
