//! Reads the rows of records one by one, for kernels that need no batch.

use super::Records;
use super::layout::{FieldLayout, GIVEN, RecordLayout, SlotKind};
use super::records::Starts;
use super::slots::Record;
use crate::prefetch::prefetch;
use crate::schema::Weighting;

/// How many rows before it is needed a row is decoded, its record loaded, and the start of its record loaded.
const DECODED: usize = 4;
const LOADED: usize = 12;
const STARTED: usize = 24;

/// Number of slots that are decoded at once.
const BLOCK: usize = 8;

/// The active slots of a row: A ids and values.
#[derive(Clone, Debug, Default)]
pub struct ActiveRow {
    /// The training target.
    pub label: f32,
    /// The weight of the row; 1 if the rows have no weights.
    pub weight: f32,
    len: usize,
    /// Space for any row and for the rest of the last block of [`BLOCK`] slots.
    ids: Vec<u32>,
    values: Vec<f32>,
    /// `[F]`
    ends: Vec<usize>,
}

impl ActiveRow {
    /// `[A]`: rows of the table.
    #[inline(always)]
    pub fn ids(&self) -> &[u32] {
        &self.ids[..self.len]
    }

    /// `[A]`: rows of the table, and the values of the slots.
    #[inline(always)]
    pub fn slots(&self) -> (&[u32], &[f32]) {
        (&self.ids[..self.len], &self.values[..self.len])
    }

    /// `[F]`: the end of the slots of each field, if [`RowKernel::NEEDS_ENDS`]. Slots are in the order of the fields.
    #[inline(always)]
    pub fn ends(&self) -> &[usize] {
        &self.ends
    }
}

/// What a kernel does with each row.
pub trait RowKernel {
    /// Whether it calls [`ActiveRow::ends`].
    const NEEDS_ENDS: bool;

    /// What [`RowKernel::update`] needs from [`RowKernel::score`].
    type Score;

    /// Starts to load what a row needs. Called some rows earlier.
    fn prefetch(&self, row: &ActiveRow);

    /// Scores a row. The processor decodes a later row while it waits for the result.
    fn score(&mut self, row: &ActiveRow) -> Self::Score;

    /// Updates what the score depends on.
    fn update(&mut self, row: &ActiveRow, score: Self::Score);
}

/// Reads rows in any order, without memory for each of them.
///
/// ```
/// use fm_core::rows::{ActiveRow, RowKernel};
/// use fm_core::{Field, Label, Records, Schema, Side, Task};
///
/// struct Seen(Vec<(f32, Vec<u32>, Vec<f32>)>);
///
/// impl RowKernel for Seen {
///     const NEEDS_ENDS: bool = false;
///
///     type Score = ();
///
///     fn prefetch(&self, _: &ActiveRow) {}
///
///     fn score(&mut self, row: &ActiveRow) {
///         let (ids, values) = row.slots();
///         self.0.push((row.label, ids.to_vec(), values.to_vec()));
///     }
///
///     fn update(&mut self, _: &ActiveRow, (): ()) {}
/// }
///
/// let fields = vec![Field::categorical("user", Side::User, 3), Field::categorical("film", Side::Item, 2)];
/// let schema = Schema::new(Label::fit("rating", Task::Regression, [4.0, 1.0]), fields)?;
/// let rows = Records::from_indices(&schema, &[[0, 1], [2, 0]], &[4.0, 1.0])?;
/// let mut seen = Seen(vec![]);
/// rows.reader().run(&mut seen, &[1, 0]);
/// assert_eq!(seen.0, [(1.0, vec![3, 5], vec![1.0; 2]), (4.0, vec![1, 6], vec![1.0; 2])]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    layout: &'a RecordLayout,
    words: &'a [u32],
    starts: Starts<'a>,
    has_weights: bool,
    max_slots: usize,
    lists: Vec<Lists>,
}

/// A field with a varying number of slots, and its neighbours.
#[derive(Debug)]
struct Lists {
    field: usize,
    weighting: Weighting,
    /// The number of fields with one slot before it, up to the list before it.
    before: usize,
    /// The number of slots after it, if it does not vary.
    after: Option<usize>,
}

impl Records {
    /// A reader of the rows.
    pub fn reader(&self) -> Reader<'_> {
        let fields = &self.layout.fields;
        let is_list = |field: &FieldLayout| matches!(field.kind, SlotKind::Several { .. });
        let mut lists = vec![];
        let mut next = 0;
        for (field, of_field) in fields.iter().enumerate() {
            if let SlotKind::Several { weighting, .. } = of_field.kind {
                let rest = &fields[field + 1..];
                let after = (!rest.iter().any(is_list)).then_some(rest.len());
                lists.push(Lists { field, weighting, before: field - next, after });
                next = field + 1;
            }
        }
        let max_slots = fields.iter().map(FieldLayout::max_slots).sum();
        let (words, starts) = (self.words(), self.starts());
        Reader { layout: &self.layout, words, starts, has_weights: self.has_weights, max_slots, lists }
    }
}

impl Reader<'_> {
    /// Runs a kernel on rows in this order.
    ///
    /// # Panics
    /// If one of the numbers is not below the number of rows.
    #[inline(always)]
    pub fn run<K: RowKernel>(&self, kernel: &mut K, numbers: &[usize]) {
        let mut decoded: [ActiveRow; 2 * DECODED] = std::array::from_fn(|_| self.space());
        for at in 0..numbers.len() + DECODED {
            if let Some(&number) = numbers.get(at + STARTED - DECODED) {
                self.starts.prefetch(number);
            }
            if let Some(&number) = numbers.get(at + LOADED - DECODED) {
                let (start, end) = self.starts.span(number);
                prefetch(&self.words[start..end]);
            }
            let current = at.checked_sub(DECODED).map(|current| current % (2 * DECODED));
            let score = current.map(|current| kernel.score(&decoded[current]));
            if let Some(&number) = numbers.get(at) {
                let row = &mut decoded[at % (2 * DECODED)];
                self.read(number, row, K::NEEDS_ENDS || !self.layout.ids_are_rows);
                kernel.prefetch(row);
            }
            if let Some((current, score)) = current.zip(score) {
                kernel.update(&decoded[current], score);
            }
        }
    }

    /// Space for any row.
    fn space(&self) -> ActiveRow {
        let n = self.max_slots.next_multiple_of(BLOCK);
        ActiveRow {
            ids: vec![0; n],
            values: vec![0.0; n],
            ends: vec![0; self.layout.fields.len()],
            ..Default::default()
        }
    }

    #[inline(always)]
    fn read(&self, row: usize, into: &mut ActiveRow, needs_ends: bool) {
        let (start, end) = self.starts.span(row);
        let record = Record::read(&self.words[start..end], self.has_weights);
        let Record { label, weight, ids: words, given } = record.expect("records are checked when made or opened");
        let n = words.len();
        (into.label, into.weight, into.len) = (label, weight.unwrap_or(1.0), n);
        // Whole blocks take fewer instructions, and have the words of later records at their end.
        let first = end - given.len() - n;
        match self.words.get(first..first + n.next_multiple_of(BLOCK)) {
            Some(words) => {
                let (ids, values) = (into.ids.as_chunks_mut::<BLOCK>().0, into.values.as_chunks_mut::<BLOCK>().0);
                for (block, words) in words.as_chunks::<BLOCK>().0.iter().enumerate() {
                    let mut words = *words;
                    for word in &mut words {
                        *word &= !GIVEN;
                    }
                    (ids[block], values[block]) = (words, [1.0; BLOCK]);
                }
            }
            None => {
                for (at, word) in words.iter().enumerate() {
                    (into.ids[at], into.values[at]) = (word & !GIVEN, 1.0);
                }
            }
        }
        let (ids, values) = (&mut into.ids[..n], &mut into.values[..n]);
        let (mut at, mut field) = (0, 0);
        for list in &self.lists {
            if needs_ends {
                count_up(&mut into.ends[field..list.field], at);
            }
            let first = at + list.before;
            let len = match list.after {
                Some(after) => n - first - after,
                None => self.layout.fields[list.field].count(&words[first..]),
            };
            at = first + len;
            let value = list.weighting.value(len);
            values[first..at].iter_mut().for_each(|to| *to = value);
            into.ends[list.field] = at;
            field = list.field + 1;
        }
        if needs_ends {
            count_up(&mut into.ends[field..], at);
        }
        if let Some(last) = given.len().checked_sub(1) {
            let mut next = 0;
            for (word, value) in words.iter().zip(values) {
                let is_given = word & GIVEN != 0;
                *value = if is_given { f32::from_bits(given[next.min(last)]) } else { *value };
                next += usize::from(is_given);
            }
        }
        if !self.layout.ids_are_rows {
            let mut start = 0;
            for (field, &end) in self.layout.fields.iter().zip(&into.ends) {
                ids[start..end].iter_mut().for_each(|id| *id = field.row(*id) as u32);
                start = end;
            }
        }
    }
}

/// Fills the ends of fields with one slot each, the first of which is at `start`.
#[inline(always)]
fn count_up(ends: &mut [usize], start: usize) {
    for (field, end) in ends.iter_mut().enumerate() {
        *end = start + field + 1;
    }
}
