//! The active slots of a row.

use hashbrown::HashMap;

use super::layout::{FieldLayout, GIVEN, RecordLayout, count_given};
use crate::error::{Error, Result};
use crate::number::{Scale, bucket, given};
use crate::schema::{FieldKind, List, Weighting};

/// The number of ids of a list from which a hash table finds them. Fewer are compared one by one.
const FEW: usize = 256;

/// The active slots of a row under construction, field by field: ids, and the values that the schema does not imply.
///
/// An [`Encoder`](crate::Encoder) appends the slots of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slots {
    /// The id of each slot; with the bit [`GIVEN`], its value is the next one in `given`.
    pub(crate) words: Vec<u32>,
    /// The bits of the values given.
    pub(crate) given: Vec<u32>,
}

/// An encoded value of a categorical field; see [`Encoder::category`](crate::Encoder::category).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Category(pub(crate) u32);

impl Slots {
    /// Removes all slots.
    pub fn clear(&mut self) {
        self.words.clear();
        self.given.clear();
    }

    /// The number of slots.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are no slots.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Appends the slot of a value of a categorical field.
    #[inline]
    pub fn push_category(&mut self, category: Category) {
        self.words.push(category.0);
    }

    /// Appends a slot with the value that the schema implies.
    pub(crate) fn push(&mut self, id: u32) {
        self.words.push(id);
    }

    /// Appends a slot with a number.
    fn push_given(&mut self, id: u32, value: f32) {
        self.words.push(id | GIVEN);
        self.given.push(value.to_bits());
    }

    /// Appends the slots of a multi-valued field: one for each of the first `max_len` distinct ids of `values`. x is
    /// the sum of the id's numbers, times the weighting's value for the number of values. Values without a slot do not
    /// count.
    pub(crate) fn push_distinct(&mut self, values: impl IntoIterator<Item = (u32, f64)>, list: &List) {
        let first = self.words.len();
        // The sum of each id's numbers, empty until one is not 1; sums beyond its end are 1.
        let mut sums: Vec<f64> = vec![];
        // The positions of the ids, empty as long as they are few.
        let mut positions: HashMap<u32, usize> = HashMap::new();
        let mut n = 0;
        for (id, x) in values {
            let own = &self.words[first..];
            let used = own.len();
            let position = match used < FEW {
                // Repetitions are rare, and `contains` compares several ids at once.
                true => own.contains(&id).then(|| own.iter().take_while(|&&other| other != id).count()),
                false => positions.get(&id).copied(),
            };
            if let Some(position) = position {
                sums.resize(used, 1.0);
                sums[position] += x;
            } else if used < list.max_len {
                if x != 1.0 {
                    sums.resize(used, 1.0);
                    sums.push(x);
                }
                self.words.push(id);
                if used + 1 >= FEW {
                    let new = if positions.is_empty() { 0 } else { used };
                    positions.extend(self.words[first + new..].iter().copied().zip(new..));
                }
            } else {
                continue;
            }
            n += 1;
        }
        if !sums.is_empty() {
            sums.resize(self.words.len() - first, 1.0);
            self.give(first, &sums, list.weighting, n);
        }
    }

    /// Appends the slots of a sequence: one for each value. x is the value's number, times the weighting's value for
    /// the number of values.
    pub(crate) fn push_sequence(&mut self, values: impl IntoIterator<Item = (u32, f64)>, list: &List) {
        let first = self.words.len();
        let (ids, numbers): (Vec<u32>, Vec<f64>) = values.into_iter().unzip();
        self.words.extend(ids);
        self.give(first, &numbers, list.weighting, numbers.len());
    }

    /// Gives the slots from `first` on their values: `sums` times the weighting's value for `n`, unless the schema
    /// implies it.
    fn give(&mut self, first: usize, sums: &[f64], weighting: Weighting, n: usize) {
        let words = &mut self.words[first..];
        let (weight, implied) = (weighting.value(n), weighting.value(words.len()));
        for (word, &sum) in words.iter_mut().zip(sums) {
            let value = given(sum) * weight;
            if value != implied {
                *word |= GIVEN;
                self.given.push(value.to_bits());
            }
        }
    }

    /// Appends the slot of a dense field: x of the number, or the out-of-vocabulary id.
    pub(crate) fn push_number(&mut self, unknown: u32, number: Option<f64>, scale: Scale) {
        match number.filter(|number| number.is_finite()) {
            Some(number) => self.push_given(unknown + 1, scale.x(number)),
            None => self.push(unknown),
        }
    }

    /// Appends the slot of a numeric field with buckets: the number's bucket, or the out-of-vocabulary id.
    pub(crate) fn push_bucket(&mut self, unknown: u32, number: Option<f64>, edges: &[f64]) {
        let number = number.filter(|number| number.is_finite());
        self.push(number.map_or(unknown, |number| unknown + 1 + bucket(number, edges) as u32));
    }

    /// Appends the slot of a numeric field of this kind.
    pub(crate) fn push_numeric(&mut self, unknown: u32, number: Option<f64>, kind: &FieldKind) {
        match (kind.scale(), kind.edges()) {
            (Some(scale), _) => self.push_number(unknown, number, scale),
            (None, edges) => self.push_bucket(unknown, number, edges.unwrap_or_default()),
        }
    }
}

/// The slots of one field of a row.
#[derive(Clone, Copy, Debug)]
pub struct FieldSlots<'a> {
    field: &'a FieldLayout,
    words: &'a [u32],
    /// The bits of the values given.
    given: &'a [u32],
}

impl<'a> FieldSlots<'a> {
    /// The ids of the slots: rows of the table.
    pub fn ids(self) -> impl ExactSizeIterator<Item = i32> + 'a {
        self.words.iter().map(|&word| self.field.row(word))
    }

    /// The values of the slots.
    pub fn values(self) -> impl Iterator<Item = f32> + 'a {
        let implied = self.field.implied(self.words.len());
        let mut given = self.given.iter();
        self.words.iter().map(move |word| match word & GIVEN {
            0 => implied,
            _ => given.next().copied().map_or(implied, f32::from_bits),
        })
    }

    /// Whether two rows of one set have the same ids and values in this field.
    pub fn is_equal(self, other: FieldSlots<'_>) -> bool {
        self.words == other.words && self.given == other.given
    }
}

/// One row of a set of records.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub(super) layout: &'a RecordLayout,
    pub(super) record: Record<'a>,
}

impl<'a> Row<'a> {
    /// The training target.
    pub fn label(self) -> f32 {
        self.record.label
    }

    /// The weight, if the rows have weights.
    pub fn weight(self) -> Option<f32> {
        self.record.weight
    }

    /// The slots of each field, in the order of the schema's fields.
    pub fn fields(self) -> impl Iterator<Item = FieldSlots<'a>> {
        let Record { ids: mut words, mut given, .. } = self.record;
        self.layout.fields.iter().map(move |field| {
            let (own, given_own);
            (own, words) = words.split_at(field.count(words));
            (given_own, given) = given.split_at(if given.is_empty() { 0 } else { count_given(own) });
            FieldSlots { field, words: own, given: given_own }
        })
    }

    /// The slots of a field.
    ///
    /// # Panics
    /// If `field` is not a field of the schema.
    pub fn field(self, field: usize) -> FieldSlots<'a> {
        let Record { ids, given, .. } = self.record;
        let field = &self.layout.fields[field];
        let start = ids.partition_point(|word| word & !GIVEN < field.unknown);
        let words = &ids[start..];
        let words = &words[..words.partition_point(|word| word & !GIVEN < field.end)];
        let given = match given.is_empty() {
            true => given,
            false => {
                let (before, own) = (count_given(&ids[..start]), count_given(words));
                &given[before..before + own]
            }
        };
        FieldSlots { field, words, given }
    }
}

/// The parts of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub label: f32,
    pub weight: Option<f32>,
    /// The id of each slot; with the bit [`GIVEN`], its value is the next one in `given`.
    pub ids: &'a [u32],
    /// The bits of the values given.
    pub given: &'a [u32],
}

impl<'a> Record<'a> {
    /// Fails if it is not a valid record of row number `row`.
    pub fn check(&self, row: usize, layout: &RecordLayout) -> Result<()> {
        let invalid = |expected: &str, found: f32| Err(Error::shape("rows", expected, format!("{found} in row {row}")));
        match self.weight {
            _ if !self.label.is_finite() => invalid("finite targets", self.label),
            Some(weight) if !(weight.is_finite() && weight >= 0.0) => invalid("finite weights of at least 0", weight),
            _ => layout.check(row, self.ids, self.given),
        }
    }

    /// `None` if there are fewer words than the number of slots that they start with.
    #[inline]
    pub fn read(words: &'a [u32], has_weight: bool) -> Option<Record<'a>> {
        let (&[slots, label], rest) = words.split_first_chunk()?;
        let (weight, rest) = match has_weight {
            true => rest.split_first().map(|(&weight, rest)| (Some(f32::from_bits(weight)), rest))?,
            false => (None, rest),
        };
        let (ids, given) = rest.split_at_checked(slots as usize)?;
        Some(Record { label: f32::from_bits(label), weight, ids, given })
    }
}
