//! The raw values of rows.

/// Raw values of rows: a text for each column of a schema, in the order of
/// [`Schema::columns`](fm_core::Schema::columns). Empty text is a missing value. All texts are in one buffer, so a row
/// costs 8 bytes per column besides them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRows {
    columns: usize,
    rows: usize,
    texts: String,
    /// `[rows, columns]`: where each text starts and ends.
    cells: Vec<(u32, u32)>,
}

impl RawRows {
    /// Rows of missing values.
    pub fn missing(rows: usize, columns: usize) -> RawRows {
        RawRows { columns, rows, texts: String::new(), cells: vec![(0, 0); rows * columns] }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends a row of missing values.
    pub fn push_row(&mut self) {
        self.rows += 1;
        self.cells.resize(self.rows * self.columns, (0, 0));
    }

    /// Sets the text of a cell.
    ///
    /// # Panics
    /// If there is no such cell, or if all texts are longer than 4 GiB: bodies of requests are limited to 256 MiB.
    pub fn set(&mut self, row: usize, column: usize, text: &str) {
        assert!(column < self.columns, "a column of the schema");
        let start = self.texts.len();
        self.texts.push_str(text);
        let [start, end] = [start, self.texts.len()].map(|at| u32::try_from(at).expect("texts of at most 4 GiB"));
        self.cells[row * self.columns + column] = (start, end);
    }

    /// The text of a cell; `None` for a missing value.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn get(&self, row: usize, column: usize) -> Option<&str> {
        assert!(column < self.columns, "a column of the schema");
        let (start, end) = self.cells[row * self.columns + column];
        (start < end).then(|| &self.texts[start as usize..end as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_the_text_that_was_set_last() {
        let mut rows = RawRows::missing(1, 2);
        rows.push_row();
        rows.set(1, 0, "é");
        rows.set(0, 1, "b");
        rows.set(0, 1, "c");
        rows.set(1, 1, "");
        let all: Vec<_> = (0..rows.len()).flat_map(|row| [rows.get(row, 0), rows.get(row, 1)]).collect();
        assert_eq!(all, [None, Some("c"), Some("é"), None]);
    }
}
