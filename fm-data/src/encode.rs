//! Rows of a table to records.

use std::borrow::Borrow;
use std::num::NonZero;

use fm_core::rows::{RecordsBuilder, Slots};
use fm_core::{Encoder, Field, Records, Schema};
use polars::prelude::*;

use crate::error::{Error, Result};
use crate::table::strings;

/// The rows that a thread encodes at once.
const CHUNK: usize = 1 << 14;

/// What to do if the table lacks the column of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingColumns {
    /// Fail.
    Error,
    /// Treat all its values as missing.
    Unknown,
}

/// The labels and weights of all rows of a table.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The label of each row, before the threshold of the task.
    pub labels: &'a [f32],
    /// The weight of each row, finite and at least 0; `None` if all rows count alike.
    pub weights: Option<&'a [f32]>,
}

/// Encodes rows of a table to be scored: all rows, or the rows with these numbers, in this order. Their labels are 0. One
/// encoder serves all chunks of a large table.
///
/// # Errors
/// [`Error::MissingColumn`], depending on `missing`; [`Error::Spec`] if a row number is outside the table.
pub fn encode<S: Borrow<Schema> + Sync>(
    table: &DataFrame,
    encoder: &Encoder<S>,
    rows: Option<&[u32]>,
    missing: MissingColumns,
) -> Result<Records> {
    check_numbers(table.height(), rows.unwrap_or_default())?;
    let columns = Columns::new(table, encoder, missing)?;
    let row = |at: usize| rows.map_or(at, |rows| rows[at] as usize);
    columns.encode(rows.map_or(table.height(), <[u32]>::len), row, |_| (0.0, None))
}

/// Encodes the rows with these numbers, in this order, with their labels and weights.
///
/// # Errors
/// [`Error::MissingColumn`]; [`Error::Spec`] if the number of labels or weights is not that of the table's rows, or a row number
/// is outside the table; [`Error::Core`] if a label or a weight is invalid.
pub fn encode_labelled(table: &DataFrame, schema: &Schema, labels: Labels<'_>, rows: &[u32]) -> Result<Records> {
    let Labels { labels, weights } = labels;
    for numbers in [Some(labels), weights].into_iter().flatten() {
        check_rows(table, numbers, rows)?;
    }
    let encoder = Encoder::new(schema);
    let target = |row: usize| (schema.label().target(labels[row]), weights.map(|weights| weights[row]));
    let columns = Columns::new(table, &encoder, MissingColumns::Error)?;
    columns.encode(rows.len(), |at| rows[at] as usize, |at| target(rows[at] as usize))
}

/// Fails unless there is a label for each row of the table, and all rows are the table's.
pub(crate) fn check_rows(table: &DataFrame, labels: &[f32], rows: &[u32]) -> Result<()> {
    let height = table.height();
    if labels.len() != height {
        return Err(Error::Spec(format!("{} labels were given for a table of {height} rows", labels.len())));
    }
    check_numbers(height, rows)
}

fn check_numbers(height: usize, rows: &[u32]) -> Result<()> {
    match rows.iter().find(|&&row| row as usize >= height) {
        Some(row) => Err(Error::Spec(format!("row {row} was requested, but the table has {height} rows"))),
        None => Ok(()),
    }
}

/// The columns of a schema's fields in a table.
struct Columns<'a, S: Borrow<Schema>> {
    encoder: &'a Encoder<S>,
    /// The column of each field; `None` if all its values are missing.
    of_fields: Vec<Option<StringChunked>>,
}

impl<'a, S: Borrow<Schema> + Sync> Columns<'a, S> {
    fn new(table: &DataFrame, encoder: &'a Encoder<S>, missing: MissingColumns) -> Result<Columns<'a, S>> {
        let fields = encoder.schema().fields();
        let column = |field: &Field| match strings(table, &field.name) {
            Err(Error::MissingColumn { .. }) if missing == MissingColumns::Unknown => Ok(None),
            column => column.map(Some),
        };
        let of_fields: Vec<Option<StringChunked>> = fields.iter().map(column).collect::<Result<_>>()?;
        if of_fields.iter().all(Option::is_none) {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            return Err(Error::Spec(format!("the table has no column for any of the fields {}", names.join(", "))));
        }
        Ok(Columns { encoder, of_fields })
    }

    /// Encodes `n` rows on all cores. Of the row at each place, `row` gives the number in the table, `target` the training
    /// target and the weight.
    fn encode(
        &self,
        n: usize,
        row: impl Fn(usize) -> usize + Sync,
        target: impl Fn(usize) -> (f32, Option<f32>) + Sync,
    ) -> Result<Records> {
        let schema = self.encoder.schema();
        let has_weights = n > 0 && target(0).1.is_some();
        let builder = || if has_weights { RecordsBuilder::weighted(schema) } else { RecordsBuilder::new(schema) };
        let encode = |places: std::ops::Range<usize>| -> fm_core::Result<Records> {
            let mut builder = builder();
            let mut slots = Slots::default();
            for at in places {
                slots.clear();
                let number = row(at);
                for (field, column) in self.of_fields.iter().enumerate() {
                    let raw = column.as_ref().and_then(|column| column.get(number));
                    self.encoder.encode(field, raw, &mut slots);
                }
                let (label, weight) = target(at);
                builder.push(&slots, label, weight)?;
            }
            Ok(builder.finish())
        };
        // A few chunks at a time, so that memory holds little more than the result.
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut all = builder();
        let starts: Vec<usize> = (0..n).step_by(CHUNK).collect();
        for starts in starts.chunks(threads) {
            let encode = &encode;
            std::thread::scope(|scope| {
                let chunks = starts.iter().map(|&start| scope.spawn(move || encode(start..n.min(start + CHUNK))));
                let chunks: Vec<_> = chunks.collect();
                chunks.into_iter().try_for_each(|chunk| {
                    let rows = chunk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                    all.append(&rows)
                })
            })?;
        }
        Ok(all.finish())
    }
}
