//! One field of a row: how its text becomes slots, and which values it knows.

use serde::{Deserialize, Serialize};

/// How a field's text becomes ids and values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FieldKind {
    /// One value, looked up in a vocabulary or hashed.
    Categorical,
    /// Several values in one text, looked up in a vocabulary or hashed.
    MultiValued {
        /// The text between two values; empty pieces are skipped.
        separator: String,
        /// The maximum number of slots, one for each distinct value. Later values are dropped.
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

/// The value `x` that each of the `n` values of a multi-valued field adds to its slot. A value that occurs twice in a row
/// has one slot with twice this value, and counts twice in `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// x = 1: the field's vector is the sum.
    Sum,
    /// x = 1/n: the mean, as in libFM's MovieLens files and Keras's `SequenceFeatures`.
    Mean,
    /// x = 1/√n, as in SVD++: a longer list says more, but less than proportionally.
    #[default]
    Sqrt,
}

impl Weighting {
    /// The value that each of `n` values adds to its slot.
    pub fn value(self, n: usize) -> f32 {
        match self {
            Weighting::Sum => 1.0,
            Weighting::Mean => 1.0 / n.max(1) as f32,
            Weighting::Sqrt => 1.0 / (n.max(1) as f32).sqrt(),
        }
    }
}

/// The entity that a field describes. A recommendation takes the values of user and context fields from the user, and
/// those of item fields from each candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The user: id, age, history.
    User,
    /// The item: id, genres, release year.
    Item,
    /// The situation: hour, weekday, device.
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
    /// The entity that it describes.
    #[serde(default)]
    pub side: Side,
    /// The known values: value `i` has the id `first_id + 1 + i`. Empty for a numeric or a hashed field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vocabulary: Vec<String>,
    /// The number of buckets, for a field that hashes its values instead of looking them up: a value whose
    /// [`bucket`](crate::farmhash::bucket) is `i` has the id `first_id + 1 + i`. `None` for a numeric field.
    /// The text is hashed as it is, where TensorFlow hashes an integer's decimal digits: `007` is not `7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_buckets: Option<u32>,
}

impl Field {
    /// A field with a vocabulary, which is empty for a numeric field.
    pub fn new(name: impl Into<String>, kind: FieldKind, side: Side, vocabulary: Vec<String>) -> Field {
        Field { name: name.into(), kind, side, vocabulary, hash_buckets: None }
    }

    /// A categorical field whose values are the numbers below `n`: its vocabulary is `"0"`, `"1"`, and so on.
    ///
    /// ```
    /// use fm_core::{Field, Side};
    ///
    /// assert_eq!(Field::categorical("user", Side::User, 3).vocabulary, ["0", "1", "2"]);
    /// ```
    pub fn categorical(name: impl Into<String>, side: Side, n: usize) -> Field {
        Field::new(name, FieldKind::Categorical, side, (0..n).map(|value| value.to_string()).collect())
    }

    /// The maximum number of slots that the field fills in a row.
    pub fn num_slots(&self) -> usize {
        match self.kind {
            FieldKind::MultiValued { max_len, .. } => max_len,
            FieldKind::Categorical | FieldKind::Numeric { .. } => 1,
        }
    }

    /// The number of ids of the field, including its out-of-vocabulary id.
    pub fn cardinality(&self) -> i64 {
        match self.kind {
            FieldKind::Numeric { .. } => 2,
            FieldKind::Categorical | FieldKind::MultiValued { .. } => {
                1 + self.hash_buckets.map_or(self.vocabulary.len() as i64, i64::from)
            }
        }
    }
}
