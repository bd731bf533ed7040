//! Builds a column of text from cells.

use arrow::array::{MutableBinaryViewArray, Utf8ViewArray, View};

use super::records::Cell;

/// A column of text under construction.
#[derive(Default)]
pub(super) struct TextBuilder(MutableBinaryViewArray<str>);

impl TextBuilder {
    /// A column without cells, and with room for some.
    pub fn with_capacity(cells: usize) -> TextBuilder {
        TextBuilder(MutableBinaryViewArray::with_capacity(cells))
    }

    /// Appends a cell of these records; null if it is empty.
    #[inline]
    pub fn push(&mut self, cell: Cell, records: &str) {
        if cell.is_empty() {
            return self.0.push_null();
        }
        match short(cell, records) {
            Some(view) => self.0.push_view(view, &[]),
            None => self.0.push_value(cell.text(records)),
        }
    }

    /// As [`TextBuilder::push`], of records that are not all UTF-8: characters take the place of bytes that are not.
    pub fn push_lossy(&mut self, cell: Cell, records: &[u8]) {
        self.0.push((!cell.is_empty()).then(|| cell.lossy_text(records)));
    }

    /// The column.
    pub fn finish(self) -> Utf8ViewArray {
        self.0.freeze()
    }
}

/// The view of a cell of up to twelve bytes, which contains its text, unless the cell ends the records. A read of sixteen bytes
/// is faster than a copy, which branches on the length.
#[inline]
fn short(cell: Cell, records: &str) -> Option<View> {
    let range = cell.unquoted_range().filter(|range| range.len() <= View::MAX_INLINE_SIZE as usize)?;
    let bytes = records.as_bytes().get(range.start..)?.first_chunk::<16>()?;
    let text = u128::from_le_bytes(*bytes) & ((1 << (8 * range.len())) - 1);
    // Its length comes first. All four words are written at once, since they will be read at once.
    Some(View::from(text << 32 | range.len() as u128))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::records::{Dialect, Records};
    use super::*;

    proptest! {
        #[test]
        fn columns_are_those_that_polars_builds(texts in prop::collection::vec("[aé\n\",]{0,14}", 1..6)) {
            let quoted = texts.iter().map(|text| format!("\"{}\"", text.replace('"', "\"\"")));
            let plain = texts.iter().map(|text| text.replace(['\n', '"', ','], ""));
            let cells: Vec<String> = quoted.chain(plain.clone()).collect();
            let text = cells.join(",");
            let (mut found, mut lossy) = (TextBuilder::default(), TextBuilder::default());
            let mut cells = vec![];
            Records::new(text.as_bytes(), Dialect::COMMAS, 1).read(&mut cells).unwrap();
            cells.iter().for_each(|&cell| found.push(cell, &text));
            cells.iter().for_each(|&cell| lossy.push_lossy(cell, text.as_bytes()));
            let plain = plain.map(|text| Some(text).filter(|text| !text.is_empty()));
            let expected: Vec<Option<String>> = texts.iter().cloned().map(Some).chain(plain).collect();
            let expected = Utf8ViewArray::from_slice(&expected);
            prop_assert_eq!(&found.finish(), &expected);
            prop_assert_eq!(&lossy.finish(), &expected);
        }
    }
}
