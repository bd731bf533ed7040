//! A `settings.toml` with the documentation of every key, for `--print-config`.

use std::fmt::Write;

use anyhow::Result;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::draft::{alternatives, is_named, name_of, properties};
use super::{Settings, schema};

const WIDTH: usize = 100;

impl Settings {
    /// The text of a `settings.toml` with the documentation of each key. Keys without a value are comments.
    pub fn documented(&self) -> Result<String> {
        let schema = schema::with_model(self.model.entry().ok());
        let (values, plain) = (Table::try_from(self)?, self.to_toml()?);
        let mut text = String::new();
        // Section by section: the header, then the keys.
        let mut section = Section::new(String::new(), &schema, &values);
        for line in plain.lines().filter(|line| !line.is_empty()) {
            if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section.write_unset(&mut text)?;
                section = Section::new(path.trim_matches(['[', ']']).to_owned(), &schema, &values);
                writeln!(text)?;
                section.write_purpose(&mut text)?;
            } else if let Some((key, _)) = line.split_once(" = ") {
                section.write_key(&mut text, key)?;
            }
            writeln!(text, "{line}")?;
        }
        section.write_unset(&mut text)?;
        Ok(text)
    }
}

/// A table of the settings.
struct Section<'a> {
    schema: Option<&'a Json>,
    values: Option<&'a Table>,
}

impl<'a> Section<'a> {
    /// The table at a dotted path. It has no schema if any keys are allowed.
    fn new(path: String, schema: &'a Json, values: &'a Table) -> Section<'a> {
        let mut section = Section { schema: Some(schema), values: Some(values) };
        for name in path.split('.').filter(|name| !name.is_empty()) {
            let schema = section.keys().and_then(|keys| keys.get(name));
            section =
                Section { schema, values: section.values.and_then(|table| table.get(name)).and_then(Value::as_table) };
        }
        section
    }

    fn keys(&self) -> Option<&'a serde_json::Map<String, Json>> {
        properties(self.schema?, self.values?)
    }

    /// Writes the purpose of the table. If the table has a name, like an optimiser, also writes those of the
    /// alternatives.
    fn write_purpose(&self, text: &mut String) -> Result<()> {
        let Some(schema) = self.schema else { return Ok(()) };
        write_comment(text, description(schema))?;
        let name = self.values.and_then(|table| table.get("name")).and_then(Value::as_str);
        let named: Vec<&Json> = alternatives(schema).into_iter().filter(|one| name_of(one).is_some()).collect();
        for alternative in named {
            let its = name_of(alternative).unwrap_or_default();
            let mark = if Some(its) == name { "" } else { "or " };
            write_comment(text, &format!("{mark}{its}: {}", description(alternative)))?;
        }
        Ok(())
    }

    fn write_key(&self, text: &mut String, key: &str) -> Result<()> {
        // The documentation of a name is that of its table.
        let is_name = key == "name" && self.schema.is_some_and(is_named);
        let Some(schema) = self.keys().and_then(|keys| keys.get(key)).filter(|_| !is_name) else { return Ok(()) };
        write_comment(text, description(schema))?;
        for choice in choices(schema) {
            write_comment(text, &format!("- {}: {}", choice.0, choice.1))?;
        }
        Ok(())
    }

    /// Writes the keys without a value.
    fn write_unset(&self, text: &mut String) -> Result<()> {
        let (Some(keys), Some(values)) = (self.keys(), self.values) else { return Ok(()) };
        for key in keys.keys().filter(|key| !values.contains_key(*key)) {
            self.write_key(text, key)?;
            writeln!(text, "# {key} =")?;
        }
        Ok(())
    }
}

/// The values of an enumeration, with their documentation.
fn choices(schema: &Json) -> Vec<(&str, &str)> {
    let choice = |one: &Json| one.get("const").and_then(Json::as_str).map(str::to_owned);
    alternatives(schema)
        .into_iter()
        .flat_map(alternatives)
        .filter(|one| choice(one).is_some())
        .map(|one| (one["const"].as_str().unwrap_or_default(), description(one)))
        .collect()
}

fn description(schema: &Json) -> &str {
    schema.get("description").and_then(Json::as_str).unwrap_or_default()
}

/// Writes the first paragraph as a comment with lines of at most [`WIDTH`] characters.
fn write_comment(text: &mut String, comment: &str) -> Result<()> {
    let paragraph = comment.split("\n\n").next().unwrap_or_default();
    // Links become plain text.
    let plain = paragraph.replace("[`", "`").replace("`]", "`");
    let mut line = String::from("#");
    for word in plain.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line != "#" {
            writeln!(text, "{line}")?;
            line = String::from("#");
        }
        write!(line, " {word}")?;
    }
    if line != "#" {
        writeln!(text, "{line}")?;
    }
    Ok(())
}
