//! Reads the rows of records one by one, for kernels that need no batch.

use super::Records;
use super::layout::{FieldLayout, GIVEN, RecordLayout};
use super::records::Starts;
use super::slots::Record;
use crate::prefetch::prefetch;

/// The active slots of a row: A ids and values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActiveSlots<'a> {
    /// The training target.
    pub label: f32,
    /// The weight of the row; 1 if the rows have no weights.
    pub weight: f32,
    /// `[A]`: rows of the table.
    pub ids: &'a [u32],
    /// `[A]`
    pub values: &'a [f32],
}

/// Reads rows in any order, without memory for each of them.
///
/// ```
/// use fm_core::{Field, Label, Records, Schema, Side, Task};
///
/// let fields = vec![Field::categorical("user", Side::User, 3), Field::categorical("film", Side::Item, 2)];
/// let schema = Schema::new(Label::fit("rating", Task::Regression, [4.0]), fields)?;
/// let rows = Records::from_indices(&schema, &[[0, 1]], &[4.0])?;
/// let mut reader = rows.reader();
/// let row = reader.row(0);
/// assert_eq!((row.label, row.ids, row.values), (4.0, &[1, 6][..], &[1.0, 1.0][..]));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    layout: &'a RecordLayout,
    words: &'a [u32],
    starts: Starts<'a>,
    has_weights: bool,
    /// The slots of the current row, where the record itself does not have them in this form.
    ids: Vec<u32>,
    values: Vec<f32>,
    ones: Vec<f32>,
}

impl Records {
    /// A reader of the rows.
    pub fn reader(&self) -> Reader<'_> {
        let max_slots = self.layout.fields.iter().map(FieldLayout::max_slots).sum();
        Reader {
            layout: &self.layout,
            words: self.words(),
            starts: self.starts(),
            has_weights: self.has_weights,
            ids: vec![0; max_slots],
            values: vec![1.0; max_slots],
            ones: vec![1.0; max_slots],
        }
    }
}

impl<'a> Reader<'a> {
    /// Starts to load the record of a row, so that it is in the cache when the row is read.
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    #[inline]
    pub fn prefetch(&self, row: usize) {
        let (start, end) = self.starts.span(row);
        prefetch(&self.words[start..end]);
    }

    /// Starts to load what [`Reader::prefetch`] reads.
    #[inline]
    pub fn prefetch_start(&self, row: usize) {
        self.starts.prefetch(row);
    }

    /// The rows of the table that a row needs, if its record has them in this form: for a prefetch of the table.
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    #[inline]
    pub fn table_rows(&self, row: usize) -> impl Iterator<Item = usize> + 'a {
        let (start, end) = self.starts.span(row);
        let record = Record::read(&self.words[start..end], self.has_weights);
        let ids = record.filter(|_| self.layout.ids_are_rows).map_or(&[][..], |record| record.ids);
        ids.iter().map(|&word| (word & !GIVEN) as usize)
    }

    /// A row.
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    #[inline]
    pub fn row(&mut self, row: usize) -> ActiveSlots<'_> {
        let (start, end) = self.starts.span(row);
        let record = Record::read(&self.words[start..end], self.has_weights);
        let Record { label, weight, ids, given } = record.expect("records are checked when they are made or opened");
        let weight = weight.unwrap_or(1.0);
        let n = ids.len();
        let are_rows = self.layout.ids_are_rows && given.is_empty();
        if are_rows && self.layout.implies_ones {
            return ActiveSlots { label, weight, ids, values: &self.ones[..n] };
        }
        let (mut at, mut given) = (0, given);
        for field in &self.layout.fields {
            let end = at + field.count(&ids[at..]);
            let words = &ids[at..end];
            field.fill_values(words, &mut given, &mut self.values[at..end]);
            if !are_rows {
                words.iter().zip(&mut self.ids[at..end]).for_each(|(&word, id)| *id = field.row(word) as u32);
            }
            at = end;
        }
        ActiveSlots { label, weight, ids: if are_rows { ids } else { &self.ids[..n] }, values: &self.values[..n] }
    }
}
