//! Tables of text, with the columns that fit.

use std::fmt::Write;

/// A column of a table.
pub struct Column {
    /// A lower rank is more important.
    rank: usize,
    /// The header, and a cell for each line.
    cells: Vec<String>,
}

impl Column {
    pub fn new(name: &str, rank: usize, cells: impl Iterator<Item = String>) -> Column {
        // A bar in a cell would divide it.
        let cells = std::iter::once(name.to_owned()).chain(cells).map(|cell| cell.replace('|', "\\|"));
        Column { rank, cells: cells.collect() }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

/// The most important columns, as many as fit into a width. The first two ranks always stay.
pub fn fitting(mut columns: Vec<Column>, width: usize) -> Vec<Column> {
    let mut ranks: Vec<(usize, usize)> = columns.iter().map(|column| (column.rank, column.width() + 3)).collect();
    ranks.sort_unstable();
    let mut used = 1;
    let last = ranks.iter().take_while(|(_, width_of)| {
        used += width_of;
        used <= width
    });
    let last = last.last().map_or(1, |(rank, _)| (*rank).max(1));
    columns.retain(|column| column.rank <= last);
    columns
}

/// A Markdown table with aligned columns: the first one to the left, the others to the right.
pub fn markdown(columns: &[Column]) -> String {
    let mut text = String::new();
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        for (number, column) in columns.iter().enumerate() {
            let (cell, width) = (&column.cells[row], column.width());
            // Writing to a string does not fail.
            let _ = if number == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
        }
        text.push_str("|\n");
        if row == 0 {
            let rules = columns.iter().enumerate().map(|(number, column)| {
                let width = column.width();
                if number == 0 { format!("|{:-<1$}", "", width + 2) } else { format!("|{:-<1$}:", "", width + 1) }
            });
            text.extend(rules.chain(["|\n".to_owned()]));
        }
    }
    text
}
