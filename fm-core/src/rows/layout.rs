//! What a schema says about records: which field a slot belongs to, and the value of a slot if the record gives none.

use crate::error::{Error, Result};
use crate::schema::Layout;
use crate::schema::{Field, FieldKind, Schema, Weighting};

/// The bit of an id in a record that says that the record gives the slot's value.
pub(crate) const GIVEN: u32 = 1 << 31;

/// The fields of a schema, as needed to read and write records.
///
/// Ids are [`record_ids`](Schema::record_ids), numbered per field: those of a field are contiguous, and greater than
/// those of the fields before it. The field of a slot therefore follows from its id.
#[derive(Debug, PartialEq)]
pub(crate) struct RecordLayout {
    pub fields: Vec<FieldLayout>,
    /// The fields, as needed to read batches.
    pub features: Layout,
    /// The field of one value that identifies the user.
    pub user: Option<usize>,
    /// Whether every value that a record does not give is 1.
    pub implies_ones: bool,
    /// Whether every id is a row of the table: no field shares the table of another.
    pub ids_are_rows: bool,
}

/// A field, as needed to read and write records.
#[derive(Debug, PartialEq)]
pub(crate) struct FieldLayout {
    pub name: String,
    /// The out-of-vocabulary id, the first of the field.
    pub unknown: u32,
    /// The end of the field's ids.
    pub end: u32,
    /// The difference between its ids and its rows of the table.
    pub shift: i32,
    pub kind: SlotKind,
}

/// How many slots a field has in a row, and their values if a record gives none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SlotKind {
    /// One slot, x = 1.
    One,
    /// One slot; x = 1 for the out-of-vocabulary id, otherwise given. |x| of a clamped number is `limit`.
    Number { limit: f32 },
    /// Up to `max_len` slots; x follows from the weighting and their number.
    Several { max_len: usize, weighting: Weighting },
}

impl RecordLayout {
    pub fn new(schema: &Schema) -> RecordLayout {
        let field = |(position, field): (usize, &Field)| {
            let (ids, rows) = (schema.record_ids(position), schema.ids(position));
            let kind = match &field.kind {
                FieldKind::Categorical => SlotKind::One,
                kind @ (FieldKind::Numeric { .. } | FieldKind::Transformed(_)) => {
                    kind.scale().map_or(SlotKind::One, |scale| SlotKind::Number { limit: scale.limit() })
                }
                FieldKind::MultiValued(list) | FieldKind::Sequence(list) => {
                    SlotKind::Several { max_len: list.max_len, weighting: list.weighting }
                }
            };
            // A schema has fewer than 2³¹ ids.
            let shift = (ids.start - rows.start) as i32;
            FieldLayout { name: field.name.clone(), unknown: ids.start as u32, end: ids.end as u32, shift, kind }
        };
        let fields: Vec<FieldLayout> = schema.fields().iter().enumerate().map(field).collect();
        let user = schema.user().and_then(|user| schema.field_index(user));
        let user = user.filter(|&user| fields[user].kind == SlotKind::One);
        let is_one = |kind| match kind {
            SlotKind::One | SlotKind::Number { .. } => true,
            SlotKind::Several { weighting, .. } => matches!(weighting, Weighting::Sum | Weighting::Given),
        };
        let implies_ones = fields.iter().all(|field| is_one(field.kind));
        let ids_are_rows = fields.iter().all(|field| field.shift == 0);
        RecordLayout { fields, features: schema.layout(), user, implies_ones, ids_are_rows }
    }

    /// Checks the slots of a row: their ids, and the bits of the values given to those with the bit [`GIVEN`].
    ///
    /// # Errors
    /// [`Error::IdOutOfRange`]; [`Error::Shape`] for another number of slots or values, or values that are not finite.
    pub fn check(&self, row: usize, words: &[u32], given: &[u32]) -> Result<()> {
        let invalid =
            |expected: String, found: String| Err(Error::shape("rows", expected, format!("{found} in row {row}")));
        // Most rows of most tables, without a loop over the slots of a field.
        let is_one = |(&word, field): (&u32, &FieldLayout)| field.kind == SlotKind::One && field.contains(word);
        let is_plain = words.len() == self.fields.len() && given.is_empty();
        if is_plain && words.iter().zip(&self.fields).all(is_one) && words.iter().all(|word| word & GIVEN == 0) {
            return Ok(());
        }
        let flags = words.iter().filter(|&word| word & GIVEN != 0).count();
        if flags != given.len() {
            return invalid(format!("{flags} values given"), given.len().to_string());
        }
        let mut left = words;
        let out_of_range = |field: &FieldLayout, slot: usize| {
            let id = i64::from(words[slot] & !GIVEN);
            let (first, last) = (i64::from(field.unknown), i64::from(field.end) - 1);
            Err(Error::IdOutOfRange { row, slot, id, field: field.name.clone(), first, last })
        };
        for field in &self.fields {
            let slot = words.len() - left.len();
            let count = left.iter().take_while(|&&word| field.contains(word)).count();
            match field.kind {
                SlotKind::Several { max_len, .. } if count > max_len => {
                    return invalid(format!("at most {max_len} slots of field `{}`", field.name), count.to_string());
                }
                SlotKind::One | SlotKind::Number { .. } if count == 0 && !left.is_empty() => {
                    return out_of_range(field, slot);
                }
                SlotKind::One | SlotKind::Number { .. } if count != 1 => {
                    return invalid(format!("one slot of field `{}`", field.name), count.to_string());
                }
                SlotKind::Number { .. } if left[0] & GIVEN == 0 && left[0] != field.unknown => {
                    return invalid(format!("a value of field `{}`", field.name), "none".into());
                }
                _ => {}
            }
            left = &left[count..];
        }
        if let Some(last) = self.fields.last().filter(|_| !left.is_empty()) {
            return out_of_range(last, words.len() - left.len());
        }
        for value in given.iter().map(|&bits| f32::from_bits(bits)) {
            if !value.is_finite() {
                return invalid("finite values".into(), value.to_string());
            }
        }
        Ok(())
    }
}

/// How many of the slots have a given value.
#[inline]
pub(super) fn count_given(words: &[u32]) -> usize {
    words.iter().map(|word| (word >> 31) as usize).sum()
}

impl FieldLayout {
    fn contains(&self, word: u32) -> bool {
        (self.unknown..self.end).contains(&(word & !GIVEN))
    }

    /// The maximum number of slots in a row.
    pub fn max_slots(&self) -> usize {
        match self.kind {
            SlotKind::One | SlotKind::Number { .. } => 1,
            SlotKind::Several { max_len, .. } => max_len,
        }
    }

    /// The row of the table of a slot of this field.
    #[inline]
    pub fn row(&self, word: u32) -> i32 {
        (word & !GIVEN) as i32 - self.shift
    }

    /// The number of slots of this field at the start of the words of a valid row.
    #[inline]
    pub fn count(&self, words: &[u32]) -> usize {
        match self.kind {
            SlotKind::One | SlotKind::Number { .. } => 1,
            // Most lists are short.
            SlotKind::Several { .. } if words.len() <= 16 => {
                words.iter().take_while(|word| **word & !GIVEN < self.end).count()
            }
            SlotKind::Several { .. } => words.partition_point(|word| word & !GIVEN < self.end),
        }
    }

    /// Sets the value of each slot of this field, given the words of the slots. Takes those that the record gives from the
    /// front of `given`.
    #[inline]
    pub fn fill_values(&self, words: &[u32], given: &mut &[u32], values: &mut [f32]) {
        let implied = self.implied(words.len());
        // Most fields have one slot.
        for value in values.iter_mut() {
            *value = implied;
        }
        if given.is_empty() {
            return;
        }
        let own;
        (own, *given) = given.split_at(count_given(words));
        let slots = words.iter().zip(values).filter(|(word, _)| **word & GIVEN != 0);
        for ((_, value), &bits) in slots.zip(own) {
            *value = f32::from_bits(bits);
        }
    }

    /// The value of each slot for which a row gives none, if the row has `n` slots of this field.
    #[inline]
    pub fn implied(&self, n: usize) -> f32 {
        match self.kind {
            SlotKind::One | SlotKind::Number { .. } => 1.0,
            SlotKind::Several { weighting, .. } => weighting.value(n),
        }
    }
}
