//! The declaration of a table: its label, its fields, its user and its item.
//!
//! ```toml
//! label = "label"
//! weight = "worth"
//! timestamp = "when"
//! user = "user"
//! item = "item"
//! null_values = ["NULL", "-999"]
//! separator = ";"
//! decimal = ","
//!
//! [[field]]
//! name = "user"
//! kind = "categorical"
//! side = "user"
//! min_count = 2
//!
//! [[field]]
//! name = "tags"
//! kind = "multi-valued"
//! separator = "|"
//! max_len = 20
//! weighting = "mean"
//!
//! [[field]]
//! name = "visited"
//! kind = "sequence"
//! side = "user"
//! shares = "item"
//! max_len = 50
//! keep = "first"
//!
//! [[field]]
//! name = "device"
//! kind = "categorical"
//! hash_buckets = 1000
//! exact = true
//!
//! [[field]]
//! name = "price"
//! kind = "numeric"
//!
//! [[field]]
//! name = "price_bucket"
//! column = "price"
//! kind = "numeric"
//! transform = "buckets"
//! buckets = 50
//!
//! [[field]]
//! name = "hour"
//! column = "when"
//! kind = "categorical"
//! time = "hour"
//!
//! [[field]]
//! name = "age"
//! column = "released"
//! kind = "numeric"
//! time = "age"
//! until = "2024-01-01"
//!
//! [[field]]
//! name = "device_by_hour"
//! cross = ["device", "hour"]
//! min_count = 10
//!
//! [[field]]
//! name = "liked"
//! kind = "sequence"
//! history = true
//! at_least = 4
//! shares = "item"
//! ```

mod columns;
mod derived;
mod file;
mod history;
mod transform;

use std::collections::HashSet;
use std::path::Path;

use fm_core::schema::{Derived, Reading};
use fm_core::{Keep, List, Side, Weighting};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result, suggestion};
use crate::table::{DecimalMark, Needed, ReadOptions, Selection};

use file::{Problem, SpecFile};

pub(crate) use derived::derived_texts;
pub use transform::{BUCKETS, TransformSpec};

/// Texts that other programs write for a missing value.
pub const USUAL_NULLS: [&str; 11] = ["NULL", "Null", "null", "NA", "N/A", "n/a", "nan", "NaN", "None", "\\N", "-"];

/// The separator of the values of a multi-valued field, unless the field declares another.
pub const SEPARATOR: &str = "|";

/// How the text of a column becomes slots, before fitting.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FieldSpecKind {
    /// One value, from a vocabulary or hashed.
    Categorical,
    /// Several values in one text, from a vocabulary or hashed, with one slot per distinct value.
    MultiValued(ListSpec),
    /// Several values in one text, from a vocabulary or hashed, with one slot per value, in the order of the text.
    Sequence(ListSpec),
    /// A number, standardised with the training rows' mean and standard deviation.
    Numeric,
    /// A number that becomes a value otherwise, or a category.
    #[serde(rename = "numeric")]
    Transformed(TransformSpec),
}

impl FieldSpecKind {
    /// Whether the field is declared numeric.
    pub fn is_numeric(&self) -> bool {
        matches!(self, FieldSpecKind::Numeric | FieldSpecKind::Transformed(_))
    }

    /// The declaration of the list, for a field with several values; `None` for a field with one value.
    pub fn list(&self) -> Option<&ListSpec> {
        match self {
            FieldSpecKind::MultiValued(list) | FieldSpecKind::Sequence(list) => Some(list),
            FieldSpecKind::Categorical | FieldSpecKind::Numeric | FieldSpecKind::Transformed(_) => None,
        }
    }
}

/// Several values in one text, before fitting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListSpec {
    /// The text between two values.
    pub separator: String,
    /// The number of slots. `None` for the length of the longest list of the training rows, at most 100.
    pub max_len: Option<usize>,
    /// Which values have a slot if there are more values than slots. By default, a `schema.toml` keeps the last values.
    pub keep: Keep,
    /// The value `x` that each of the row's `n` values adds to its slot.
    pub weighting: Weighting,
}

impl ListSpec {
    /// A list with this separator, number of slots and weighting. It keeps the first values.
    pub fn new(separator: impl Into<String>, max_len: Option<usize>, weighting: Weighting) -> ListSpec {
        ListSpec { separator: separator.into(), max_len, keep: Keep::First, weighting }
    }

    /// The list with this maximum number of slots.
    pub(crate) fn with_slots(&self, max_len: usize) -> List {
        List::new(&self.separator, max_len, self.weighting).keep(self.keep)
    }
}

/// The origin of a field's text. Derived lists use only training rows, so no label of a validation or test row leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum FieldOrigin {
    /// The column of the field's name.
    #[default]
    Column,
    /// The items that the row's user liked before the row, newest first. It depends on time: a new row has the current
    /// history.
    LikedBefore {
        /// Minimum label of a liked item.
        least: f32,
    },
    /// The items of all rows of the row's user, newest first.
    ItemsOfUser,
    /// The users of all rows of the row's item, newest first.
    UsersOfItem,
}

impl Serialize for FieldOrigin {
    /// The keys of a `schema.toml`.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut keys = serializer.serialize_map(None)?;
        if let FieldOrigin::LikedBefore { least } = self {
            keys.serialize_entry("history", &true)?;
            if least.is_finite() {
                keys.serialize_entry("at_least", least)?;
            }
        }
        keys.end()
    }
}

/// A declared field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldSpec {
    /// Its name.
    pub name: String,
    /// The column that it reads; `None` for the column of its name. Several fields can read one column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// How its text follows from columns, if it is not that of a column.
    #[serde(flatten)]
    pub derived: Derived,
    /// How its text becomes slots.
    #[serde(flatten)]
    pub kind: FieldSpecKind,
    /// What it describes.
    pub side: Side,
    /// Minimum number of occurrences in the training rows for a value to enter the vocabulary.
    pub min_count: u32,
    /// The field whose table this field also uses. This field then has no vocabulary or hash buckets of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
    /// Whether values are compared byte by byte, instead of in their [`canonical`](fm_core::schema::canonical) form.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// The number of hash buckets; `None` for a vocabulary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_buckets: Option<u32>,
    /// The origin of its text. A `schema.toml` declares columns and histories.
    #[serde(flatten)]
    pub origin: FieldOrigin,
}

impl FieldSpec {
    /// The column of its name, with a vocabulary and the default `min_count` of 1.
    pub fn new(name: impl Into<String>, kind: FieldSpecKind, side: Side) -> FieldSpec {
        let (column, min_count, shares, exact, hash_buckets) = (None, 1, None, false, None);
        let (name, derived, origin) = (name.into(), Derived::default(), FieldOrigin::Column);
        FieldSpec { name, column, derived, kind, side, min_count, shares, exact, hash_buckets, origin }
    }

    /// The name of the column that it reads.
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }
}

/// A declared table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SpecFile")]
pub struct TableSpec {
    /// The column of the label.
    pub label: String,
    /// The column with the weights of the rows in the loss and in metrics: numbers of at least 0.
    pub weight: Option<String>,
    /// The column with the times of the rows: numbers, or dates and times in ISO 8601.
    pub timestamp: Option<String>,
    /// The field that identifies the user.
    pub user: Option<String>,
    /// The field that identifies the item.
    pub item: Option<String>,
    /// The column with the titles of the items.
    pub title: Option<String>,
    /// Texts that are missing values in every field, such as `NULL`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub null_values: Vec<String>,
    /// The ASCII character between the cells of text files. By default, the header shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// The character before the fraction of a number, in numeric fields, labels and weights.
    #[serde(default, skip_serializing_if = "DecimalMark::is_point")]
    pub decimal: DecimalMark,
    /// The fields, in the order of their slots.
    #[serde(rename = "field")]
    pub fields: Vec<FieldSpec>,
}

impl TryFrom<SpecFile> for TableSpec {
    type Error = String;

    fn try_from(file: SpecFile) -> std::result::Result<TableSpec, String> {
        file.into_spec().map_err(|problem| problem.reason)
    }
}

impl TableSpec {
    /// A table with these fields, without roles or further columns.
    pub fn new(label: impl Into<String>, fields: Vec<FieldSpec>) -> TableSpec {
        let (weight, timestamp, user, item, title, null_values) = (None, None, None, None, None, vec![]);
        let (label, separator, decimal) = (label.into(), None, DecimalMark::Point);
        TableSpec { label, weight, timestamp, user, item, title, null_values, separator, decimal, fields }
    }

    /// Reads a `schema.toml`.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Data`] with the line of invalid TOML, of an unknown key or value, or of a
    /// contradiction ([`TableSpec::check`]).
    pub fn load(path: impl AsRef<Path>) -> Result<TableSpec> {
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        TableSpec::parse(&text).map_err(|Problem { at, reason }| {
            let line = at.and_then(|at| text.get(..at)).map(|before| 1 + before.matches('\n').count());
            Error::data(path, line, reason)
        })
    }

    /// Checks that the declaration does not contradict itself.
    ///
    /// # Errors
    /// [`Error::Spec`] for no field, an empty or repeated name, a label that is also a field, the weight or the
    /// timestamp, a user or an item that is not a field, an empty separator, a `max_len`, `hash_buckets` or `buckets` of 0, hash
    /// buckets on a numeric field or beside a `min_count`, or a shared table that is not another field's own.
    pub fn check(&self) -> Result<()> {
        self.problem().map_or(Ok(()), |(_, reason)| Err(Error::Spec(reason)))
    }

    /// The same table with only these fields, in this order. A role whose field is not selected is removed, too.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown name, [`Error::Spec`] for a repeated name or no name.
    pub fn select(&self, fields: &[String]) -> Result<TableSpec> {
        let pick = |name: &String| {
            let found = self.fields.iter().find(|field| field.name == *name).cloned();
            let known = || self.fields.iter().map(|field| field.name.clone()).collect();
            found.ok_or_else(|| Error::Unknown { what: "field", name: name.clone(), known: known() })
        };
        let role = |role: &Option<String>| role.clone().filter(|name| fields.contains(name));
        let selected = TableSpec {
            fields: fields.iter().map(pick).collect::<Result<_>>()?,
            user: role(&self.user),
            item: role(&self.item),
            ..self.clone()
        };
        selected.check()?;
        Ok(selected)
    }

    /// How the texts of a field become values: as those of the field whose table it shares.
    pub fn reading(&self, field: &str) -> Reading<'_> {
        let find = |name: &str| self.fields.iter().find(|field| field.name == name);
        let owner = find(field).and_then(|field| find(field.shares.as_deref()?)).or_else(|| find(field));
        let is_exact = owner.is_some_and(|field| field.exact || field.derived.is_cross());
        // Null values are those of columns, and not of texts that follow from them.
        let is_derived = find(field).is_some_and(|field| field.derived.is_derived());
        Reading::new(is_exact, if is_derived { &[] } else { &self.null_values })
    }

    /// The fields whose values are ids of items: the item itself, and lists of items.
    pub fn fields_of_items(&self) -> Vec<&str> {
        let holds_items = |field: &&FieldSpec| match field.origin {
            FieldOrigin::LikedBefore { .. } | FieldOrigin::ItemsOfUser => true,
            FieldOrigin::Column | FieldOrigin::UsersOfItem => {
                self.item.is_some() && [Some(&field.name), field.shares.as_ref()].contains(&self.item.as_ref())
            }
        };
        self.fields.iter().filter(holds_items).map(|field| field.name.as_str()).collect()
    }

    /// How tables with these columns are read: the columns of the fields and of the label, the weight, the timestamp and
    /// the title.
    pub fn read_options(&self) -> ReadOptions {
        let columns =
            self.fields.iter().filter(|field| field.origin == FieldOrigin::Column).flat_map(FieldSpec::columns);
        let of_column = |column: &str| Needed { name: column.into(), list: self.list_text(column) };
        let roles = [Some(&self.label), self.weight.as_ref(), self.timestamp.as_ref(), self.title.as_ref()];
        let needed = columns.map(of_column).chain(roles.into_iter().flatten().map(Needed::one)).collect();
        ReadOptions {
            separator: self.separator,
            columns: Selection { needed, others: false },
            ..ReadOptions::default()
        }
    }

    /// The columns of numbers whose fraction follows [`TableSpec::decimal`].
    pub fn columns_of_numbers(&self) -> impl Iterator<Item = &str> {
        let numeric = self.fields.iter().filter(|field| field.kind.is_numeric() && !field.derived.is_derived());
        numeric.map(FieldSpec::column).chain([&self.label].into_iter().chain(&self.weight).map(String::as_str))
    }

    fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|field| field.name.as_str()).collect()
    }

    /// The first contradiction, and the position of its field.
    fn problem(&self) -> Option<(Option<usize>, String)> {
        if self.fields.is_empty() {
            return Some((None, "no field is declared: add a [[field]] with a name and a kind".into()));
        }
        for (role, column) in [("weight", &self.weight), ("timestamp", &self.timestamp)] {
            if column.as_ref() == Some(&self.label) {
                return Some((None, format!("`{}` is the label and cannot be the {role}, too", self.label)));
            }
        }
        if let Some(separator) = self.separator.filter(|char| !char.is_ascii() || "\"\r\n".contains(*char)) {
            return Some((
                None,
                format!("the separator {separator:?} is not one ASCII character between cells, such as ;"),
            ));
        }
        let mut names = HashSet::new();
        for (position, field) in self.fields.iter().enumerate() {
            let name = &field.name;
            let reason = if name.is_empty() {
                "a field has an empty name".into()
            } else if !names.insert(name) {
                format!("field `{name}` is declared twice")
            } else if *name == self.label {
                format!("`{name}` is the label and cannot be a field, too: the model would read the answer")
            } else if let Some(reason) = self.column_problem(field).or_else(|| self.derived_problem(field)) {
                format!("field `{name}` {reason}")
            } else if field.hash_buckets == Some(0) {
                format!("field `{name}` needs hash_buckets of at least 1")
            } else if field.hash_buckets.is_some() && field.kind.is_numeric() {
                format!(
                    "field `{name}` is numeric and cannot have hash_buckets: declare it categorical, or leave out \
                     hash_buckets; transform = \"buckets\" divides numbers into intervals"
                )
            } else if field.exact && field.kind.is_numeric() {
                format!("field `{name}` is numeric and cannot be exact: declare it categorical, or leave exact out")
            } else if field.hash_buckets.is_some() && field.min_count > 1 {
                format!("field `{name}` has hash_buckets and a min_count: rare values get a bucket, too; leave one out")
            } else if let Some(reason) = self.sharing_problem(field) {
                format!("field `{name}` {reason}")
            } else {
                match (field.kind.list(), &field.kind) {
                    (Some(list), _) if list.separator.is_empty() => {
                        format!("field `{name}` needs a separator, for example \"|\"")
                    }
                    (Some(list), _) if list.max_len == Some(0) => {
                        format!("field `{name}` needs a max_len of at least 1")
                    }
                    (_, FieldSpecKind::Transformed(transform)) => match transform.problem() {
                        Some(reason) => format!("field `{name}` {reason}"),
                        None => continue,
                    },
                    _ => continue,
                }
            };
            return Some((Some(position), reason));
        }
        for (role, name) in [("user", &self.user), ("item", &self.item)] {
            let is_derived = |field: &&FieldSpec| field.derived.is_derived() && Some(&field.name) == name.as_ref();
            if let Some(field) = self.fields.iter().find(is_derived) {
                let reason =
                    format!("{role} = \"{}\" has a time or a cross: name a field that reads a column", field.name);
                return Some((None, reason));
            }
            if let Some(name) = name.as_deref().filter(|name| !self.names().contains(name)) {
                let reason = format!("{role} = \"{name}\" is not a field; {}", suggestion(name, &self.names()));
                return Some((None, reason));
            }
        }
        None
    }

    /// The contradiction in the table that a field shares, if there is one.
    fn sharing_problem(&self, field: &FieldSpec) -> Option<String> {
        let owner = field.shares.as_ref()?;
        let reason = match self.fields.iter().find(|other| other.name == *owner) {
            None => format!("which is not a field; {}", suggestion(owner, &self.names())),
            Some(other) if other.name == field.name => "itself: name another field".into(),
            Some(FieldSpec { shares: Some(other), .. }) => format!("which shares that of `{other}`: name `{other}`"),
            Some(other) if field.kind.is_numeric() || other.kind.is_numeric() => {
                "but numeric fields have no values to share".into()
            }
            Some(_) if field.hash_buckets.is_some() => "which decides on the hashing: leave hash_buckets out".into(),
            Some(_) if field.exact => "which decides how values compare: leave exact out".into(),
            Some(_) if field.min_count > 1 => "which decides on the vocabulary: leave min_count out".into(),
            Some(_) => return None,
        };
        Some(format!("shares the table of `{owner}`, {reason}"))
    }
}

#[cfg(test)]
mod tests;
