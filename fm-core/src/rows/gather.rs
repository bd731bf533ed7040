//! Gathers batches from records.

use tch::{Device, Tensor};

use super::layout::{GIVEN, RecordLayout};
use super::{Batch, Records, Rows, check_numbers};
use crate::error::{Error, Result};
use crate::features::{Features, Ragged};

/// Number of words in a cache line.
const LINE: usize = 16;

/// The active slots of some rows, in the form of [`Ragged`] features.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// `[A]`
    ids: Vec<i32>,
    /// `[A]`; empty without `with_values`, when all are 1.
    values: Vec<f32>,
    /// `[B · F + 1]`: the first slot of each field of each row, and the end.
    offsets: Vec<i32>,
    with_values: bool,
}

impl Gathered {
    /// Reserves space for a number of rows with a total number of slots.
    pub fn with_capacity(layout: &RecordLayout, rows: usize, slots: usize, with_values: bool) -> Gathered {
        let mut offsets = Vec::with_capacity(rows * layout.fields.len() + 1);
        offsets.push(0);
        let values = Vec::with_capacity(if with_values { slots } else { 0 });
        Gathered { ids: Vec::with_capacity(slots), values, offsets, with_values }
    }

    /// Appends a valid row: its ids and the values given.
    #[inline]
    pub fn push(&mut self, layout: &RecordLayout, ids: &[u32], given: &[u32]) {
        match given {
            _ if !layout.ids_are_rows => {}
            [] => self.ids.extend(ids.iter().map(|&word| word as i32)),
            _ => self.ids.extend(ids.iter().map(|&word| (word & !GIVEN) as i32)),
        }
        let (mut left, mut given) = (ids, given);
        let mut end = self.offsets.last().copied().unwrap_or_default();
        for field in &layout.fields {
            let words;
            (words, left) = left.split_at(field.count(left));
            end += words.len() as i32;
            self.offsets.push(end);
            if !layout.ids_are_rows {
                self.ids.extend(words.iter().map(|&word| field.row(word)));
            }
            if self.with_values {
                let start = self.values.len();
                self.values.resize(start + words.len(), 0.0);
                field.fill_values(words, &mut given, &mut self.values[start..]);
            }
        }
    }

    /// The rows, on the CPU.
    pub fn features(&self, layout: &RecordLayout) -> Ragged {
        let values = self.with_values.then_some(&self.values[..]);
        Ragged::unchecked(&layout.features, &self.ids, values, &self.offsets)
    }
}

impl Rows for Records {
    fn len(&self) -> usize {
        self.len
    }

    fn batch(&self, rows: &[usize], device: Device) -> Result<Batch> {
        check_numbers(rows, self.len)?;
        let (layout, words, starts) = (&self.layout, self.words(), self.starts());
        let fixed = if self.has_weights { 3 } else { 2 };
        // Reads a word of each cache line of the records. These reads do not wait for each other, so that the records
        // are in the cache when the second pass reads them one after another.
        let (mut slots, mut given, mut touched) = (0, 0, 0);
        let mut spans = Vec::with_capacity(rows.len());
        for &row in rows {
            let (start, end) = starts.span(row);
            let record = &words[start..end];
            slots += record[0] as usize;
            given += record.len() - fixed - record[0] as usize;
            touched |= record.iter().step_by(LINE).fold(0, |all, word| all | word);
            spans.push((start, end));
        }
        std::hint::black_box(touched);
        if i32::try_from(slots).is_err() {
            return Err(Error::shape("batch", "at most 2147483647 active slots", slots.to_string()));
        }

        let with_values = given > 0 || !layout.implies_ones;
        let mut gathered = Gathered::with_capacity(layout, rows.len(), slots, with_values);
        let mut labels = Vec::with_capacity(rows.len());
        let mut weights = Vec::with_capacity(if self.has_weights { rows.len() } else { 0 });
        for span in spans {
            let record = self.record(span);
            labels.push(record.label);
            weights.extend(record.weight);
            gathered.push(layout, record.ids, record.given);
        }
        let features = Features::Ragged(gathered.features(layout).to_device(device));
        let to_device = |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_to_device(device);
        let weights = if self.has_weights { Some(to_device(&weights)?) } else { None };
        Ok(Batch { features, labels: to_device(&labels)?, weights })
    }

    fn records(&self) -> Option<&Records> {
        Some(self)
    }

    fn labels(&self) -> Vec<f32> {
        self.rows().map(|row| row.label()).collect()
    }

    fn weights(&self) -> Option<Vec<f32>> {
        self.has_weights.then(|| self.rows().map(|row| row.weight().unwrap_or(1.0)).collect())
    }

    /// The given groups; otherwise the ids of the rows' users, if the schema names a user field of one value. Users who
    /// share a hash bucket are one group. Unknown users share an id but are different users: their rows have no group.
    fn groups(&self) -> Option<Vec<i64>> {
        if let Some(groups) = self.given_groups() {
            return Some(groups.to_vec());
        }
        let user = self.layout.user?;
        let field = &self.layout.fields[user];
        let unknown = field.row(field.unknown);
        Some(self.ids_of(user).map(|id| if id == unknown { -1 } else { i64::from(id) }).collect())
    }
}
