//! The schema, the contract between data, model and exported file: the fields of a row, how each becomes slots, and the
//! meaning of the label.
//!
//! A row has up to `S` *slots*. Each slot belongs to a field and has an id, which is a row of one global embedding
//! table, and a value `x`:
//!
//! | kind | slots | ids | value |
//! |---|---|---|---|
//! | categorical | 1 | 1 + vocabulary, or 1 + hash buckets | 1 |
//! | multi-valued | 0 to `max_len` | 1 + vocabulary, or 1 + hash buckets | the number of occurrences in the row times 1, 1/n or 1/√n, or the sum of the numbers that the text gives |
//! | sequence | 0 to `max_len` | 1 + vocabulary, or 1 + hash buckets | 1, 1/n or 1/√n, or the number that the text gives |
//! | numeric | 1 | 2 | the number, standardised or [transformed](Transform) otherwise; 1 if it is missing |
//! | numeric, in buckets | 1 | 1 + buckets | 1 |
//!
//! In a multi-valued field, each distinct value of a row takes one slot; n counts the values including repetitions. In
//! a sequence, each value takes a slot, in the order of the text.
//!
//! The first id of each field is its out-of-vocabulary id, which unknown, missing and malformed values get. In a hashed
//! field, only missing values get it: every text has a bucket, which it may share with other texts.
//!
//! Values are compared in their [canonical form](crate::schema::canonical), in which `4.0` is `4`, unless the field is exact.
//!
//! A field can share the table of another, its owner: it looks its values up in the owner's vocabulary or buckets, and
//! has the owner's ids. Two fields then have the same ids, so there are two numberings:
//!
//! | numbering | of a field | used by |
//! |---|---|---|
//! | rows of the table | [`Schema::ids`]: the owner's, for a field that shares | models, features, exported files |
//! | ids in records | [`Schema::record_ids`]: a range of its own for each field | [`Records`](crate::Records), where the field of a slot follows from its id |
//!
//! They are equal if no field shares a table.
//!
//! Rows are stored without padding ([`Records`](crate::Records)). Where slots have fixed positions, as in an exported
//! file, slot `s` of `S` belongs to a fixed field, and unused slots of multi-valued fields and sequences have x = 0.
//!
//! ```
//! use fm_core::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
//!
//! let genres = FieldKind::MultiValued(List::new("|", 3, Weighting::Mean));
//! let fields = vec![
//!     Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]),
//!     Field::new("genres", genres, Side::Item, vec!["Drama".into(), "War".into()]),
//!     Field::new("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::User, vec![]),
//! ];
//! let schema = Schema::new(Label::fit("rating", Task::Regression, [1.0, 4.0, 5.0]), fields)?;
//! assert_eq!((schema.num_fields(), schema.num_slots(), schema.num_ids()), (3, 5, 8));
//! assert_eq!((schema.slots(1), schema.ids(1)), (1..4, 3..6)); // genres; id 3 is out of vocabulary
//! assert_eq!(Schema::from_json(&schema.to_json()).ok(), Some(schema));
//! # Ok::<(), fm_core::Error>(())
//! ```

mod derived;
mod field;
mod inheritance;
mod label;
mod layout;
mod list_text;
mod reading;
mod transform;
mod values;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};

pub use derived::{Derived, TimePart, crossed};
pub use field::{Field, FieldKind, Keep, List, Side, Weighting};
pub use inheritance::Inheritance;
pub use label::{Label, Task};
pub use layout::Layout;
pub use reading::{Reading, canonical};
pub use transform::{MAX_BUCKETS, Transform, TransformName, is_period};

/// The newest version of `schema.json` that this library reads. It writes 3 for a schema without [`Derived`] fields and waves of
/// numbers, and 2 for one without any [`Transform`] and [`Field::column`], which earlier versions read, too.
pub const SCHEMA_FORMAT: u32 = 4;

/// The fields of a row, in the order of their slots, and the label. Always valid: only [`Schema::new`] creates one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "SchemaFile<'static>")]
pub struct Schema {
    label: Label,
    fields: Vec<Field>,
    user: Option<String>,
    item: Option<String>,
    /// Texts that are missing values in every field, in their canonical form.
    null_values: Vec<String>,
    /// The rows of the table of each field.
    ids: Vec<Range<i64>>,
    /// The slots of each field, and the first of its rows.
    layout: Layout,
    /// n
    num_ids: i64,
    /// The first id of each field in records, and the end.
    first_record_ids: Vec<i64>,
    /// The field whose table each field uses: itself, unless it shares another's.
    owners: Vec<usize>,
}

/// The content of `schema.json`. A vocabulary may have millions of values, which are not copied to be written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile<'a> {
    format: u32,
    label: Cow<'a, Label>,
    #[serde(default)]
    user: Cow<'a, Option<String>>,
    #[serde(default)]
    item: Cow<'a, Option<String>>,
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    null_values: Cow<'a, [String]>,
    fields: Cow<'a, [Field]>,
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Schema { label, fields, user, item, null_values, .. } = self;
        let format = |field: &Field| match &field.kind {
            _ if field.derived.is_derived() => SCHEMA_FORMAT,
            FieldKind::Transformed(Transform::Sin { .. } | Transform::Cos { .. }) => SCHEMA_FORMAT,
            FieldKind::Transformed(_) => 3,
            _ => {
                if field.column.is_some() {
                    3
                } else {
                    2
                }
            }
        };
        let format = fields.iter().map(format).max().unwrap_or(2);
        let (label, fields, null_values) = (Cow::Borrowed(label), fields.into(), null_values.into());
        let (user, item) = (Cow::Borrowed(user), Cow::Borrowed(item));
        SchemaFile { format, label, user, item, null_values, fields }.serialize(serializer)
    }
}

impl TryFrom<SchemaFile<'_>> for Schema {
    type Error = Error;

    fn try_from(file: SchemaFile<'_>) -> Result<Schema> {
        if file.format > SCHEMA_FORMAT {
            return Err(too_new(file.format));
        }
        let mut fields = file.fields.into_owned();
        if file.format < 2 {
            // Before format 2, all fields compared bytes.
            let has_values = |field: &&mut Field| !field.kind.is_numeric();
            fields.iter_mut().filter(has_values).for_each(|field| field.exact = true);
        }
        let schema = Schema::new(file.label.into_owned(), fields)?.with_null_values(&file.null_values)?;
        schema.with_roles(file.user.into_owned(), file.item.into_owned())
    }
}

impl Schema {
    /// The name of its file, wherever one is written.
    pub const FILE: &str = "schema.json";

    /// Checks the fields and assigns their ids and slots.
    ///
    /// # Errors
    /// [`Error::Schema`] if there is no field, a name is empty or repeated, a vocabulary repeats a value, a separator
    /// is empty, `max_len` or the number of hash buckets is 0, a field has both hash buckets and a vocabulary, a
    /// numeric field has either, a field of times or other fields contradicts itself, statistics are not finite, edges of buckets do not ascend, a vocabulary contains a missing value or one that is not
    /// canonical in a field that is not exact, a share is not from 0 to 1, a field shares the table of a field that does not exist, is
    /// numeric or itself shares a table, a field that shares a table has values of its own, a row has more than 2²⁰
    /// slots, or there are more than 2147483647 ids.
    pub fn new(label: Label, fields: Vec<Field>) -> Result<Schema> {
        let invalid = |reason: String| Err(Error::Schema(reason));
        if fields.is_empty() {
            return invalid("it has no field".into());
        }
        label.check()?;
        let mut names = HashSet::new();
        let (mut ids, mut first_slots, mut slots) = (vec![], vec![0], 0usize);
        let mut num_ids = 0i64;
        for field in &fields {
            let name = &field.name;
            if name.is_empty() || !names.insert(name) {
                return invalid(format!("the field name `{name}` is empty or repeated"));
            }
            if field.column().is_empty() {
                return invalid(format!("field `{name}` reads a column without a name"));
            }
            let mut values = HashSet::with_capacity(field.vocabulary.len());
            if let Some(twice) = field.vocabulary.iter().find(|value| !values.insert(value.as_str())) {
                return invalid(format!("field `{name}` lists the value `{twice}` twice"));
            }
            if let Some(reason) = field.derived_problem(&fields) {
                return invalid(format!("field `{name}` {reason}"));
            }
            let reading = Reading::new(field.is_exact(), &[]);
            if let Some(value) = field.vocabulary.iter().find(|value| reading.value(value) != Some(value.as_str())) {
                return invalid(match reading.value(value) {
                    None => format!("field `{name}` lists the value `{value}`, which is a missing value"),
                    Some(same) => format!("field `{name}` lists the value `{value}`, which is read as `{same}`"),
                });
            }
            if !(0.0..=1.0).contains(&field.unknown_share) {
                let share = field.unknown_share;
                return invalid(format!("field `{name}` has a share of {share} unknown values: it is from 0 to 1"));
            }
            if field.hash_buckets == Some(0) {
                return invalid(format!("field `{name}` needs at least 1 hash bucket"));
            }
            if field.hash_buckets.is_some() && !field.vocabulary.is_empty() {
                return invalid(format!("field `{name}` has both a vocabulary and hash buckets"));
            }
            if field.kind.list().is_some_and(|list| list.separator.is_empty() || list.max_len == 0) {
                return invalid(format!("field `{name}` needs a separator and a max_len of at least 1"));
            }
            if let Some(reason) = field.kind.numeric_problem() {
                return invalid(format!("field `{name}` {reason}"));
            }
            if field.kind.is_numeric() && (!field.vocabulary.is_empty() || field.hash_buckets.is_some()) {
                return invalid(format!("field `{name}` is numeric and has a vocabulary or hash buckets"));
            }
            slots = slots
                .checked_add(field.num_slots())
                .filter(|slots| *slots <= 1 << 20)
                .ok_or_else(|| Error::Schema(format!("field `{name}` brings the row to over a million slots")))?;
            let rows = if field.shares.is_none() { field.num_rows() } else { 0 };
            ids.push(num_ids..num_ids + rows);
            num_ids += rows;
            first_slots.push(slots);
        }
        let owners = (0..fields.len()).map(|field| owner(&fields, field)).collect::<Result<Vec<usize>>>()?;
        let ids: Vec<Range<i64>> = owners.iter().map(|&owner| ids[owner].clone()).collect();
        let mut first_record_ids = vec![0];
        let mut record_ids = 0;
        for (field, ids) in fields.iter().zip(&ids) {
            record_ids += ids.end - ids.start;
            if record_ids > i64::from(i32::MAX) {
                return invalid(format!(
                    "field `{}` brings the table to {record_ids} ids, but it can have at most 2147483647: give it \
                     fewer hash buckets or a shorter vocabulary",
                    field.name
                ));
            }
            first_record_ids.push(record_ids);
        }
        let unknown_ids = ids.iter().map(|ids| ids.start).collect();
        Ok(Schema {
            label,
            fields,
            user: None,
            item: None,
            null_values: vec![],
            ids,
            layout: Layout::new(first_slots, unknown_ids),
            num_ids,
            first_record_ids,
            owners,
        })
    }

    /// Names the fields that identify the user and the item.
    ///
    /// # Errors
    /// [`Error::Schema`] if a field does not exist.
    pub fn with_roles(mut self, user: Option<String>, item: Option<String>) -> Result<Schema> {
        for role in [&user, &item].into_iter().flatten() {
            if self.field_index(role).is_none() {
                return Err(Error::Schema(format!("the user or item field `{role}` does not exist")));
            }
        }
        (self.user, self.item) = (user, item);
        Ok(self)
    }

    /// The same schema, where a regression's logits have another unit: that of the run that a warm start begins with
    /// ([`Label::scale`]). Labels of other tasks have no scale, and keep 1.
    ///
    /// # Errors
    /// [`Error::Schema`] for a scale that is not a positive number.
    pub fn with_label_scale(mut self, scale: f32) -> Result<Schema> {
        if self.label.task == Task::Regression {
            self.label.scale = scale;
        }
        self.label.check()?;
        Ok(self)
    }

    /// The label.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The fields, in the order of their slots.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The position of the field with this name.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The columns of raw values in the order of the fields, each once.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = vec![];
        for column in self.fields.iter().flat_map(Field::columns) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns
    }

    /// The name of the field that identifies the user.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The name of the field that identifies the item.
    pub fn item(&self) -> Option<&str> {
        self.item.as_deref()
    }

    /// F, the number of fields.
    pub fn num_fields(&self) -> usize {
        self.fields.len()
    }

    /// S, the maximum number of slots of a row.
    pub fn num_slots(&self) -> usize {
        self.layout.num_slots()
    }

    /// n, the number of rows of the global table.
    pub fn num_ids(&self) -> i64 {
        self.num_ids
    }

    /// The ids of a field, its out-of-vocabulary id first: its rows of the table, or the owner's if it shares another
    /// field's.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn ids(&self, field: usize) -> Range<i64> {
        self.ids[field].clone()
    }

    /// The ids of a field in [`Records`](crate::Records), its out-of-vocabulary id first. Each field has its own.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn record_ids(&self, field: usize) -> Range<i64> {
        self.first_record_ids[field]..self.first_record_ids[field + 1]
    }

    /// The position of the field whose table a field uses: its own, unless it shares another's.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn owner(&self, field: usize) -> usize {
        self.owners[field]
    }

    /// The values that a field knows: its vocabulary, or the owner's. Empty for a numeric or a hashed field.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn vocabulary(&self, field: usize) -> &[String] {
        &self.fields[self.owners[field]].vocabulary
    }

    /// The number of buckets of a hashed field, or of its owner.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn hash_buckets(&self, field: usize) -> Option<u32> {
        self.fields[self.owners[field]].hash_buckets
    }

    /// The slots of a field in a padded row.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn slots(&self, field: usize) -> Range<usize> {
        self.layout.slots(field)
    }

    /// Which slots of a padded row belong to which field.
    pub fn layout(&self) -> Layout {
        self.layout.clone()
    }

    /// `[S]`: the field of each slot of a padded row.
    pub fn field_of_slots(&self) -> Vec<usize> {
        (0..self.num_fields()).flat_map(|field| self.slots(field).map(move |_| field)).collect()
    }

    /// `[F]`: the out-of-vocabulary id of each field.
    pub fn unknown_ids(&self) -> &[i64] {
        self.layout.padding_ids()
    }

    /// The slots of a padded row that describe the item: those of item fields and of the field that identifies the
    /// item.
    pub fn item_slots(&self) -> impl Iterator<Item = usize> {
        let is_of_item = |field: &Field| field.side == Side::Item || self.item() == Some(&field.name);
        self.fields.iter().enumerate().filter(move |(_, field)| is_of_item(field)).flat_map(|(at, _)| self.slots(at))
    }

    /// Reads a `schema.json` file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`], with the line at fault.
    pub fn load(path: impl AsRef<Path>) -> Result<Schema> {
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Schema::from_json(&text).map_err(|error| Error::format("schema", path, error.to_string()))
    }

    /// Writes a `schema.json` file atomically.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, |file| Ok(serde_json::to_writer_pretty(file, self)?))
    }

    /// The schema as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("JSON can represent every schema")
    }

    /// Reads and checks a schema in JSON.
    ///
    /// # Errors
    /// A JSON error with the cause and its line.
    pub fn from_json(text: &str) -> serde_json::Result<Schema> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        serde_json::from_str(text).map_err(|error| match serde_json::from_str(text) {
            // Report the newer format rather than the first unknown key.
            Ok(Version { format }) if format > SCHEMA_FORMAT => serde::de::Error::custom(too_new(format)),
            _ => error,
        })
    }
}

/// The position of the field whose table a field uses.
fn owner(fields: &[Field], position: usize) -> Result<usize> {
    let Field { name, shares, vocabulary, hash_buckets, kind, .. } = &fields[position];
    let Some(shares) = shares else { return Ok(position) };
    let invalid =
        |reason: String| Err(Error::Schema(format!("field `{name}` shares the table of `{shares}`, {reason}")));
    match fields.iter().position(|field| field.name == *shares) {
        None => invalid("which is not a field".into()),
        Some(owner) if owner == position => invalid("itself".into()),
        Some(owner) => match &fields[owner] {
            Field { shares: Some(other), .. } => {
                invalid(format!("which itself shares that of `{other}`: name `{other}` instead"))
            }
            Field { kind: other, .. } if kind.is_numeric() || other.is_numeric() => {
                invalid("but numbers have no table".into())
            }
            _ if hash_buckets.is_some() => invalid("so it cannot have hash buckets of its own".into()),
            _ if !vocabulary.is_empty() => invalid("so it cannot have a vocabulary of its own".into()),
            _ => Ok(owner),
        },
    }
}

fn too_new(format: u32) -> Error {
    Error::Schema(format!("its format {format} is newer than {SCHEMA_FORMAT}, the newest that this version reads"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categorical(name: &str, values: &[&str]) -> Field {
        let vocabulary = values.iter().map(|&v| v.into()).collect();
        Field::new(name, FieldKind::Categorical, Side::Context, vocabulary)
    }

    fn hashed(name: &str, buckets: u32) -> Field {
        Field { hash_buckets: Some(buckets), ..categorical(name, &[]) }
    }

    fn label() -> Label {
        Label { column: "rating".into(), task: Task::Regression, min: 1.0, max: 5.0, mean: 3.5, scale: 1.0 }
    }

    #[test]
    fn ids_and_slots_are_laid_out_in_order() {
        let genres = Field {
            kind: FieldKind::MultiValued(List::new("|", 3, Weighting::Mean)),
            ..categorical("genres", &["Drama", "War"])
        };
        let age = Field { kind: FieldKind::Numeric { mean: 30.0, std: 10.0 }, ..categorical("age", &[]) };
        let schema = Schema::new(label(), vec![categorical("user", &["a", "b"]), genres, age]).unwrap();
        assert_eq!((schema.num_fields(), schema.num_slots(), schema.num_ids()), (3, 5, 8));
        assert_eq!((schema.ids(1), schema.slots(1)), (3..6, 1..4));
        assert_eq!(schema.unknown_ids(), [0, 3, 6]);
        assert_eq!(schema.field_of_slots(), [0, 1, 1, 1, 2]);
        assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
        assert!(!schema.to_json().contains("hash_buckets"), "{}", schema.to_json());
    }

    #[test]
    fn a_hashed_field_has_a_row_for_each_bucket_and_one_for_missing_values() {
        let schema = Schema::new(label(), vec![hashed("device", 10), categorical("user", &["a"])]).unwrap();
        assert_eq!((schema.ids(0), schema.ids(1), schema.num_ids()), (0..11, 11..13, 13));
        assert!(schema.to_json().contains(r#""side":"context","hash_buckets":10}"#), "{}", schema.to_json());
        assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
    }

    #[test]
    fn a_table_has_at_most_2147483647_ids() {
        let largest = vec![hashed("a", i32::MAX as u32 - 3), categorical("b", &["x"])];
        assert_eq!(Schema::new(label(), largest.clone()).unwrap().num_ids(), i64::from(i32::MAX));
        let over = |fields: Vec<Field>| Schema::new(label(), fields).unwrap_err().to_string();
        let error = over([largest, vec![categorical("c", &[])]].concat());
        assert!(error.contains("field `c` brings the table to 2147483648 ids"), "{error}");
        assert!(over(vec![hashed("a", u32::MAX), hashed("b", u32::MAX)]).contains("field `a` brings"));
    }

    #[test]
    fn a_contradictory_schema_is_an_error() {
        let refused = |fields: Vec<Field>| Schema::new(label(), fields).unwrap_err().to_string();
        assert!(refused(vec![]).contains("no field"));
        assert!(refused(vec![categorical("a", &[]), categorical("a", &[])]).contains("`a` is empty or repeated"));
        assert!(refused(vec![categorical("a", &["x", "x"])]).contains("`x` twice"));
        let numeric = Field { kind: FieldKind::Numeric { mean: 0.0, std: 0.0 }, ..categorical("n", &[]) };
        assert!(refused(vec![numeric]).contains("standard deviation 0"));
        assert!(refused(vec![categorical("a", &["4.0"])]).contains("`a` lists the value `4.0`, which is read as `4`"));
        assert!(
            refused(vec![categorical("a", &[" "])]).contains("field `a` lists the value ` `, which is a missing value")
        );
        assert!(refused(vec![hashed("h", 0)]).contains("field `h` needs at least 1 hash bucket"));
        let both = Field { hash_buckets: Some(10), ..categorical("h", &["x"]) };
        assert!(refused(vec![both]).contains("field `h` has both a vocabulary and hash buckets"));
        let numeric = Field { kind: FieldKind::Numeric { mean: 0.0, std: 1.0 }, ..hashed("n", 10) };
        assert!(refused(vec![numeric]).contains("field `n` is numeric and has a vocabulary or hash buckets"));
        let wide =
            Field { kind: FieldKind::MultiValued(List::new(",", usize::MAX, Weighting::Sum)), ..categorical("w", &[]) };
        assert!(refused(vec![categorical("a", &[]), wide]).contains("a million slots"));
    }

    #[test]
    fn a_field_can_share_the_table_of_another() {
        let seen = || categorical("seen", &[]).sharing("film");
        let fields =
            vec![categorical("user", &["a"]), seen(), categorical("film", &["x", "y"]), categorical("hour", &["1"])];
        let schema = Schema::new(label(), fields).unwrap();
        assert_eq!([0, 1, 2, 3].map(|field| schema.ids(field)), [0..2, 2..5, 2..5, 5..7]);
        assert_eq!([0, 1, 2, 3].map(|field| schema.record_ids(field)), [0..2, 2..5, 5..8, 8..10]);
        assert_eq!((schema.num_ids(), schema.unknown_ids(), schema.owner(1)), (7, &[0, 2, 2, 5][..], 2));
        assert_eq!(schema.vocabulary(1), ["x", "y"]);
        assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);

        let refused = |fields| Schema::new(label(), fields).unwrap_err().to_string();
        assert!(refused(vec![seen()]).ends_with("field `seen` shares the table of `film`, which is not a field"));
        assert!(refused(vec![seen().sharing("seen")]).ends_with("shares the table of `seen`, itself"));
        let chain = vec![seen(), categorical("film", &[]).sharing("hour"), categorical("hour", &[])];
        assert!(
            refused(chain)
                .ends_with("shares the table of `film`, which itself shares that of `hour`: name `hour` instead")
        );
        let number = Field { kind: FieldKind::Numeric { mean: 0.0, std: 1.0 }, ..categorical("film", &[]) };
        assert!(refused(vec![seen(), number]).ends_with("shares the table of `film`, but numbers have no table"));
        let film = || categorical("film", &["x"]);
        let own = vec![categorical("seen", &["x"]).sharing("film"), film()];
        assert!(refused(own).ends_with("so it cannot have a vocabulary of its own"));
        assert!(
            refused(vec![hashed("seen", 9).sharing("film"), film()]).ends_with("cannot have hash buckets of its own")
        );
    }

    #[test]
    fn a_schema_of_a_newer_version_is_an_error() {
        let schema = Schema::new(label(), vec![categorical("a", &["x"])]).unwrap();
        for later in ["\"format\":5", "\"format\":5,\"time\":\"when\""] {
            let later = schema.to_json().replace("\"format\":2", later);
            assert!(Schema::from_json(&later).unwrap_err().to_string().contains("newer than 4"), "{later}");
        }
    }

    #[test]
    fn item_slots_are_those_of_item_fields_and_of_the_items_id() {
        let field = |name: &str, side| Field { side, ..categorical(name, &["x"]) };
        let fields = vec![field("film", Side::Context), field("user", Side::User), field("genre", Side::Item)];
        let schema = Schema::new(label(), fields).unwrap();
        assert_eq!(schema.item_slots().collect::<Vec<_>>(), [2]);
        let schema = schema.with_roles(None, Some("film".into())).unwrap();
        assert_eq!(schema.item_slots().collect::<Vec<_>>(), [0, 2]);
    }
}
