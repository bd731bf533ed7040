//! Builds records, row by row.

use std::sync::Arc;

use super::layout::RecordLayout;
use super::records::Parts;
use super::slots::Record;
use super::{Records, Slots};
use crate::error::{Error, Result};
use crate::schema::Schema;

/// Records under construction.
///
/// ```
/// use fm_core::rows::{RecordsBuilder, Slots};
/// use fm_core::{Encoder, Field, FieldKind, Label, List, Rows, Schema, Side, Task, Weighting};
///
/// let genres = FieldKind::MultiValued(List::new("|", 3, Weighting::Mean));
/// let genres = Field::new("genres", genres, Side::Item, vec!["Drama".into(), "War".into()]);
/// let schema = Schema::new(Label::fit("rating", Task::Regression, [4.0, 2.0]), vec![genres])?;
/// let encoder = Encoder::new(&schema);
///
/// let mut builder = RecordsBuilder::new(&schema);
/// let mut slots = Slots::default();
/// for (text, rating) in [("War|Drama", 4.0), ("", 2.0)] {
///     slots.clear();
///     encoder.encode(0, Some(text), &mut slots);
///     builder.push(&slots, rating, None)?;
/// }
/// let rows = builder.finish();
/// assert_eq!(rows.labels(), [4.0, 2.0]);
/// let genres = rows.row(0).field(0);
/// assert!(genres.ids().eq([2, 1]) && genres.values().eq([0.5, 0.5]));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct RecordsBuilder {
    layout: Arc<RecordLayout>,
    has_weights: bool,
    parts: Parts,
}

impl RecordsBuilder {
    /// Starts a set of rows without weights.
    pub fn new(schema: &Schema) -> RecordsBuilder {
        RecordsBuilder::of(Arc::new(RecordLayout::new(schema)), false)
    }

    /// Starts a set of rows that each have a weight.
    pub fn weighted(schema: &Schema) -> RecordsBuilder {
        RecordsBuilder::of(Arc::new(RecordLayout::new(schema)), true)
    }

    pub(super) fn of(layout: Arc<RecordLayout>, has_weights: bool) -> RecordsBuilder {
        RecordsBuilder { layout, has_weights, parts: Parts::default() }
    }

    /// The number of rows so far.
    pub fn len(&self) -> usize {
        self.parts.starts.rows.len()
    }

    /// Whether there are no rows yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a row: its slots, its training target, and its weight if the rows have weights.
    ///
    /// # Errors
    /// [`Error::IdOutOfRange`]; [`Error::Shape`] if a field has a number of slots that the schema does not allow, a
    /// number is not finite, a weight is negative, or the weight is missing or unexpected.
    pub fn push(&mut self, slots: &Slots, label: f32, weight: Option<f32>) -> Result<()> {
        let row = self.len();
        if weight.is_some() != self.has_weights {
            let expected = if self.has_weights { "a weight" } else { "no weight" };
            return Err(Error::shape("rows", expected, format!("{weight:?} in row {row}")));
        }
        let Slots { words: ids, given } = slots;
        Record { label, weight, ids, given }.check(row, &self.layout)?;
        let Parts { words, starts, .. } = &mut self.parts;
        starts.push(words.len() as u64);
        words.extend([ids.len() as u32, label.to_bits()]);
        words.extend(weight.map(f32::to_bits));
        words.extend_from_slice(ids);
        words.extend_from_slice(given);
        Ok(())
    }

    /// Makes room for rows that are on average as long as those of another set, so that a large set does not move while it
    /// grows.
    pub fn reserve(&mut self, rows: usize, like: &Records) {
        let words = like.words().len() as f64 / like.len.max(1) as f64 * rows as f64;
        self.parts.words.reserve_exact((1.01 * words) as usize);
        self.parts.starts.rows.reserve_exact(rows);
    }

    /// Appends all rows of another set.
    ///
    /// # Errors
    /// [`Error::Shape`] if the set was encoded with another schema, or only one of the two has weights.
    pub fn append(&mut self, rows: &Records) -> Result<()> {
        rows.check_kind(&self.layout, self.has_weights)?;
        let Parts { words, starts, .. } = &mut self.parts;
        starts.append(rows, words.len() as u64);
        words.extend_from_slice(rows.words());
        Ok(())
    }

    /// The rows, in memory.
    pub fn finish(mut self) -> Records {
        let parts = &mut self.parts;
        parts.words.shrink_to_fit();
        parts.starts.rows.shrink_to_fit();
        let starts = std::mem::take(&mut parts.starts).finish(parts.words.len() as u64);
        Records::in_memory(self.layout, self.has_weights, Parts { starts, ..self.parts })
    }
}
