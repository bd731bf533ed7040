//! Converts text to slots. Only this module knows how text becomes ids and values.

use std::borrow::Borrow;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::error::{Error, Result};
use crate::farmhash::bucket;
use crate::features::Features;
use crate::number::number;
use crate::rows::layout::RecordLayout;
use crate::rows::{Category, Gathered, Slots};
use crate::schema::{Field, FieldKind, Schema};

/// Looks up values in the vocabularies of a schema, or hashes them.
///
/// ```
/// use fm_core::{Encoder, Field, FieldKind, Label, Schema, Side, Task};
///
/// let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
/// let age = Field::new("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::User, vec![]);
/// let label = Label::fit("rating", Task::Regression, [1.0, 5.0]);
/// let schema = Schema::new(label, vec![user, age])?;
///
/// // user: 0 is unknown, 1 ann, 2 bob; age: 3 is missing, 4 a number.
/// let features = Encoder::new(&schema).features(&[[Some("bob"), Some("45")], [Some("carl"), None]])?.padded()?;
/// assert_eq!(Vec::<Vec<i64>>::try_from(&features.ids)?, [[2, 4], [0, 3]]);
/// assert_eq!(Vec::<Vec<f32>>::try_from(&features.values)?, [[1.0, 1.5], [1.0, 1.0]]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Encoder<S: Borrow<Schema>> {
    schema: S,
    layout: RecordLayout,
    hasher: DefaultHashBuilder,
    /// For each field with its own vocabulary, its values by their hash.
    indexes: Vec<HashTable<Known>>,
}

/// A value of a vocabulary and its position. The first bytes are here too, so a lookup of a short value reads no other
/// memory: with large vocabularies, this takes half the time.
#[derive(Debug)]
struct Known {
    key: Key,
    position: u32,
}

/// The length of a value, at most [`u32::MAX`], and its first bytes.
#[derive(Debug, PartialEq)]
struct Key {
    start: [u8; 12],
    len: u32,
}

impl Key {
    fn new(value: &str) -> Key {
        let mut start = [0; 12];
        let len = value.len().min(start.len());
        start[..len].copy_from_slice(&value.as_bytes()[..len]);
        Key { start, len: u32::try_from(value.len()).unwrap_or(u32::MAX) }
    }

    /// Whether it contains the whole value.
    fn is_whole(&self) -> bool {
        self.len as usize <= self.start.len()
    }
}

impl<S: Borrow<Schema>> Encoder<S> {
    /// Indexes the vocabularies of a schema that the encoder borrows or owns.
    pub fn new(schema: S) -> Encoder<S> {
        let hasher = DefaultHashBuilder::default();
        let index = |field: &Field| {
            let vocabulary = &field.vocabulary; // Empty if the field shares another one's.
            let hash = |known: &Known| hasher.hash_one(vocabulary[known.position as usize].as_str());
            let mut index = HashTable::with_capacity(vocabulary.len());
            for (position, value) in (0..).zip(vocabulary) {
                let known = Known { key: Key::new(value), position };
                index.insert_unique(hasher.hash_one(value.as_str()), known, hash);
            }
            index
        };
        let indexes = schema.borrow().fields().iter().map(index).collect();
        Encoder { layout: RecordLayout::new(schema.borrow()), schema, hasher, indexes }
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        self.schema.borrow()
    }

    /// The id of the value in a text of a field: its own id, that of its bucket, or the first id of the field.
    ///
    /// # Panics
    /// If `field` is not a field of the schema.
    pub fn id(&self, field: usize, value: &str) -> i64 {
        let schema = self.schema();
        i64::from(self.number(field, value)) - schema.record_ids(field).start + schema.ids(field).start
    }

    /// The same in the numbering of records.
    fn number(&self, field: usize, value: &str) -> u32 {
        let (unknown, owner) = (self.unknown(field), self.schema().owner(field));
        let Field { vocabulary, hash_buckets, .. } = &self.schema().fields()[owner];
        let Some(value) = self.schema().reading(field).value(value) else { return unknown };
        match hash_buckets {
            Some(buckets) => unknown + 1 + bucket(value, *buckets),
            None => {
                let key = Key::new(value);
                let is_value = |known: &Known| {
                    known.key == key && (key.is_whole() || vocabulary[known.position as usize] == value)
                };
                let known = self.indexes[owner].find(self.hasher.hash_one(value), is_value);
                known.map_or(unknown, |known| unknown + 1 + known.position)
            }
        }
    }

    /// The value of a categorical field in a text, or that of a missing text. [`Slots::push_category`] appends it.
    ///
    /// # Panics
    /// If `field` is not a categorical field of the schema.
    pub fn category(&self, field: usize, raw: Option<&str>) -> Category {
        let Field { name, kind, .. } = &self.schema().fields()[field];
        assert!(matches!(kind, FieldKind::Categorical), "field `{name}` is not categorical");
        Category(raw.map_or(self.unknown(field), |value| self.number(field, value)))
    }

    /// The out-of-vocabulary id of a field in the numbering of records.
    fn unknown(&self, field: usize) -> u32 {
        self.layout.fields[field].unknown
    }

    /// Encodes rows as padded features on the CPU. A row has one text per field of the schema, in its order, or `None`
    /// for a missing value. The text of a field that follows from columns, such as an hour, is the result: [`Schema::texts`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of texts in a row is not the number of fields.
    pub fn features<'t>(&self, rows: &[impl AsRef<[Option<&'t str>]>]) -> Result<Features> {
        let layout = &self.layout;
        let fields = layout.fields.len();
        let mut gathered = Gathered::with_capacity(layout, rows.len(), rows.len() * fields, true);
        let mut slots = Slots::default();
        for (number, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            if row.len() != fields {
                let found = format!("{} in row {number}", row.len());
                return Err(Error::shape("Encoder", format!("a value for each of the {fields} fields"), found));
            }
            slots.clear();
            row.iter().enumerate().for_each(|(field, raw)| self.encode(field, *raw, &mut slots));
            gathered.push(layout, &slots.words, &slots.given);
        }
        Ok(Features::Padded(gathered.features(layout).padded()?))
    }

    /// Appends the slots of one field of a row. Call it for the fields in the order of the schema.
    ///
    /// A missing value (`None`, an empty text, or a null value of the schema), a value outside the vocabulary, and a text
    /// that is not a finite number in a numeric field get the field's out-of-vocabulary id with x = 1. In a hashed
    /// field, only missing values do: any other text gets the id of its bucket, even if it did not occur in training.
    /// Values are compared in their [`canonical`](crate::schema::canonical) form, unless the field is exact; see
    /// [`Reading`](crate::schema::Reading).
    ///
    /// In a multi-valued field, values with the same id share a slot. Its x is their count times the value of the
    /// weighting, or the sum of the numbers given in the text. So for a factorization machine, a feature that occurs
    /// twice has x = 2 and does not interact with itself. This applies to repeated values, to several unknown values
    /// and to several values of one bucket. Slots are filled in the order of the text, or from its end if the field
    /// keeps the last values; values beyond `max_len` slots are dropped and do not count in n. A missing list has no
    /// slots.
    ///
    /// In a sequence, each value has a slot, in the order of the text. If there are more than `max_len` values, only
    /// the first or the last ones have slots.
    ///
    /// Numbers are standardised, or [transformed](crate::schema::Transform) otherwise, and those given in a list are summed, in
    /// float64. Both are clamped and then rounded to float32 ([`number`](crate::number)).
    ///
    /// # Panics
    /// If `field` is not a field of the schema.
    pub fn encode(&self, field: usize, raw: Option<&str>, slots: &mut Slots) {
        let unknown = self.unknown(field);
        let reading = self.schema().reading(field);
        let raw = raw.filter(|text| !reading.is_null(text));
        match &self.schema().fields()[field].kind {
            FieldKind::Categorical => slots.push_category(self.category(field, raw)),
            FieldKind::MultiValued(list) => {
                let values = list.ordered(reading.pieces(raw, list)).map(|(value, x)| (self.number(field, &value), x));
                slots.push_distinct(values, list);
            }
            FieldKind::Sequence(list) => {
                let values = list.kept(reading.pieces(raw, list)).map(|(value, x)| (self.number(field, &value), x));
                slots.push_sequence(values, list);
            }
            kind @ (FieldKind::Numeric { .. } | FieldKind::Transformed(_)) => {
                slots.push_numeric(unknown, raw.and_then(number), kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Keep, Label, List, Side, Task, Weighting};

    fn schema() -> Schema {
        let field = |name: &str, kind, values: &[&str]| {
            Field::new(name, kind, Side::Context, values.iter().map(|&v| v.into()).collect())
        };
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 };
        let genres = FieldKind::MultiValued(List::new("|", 3, Weighting::Mean));
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

    /// The ids and values of the slots of a field, and the number of given values.
    fn encode_counted(schema: &Schema, field: usize, raw: Option<&str>) -> (Vec<i32>, Vec<f32>, usize) {
        let mut texts = vec![None; schema.num_fields()];
        texts[field] = raw;
        let mut slots = Slots::default();
        Encoder::new(schema).encode(field, raw, &mut slots);
        let rows = crate::Records::from_texts(schema, &[texts], &[0.0]).unwrap();
        let encoded = rows.row(0).field(field);
        (encoded.ids().collect(), encoded.values().collect(), slots.given.len())
    }

    fn encode_with(schema: &Schema, field: usize, raw: Option<&str>) -> (Vec<i32>, Vec<f32>) {
        let (ids, values, _) = encode_counted(schema, field, raw);
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
    fn several_values_share_their_weight() {
        assert_eq!(encode(1, Some("War|Drama")), (vec![5, 4], vec![0.5, 0.5]));
        assert_eq!(encode(1, Some("War||Opera|")), (vec![5, 3], vec![0.5, 0.5]));
        assert_eq!(encode(1, Some("")), (vec![], vec![]));
        assert_eq!(encode(1, None), (vec![], vec![]));
    }

    #[test]
    fn a_repeated_value_has_one_slot_with_its_count_as_x() {
        assert_eq!(encode(1, Some("War|War|War|Drama")), (vec![5, 4], vec![0.75, 0.25]));
        assert_eq!(encode(1, Some("War|Drama|War|War")), (vec![5, 4], vec![0.75, 0.25]));
        // Several unknown values share a slot.
        assert_eq!(encode(1, Some("Opera|War|Polka|Jazz")), (vec![3, 5], vec![0.75, 0.25]));
        let weighted = |weighting| encode_with(&list(List::new("|", 2, weighting)), 0, Some("War|Drama|War|War")).1;
        assert_eq!(weighted(Weighting::Sum), [3.0, 1.0]);
        assert_eq!(weighted(Weighting::Mean), [0.75, 0.25]);
        assert_eq!(weighted(Weighting::Sqrt), [1.5, 0.5]);
    }

    /// A schema of one field: 0 unknown, 1 Drama, 2 War.
    fn list(list: List) -> Schema {
        let field = Field { kind: FieldKind::MultiValued(list), ..schema().fields()[1].clone() };
        Schema::new(schema().label().clone(), vec![field]).unwrap()
    }

    #[test]
    fn a_text_may_give_a_number_with_each_value() {
        let schema = list(List::new("|", 2, Weighting::Given));
        let encode = |text| encode_counted(&schema, 0, Some(text));
        assert_eq!(encode("War:0.5|Drama:2"), (vec![2, 1], vec![0.5, 2.0], 2));
        // A number of 1 is not stored.
        assert_eq!(encode("War|Drama:-3e-1"), (vec![2, 1], vec![1.0, -0.3], 1));
        assert_eq!(encode("War:2|Drama|War|War:0.5"), (vec![2, 1], vec![3.5, 1.0], 1));
        assert_eq!(encode("War:1|Opera:0.25|Drama:7|Polka:0.5"), (vec![2, 0], vec![1.0, 0.75], 1));
        // The text before the last colon is the value.
        assert_eq!(encode("War:1:3|War:0"), (vec![0, 2], vec![3.0, 0.0], 2));
        for malformed in ["War:", "War:x", "War:inf", "War:1e400", "War:nan"] {
            assert_eq!(encode(malformed), (vec![0], vec![1.0], 0), "{malformed}");
        }
        // x is clamped, and not the numbers that are summed.
        let (_, values, _) = encode("War:3e38|War:1e308|War:1e308|Drama:-1000001");
        assert_eq!(values, [1e6, -1e6]);
        assert_eq!(encode("War:1e300|War:-1e300|War:5").1, [5.0]);
        // With another weighting, a colon is part of the value.
        assert_eq!(encode_with(&list(List::new("|", 2, Weighting::Sum)), 0, Some("War:2")), (vec![0], vec![1.0]));
    }

    #[test]
    fn a_field_that_shares_a_table_uses_its_vocabulary() {
        let fields = schema().fields().to_vec();
        let sharing = Field { vocabulary: vec![], ..fields[1].clone() }.sharing("user");
        let shared = |user: Field| Schema::new(schema().label().clone(), vec![sharing.clone(), user]).unwrap();
        let known = shared(fields[0].clone());
        assert_eq!(encode_with(&known, 0, Some("é|Drama|7")), (vec![2, 0, 1], vec![1.0 / 3.0; 3]));
        assert_eq!((encode_with(&known, 1, Some("é")).0, encode_with(&known, 1, None).0), (vec![2], vec![0]));
        let encoder = Encoder::new(&known);
        assert_eq!((encoder.id(0, "é"), encoder.id(1, "é"), encoder.id(0, "Drama")), (2, 2, 0));
        let features = encoder.features(&[[Some("é"), Some("7")]]).unwrap().padded().unwrap();
        assert_eq!(Vec::<Vec<i64>>::try_from(features.ids).unwrap(), [[2, 0, 0, 1]]);
        // The buckets are TensorFlow's: 1100 -> 0, 1102 -> 9.
        let hashed = shared(Field { vocabulary: vec![], hash_buckets: Some(10), ..fields[0].clone() });
        assert_eq!(encode_with(&hashed, 0, Some("1102|1100")).0, [10, 1]);
        assert_eq!(encode_with(&hashed, 1, Some("1102")).0, [10]);
    }

    #[test]
    fn a_sequence_has_a_slot_for_each_value_in_the_order_of_the_text() {
        let sequence = |keep, weighting| {
            let mut field = list(List::new("|", 3, weighting).keep(keep)).fields()[0].clone();
            field.kind = FieldKind::Sequence(field.kind.list().unwrap().clone());
            Schema::new(schema().label().clone(), vec![field]).unwrap()
        };
        let (last, first) = (sequence(Keep::Last, Weighting::Mean), sequence(Keep::First, Weighting::Sum));
        assert_eq!(encode_counted(&last, 0, Some("War|Drama|War")), (vec![2, 1, 2], vec![1.0 / 3.0; 3], 0));
        assert_eq!(encode_counted(&last, 0, Some("|Drama||War")), (vec![1, 2], vec![0.5; 2], 0));
        let long = Some("War|Opera|Polka|Opera|Drama");
        assert_eq!(encode_with(&last, 0, long).0, [0, 0, 1]);
        assert_eq!(encode_counted(&first, 0, long), (vec![2, 0, 0], vec![1.0; 3], 0));
        let given = sequence(Keep::Last, Weighting::Given);
        assert_eq!(encode_counted(&given, 0, Some("War:9|War:2|War|War:x")), (vec![2, 2, 0], vec![2.0, 1.0, 1.0], 1));
        assert_eq!(encode_with(&given, 0, None), (vec![], vec![]));
    }

    #[test]
    fn a_multi_valued_field_may_keep_its_last_values() {
        let schema = list(List::new("|", 2, Weighting::Mean).keep(Keep::Last));
        let encode = |raw| encode_with(&schema, 0, Some(raw));
        assert_eq!(encode("Opera|War|Drama"), (vec![1, 2], vec![0.5, 0.5]));
        assert_eq!(encode("Opera|War|Drama|War|Drama"), (vec![1, 2], vec![0.5, 0.5]));
        assert_eq!(encode("Drama|War|War|War|Opera"), (vec![0, 2], vec![0.25, 0.75]));
    }

    #[test]
    fn a_long_list_is_encoded_as_a_short_one() {
        let vocabulary: Vec<String> = (0..2000).map(|value| value.to_string()).collect();
        let kind = FieldKind::MultiValued(List::new("|", 1500, Weighting::Sum));
        let schema = Schema::new(
            schema().label().clone(),
            vec![Field { kind, vocabulary: vocabulary.clone(), ..schema().fields()[1].clone() }],
        );
        let text = vocabulary.join("|") + "|3|700|700|1999|x";
        let (ids, values) = encode_with(&schema.unwrap(), 0, Some(&text));
        assert_eq!(ids, (1..=1500).collect::<Vec<i32>>(), "values beyond the slots are dropped");
        let more: Vec<(usize, f32)> = values.iter().copied().enumerate().filter(|(_, value)| *value != 1.0).collect();
        assert_eq!(more, [(3, 2.0), (700, 3.0)]);
    }

    #[test]
    fn values_are_stored_unless_the_schema_implies_them() {
        let given = |field, raw| encode_counted(&schema(), field, raw).2;
        assert_eq!((given(0, Some("é")), given(0, None)), (0, 0));
        assert_eq!((given(1, Some("War|Drama")), given(1, Some("War|War|Drama")), given(1, None)), (0, 2, 0));
        assert_eq!((given(2, Some("45")), given(2, Some("?"))), (1, 0));
    }

    #[test]
    fn a_value_without_a_free_slot_is_dropped_and_not_counted() {
        let schema = list(List::new("|", 2, Weighting::Mean));
        let encode = |raw| encode_with(&schema, 0, Some(raw));
        assert_eq!(encode("War|Drama|Opera|Polka"), (vec![2, 1], vec![0.5, 0.5]));
        assert_eq!(encode("War|Opera|Drama|War|Drama|Polka"), (vec![2, 0], vec![0.5, 0.5]));
    }

    #[test]
    fn numbers_are_standardised_and_malformed_ones_are_unknown() {
        for number in ["45", " 45 ", "\t+4.5e1\n", "0450.e-1"] {
            assert_eq!(encode(2, Some(number)), (vec![7], vec![1.5]));
        }
        for malformed in [None, Some(""), Some("n/a"), Some("inf"), Some("NaN"), Some("1e400"), Some("1e"), Some(".")] {
            assert_eq!(encode(2, malformed), (vec![6], vec![1.0]));
        }
    }

    #[test]
    fn numbers_are_clamped_to_a_hundred_deviations() {
        for (number, x) in [("1030", 100.0), ("1030.1", 100.0), ("1e39", 100.0), ("-1e308", -100.0), ("-969", -99.9)] {
            assert_eq!(encode(2, Some(number)), (vec![7], vec![x]), "{number}");
        }
    }

    #[test]
    fn the_mean_is_subtracted_before_rounding_to_float32() {
        // Float32 has no number between 1700000000000 and 1700000131072.
        let time = Field::new("time", FieldKind::Numeric { mean: 1.7e12, std: 1000.0 }, Side::Context, vec![]);
        let schema = Schema::new(schema().label().clone(), vec![time]).unwrap();
        let x = |number| encode_with(&schema, 0, Some(number)).1[0];
        assert_eq!(["1700000000000", "1700000000250", "1699999940000"].map(x), [0.0, 0.25, -60.0]);
    }

    #[test]
    fn hashed_values_have_the_ids_of_their_buckets_and_missing_ones_the_first_id() {
        let hashed = |field: &Field| Field { vocabulary: vec![], hash_buckets: Some(10), ..field.clone() };
        let schema =
            Schema::new(schema().label().clone(), schema().fields()[..2].iter().map(hashed).collect()).unwrap();
        let encode = |field, raw| encode_with(&schema, field, raw);
        // user: 0 missing, 1 to 10. The buckets are TensorFlow's: 1100 -> 0, 1102 -> 9, 1103 -> 8.
        assert_eq!(encode(0, Some("1100")), (vec![1], vec![1.0]));
        assert_eq!(encode(0, Some("1102")), (vec![10], vec![1.0]));
        // The hash of the UTF-8 bytes, from FarmHash's C++ code.
        assert_eq!(encode(0, Some("é")), (vec![6], vec![1.0]));
        for missing in [None, Some("")] {
            assert_eq!(encode(0, missing), (vec![0], vec![1.0]));
        }
        // genres: 11 missing, 12 to 21.
        assert_eq!(encode(1, Some("1103||1102")), (vec![20, 21], vec![0.5, 0.5]));
        // 2200 and 2203 share bucket 6.
        assert_eq!(encode(1, Some("2200|1102|2203|2200")), (vec![18, 21], vec![0.75, 0.25]));
        assert_eq!(encode(1, Some("")), (vec![], vec![]));
    }
}
