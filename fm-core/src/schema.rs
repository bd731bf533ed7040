//! The contract between data, model and exported file: which fields a row has, how each becomes slots, and what the
//! label means.
//!
//! One row is `S` *slots*. Slot `s` belongs to a fixed field and holds an id, a row of one global embedding table, and
//! a value `x`:
//!
//! | kind | slots | rows of the table | value |
//! |---|---|---|---|
//! | categorical | 1 | 1 + vocabulary, or 1 + hash buckets | 1 |
//! | multi-valued | `max_len` | 1 + vocabulary, or 1 + hash buckets | its count in the row times 1, 1/n or 1/√n; 0 for padding |
//! | numeric | 1 | 2 | the standardised number; 1 when it is missing |
//!
//! In a multi-valued field, each distinct value of a row takes one slot; n counts the values with their repetitions.
//!
//! The first row of each field is its out-of-vocabulary row: what is unknown, missing or malformed falls on it. Of a
//! hashed field, only what is missing does: every text has a bucket, which it may share with others.
//!
//! ```
//! use fm_core::{Field, FieldKind, Label, Schema, Side, Task, Weighting};
//!
//! let genres = FieldKind::MultiValued { separator: "|".into(), max_len: 3, weighting: Weighting::Mean };
//! let fields = vec![
//!     Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]),
//!     Field::new("genres", genres, Side::Item, vec!["Drama".into(), "War".into()]),
//!     Field::new("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::User, vec![]),
//! ];
//! let schema = Schema::new(Label::fit("rating", Task::Regression, [1.0, 4.0, 5.0]), fields)?;
//! assert_eq!((schema.num_fields(), schema.num_slots(), schema.num_ids()), (3, 5, 8));
//! assert_eq!((schema.slots(1), schema.ids(1)), (1..4, 3..6)); // of the genres; id 3 is what is unknown
//! assert_eq!(Schema::from_json(&schema.to_json()).ok(), Some(schema));
//! # Ok::<(), fm_core::Error>(())
//! ```

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};
use crate::features::Layout;

/// The version of `schema.json` that this library writes, and the newest that it reads.
pub const SCHEMA_FORMAT: u32 = 1;

/// How a field's raw text becomes ids and values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FieldKind {
    /// One value, out of a vocabulary or hashed.
    Categorical,
    /// Several values, out of a vocabulary or hashed, in one text.
    MultiValued {
        /// What stands between the values; empty pieces are skipped.
        separator: String,
        /// The number of slots: one for each distinct value. Later ones are dropped.
        max_len: usize,
        /// The value `x` that each of the row's `n` values adds to its slot.
        weighting: Weighting,
    },
    /// A number, standardised as `(x - mean) / std`.
    Numeric {
        /// The mean over the training rows.
        mean: f32,
        /// The standard deviation over the training rows, greater than 0.
        std: f32,
    },
}

/// The value `x` that each of the `n` values of a multi-valued field adds to its slot: a value that the row holds twice
/// has a slot with twice as much, and counts twice for `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// x = 1: the field's vector is the sum.
    Sum,
    /// x = 1/n: the mean, as libFM's MovieLens files and Keras's `SequenceFeatures` have it.
    Mean,
    /// x = 1/√n, as SVD++ has it: a longer list says more, but not in proportion.
    #[default]
    Sqrt,
}

impl Weighting {
    /// What each of `n` values adds to its slot.
    pub fn value(self, n: usize) -> f32 {
        match self {
            Weighting::Sum => 1.0,
            Weighting::Mean => 1.0 / n.max(1) as f32,
            Weighting::Sqrt => 1.0 / (n.max(1) as f32).sqrt(),
        }
    }
}

/// Whom a field describes. Recommending takes the user's and the context's values from the user, and the item's from
/// each candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The user: id, age, history.
    User,
    /// The item: id, genres, release year.
    Item,
    /// The moment: hour, weekday, device.
    #[default]
    Context,
}

/// One field of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// How its text becomes slots.
    #[serde(flatten)]
    pub kind: FieldKind,
    /// Whom it describes.
    #[serde(default)]
    pub side: Side,
    /// The known values: value `i` has the id `first_id + 1 + i`. Empty for a numeric or a hashed field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vocabulary: Vec<String>,
    /// How many buckets values are hashed into, instead of being looked up: a value whose
    /// [`bucket`](crate::farmhash::bucket) is `i` has the id `first_id + 1 + i`. `None` for a numeric field.
    /// The text is hashed as it stands, where TensorFlow hashes an integer's decimal digits: `007` is not `7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_buckets: Option<u32>,
}

impl Field {
    /// A field with a vocabulary, which is empty for a numeric field.
    pub fn new(name: impl Into<String>, kind: FieldKind, side: Side, vocabulary: Vec<String>) -> Field {
        Field { name: name.into(), kind, side, vocabulary, hash_buckets: None }
    }

    /// The number of slots that the field takes.
    pub fn num_slots(&self) -> usize {
        match self.kind {
            FieldKind::MultiValued { max_len, .. } => max_len,
            FieldKind::Categorical | FieldKind::Numeric { .. } => 1,
        }
    }

    /// The number of rows of the embedding table that the field owns, its out-of-vocabulary row included.
    pub fn cardinality(&self) -> i64 {
        match self.kind {
            FieldKind::Numeric { .. } => 2,
            FieldKind::Categorical | FieldKind::MultiValued { .. } => {
                1 + self.hash_buckets.map_or(self.vocabulary.len() as i64, i64::from)
            }
        }
    }
}

/// What the model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Task {
    /// The label itself; trained with the squared error.
    Regression,
    /// Whether the label reaches the threshold; trained with the logistic loss.
    Binary {
        /// Labels of at least this are positive.
        threshold: f32,
    },
    /// Which items come first for a user; trained by comparing the items of rows with others ([`ranking`](crate::ranking)).
    Ranking {
        /// Rows whose label is at least this are positive: only these are trained on and looked for. Without one, all rows are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threshold: Option<f32>,
    },
}

/// The label's column, its meaning, and its range over the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The column's name.
    pub column: String,
    /// What is predicted of it.
    #[serde(flatten)]
    pub task: Task,
    /// The least label of the training rows, after the threshold.
    pub min: f32,
    /// The greatest label of the training rows, after the threshold.
    pub max: f32,
    /// The mean label of the training rows, after the threshold; with weights, Σ w y / Σ w.
    pub mean: f32,
}

impl Label {
    /// The label of a column whose training rows hold `raw`, labels before the task's threshold.
    ///
    /// ```
    /// use fm_core::{Label, Task};
    ///
    /// let label = Label::fit("rating", Task::Binary { threshold: 4.0 }, [5.0, 1.0, 4.0, 3.0]);
    /// assert_eq!((label.min, label.max, label.mean), (0.0, 1.0, 0.5));
    /// assert_eq!(label.target(4.5), 1.0);
    /// assert_eq!(label.prediction(0.0), 0.5); // a logit of 0 is a probability of one half
    /// ```
    pub fn fit(column: impl Into<String>, task: Task, raw: impl IntoIterator<Item = f32>) -> Label {
        Label::fit_weighted(column, task, raw.into_iter().map(|raw| (raw, 1.0)))
    }

    /// As [`Label::fit`], of rows that count as their weights say: pairs of a label and a weight, which is at least 0. A row of
    /// weight 0 is none.
    pub fn fit_weighted(column: impl Into<String>, task: Task, rows: impl IntoIterator<Item = (f32, f32)>) -> Label {
        let mut label = Label { column: column.into(), task, min: f32::INFINITY, max: f32::NEG_INFINITY, mean: 0.0 };
        let (mut sum, mut total) = (0.0, 0.0);
        for (raw, weight) in rows.into_iter().filter(|(_, weight)| *weight > 0.0) {
            let (target, weight) = (label.target(raw), f64::from(weight));
            (label.min, label.max) = (label.min.min(target), label.max.max(target));
            (sum, total) = (sum + weight * f64::from(target), total + weight);
        }
        // Without a row, nothing here is a finite number, which `Schema::new` refuses.
        label.mean = (sum / total) as f32;
        label
    }

    /// The label as trained on: the raw one, or 0 or 1 by the threshold. A ranking without a threshold takes all rows for 1.
    pub fn target(&self, raw: f32) -> f32 {
        match self.task {
            Task::Regression => raw,
            Task::Binary { threshold } => f32::from(raw >= threshold),
            Task::Ranking { threshold } => f32::from(threshold.is_none_or(|threshold| raw >= threshold)),
        }
    }

    /// What a logit says: a probability, a label within the range of the training rows, or the logit itself of a ranking, a
    /// score without a unit.
    pub fn prediction(&self, logit: f32) -> f32 {
        match self.task {
            Task::Regression => logit.clamp(self.min, self.max),
            Task::Binary { .. } => 1.0 / (1.0 + (-logit).exp()),
            Task::Ranking { .. } => logit,
        }
    }

    /// The logit of a model that knows nothing but the mean label. What is added to all scores changes no ranking: its is 0.
    pub fn prior_logit(&self) -> f32 {
        match self.task {
            Task::Regression => self.mean,
            Task::Binary { .. } => {
                let p = self.mean.clamp(1e-6, 1.0 - 1e-6);
                (p / (1.0 - p)).ln()
            }
            Task::Ranking { .. } => 0.0,
        }
    }
}

/// The fields of a row, in the order of their slots, and the label. Always valid: made by [`Schema::new`] alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SchemaFile", into = "SchemaFile")]
pub struct Schema {
    label: Label,
    fields: Vec<Field>,
    user: Option<String>,
    item: Option<String>,
    /// The first id of each field, and the end.
    first_ids: Vec<i64>,
    /// The first slot of each field, and the end.
    first_slots: Vec<usize>,
}

/// `schema.json` as it is written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile {
    format: u32,
    label: Label,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    item: Option<String>,
    fields: Vec<Field>,
}

impl From<Schema> for SchemaFile {
    fn from(schema: Schema) -> SchemaFile {
        let Schema { label, fields, user, item, .. } = schema;
        SchemaFile { format: SCHEMA_FORMAT, label, user, item, fields }
    }
}

impl TryFrom<SchemaFile> for Schema {
    type Error = Error;

    fn try_from(file: SchemaFile) -> Result<Schema> {
        if file.format > SCHEMA_FORMAT {
            return Err(too_new(file.format));
        }
        let schema = Schema::new(file.label, file.fields)?;
        schema.with_roles(file.user, file.item)
    }
}

impl Schema {
    /// Checks the fields and lays out their ids and slots.
    ///
    /// # Errors
    /// [`Error::Schema`] for no field, an empty or repeated name, a repeated value in a vocabulary, a separator,
    /// a `max_len` or hash buckets of nothing, hash buckets beside a vocabulary or on a numeric field, statistics that
    /// are no numbers, or more ids than 2³¹ - 1.
    pub fn new(label: Label, fields: Vec<Field>) -> Result<Schema> {
        let invalid = |reason: String| Err(Error::Schema(reason));
        if fields.is_empty() {
            return invalid("it has no field".into());
        }
        if ![label.min, label.max, label.mean].iter().all(|x| x.is_finite()) || label.min > label.max {
            return invalid(format!("label `{}` ranges from {} to {}", label.column, label.min, label.max));
        }
        let mut names = HashSet::new();
        let (mut first_ids, mut first_slots) = (vec![0], vec![0]);
        let (mut ids, mut slots) = (0i64, 0usize);
        for field in &fields {
            let name = &field.name;
            if name.is_empty() || !names.insert(name) {
                return invalid(format!("the field name `{name}` is empty or repeated"));
            }
            let mut values = HashSet::with_capacity(field.vocabulary.len());
            if let Some(twice) = field.vocabulary.iter().find(|value| !values.insert(value.as_str())) {
                return invalid(format!("field `{name}` lists the value `{twice}` twice"));
            }
            if field.hash_buckets == Some(0) {
                return invalid(format!("field `{name}` needs at least 1 hash bucket"));
            }
            if field.hash_buckets.is_some() && !field.vocabulary.is_empty() {
                return invalid(format!("field `{name}` has both a vocabulary and hash buckets"));
            }
            match &field.kind {
                FieldKind::Categorical => {}
                FieldKind::MultiValued { separator, max_len, .. } => {
                    if separator.is_empty() || *max_len == 0 {
                        return invalid(format!("field `{name}` needs a separator and a max_len of at least 1"));
                    }
                }
                FieldKind::Numeric { mean, std } => {
                    if !mean.is_finite() || !std.is_finite() || *std <= 0.0 {
                        return invalid(format!("field `{name}` has mean {mean} and standard deviation {std}"));
                    }
                    if !field.vocabulary.is_empty() || field.hash_buckets.is_some() {
                        return invalid(format!("field `{name}` is numeric and has a vocabulary or hash buckets"));
                    }
                }
            }
            slots = slots
                .checked_add(field.num_slots())
                .filter(|slots| *slots <= 1 << 20)
                .ok_or_else(|| Error::Schema(format!("field `{name}` brings the row to over a million slots")))?;
            ids += field.cardinality();
            if ids > i64::from(i32::MAX) {
                return invalid(format!(
                    "field `{name}` brings the table to {ids} ids, but it can have 2147483647: give it fewer hash \
                     buckets or a shorter vocabulary"
                ));
            }
            first_ids.push(ids);
            first_slots.push(slots);
        }
        Ok(Schema { label, fields, user: None, item: None, first_ids, first_slots })
    }

    /// Names the fields that hold the user's and the item's identity.
    ///
    /// # Errors
    /// [`Error::Schema`] if there is no such field.
    pub fn with_roles(mut self, user: Option<String>, item: Option<String>) -> Result<Schema> {
        for role in [&user, &item].into_iter().flatten() {
            if self.field_index(role).is_none() {
                return Err(Error::Schema(format!("there is no field `{role}` to take the user or the item from")));
            }
        }
        (self.user, self.item) = (user, item);
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

    /// The position of the field of this name.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The name of the field that identifies the user, if there is one.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The name of the field that identifies the item, if there is one.
    pub fn item(&self) -> Option<&str> {
        self.item.as_deref()
    }

    /// F, the number of fields.
    pub fn num_fields(&self) -> usize {
        self.fields.len()
    }

    /// S, the number of slots of a row.
    pub fn num_slots(&self) -> usize {
        *self.first_slots.last().unwrap_or(&0)
    }

    /// n, the number of rows of the global table.
    pub fn num_ids(&self) -> i64 {
        *self.first_ids.last().unwrap_or(&0)
    }

    /// The ids of a field: its out-of-vocabulary id first.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn ids(&self, field: usize) -> std::ops::Range<i64> {
        self.first_ids[field]..self.first_ids[field + 1]
    }

    /// The slots of a field.
    ///
    /// # Panics
    /// If `field` is not below [`Schema::num_fields`].
    pub fn slots(&self, field: usize) -> std::ops::Range<usize> {
        self.first_slots[field]..self.first_slots[field + 1]
    }

    /// Which slots of a padded row belong to which field.
    pub fn layout(&self) -> Layout {
        Layout::new(self)
    }

    /// `[S]`: the position of each slot's field.
    pub fn field_of_slots(&self) -> Vec<usize> {
        (0..self.num_fields()).flat_map(|field| self.slots(field).map(move |_| field)).collect()
    }

    /// `[F]`: the out-of-vocabulary id of each field.
    pub fn unknown_ids(&self) -> &[i64] {
        &self.first_ids[..self.fields.len()]
    }

    /// The slots that an item fills: those of its own fields, and of the field that identifies it. The others are the user's
    /// and the moment's.
    pub fn item_slots(&self) -> impl Iterator<Item = usize> {
        let is_of_item = |field: &Field| field.side == Side::Item || self.item() == Some(&field.name);
        self.fields.iter().enumerate().filter(move |(_, field)| is_of_item(field)).flat_map(|(at, _)| self.slots(at))
    }

    /// Reads a `schema.json`.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] with the line at fault.
    pub fn load(path: impl AsRef<Path>) -> Result<Schema> {
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Schema::from_json(&text).map_err(|error| Error::format("schema", path, error.to_string()))
    }

    /// Writes a `schema.json`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, |file| Ok(serde_json::to_writer_pretty(file, self)?))
    }

    /// The schema as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a schema holds only what JSON can hold")
    }

    /// Reads a schema from JSON text, and checks it.
    ///
    /// # Errors
    /// A JSON error that says what is wrong and where.
    pub fn from_json(text: &str) -> serde_json::Result<Schema> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        serde_json::from_str(text).map_err(|error| match serde_json::from_str(text) {
            // What is new in a later version is no reason to refuse it: that it is later is.
            Ok(Version { format }) if format > SCHEMA_FORMAT => serde::de::Error::custom(too_new(format)),
            _ => error,
        })
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
        Label { column: "rating".into(), task: Task::Regression, min: 1.0, max: 5.0, mean: 3.5 }
    }

    #[test]
    fn ids_and_slots_are_laid_out_in_order() {
        let genres = Field {
            kind: FieldKind::MultiValued { separator: "|".into(), max_len: 3, weighting: Weighting::Mean },
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
    fn a_hashed_field_owns_a_row_for_each_bucket_and_one_for_what_is_missing() {
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
    fn what_contradicts_itself_is_refused() {
        let refused = |fields: Vec<Field>| Schema::new(label(), fields).unwrap_err().to_string();
        assert!(refused(vec![]).contains("no field"));
        assert!(refused(vec![categorical("a", &[]), categorical("a", &[])]).contains("`a` is empty or repeated"));
        assert!(refused(vec![categorical("a", &["x", "x"])]).contains("`x` twice"));
        let numeric = Field { kind: FieldKind::Numeric { mean: 0.0, std: 0.0 }, ..categorical("n", &[]) };
        assert!(refused(vec![numeric]).contains("standard deviation 0"));
        assert!(refused(vec![hashed("h", 0)]).contains("field `h` needs at least 1 hash bucket"));
        let both = Field { hash_buckets: Some(10), ..categorical("h", &["x"]) };
        assert!(refused(vec![both]).contains("field `h` has both a vocabulary and hash buckets"));
        let numeric = Field { kind: FieldKind::Numeric { mean: 0.0, std: 1.0 }, ..hashed("n", 10) };
        assert!(refused(vec![numeric]).contains("field `n` is numeric and has a vocabulary or hash buckets"));
        let wide = Field {
            kind: FieldKind::MultiValued { separator: ",".into(), max_len: usize::MAX, weighting: Weighting::Sum },
            ..categorical("w", &[])
        };
        assert!(refused(vec![categorical("a", &[]), wide]).contains("a million slots"));
    }

    #[test]
    fn a_schema_of_a_later_version_is_refused() {
        let schema = Schema::new(label(), vec![categorical("a", &["x"])]).unwrap();
        for later in ["\"format\":2", "\"format\":2,\"time\":\"when\""] {
            let later = schema.to_json().replace("\"format\":1", later);
            assert!(Schema::from_json(&later).unwrap_err().to_string().contains("newer than 1"), "{later}");
        }
    }

    #[test]
    fn a_row_of_weight_two_is_two_labels_and_one_of_weight_zero_is_none() {
        let weighted = Label::fit_weighted("y", Task::Regression, [(5.0, 2.0), (1.0, 0.0), (2.0, 1.0)]);
        assert_eq!(weighted, Label::fit("y", Task::Regression, [5.0, 5.0, 2.0]));
    }

    #[test]
    fn the_prior_logit_is_the_mean_or_its_log_odds() {
        let binary = Label { task: Task::Binary { threshold: 4.0 }, min: 0.0, max: 1.0, mean: 0.75, ..label() };
        assert_eq!(label().prior_logit(), 3.5);
        assert!((binary.prior_logit() - 3f32.ln()).abs() < 1e-6);
        assert_eq!((binary.target(4.0), binary.target(3.5)), (1.0, 0.0));
    }

    #[test]
    fn a_ranking_takes_all_rows_for_positive_or_those_of_the_threshold_and_predicts_its_logit() {
        let ranking = |threshold| Label::fit("rating", Task::Ranking { threshold }, [1.0, 5.0]);
        let (implicit, liked) = (ranking(None), ranking(Some(4.0)));
        assert_eq!((implicit.min, implicit.mean, liked.min, liked.mean), (1.0, 1.0, 0.0, 0.5));
        assert_eq!([implicit.target(-1.0), liked.target(4.0), liked.target(3.5)], [1.0, 1.0, 0.0]);
        assert_eq!((liked.prediction(-7.5), liked.prior_logit()), (-7.5, 0.0));
        for label in [implicit, liked] {
            let schema = Schema::new(label, vec![categorical("a", &["x"])]).unwrap();
            assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
        }
    }

    #[test]
    fn an_items_slots_are_those_of_its_side_and_of_its_identity() {
        let field = |name: &str, side| Field { side, ..categorical(name, &["x"]) };
        let fields = vec![field("film", Side::Context), field("user", Side::User), field("genre", Side::Item)];
        let schema = Schema::new(label(), fields).unwrap();
        assert_eq!(schema.item_slots().collect::<Vec<_>>(), [2]);
        let schema = schema.with_roles(None, Some("film".into())).unwrap();
        assert_eq!(schema.item_slots().collect::<Vec<_>>(), [0, 2]);
    }
}
