//! The declaration of a table: its label, its fields, its user and its item.
//!
//! ```toml
//! label = "label"
//! weight = "worth"
//! user = "user"
//! item = "item"
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
//! keep = "last"
//!
//! [[field]]
//! name = "device"
//! kind = "categorical"
//! hash_buckets = 1000
//!
//! [[field]]
//! name = "price"
//! kind = "numeric"
//! ```

use std::path::Path;

use fm_core::{Keep, List, Side, Weighting};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, suggestion};

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
}

impl FieldSpecKind {
    /// The declaration of the list, for a field with several values; `None` for a field with one value.
    pub fn list(&self) -> Option<&ListSpec> {
        match self {
            FieldSpecKind::MultiValued(list) | FieldSpecKind::Sequence(list) => Some(list),
            FieldSpecKind::Categorical | FieldSpecKind::Numeric => None,
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
    /// Which values have a slot if there are more values than slots. By default, a `schema.toml` keeps the last values
    /// of a sequence and the first values of a multi-valued field.
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

/// A declared field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldSpec {
    /// The column's name.
    pub name: String,
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
    /// The number of hash buckets; `None` for a vocabulary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_buckets: Option<u32>,
    /// The origin of its text. A `schema.toml` declares only columns.
    #[serde(skip)]
    pub origin: FieldOrigin,
}

impl FieldSpec {
    /// A column with a vocabulary and the default `min_count` of 1.
    pub fn new(name: impl Into<String>, kind: FieldSpecKind, side: Side) -> FieldSpec {
        let (min_count, shares, hash_buckets, origin) = (1, None, None, FieldOrigin::Column);
        FieldSpec { name: name.into(), kind, side, min_count, shares, hash_buckets, origin }
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
    /// The column with the times of the rows, as whole numbers.
    pub timestamp: Option<String>,
    /// The field that identifies the user.
    pub user: Option<String>,
    /// The field that identifies the item.
    pub item: Option<String>,
    /// The column with the titles of the items.
    pub title: Option<String>,
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
    /// [`Error::Spec`] for no field, an empty or repeated name, a label that is also a field or the weight, a user or
    /// an item that is not a field, an empty separator, a `max_len` or `hash_buckets` of 0, hash buckets on a numeric
    /// field or beside a `min_count`, or a shared table that is not another field's own.
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

    fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|field| field.name.as_str()).collect()
    }

    /// The first contradiction, and the position of its field.
    fn problem(&self) -> Option<(Option<usize>, String)> {
        if self.fields.is_empty() {
            return Some((None, "no field is declared: add a [[field]] with a name and a kind".into()));
        }
        if self.weight.as_ref() == Some(&self.label) {
            return Some((None, format!("`{}` is the label and cannot be the weight, too", self.label)));
        }
        for (position, field) in self.fields.iter().enumerate() {
            let name = &field.name;
            let reason = if name.is_empty() {
                "a field has an empty name".into()
            } else if self.fields[..position].iter().any(|earlier| earlier.name == *name) {
                format!("field `{name}` is declared twice")
            } else if *name == self.label {
                format!("`{name}` is the label and cannot be a field, too: the model would read the answer")
            } else if field.hash_buckets == Some(0) {
                format!("field `{name}` needs hash_buckets of at least 1")
            } else if field.hash_buckets.is_some() && field.kind == FieldSpecKind::Numeric {
                format!(
                    "field `{name}` is numeric and cannot have hash_buckets: declare it categorical, or leave out \
                     hash_buckets"
                )
            } else if field.hash_buckets.is_some() && field.min_count > 1 {
                format!("field `{name}` has hash_buckets and a min_count: rare values get a bucket, too; leave one out")
            } else if let Some(reason) = self.sharing_problem(field) {
                format!("field `{name}` {reason}")
            } else {
                match field.kind.list() {
                    Some(list) if list.separator.is_empty() => {
                        format!("field `{name}` needs a separator, for example \"|\"")
                    }
                    Some(list) if list.max_len == Some(0) => format!("field `{name}` needs a max_len of at least 1"),
                    _ => continue,
                }
            };
            return Some((Some(position), reason));
        }
        for (role, name) in [("user", &self.user), ("item", &self.item)] {
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
            Some(other) if [&field.kind, &other.kind].contains(&&FieldSpecKind::Numeric) => {
                "but numeric fields have no values to share".into()
            }
            Some(_) if field.hash_buckets.is_some() => "which decides on the hashing: leave hash_buckets out".into(),
            Some(_) if field.min_count > 1 => "which decides on the vocabulary: leave min_count out".into(),
            Some(_) => return None,
        };
        Some(format!("shares the table of `{owner}`, {reason}"))
    }

    fn parse(text: &str) -> std::result::Result<TableSpec, Problem> {
        let file: SpecFile = toml::from_str(text).map_err(|error| Problem {
            at: error.span().map(|span| span.start),
            reason: with_suggestion(error.message()),
        })?;
        file.into_spec()
    }
}

/// An error in a `schema.toml`, and its position in bytes.
struct Problem {
    at: Option<usize>,
    reason: String,
}

/// The form of a `schema.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecFile {
    label: String,
    weight: Option<String>,
    timestamp: Option<String>,
    user: Option<String>,
    item: Option<String>,
    title: Option<String>,
    #[serde(default, rename = "field")]
    fields: Vec<FieldEntry>,
}

impl SpecFile {
    fn into_spec(self) -> std::result::Result<TableSpec, Problem> {
        let starts: Vec<usize> = self.fields.iter().map(|field| field.name.span().start).collect();
        let fields = self.fields.into_iter().map(FieldEntry::into_spec).collect::<std::result::Result<_, _>>()?;
        let SpecFile { label, weight, timestamp, user, item, title, .. } = self;
        let spec = TableSpec { label, weight, timestamp, user, item, title, fields };
        match spec.problem() {
            None => Ok(spec),
            Some((position, reason)) => Err(Problem { at: position.map(|position| starts[position]), reason }),
        }
    }
}

/// A `[[field]]`. It has no nested types, so that the error for an unknown key has its line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    name: toml::Spanned<String>,
    kind: Kind,
    #[serde(default)]
    side: Side,
    #[serde(default = "one")]
    min_count: u32,
    shares: Option<String>,
    hash_buckets: Option<u32>,
    separator: Option<String>,
    max_len: Option<usize>,
    keep: Option<Keep>,
    weighting: Option<Weighting>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Categorical,
    MultiValued,
    Sequence,
    Numeric,
}

fn one() -> u32 {
    1
}

impl FieldEntry {
    fn into_spec(self) -> std::result::Result<FieldSpec, Problem> {
        let FieldEntry { name, kind, side, min_count, shares, hash_buckets, separator, max_len, keep, weighting } =
            self;
        let at = Some(name.span().start);
        let name = name.into_inner();
        let stray = [
            ("separator", separator.is_some()),
            ("max_len", max_len.is_some()),
            ("keep", keep.is_some()),
            ("weighting", weighting.is_some()),
        ];
        let list = |default| ListSpec {
            separator: separator.unwrap_or_else(|| SEPARATOR.into()),
            max_len,
            keep: keep.unwrap_or(default),
            weighting: weighting.unwrap_or_default(),
        };
        let kind = match kind {
            Kind::MultiValued => FieldSpecKind::MultiValued(list(Keep::First)),
            Kind::Sequence => FieldSpecKind::Sequence(list(Keep::Last)),
            kind => {
                if let Some((key, _)) = stray.iter().find(|(_, given)| *given) {
                    let reason =
                        format!("field `{name}` has a {key}, which only multi-valued fields and sequences have");
                    return Err(Problem { at, reason });
                }
                if matches!(kind, Kind::Numeric) { FieldSpecKind::Numeric } else { FieldSpecKind::Categorical }
            }
        };
        Ok(FieldSpec { min_count, shares, hash_buckets, ..FieldSpec::new(name, kind, side) })
    }
}

/// Adds the closest known name to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_suggestion(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(": ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let given = quoted.next().filter(|_| message.starts_with("unknown"));
    match given.and_then(|given| fm_core::error::nearest(given, quoted)) {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "label = \"y\"\n";

    fn loaded(text: &str) -> Result<TableSpec> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.toml");
        std::fs::write(&path, text).unwrap();
        TableSpec::load(path)
    }

    fn refused(text: &str) -> String {
        let error = loaded(text).unwrap_err().to_string();
        error.split_once("schema.toml").unwrap().1.into()
    }

    fn field(name: &str, more: &str) -> String {
        format!("[[field]]\nname = \"{name}\"\nkind = \"categorical\"\n{more}")
    }

    #[test]
    fn a_complete_declaration_is_read() {
        let spec = loaded(
            r#"
            label = "rating"
            weight = "worth"
            timestamp = "when"
            user = "who"
            [[field]]
            name = "who"
            kind = "categorical"
            side = "user"
            min_count = 2
            [[field]]
            name = "tags"
            kind = "multi-valued"
            max_len = 20
            weighting = "mean"
            [[field]]
            name = "visited"
            kind = "sequence"
            [[field]]
            name = "device"
            kind = "categorical"
            hash_buckets = 1000
            [[field]]
            name = "price"
            kind = "numeric"
            side = "item"
            "#,
        );
        let tags = FieldSpecKind::MultiValued(ListSpec::new("|", Some(20), Weighting::Mean));
        let visited = ListSpec { keep: Keep::Last, ..ListSpec::new("|", None, Weighting::Sqrt) };
        let visited = FieldSpecKind::Sequence(visited);
        let expected = TableSpec {
            label: "rating".into(),
            weight: Some("worth".into()),
            timestamp: Some("when".into()),
            user: Some("who".into()),
            item: None,
            title: None,
            fields: vec![
                FieldSpec { min_count: 2, ..FieldSpec::new("who", FieldSpecKind::Categorical, Side::User) },
                FieldSpec::new("tags", tags, Side::Context),
                FieldSpec::new("visited", visited, Side::Context),
                FieldSpec {
                    hash_buckets: Some(1000),
                    ..FieldSpec::new("device", FieldSpecKind::Categorical, Side::Context)
                },
                FieldSpec::new("price", FieldSpecKind::Numeric, Side::Item),
            ],
        };
        assert_eq!(spec.unwrap(), expected);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line_and_the_closest_key() {
        let error = refused(&format!("{HEAD}{}", field("a", "min_cuont = 3\n")));
        assert!(error.starts_with(", line 5: unknown field `min_cuont`"), "{error}");
        assert!(error.ends_with("did you mean `min_count`?"), "{error}");
    }

    #[test]
    fn an_unknown_kind_is_an_error_with_the_closest_kind() {
        let error = refused(&format!("{HEAD}[[field]]\nname = \"a\"\nkind = \"categorial\"\n"));
        assert!(error.starts_with(", line 4: unknown variant `categorial`"), "{error}");
        assert!(error.ends_with("did you mean `categorical`?"), "{error}");
    }

    #[test]
    fn contradictions_are_errors_with_their_line() {
        let twice = format!("{HEAD}{}{}", field("a", ""), field("a", ""));
        assert_eq!(refused(&twice), ", line 6: field `a` is declared twice");
        let label = refused(&format!("{HEAD}{}", field("y", "")));
        assert!(label.starts_with(", line 3: `y` is the label"), "{label}");
        let stray = refused(&format!("{HEAD}{}", field("a", "max_len = 3\n")));
        assert_eq!(stray, ", line 3: field `a` has a max_len, which only multi-valued fields and sequences have");
        let role = refused(&format!("user = \"usr\"\n{HEAD}{}", field("user", "")));
        assert_eq!(role, ": user = \"usr\" is not a field; did you mean `user`? available: user");
        let empty = refused(&format!("{HEAD}{}", field("a", "hash_buckets = 0\n")));
        assert_eq!(empty, ", line 3: field `a` needs hash_buckets of at least 1");
        let negative = refused(&format!("{HEAD}{}", field("a", "hash_buckets = -1\n")));
        assert!(negative.starts_with(", line 5: invalid value: integer `-1`"), "{negative}");
        let rare = refused(&format!("{HEAD}{}", field("a", "hash_buckets = 9\nmin_count = 2\n")));
        assert!(rare.starts_with(", line 3: field `a` has hash_buckets and a min_count"), "{rare}");
        let numeric = field("a", "hash_buckets = 9\n").replace("categorical", "numeric");
        let numeric = refused(&format!("{HEAD}{numeric}"));
        assert!(numeric.starts_with(", line 3: field `a` is numeric and cannot have hash_buckets"), "{numeric}");
        let weight = refused(&format!("weight = \"y\"\n{HEAD}{}", field("a", "")));
        assert_eq!(weight, ": `y` is the label and cannot be the weight, too");
        assert!(refused(HEAD).starts_with(": no field is declared"));
        let shared = |shares: &str, more: &str| {
            let fields = [field("seen", &format!("shares = \"{shares}\"\n")), field("film", more)].concat();
            refused(&format!("{HEAD}{fields}"))
        };
        let line = ", line 3: field `seen` shares the table of";
        assert_eq!(
            shared("fim", ""),
            format!("{line} `fim`, which is not a field; did you mean `film`? available: seen, film")
        );
        assert_eq!(shared("seen", ""), format!("{line} `seen`, itself: name another field"));
        assert_eq!(
            shared("film", "shares = \"seen\"\n"),
            format!("{line} `film`, which shares that of `seen`: name `seen`")
        );
        let hashed = "hash_buckets = 9\nshares = \"film\"\n";
        let hashed = refused(&format!("{HEAD}{}{}", field("seen", hashed), field("film", "hash_buckets = 9\n")));
        assert_eq!(hashed, format!("{line} `film`, which decides on the hashing: leave hash_buckets out"));
        let numeric = field("seen", "shares = \"film\"\n").replace("categorical", "numeric");
        let numeric = refused(&format!("{HEAD}{numeric}{}", field("film", "")));
        assert_eq!(numeric, format!("{line} `film`, but numeric fields have no values to share"));
        assert!(refused("label = 3").starts_with(", line 1: "));
    }

    #[test]
    fn selected_fields_keep_the_given_order_and_the_remaining_roles() {
        let text = format!("user = \"u\"\nitem = \"i\"\n{HEAD}{}{}{}", field("u", ""), field("i", ""), field("c", ""));
        let spec = loaded(&text).unwrap();
        let selected = spec.select(&["c".into(), "u".into()]).unwrap();
        assert_eq!(selected.names(), ["c", "u"]);
        assert_eq!((selected.user.as_deref(), selected.item.as_deref()), (Some("u"), None));
        let error = spec.select(&["cc".into()]).unwrap_err().to_string();
        assert_eq!(error, "there is no field `cc`; did you mean `c`? available: u, i, c");
        assert!(spec.select(&["c".into(), "c".into()]).is_err());
        assert!(spec.select(&[]).is_err());
    }
}
