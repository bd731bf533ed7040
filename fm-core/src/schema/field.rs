//! One field of a row: how its text becomes slots, and which values it knows.

use serde::{Deserialize, Serialize};

use super::derived::Derived;
use super::transform::{Numeric, NumericFile, Transform, moments_problem};
use crate::number::Scale;

/// How a field's text becomes ids and values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", try_from = "KindFile")]
pub enum FieldKind {
    /// One value, looked up in a vocabulary or hashed.
    Categorical,
    /// Several values in one text, looked up in a vocabulary or hashed: a slot for each distinct value.
    MultiValued(List),
    /// Several values in one text, looked up in a vocabulary or hashed: a slot for each value, in the order of the
    /// text. A value that occurs twice has two slots.
    Sequence(List),
    /// A number, standardised as `(x - mean) / std` and clamped to [`MAX_DEVIATIONS`](crate::number::MAX_DEVIATIONS).
    Numeric {
        /// The mean over the training rows, without extreme numbers.
        mean: f64,
        /// The standard deviation over the training rows, without extreme numbers; greater than 0.
        std: f64,
    },
    /// A number that becomes x otherwise, or a category.
    #[serde(rename = "numeric")]
    Transformed(Transform),
}

impl FieldKind {
    /// The list of a field with several values; `None` if it has one.
    pub fn list(&self) -> Option<&List> {
        match self {
            FieldKind::MultiValued(list) | FieldKind::Sequence(list) => Some(list),
            FieldKind::Categorical | FieldKind::Numeric { .. } | FieldKind::Transformed(_) => None,
        }
    }

    /// How a number becomes x; `None` for a field whose x is not its number.
    pub fn scale(&self) -> Option<Scale> {
        match self {
            FieldKind::Numeric { mean, std } => Some(Scale::standard(*mean, *std)),
            FieldKind::Transformed(transform) => transform.scale(),
            FieldKind::Categorical | FieldKind::MultiValued(_) | FieldKind::Sequence(_) => None,
        }
    }

    /// The borders between the buckets of a number; `None` for a field without buckets of numbers.
    pub fn edges(&self) -> Option<&[f64]> {
        if let FieldKind::Transformed(transform) = self { transform.edges() } else { None }
    }

    /// Whether the text of the field is a number: it is declared numeric, whatever becomes of the number.
    pub fn is_numeric(&self) -> bool {
        matches!(self, FieldKind::Numeric { .. } | FieldKind::Transformed(_))
    }

    /// Whether x is the field's number: one id for all numbers, as opposed to one for each bucket. Such features are called
    /// dense.
    pub fn is_dense(&self) -> bool {
        self.scale().is_some()
    }

    /// What contradicts itself in the statistics or the edges of numbers, if anything does.
    pub(super) fn numeric_problem(&self) -> Option<String> {
        match self {
            FieldKind::Numeric { mean, std } => moments_problem(*mean, *std),
            FieldKind::Transformed(transform) => transform.problem(),
            FieldKind::Categorical | FieldKind::MultiValued(_) | FieldKind::Sequence(_) => None,
        }
    }
}

/// A kind in `schema.json`, where all numeric fields are of one kind.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum KindFile {
    Categorical,
    MultiValued(List),
    Sequence(List),
    Numeric(NumericFile),
}

impl TryFrom<KindFile> for FieldKind {
    type Error = String;

    fn try_from(file: KindFile) -> Result<FieldKind, String> {
        Ok(match file {
            KindFile::Categorical => FieldKind::Categorical,
            KindFile::MultiValued(list) => FieldKind::MultiValued(list),
            KindFile::Sequence(list) => FieldKind::Sequence(list),
            KindFile::Numeric(file) => match file.read()? {
                Numeric::Standardized { mean, std } => FieldKind::Numeric { mean, std },
                Numeric::Transformed(transform) => FieldKind::Transformed(transform),
            },
        })
    }
}

/// Several values in one text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct List {
    /// The text between two values, unless they are in brackets; empty pieces are skipped.
    pub separator: String,
    /// The maximum number of slots. Values without a slot are dropped.
    pub max_len: usize,
    /// Which values have a slot if there are more values than slots.
    pub keep: Keep,
    /// The value `x` that each of the row's `n` values adds to its slot.
    pub weighting: Weighting,
}

impl List {
    /// The same list with at least this maximum number of slots.
    pub(super) fn with_at_least(self, max_len: usize) -> List {
        List { max_len: self.max_len.max(max_len), ..self }
    }

    /// A list with this separator, this maximum number of slots and this weighting. It keeps the first values.
    pub fn new(separator: impl Into<String>, max_len: usize, weighting: Weighting) -> List {
        List { separator: separator.into(), max_len, keep: Keep::First, weighting }
    }

    /// The same list, which keeps these values.
    pub fn keep(self, keep: Keep) -> List {
        List { keep, ..self }
    }

    /// The values of a multi-valued field in the order in which they take slots: from the start of the text, or from
    /// its end if the last values are kept.
    pub fn ordered<T>(&self, values: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        let (forwards, backwards) = match self.keep {
            Keep::First => (Some(values), None),
            Keep::Last => (None, Some(values.collect::<Vec<T>>().into_iter().rev())),
        };
        forwards.into_iter().flatten().chain(backwards.into_iter().flatten())
    }

    /// The values of a sequence that have slots, in the order of the text.
    pub fn kept<T>(&self, values: impl Iterator<Item = T> + Clone) -> impl Iterator<Item = T> {
        let dropped = match self.keep {
            Keep::First => 0,
            Keep::Last => values.clone().count().saturating_sub(self.max_len),
        };
        values.skip(dropped).take(self.max_len)
    }
}

/// Which values of a list have a slot if there are more values than slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The first values of the text.
    #[default]
    First,
    /// The last values of the text: the newest ones, if new values are appended.
    Last,
}

/// The value `x` that each of the `n` values of a list adds to its slot; values without a slot do not count. In a
/// multi-valued field, a value that occurs twice in a row has one slot with twice this value, and counts twice in `n`.
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
    /// x is the number after the last `:` of a piece, as in `action:0.5|drama:2`, and 1 in a piece without a `:`. It is
    /// clamped to [`MAX_GIVEN`](crate::number::MAX_GIVEN). A piece whose number is malformed or not finite is an unknown
    /// value with x = 1.
    Given,
}

impl Weighting {
    /// The value that each of `n` values adds to its slot, if the text gives none.
    #[inline]
    pub fn value(self, n: usize) -> f32 {
        match self {
            Weighting::Sum | Weighting::Given => 1.0,
            Weighting::Mean => 1.0 / n.max(1) as f32,
            Weighting::Sqrt => 1.0 / (n.max(1) as f32).sqrt(),
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(share: &f32) -> bool {
    *share == 0.0
}

/// The entity that a field describes. A recommendation takes user and context fields from the user, and item fields
/// from each candidate.
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
    /// Its name.
    pub name: String,
    /// The column that it reads; `None` for the column of its name. Several fields can read one column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// How its text follows from columns, if it is not that of a column.
    #[serde(flatten)]
    pub derived: Derived,
    /// How its text becomes slots.
    #[serde(flatten)]
    pub kind: FieldKind,
    /// The entity that it describes.
    #[serde(default)]
    pub side: Side,
    /// The field whose rows of the table this field also uses. Then it has no vocabulary or hash buckets of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
    /// Whether values are compared byte by byte, instead of in their [`canonical`](crate::schema::canonical) form. A field that
    /// shares the table of another follows the other.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exact: bool,
    /// The share of the training rows that have no known value in this field.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_share: f32,
    /// The share of the training rows whose list had more values than slots.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_share: f32,
    /// The known values in their canonical form: value `i` has the id `first_id + 1 + i`. Empty for a numeric or
    /// hashed field, and for a field that shares another's table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vocabulary: Vec<String>,
    /// The number of buckets, for a field that hashes its values instead of looking them up: a value whose
    /// [`bucket`](crate::farmhash::bucket) is `i` has the id `first_id + 1 + i`. `None` for a numeric field. The
    /// text of the value is hashed, whereas TensorFlow hashes an integer's decimal digits: here, `007` is not `7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_buckets: Option<u32>,
}

impl Field {
    /// A field with a vocabulary, which is empty for a numeric field.
    pub fn new(name: impl Into<String>, kind: FieldKind, side: Side, vocabulary: Vec<String>) -> Field {
        let (column, shares, hash_buckets, exact, unknown_share, cut_share) = (None, None, None, false, 0.0, 0.0);
        let (name, derived) = (name.into(), Derived::default());
        Field { name, column, derived, kind, side, shares, exact, unknown_share, cut_share, vocabulary, hash_buckets }
    }

    /// The name of the column that it reads, which is that of its raw values in exported files. A field that crosses others reads
    /// none; see [`Field::columns`].
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }

    /// Whether its own values are compared byte by byte. Those of crossed fields are in canonical form already.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact || self.derived.is_cross()
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
        self.kind.list().map_or(1, |list| list.max_len)
    }

    /// The same field, which also uses the rows of the table that belong to the field `owner`.
    ///
    /// ```
    /// use fm_core::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
    ///
    /// let seen = FieldKind::MultiValued(List::new("|", 20, Weighting::Sqrt));
    /// let fields = vec![
    ///     Field::new("seen", seen, Side::User, vec![]).sharing("film"),
    ///     Field::categorical("film", Side::Item, 100),
    /// ];
    /// let schema = Schema::new(Label::fit("liked", Task::Binary { threshold: 1.0 }, [0.0, 1.0]), fields)?;
    /// assert_eq!((schema.num_ids(), schema.ids(0), schema.ids(1)), (101, 0..101, 0..101));
    /// assert_eq!((schema.record_ids(0), schema.record_ids(1)), (0..101, 101..202));
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn sharing(self, owner: impl Into<String>) -> Field {
        Field { shares: Some(owner.into()), ..self }
    }

    /// The number of rows that the table has for this field, including its out-of-vocabulary row, unless it shares
    /// another's.
    pub(crate) fn num_rows(&self) -> i64 {
        1 + match self.kind.edges() {
            Some(edges) => 1 + edges.len() as i64,
            None if self.kind.is_dense() => 1,
            None => self.hash_buckets.map_or(self.vocabulary.len() as i64, i64::from),
        }
    }
}
