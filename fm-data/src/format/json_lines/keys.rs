//! The keys of the objects: the columns of the table, with the cells of a chunk.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use polars::prelude::*;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::super::list::{IS_LIST, push_list};
use super::super::selection::{ListText, Needed, Selection};
use super::values::{Kind, items, kind, push_one};

/// The error about values without a text.
const HAS_NO_TEXT: &str = "holds objects or nested lists: store it as text, as numbers or as a plain list";

/// The keys that are known so far, and the cells of the current chunk.
pub(super) struct Keys {
    selection: Selection,
    /// All keys in the order of their first appearance.
    pub names: Vec<String>,
    positions: HashMap<String, usize>,
    /// For each key, its column, if it is read.
    columns: Vec<Option<ColumnToRead>>,
    /// Whether unknown keys become columns.
    is_open: bool,
    /// The number of columns.
    pub width: usize,
    /// The number of rows of the current chunk.
    pub rows: usize,
    /// The positions of the columns that have a value in the current row.
    in_row: Vec<usize>,
}

/// A column to read.
struct ColumnToRead {
    name: PlSmallStr,
    /// Whether lists are errors.
    is_single: bool,
    list: Option<ListText>,
    /// Whether keys that occur twice and strings that are not Unicode are errors.
    is_strict: bool,
    /// Whether values without a text are errors.
    needs_text: bool,
    /// Whether the first chunk has values without a text.
    has_no_text: bool,
    cells: StringChunkedBuilder,
    /// The number of cells. The following ones are null.
    len: usize,
    /// The value in the current row, until that is known to be whole.
    value: Option<Value>,
}

/// A value of a row.
enum Value {
    Text(Option<String>),
    /// An object or a nested list.
    HasNoText,
}

impl Keys {
    /// No keys yet.
    pub fn new(selection: Selection) -> Keys {
        let (names, columns, positions) = (vec![], vec![], HashMap::new());
        Keys { selection, names, positions, columns, is_open: true, width: 0, rows: 0, in_row: vec![] }
    }

    /// Adds the row of a line.
    ///
    /// The error is what is wrong with it. Nothing of it is added.
    pub fn read_row(&mut self, line: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(line);
        let known = self.names.len();
        let row = Row { keys: self, is_lossy: matches!(text, Cow::Owned(_)) };
        let read = object(&text, row).flatten();
        if read.is_err() {
            self.forget_from(known);
        }
        for &position in &self.in_row {
            if let Some(column) = self.columns.get_mut(position).and_then(Option::as_mut) {
                let value = column.value.take();
                if let (Some(value), Ok(())) = (value, &read) {
                    column.push(self.rows, value);
                }
            }
        }
        self.in_row.clear();
        self.rows += usize::from(read.is_ok());
        read
    }

    /// Drops the keys from this position.
    fn forget_from(&mut self, position: usize) {
        for name in self.names.drain(position..) {
            self.positions.remove(&name);
        }
        self.width -= self.columns.drain(position..).flatten().count();
    }

    /// Adds those of the needed columns that a line has and that are not known yet.
    pub fn find_needed(&mut self, line: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(line);
        for key in object(&text, AllKeys)? {
            if !self.positions.contains_key(&key) && self.missing().any(|needed| needed.name == key) {
                self.add(&key);
            }
        }
        Ok(())
    }

    /// The needed columns that are not known yet.
    pub fn missing(&self) -> impl Iterator<Item = &Needed> {
        self.selection.needed.iter().filter(|needed| !self.positions.contains_key(&needed.name))
    }

    fn add(&mut self, key: &str) -> usize {
        let position = self.names.len();
        let needed = self.selection.needed.iter().find(|needed| needed.name == key);
        let column = self.selection.has(key).then(|| ColumnToRead {
            name: key.into(),
            is_single: needed.is_some_and(|needed| needed.list.is_none()),
            list: needed.and_then(|needed| needed.list.clone()),
            is_strict: needed.is_some() || self.selection.needed.is_empty(),
            needs_text: needed.is_some(),
            has_no_text: false,
            cells: StringChunkedBuilder::new(key.into(), 0),
            len: 0,
            value: None,
        });
        self.width += usize::from(column.is_some());
        self.names.push(key.to_owned());
        self.positions.insert(key.to_owned(), position);
        self.columns.push(column);
        position
    }

    /// The position of a key, if it is one of a column to read. Objects mostly have the same keys in the same order:
    /// `guess` is looked at first.
    fn position(&mut self, key: &str, guess: usize) -> Option<usize> {
        let position = match self.names.get(guess) {
            Some(name) if name == key => guess,
            _ => match self.positions.get(key) {
                Some(&position) => position,
                None if self.is_open => self.add(key),
                None => return None,
            },
        };
        self.columns[position].is_some().then_some(position)
    }

    /// Ends the first chunk: drops the columns whose values have no text. Further keys are not columns.
    pub fn close(&mut self) {
        self.is_open = false;
        for column in &mut self.columns {
            column.take_if(|column| column.has_no_text);
            // The table has this column now: a later value must not get lost without notice.
            if let Some(column) = column {
                column.needs_text |= column.is_strict;
            }
        }
    }

    /// The table of the current chunk, which then is empty.
    pub fn take(&mut self) -> PolarsResult<DataFrame> {
        let rows = std::mem::take(&mut self.rows);
        // Names are unique, so that this does not fail.
        let chosen = self.selection.choose(&self.names).unwrap_or_default();
        let mut columns = Vec::with_capacity(chosen.len());
        for position in chosen.iter().map(|chosen| chosen.position) {
            columns.extend(self.columns[position].as_mut().map(|column| column.take(rows)));
        }
        DataFrame::new(rows, columns)
    }
}

impl ColumnToRead {
    /// Reads the value of the current row.
    fn read(&mut self, json: &str, is_lossy: bool) -> Result<(), String> {
        if self.value.is_some() {
            // Of a key that occurs twice and that nothing needs, the first value counts.
            return match self.is_strict {
                true => Err(format!("the key `{}` occurs twice", self.name)),
                false => Ok(()),
            };
        }
        let value = self.value(json).map_err(|reason| format!("column `{}` {reason}", self.name))?;
        if is_lossy && self.is_strict && matches!(&value, Value::Text(Some(text)) if text.contains('\u{FFFD}')) {
            let reason = "is not UTF-8 in column";
            return Err(format!("{reason} `{}`: convert the file, for example with iconv", self.name));
        }
        self.value = Some(value);
        Ok(())
    }

    /// Adds the value of a row.
    fn push(&mut self, row: usize, value: Value) {
        self.fill(row);
        self.has_no_text |= matches!(value, Value::HasNoText);
        self.cells.append_option(if let Value::Text(text) = value { text } else { None });
        self.len += 1;
    }

    fn value(&self, json: &str) -> Result<Value, String> {
        let mut text = String::new();
        let has_text = match kind(json) {
            Kind::Missing => return Ok(Value::Text(None)),
            Kind::One => {
                push_one(&mut text, json, self.is_strict)?;
                true
            }
            Kind::List if self.is_single => return Err(IS_LIST.into()),
            Kind::List => match items(json, self.is_strict)? {
                Some(items) => {
                    push_list(&mut text, &items, self.list.as_ref())?;
                    true
                }
                None => false,
            },
            Kind::Object => false,
        };
        match has_text {
            true => Ok(Value::Text(Some(text))),
            false if self.needs_text => Err(HAS_NO_TEXT.into()),
            false => Ok(Value::HasNoText),
        }
    }

    fn fill(&mut self, rows: usize) {
        for _ in self.len..rows {
            self.cells.append_null();
        }
        self.len = rows;
    }

    fn take(&mut self, rows: usize) -> Column {
        self.fill(rows);
        self.len = 0;
        let empty = StringChunkedBuilder::new(self.name.clone(), 0);
        std::mem::replace(&mut self.cells, empty).finish().into_column()
    }
}

/// Parses a line that must be one object.
fn object<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> Result<S::Value, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut json).and_then(|value| {
        json.end()?;
        Ok(value)
    });
    value.map_err(|error| match error.classify() {
        Category::Eof => "ends within an object: write one whole object per line".into(),
        Category::Data => "is not an object: write one object per line".into(),
        _ => {
            let what = error.to_string();
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            let is_nan = ["NaN", "Infinity"].iter().any(|word| text.contains(word));
            let hint = if is_nan { ": JSON has neither NaN nor Infinity, write null" } else { "" };
            format!("is not JSON: {what}, column {}{hint}", error.column())
        }
    })
}

/// A key, borrowed if it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads the cells of an object. Its value is what is wrong with one.
struct Row<'k> {
    keys: &'k mut Keys,
    /// Whether the line is not UTF-8, so that characters take the place of some bytes.
    is_lossy: bool,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Result<(), String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Result<(), String>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let (mut result, mut guess) = (Ok(()), 0);
        while let Some(Key(key)) = object.next_key()? {
            match self.keys.position(&key, guess) {
                Some(position) if result.is_ok() => {
                    let json: &RawValue = object.next_value()?;
                    if let Some(column) = &mut self.keys.columns[position] {
                        result = column.read(json.get(), self.is_lossy);
                        self.keys.in_row.push(position);
                    }
                }
                _ => drop(object.next_value::<IgnoredAny>()?),
            }
            guess += 1;
        }
        Ok(result)
    }
}

/// Reads only the keys of an object.
struct AllKeys;

impl<'de> DeserializeSeed<'de> for AllKeys {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AllKeys {
    type Value = Vec<String>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, _)) = object.next_entry::<String, IgnoredAny>()? {
            keys.push(key);
        }
        Ok(keys)
    }
}
