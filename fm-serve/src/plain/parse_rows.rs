//! Rows as JSON objects.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::{Columns, ListForm};
use crate::problem::Problem;
use crate::raw_rows::RawRows;

/// Maximum number of names to report.
const REPORTED: usize = 20;

/// The rows of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ParsedRows {
    /// Their values.
    pub rows: RawRows,
    /// Names that no field reads.
    pub ignored: BTreeSet<String>,
}

/// Parses an array of objects, an object with such an array as `rows`, or, if `is_one`, an object that is a row. Values
/// are strings, numbers, booleans, null for a missing value, and arrays of them for columns that hold lists. Omitted
/// columns are missing.
///
/// # Errors
/// 400 for anything else; 413 for more than `max_rows` rows.
pub fn parse_rows(body: &[u8], columns: &Columns, is_one: bool, max_rows: usize) -> Result<ParsedRows, Problem> {
    let mut state = State {
        columns,
        max_rows,
        found: ParsedRows { rows: RawRows::missing(0, columns.names().len()), ignored: BTreeSet::new() },
        is_too_large: false,
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let result = match is_one {
        true => Row(&mut state).deserialize(&mut json),
        false => Rows(&mut state).deserialize(&mut json),
    };
    match result.and_then(|()| json.end()) {
        Ok(()) => Ok(state.found),
        Err(_) if state.is_too_large => {
            Err(Problem::too_large(format!("the request has more than {max_rows} rows: send fewer at a time")))
        }
        Err(error) => Err(Problem::bad_request(format!("the body: {error}"))),
    }
}

struct State<'c> {
    columns: &'c Columns,
    max_rows: usize,
    found: ParsedRows,
    is_too_large: bool,
}

/// All rows.
struct Rows<'s, 'c>(&'s mut State<'c>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of rows, or an object with one as `rows`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows.next_element_seed(Row(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut has_rows = false;
        while let Some(key) = object.next_key::<Cow<'_, str>>()? {
            if key != "rows" || has_rows {
                let what = "is not `rows`, the array of rows: send {\"rows\": [{...}]} or [{...}]";
                return Err(A::Error::custom(format!("the key `{key}` {what}")));
            }
            object.next_value_seed(OnlyArray(&mut *self.0))?;
            has_rows = true;
        }
        if has_rows { Ok(()) } else { Err(A::Error::custom("it has no `rows`")) }
    }
}

/// The array within an object.
struct OnlyArray<'s, 'c>(&'s mut State<'c>);

impl<'de> DeserializeSeed<'de> for OnlyArray<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(Rows(self.0))
    }
}

/// A row.
struct Row<'s, 'c>(&'s mut State<'c>);

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a row: an object of values by column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let State { columns, max_rows, found, is_too_large } = self.0;
        let row = found.rows.len();
        if row == *max_rows {
            *is_too_large = true;
            return Err(A::Error::custom("too many rows"));
        }
        found.rows.push_row();
        while let Some(name) = object.next_key::<Cow<'_, str>>()? {
            let Some(column) = columns.position(&name) else {
                object.next_value::<IgnoredAny>()?;
                if found.ignored.len() < REPORTED {
                    found.ignored.insert(name.chars().take(100).collect());
                }
                continue;
            };
            let value = object.next_value::<&RawValue>()?;
            match text(value.get(), columns.list(column)) {
                Ok(text) => found.rows.set(row, column, &text),
                Err(what) => return Err(A::Error::custom(format!("`{name}` in row {row} {what}"))),
            }
        }
        Ok(())
    }
}

/// The text of a JSON value. Numbers keep the digits that they are written with.
pub(super) fn text<'j>(json: &'j str, list: Option<&ListForm>) -> Result<Cow<'j, str>, String> {
    let unreadable = |error: serde_json::Error| format!("cannot be read: {error}");
    match json.as_bytes().first() {
        Some(b'"') => string(json).map_err(unreadable),
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(json).map_err(unreadable)?;
            let values = values.into_iter().map(|value| match value.get().as_bytes().first() {
                Some(b'[' | b'{') => Err("has a list or an object within a list".to_owned()),
                _ => text(value.get(), None),
            });
            joined(&values.collect::<Result<Vec<_>, _>>()?, list).map(Cow::Owned)
        }
        Some(b'{') => Err("is an object instead of a value".into()),
        Some(b'n') => Ok(Cow::Borrowed("")),
        _ => Ok(Cow::Borrowed(json)),
    }
}

fn string(json: &str) -> serde_json::Result<Cow<'_, str>> {
    /// Borrows the text if it has no escapes, which `Cow` alone does not.
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(json).map(|Text(text)| text)
}

/// The text of a list: its values joined by the separator where that is unambiguous, or else a JSON list.
fn joined(values: &[Cow<'_, str>], list: Option<&ListForm>) -> Result<String, String> {
    let values: Vec<&str> = values.iter().map(AsRef::as_ref).filter(|value| !value.is_empty()).collect();
    let Some(ListForm { separator, is_exact }) = list else {
        return match values[..] {
            [] => Ok(String::new()),
            [value] => Ok(value.to_owned()),
            _ => Err(format!("has {} values, but the column holds one", values.len())),
        };
    };
    let is_divided = values.iter().any(|value| value.contains(separator));
    let looks_like_json = values.first().is_some_and(|value| value.trim_ascii_start().starts_with('['));
    match is_exact {
        true if is_divided => Err(format!("has a value with the separator `{separator}` in it, which would divide it")),
        false if is_divided || looks_like_json => serde_json::to_string(&values).map_err(|error| error.to_string()),
        _ => Ok(values.join(separator)),
    }
}

#[cfg(test)]
mod tests {
    use fm_core::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};

    use super::*;

    fn columns() -> Columns {
        let list = || FieldKind::MultiValued(List::new("|", 3, Weighting::Sum));
        let fields = vec![
            Field::new("user", FieldKind::Categorical, Side::User, vec![]),
            Field::new("tags", list(), Side::Item, vec![]),
            Field { exact: true, ..Field::new("codes", list(), Side::Item, vec![]) },
        ];
        Columns::new(&Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields).unwrap())
    }

    fn cells(json: &str) -> Vec<[Option<String>; 3]> {
        let found = parse_rows(json.as_bytes(), &columns(), false, 9).unwrap().rows;
        let cell = |row, column| found.get(row, column).map(str::to_owned);
        (0..found.len()).map(|row| [cell(row, 0), cell(row, 1), cell(row, 2)]).collect()
    }

    fn cell(json: &str) -> Option<String> {
        cells(json).remove(0).into_iter().flatten().next()
    }

    #[test]
    fn a_value_has_the_text_that_it_is_written_with() {
        for (json, text) in [
            (r#""é\u00e9\"""#, Some("éé\"")),
            ("4.0", Some("4.0")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("-1e5", Some("-1e5")),
            ("true", Some("true")),
            ("null", None),
            (r#""""#, None),
            (r#"["a"]"#, Some("a")),
            ("[]", None),
            ("[null, 7]", Some("7")),
        ] {
            assert_eq!(cell(&format!(r#"[{{"user": {json} }}]"#)).as_deref(), text, "{json}");
        }
    }

    #[test]
    fn a_list_is_written_as_its_column_holds_it() {
        let tags = |json: &str| cell(&format!(r#"{{"rows": [{{"tags": {json}}}]}}"#)).unwrap();
        assert_eq!(tags(r#"["a", 4, true, null, ""]"#), "a|4|true");
        assert_eq!(tags(r#"["a|b", "c"]"#), r#"["a|b","c"]"#);
        assert_eq!(tags(r#"["[a"]"#), r#"["[a"]"#);
        assert_eq!(tags(r#""a|b""#), "a|b");
        let codes = |json: &str| parse_rows(json.as_bytes(), &columns(), true, 9);
        assert_eq!(codes(r#"{"codes": ["[a", "b"]}"#).unwrap().rows.get(0, 2), Some("[a|b"));
        assert!(codes(r#"{"codes": ["a|b"]}"#).unwrap_err().message().contains("would divide it"));
    }

    #[test]
    fn columns_may_be_missing_and_other_names_are_reported() {
        let found = parse_rows(br#"[{"User": {"a": [1]}, "user": 1}, {}]"#, &columns(), false, 2).unwrap();
        assert_eq!((found.rows.len(), found.ignored), (2, BTreeSet::from(["User".to_owned()])));
        assert!(cells("[]").is_empty());
    }

    #[test]
    fn what_is_not_rows_is_an_error_of_one_line() {
        let fails = |json: &str, most: usize| parse_rows(json.as_bytes(), &columns(), false, most).unwrap_err();
        for (json, what) in [
            ("", "EOF"),
            ("7", "an array of rows"),
            ("{}", "no `rows`"),
            (r#"{"rows": {}}"#, "an array of rows"),
            (r#"{"rows": [], "rows": []}"#, "the key `rows`"),
            (r#"{"row": []}"#, "the key `row`"),
            ("[1]", "a row"),
            (r#"[["user", 1]]"#, "a row"),
            (r#"[{"user": {}}]"#, "`user` in row 0 is an object"),
            (r#"[{}, {"user": [1, 2]}]"#, "`user` in row 1 has 2 values"),
            (r#"[{"tags": [[1]]}]"#, "within a list"),
            (r#"[{"user": NaN}]"#, "expected"),
            (r#"[{"user": 1}] x"#, "trailing"),
            (r#"[{"user": "\ud800"}]"#, "cannot be read"),
        ] {
            let problem = fails(json, 9);
            assert!(problem.status() == 400 && problem.message().contains(what), "{json}: {}", problem.message());
        }
        assert_eq!(fails("[{}, {}, {}]", 2).status(), 413);
        assert_eq!(parse_rows(b"[{\"user\": \"\xff\"}]", &columns(), false, 9).unwrap_err().status(), 400);
        let deep = format!(r#"[{{"user": {}"#, "[".repeat(200_000));
        assert_eq!(fails(&deep, 9).status(), 400);
    }
}
