//! Raw text to slots: the one place that knows how a value becomes ids and values.

use std::borrow::Borrow;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use tch::Tensor;

use crate::error::{Error, Result};
use crate::farmhash::bucket;
use crate::features::Features;
use crate::schema::{Field, FieldKind, Schema};

/// Looks values up in a schema's vocabularies, or hashes them.
///
/// ```
/// use fm_core::{Encoder, Field, FieldKind, Label, Schema, Side, Task};
///
/// let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
/// let age = Field::new("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::User, vec![]);
/// let label = Label::fit("rating", Task::Regression, [1.0, 5.0]);
/// let schema = Schema::new(label, vec![user, age])?;
///
/// // user: 0 is what is unknown, then ann, bob; age: 3 is a missing number, 4 one that is there.
/// let features = Encoder::new(&schema).features(&[[Some("bob"), Some("45")], [Some("carl"), None]])?.padded()?;
/// assert_eq!(Vec::<Vec<i64>>::try_from(&features.ids)?, [[2, 4], [0, 3]]);
/// assert_eq!(Vec::<Vec<f32>>::try_from(&features.values)?, [[1.0, 1.5], [1.0, 1.0]]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Encoder<S: Borrow<Schema>> {
    schema: S,
    hasher: DefaultHashBuilder,
    /// Per field: positions in its vocabulary, by the hash of the value.
    indexes: Vec<HashTable<u32>>,
}

impl<S: Borrow<Schema>> Encoder<S> {
    /// Indexes the vocabularies of a schema, which the encoder borrows or owns.
    pub fn new(schema: S) -> Encoder<S> {
        let hasher = DefaultHashBuilder::default();
        let index = |field: &Field| {
            let vocabulary = &field.vocabulary;
            let hash = |&position: &u32| hasher.hash_one(vocabulary[position as usize].as_str());
            let mut index = HashTable::with_capacity(vocabulary.len());
            for position in 0..vocabulary.len() as u32 {
                index.insert_unique(hash(&position), position, hash);
            }
            index
        };
        let indexes = schema.borrow().fields().iter().map(index).collect();
        Encoder { schema, hasher, indexes }
    }

    /// The schema whose vocabularies are used.
    pub fn schema(&self) -> &Schema {
        self.schema.borrow()
    }

    /// The id of a value of one field: its own, its bucket's, or the field's first.
    fn id(&self, field: usize, value: &str) -> i32 {
        let unknown = self.schema().ids(field).start as i32;
        let Field { vocabulary, hash_buckets, .. } = &self.schema().fields()[field];
        match hash_buckets {
            _ if value.is_empty() => unknown,
            Some(buckets) => unknown + 1 + bucket(value, *buckets) as i32,
            None => {
                let is_value = |&position: &u32| vocabulary[position as usize] == value;
                let position = self.indexes[field].find(self.hasher.hash_one(value), is_value);
                position.map_or(unknown, |&position| unknown + 1 + position as i32)
            }
        }
    }

    /// Encodes whole rows, each a text for each field of the schema, in its order; on the CPU.
    ///
    /// # Errors
    /// [`Error::Shape`] for a row of more or fewer values than the schema has fields.
    pub fn features<'t>(&self, rows: &[impl AsRef<[Option<&'t str>]>]) -> Result<Features> {
        let (fields, slots) = (self.schema().num_fields(), self.schema().num_slots());
        let (mut ids, mut values) = (vec![0; rows.len() * slots], vec![0.0; rows.len() * slots]);
        for (number, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            if row.len() != fields {
                let found = format!("{} in row {number}", row.len());
                return Err(Error::shape("Encoder", format!("a value for each of the {fields} fields"), found));
            }
            let (ids, values) = (&mut ids[number * slots..][..slots], &mut values[number * slots..][..slots]);
            for (field, raw) in row.iter().enumerate() {
                let at = self.schema().slots(field);
                self.encode(field, *raw, &mut ids[at.clone()], &mut values[at]);
            }
        }
        let shape = [rows.len() as i64, slots as i64];
        let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
        Ok(Features::unchecked(Tensor::from_slice(&ids).view(shape), Tensor::from_slice(&values).view(shape)))
    }

    /// Writes the slots of one field of one row.
    ///
    /// A value outside the vocabulary, a missing one (`None` or an empty text), and text that is no finite number in a numeric field
    /// fall on the field's out-of-vocabulary id with x = 1. In a hashed field, only missing and empty values do: any
    /// other text has a bucket's id, whether training has seen it or not.
    ///
    /// In a multi-valued field, values of one id share a slot, whose x is their number times the weighting's value: a
    /// factorization machine knows a feature that occurs twice by x = 2, and it does not interact with itself. That
    /// holds for a value that the text repeats, for several that are unknown and for several of one bucket. Slots are
    /// taken in the order of the text. Where none is free, the value is dropped, and does not count for n. The slots
    /// that are left over have x = 0.
    ///
    /// # Panics
    /// If `field` is none of the schema's, or `ids` and `values` are not as long as the field has slots.
    pub fn encode(&self, field: usize, raw: Option<&str>, ids: &mut [i32], values: &mut [f32]) {
        let unknown = self.schema().ids(field).start as i32;
        match &self.schema().fields()[field].kind {
            FieldKind::Categorical => {
                ids[0] = raw.map_or(unknown, |value| self.id(field, value));
                values[0] = 1.0;
            }
            FieldKind::MultiValued { separator, weighting, .. } => {
                ids.fill(unknown);
                values.fill(0.0);
                let (mut used, mut n) = (0, 0);
                for id in pieces(raw, separator).map(|value| self.id(field, value)) {
                    let taken = &ids[..used];
                    // Repetitions are rare, and `contains` compares several ids at once.
                    if taken.contains(&id) {
                        values[taken.iter().take_while(|&&other| other != id).count()] += 1.0;
                    } else if used < ids.len() {
                        (ids[used], values[used]) = (id, 1.0);
                        used += 1;
                    } else {
                        continue;
                    }
                    n += 1;
                }
                let weight = weighting.value(n);
                values[..used].iter_mut().for_each(|x| *x *= weight);
            }
            FieldKind::Numeric { mean, std } => {
                let standardised = number(raw).map(|x| (x - mean) / std);
                (ids[0], values[0]) = match standardised.filter(|x| x.is_finite()) {
                    Some(x) => (unknown + 1, x),
                    None => (unknown, 1.0),
                };
            }
        }
    }
}

/// The values in the text of a multi-valued field.
pub fn pieces<'a>(raw: Option<&'a str>, separator: &'a str) -> impl Iterator<Item = &'a str> {
    raw.unwrap_or("").split(separator).filter(|piece| !piece.is_empty())
}

/// The finite number that a text holds, with ASCII spaces around it or not. It is read as a float64 and rounded to float32,
/// as an exported file does.
pub fn number(raw: Option<&str>) -> Option<f32> {
    let wide = raw.and_then(|text| text.trim_ascii().parse::<f64>().ok());
    wide.map(|x| x as f32).filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Label, Side, Task, Weighting};

    fn schema() -> Schema {
        let field = |name: &str, kind, values: &[&str]| {
            Field::new(name, kind, Side::Context, values.iter().map(|&v| v.into()).collect())
        };
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5 };
        let genres = FieldKind::MultiValued { separator: "|".into(), max_len: 3, weighting: Weighting::Mean };
        let fields = vec![
            field("user", FieldKind::Categorical, &["7", "é"]),
            field("genres", genres, &["Drama", "War"]),
            field("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, &[]),
        ];
        Schema::new(label, fields).unwrap()
    }

    fn encode(field: usize, raw: Option<&str>) -> (Vec<i32>, Vec<f32>) {
        encode_with(&schema(), field, raw)
    }

    fn encode_with(schema: &Schema, field: usize, raw: Option<&str>) -> (Vec<i32>, Vec<f32>) {
        let slots = schema.fields()[field].num_slots();
        let (mut ids, mut values) = (vec![-1; slots], vec![f32::NAN; slots]);
        Encoder::new(schema).encode(field, raw, &mut ids, &mut values);
        (ids, values)
    }

    #[test]
    fn a_row_has_a_value_for_each_field() {
        let (schema, none) = (schema(), [None::<&str>; 0]);
        let encoder = Encoder::new(&schema);
        let features = encoder.features(&[[Some("7"), Some("War"), None]]).unwrap().padded().unwrap();
        assert_eq!(Vec::<Vec<i64>>::try_from(features.ids).unwrap(), [[1, 5, 3, 3, 6]]);
        assert_eq!(Vec::<Vec<f32>>::try_from(features.values).unwrap(), [[1.0, 1.0, 0.0, 0.0, 1.0]]);
        let error = encoder.features(&[&[None; 3][..], &[None; 2]]).unwrap_err().to_string();
        assert_eq!(error, "Encoder: expected a value for each of the 3 fields, found 2 in row 1");
        assert_eq!(encoder.features(&[none; 0]).unwrap().padded().unwrap().ids.size(), [0, 5]);
    }

    #[test]
    fn known_values_have_their_id_and_others_the_first() {
        assert_eq!(encode(0, Some("é")), (vec![2], vec![1.0]));
        assert_eq!(encode(0, Some("8")), (vec![0], vec![1.0]));
        for missing in [None, Some("")] {
            assert_eq!(encode(0, missing), (vec![0], vec![1.0]));
        }
    }

    #[test]
    fn several_values_share_their_weight_and_the_rest_is_padding() {
        assert_eq!(encode(1, Some("War|Drama")), (vec![5, 4, 3], vec![0.5, 0.5, 0.0]));
        assert_eq!(encode(1, Some("War||Opera|")), (vec![5, 3, 3], vec![0.5, 0.5, 0.0]));
        assert_eq!(encode(1, Some("")), (vec![3, 3, 3], vec![0.0; 3]));
        assert_eq!(encode(1, None), (vec![3, 3, 3], vec![0.0; 3]));
    }

    #[test]
    fn a_repeated_value_has_one_slot_and_its_number_for_x() {
        assert_eq!(encode(1, Some("War|War|War|Drama")), (vec![5, 4, 3], vec![0.75, 0.25, 0.0]));
        assert_eq!(encode(1, Some("War|Drama|War|War")), (vec![5, 4, 3], vec![0.75, 0.25, 0.0]));
        // Several unknown values are one.
        assert_eq!(encode(1, Some("Opera|War|Polka|Jazz")), (vec![3, 5, 3], vec![0.75, 0.25, 0.0]));
        let weighted = |weighting| {
            let genres = FieldKind::MultiValued { separator: "|".into(), max_len: 2, weighting };
            let genres = Field { kind: genres, ..schema().fields()[1].clone() };
            let schema = Schema::new(schema().label().clone(), vec![genres]).unwrap();
            encode_with(&schema, 0, Some("War|Drama|War|War")).1
        };
        assert_eq!(weighted(Weighting::Sum), [3.0, 1.0]);
        assert_eq!(weighted(Weighting::Mean), [0.75, 0.25]);
        assert_eq!(weighted(Weighting::Sqrt), [1.5, 0.5]);
    }

    #[test]
    fn a_value_without_a_free_slot_is_dropped_and_not_counted() {
        let genres = FieldKind::MultiValued { separator: "|".into(), max_len: 2, weighting: Weighting::Mean };
        let genres = Field { kind: genres, ..schema().fields()[1].clone() };
        let schema = Schema::new(schema().label().clone(), vec![genres]).unwrap();
        let encode = |raw| encode_with(&schema, 0, Some(raw));
        // 0 unknown, 1 Drama, 2 War.
        assert_eq!(encode("War|Drama|Opera|Polka"), (vec![2, 1], vec![0.5, 0.5]));
        assert_eq!(encode("War|Opera|Drama|War|Drama|Polka"), (vec![2, 0], vec![0.5, 0.5]));
    }

    #[test]
    fn numbers_are_standardised_and_malformed_ones_are_unknown() {
        for number in ["45", " 45 ", "\t+4.5e1\n", "0450.e-1"] {
            assert_eq!(encode(2, Some(number)), (vec![7], vec![1.5]));
        }
        for malformed in [None, Some(""), Some("n/a"), Some("inf"), Some("NaN"), Some("1e39"), Some("1e"), Some(".")] {
            assert_eq!(encode(2, malformed), (vec![6], vec![1.0]));
        }
    }

    #[test]
    fn hashed_values_have_their_buckets_and_missing_ones_the_first_id() {
        let hashed = |field: &Field| Field { vocabulary: vec![], hash_buckets: Some(10), ..field.clone() };
        let schema =
            Schema::new(schema().label().clone(), schema().fields()[..2].iter().map(hashed).collect()).unwrap();
        let encode = |field, raw| encode_with(&schema, field, raw);
        // user: 0 missing, 1 to 10. The buckets are TensorFlow's: 1100 -> 0, 1102 -> 9, 1103 -> 8.
        assert_eq!(encode(0, Some("1100")), (vec![1], vec![1.0]));
        assert_eq!(encode(0, Some("1102")), (vec![10], vec![1.0]));
        // Of the bytes in UTF-8, as FarmHash's C++ code has it.
        assert_eq!(encode(0, Some("é")), (vec![6], vec![1.0]));
        for missing in [None, Some("")] {
            assert_eq!(encode(0, missing), (vec![0], vec![1.0]));
        }
        // genres: 11 missing, 12 to 21.
        assert_eq!(encode(1, Some("1103||1102")), (vec![20, 21, 11], vec![0.5, 0.5, 0.0]));
        // 2200 and 2203 share bucket 6.
        assert_eq!(encode(1, Some("2200|1102|2203|2200")), (vec![18, 21, 11], vec![0.75, 0.25, 0.0]));
        assert_eq!(encode(1, Some("")), (vec![11; 3], vec![0.0; 3]));
    }
}
