//! Tables of planted rows.

use std::path::Path;

use fm_core::Error as CoreError;
use polars::prelude::*;

use super::{Planted, PlantedRows};
use crate::error::Result;
use crate::format::sparse::{FEATURES, LABEL, column_of_field, has_fields};
use crate::threads;

/// The greatest index of a sparse file.
const MAX_INDEX: u64 = i32::MAX as u64;

/// The columns of a table of planted rows, after the column `label` (0 or 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `c1`, `c2` and so on. Value 17 is the text `v17` in the columns of all fields.
    Columns,
    /// `field_0`, `field_1` and so on, as in a libffm file. Values are numbers from 1, which continue from field to field.
    Fields,
    /// `features`, with the same numbers, as in a libsvm file.
    Features,
}

impl Layout {
    /// The layout of a file of this name.
    pub fn of_file(path: impl AsRef<Path>) -> Layout {
        match has_fields(path.as_ref()) {
            None => Layout::Columns,
            Some(true) => Layout::Fields,
            Some(false) => Layout::Features,
        }
    }
}

impl Planted {
    /// Rows of this machine as a table.
    ///
    /// # Errors
    /// [`fm_core::Error::OutOfRange`] for more than 2,147,483,647 values in all fields of a layout with numbers.
    pub fn table(&self, rows: &PlantedRows, layout: Layout) -> Result<DataFrame> {
        let fields = self.fields();
        let all = self.offsets[fields];
        if layout != Layout::Columns && all > MAX_INDEX {
            let range = format!("at most {MAX_INDEX} in a sparse file");
            return Err(CoreError::out_of_range("the number of values of all fields", all, range).into());
        }
        let labels: Vec<i32> = rows.labels.iter().map(|&label| i32::from(label)).collect();
        let mut columns = vec![Column::new(LABEL.into(), labels)];
        let of_fields = |cell: &(dyn Fn(usize, u32, &mut String) + Sync), name: &(dyn Fn(usize) -> String + Sync)| {
            threads::map(0..fields, rows.values.len(), |field| {
                let values = rows.values.iter().skip(field).step_by(fields);
                text_column(name(field), rows.len(), values, |&value, text| cell(field, value, text))
            })
        };
        match layout {
            Layout::Columns => {
                let cell = |_, value, text: &mut String| {
                    text.push('v');
                    push(text, value);
                };
                columns.extend(of_fields(&cell, &|field| format!("c{}", field + 1)));
            }
            Layout::Fields => {
                let cell = |field, value, text: &mut String| push(text, self.index(field, value));
                columns.extend(of_fields(&cell, &|field| column_of_field(field as u16)));
            }
            Layout::Features => {
                let cells = rows.values.chunks_exact(fields);
                columns.push(text_column(FEATURES.into(), rows.len(), cells, |values: &[u32], text| {
                    for (field, &value) in values.iter().enumerate() {
                        if field > 0 {
                            text.push(' ');
                        }
                        push(text, self.index(field, value));
                    }
                }));
            }
        }
        Ok(DataFrame::new(rows.len(), columns)?)
    }

    /// The number of a value among those of all fields, from 1.
    fn index(&self, field: usize, value: u32) -> u64 {
        self.offsets[field] + u64::from(value)
    }
}

fn push(text: &mut String, number: impl itoa::Integer) {
    text.push_str(itoa::Buffer::new().format(number));
}

/// A column of the texts that `write` appends for each cell.
fn text_column<T>(name: String, rows: usize, cells: impl Iterator<Item = T>, write: impl Fn(T, &mut String)) -> Column {
    let mut column = StringChunkedBuilder::new(name.into(), rows);
    let mut text = String::new();
    for cell in cells {
        text.clear();
        write(cell, &mut text);
        column.append_value(&text);
    }
    column.finish().into_column()
}
