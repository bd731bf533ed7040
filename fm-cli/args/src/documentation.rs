//! Documentation, types and defaults of the settings, read from `settings.schema.json`.

use std::sync::LazyLock;

use serde_json::Value;

/// The JSON schema of a `settings.toml`. A test of fm-cli derives it from the types of the settings and fails if the
/// file is out of date.
const TEXT: &str = include_str!("../settings.schema.json");

static SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(TEXT).unwrap_or_default());

/// The type of a setting, as far as a flag checks it.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number, with an optional minimum.
    Integer(Option<i64>),
    /// Any number.
    Number,
    /// One of these names, each with its documentation.
    Choice(Vec<(&'static str, String)>),
    /// Several values of a kind.
    List(Box<Kind>),
}

/// The documentation of a setting.
#[derive(Clone, Copy)]
pub struct Setting(&'static Value);

impl Setting {
    /// The setting of a dotted key; empty for an unknown key.
    pub fn of(key: &str) -> Setting {
        let property = |at: &'static Value, name: &str| &at["properties"][name];
        Setting(key.split('.').fold(&*SCHEMA, property))
    }

    /// The first paragraph of the documentation, with the default.
    pub fn long_help(self) -> String {
        self.with_default(&paragraph(self.0))
    }

    /// The first sentence of the documentation without its full stop, with the default.
    pub fn help(self) -> String {
        self.with_default(first_sentence(&paragraph(self.0)))
    }

    /// Like [`Setting::help`], without the default.
    pub fn sentence(self) -> String {
        first_sentence(&paragraph(self.0)).to_owned()
    }

    fn with_default(self, text: &str) -> String {
        let default = match &self.0["default"] {
            Value::Object(table) => table.get("name").and_then(Value::as_str).map(str::to_owned),
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Array(values) => Some(values.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
                .filter(|text| !text.is_empty()),
            Value::Null | Value::Bool(_) => None,
        };
        match default {
            Some(default) => format!("{text} [default: {}]", default.trim_end_matches(".0")),
            None => text.to_owned(),
        }
    }

    /// Its type.
    pub fn kind(self) -> Kind {
        kind(self.0)
    }

    /// Values to suggest, each with its documentation: all possible values, or examples.
    pub fn suggestions(self) -> Vec<(&'static str, String)> {
        match self.kind() {
            Kind::Choice(choices) => choices,
            _ => {
                let examples = self.0["examples"].as_array().into_iter().flatten().filter_map(Value::as_str);
                examples.map(|example| (example, String::new())).collect()
            }
        }
    }
}

fn kind(schema: &'static Value) -> Kind {
    let alternatives: Vec<&'static Value> =
        ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten().collect();
    let choices: Vec<(&str, String)> = alternatives.iter().filter_map(|alternative| choice(alternative)).collect();
    if !choices.is_empty() {
        return Kind::Choice(choices);
    }
    let is = |name: &str| match &schema["type"] {
        Value::String(kind) => kind == name,
        Value::Array(kinds) => kinds.iter().any(|kind| kind == name),
        _ => false,
    };
    if is("integer") {
        Kind::Integer(schema["minimum"].as_i64())
    } else if is("number") {
        Kind::Number
    } else if is("array") {
        Kind::List(Box::new(kind(&schema["items"])))
    } else {
        Kind::Text
    }
}

/// The name and the documentation of an alternative, which is a value or a table with a `name`.
fn choice(alternative: &'static Value) -> Option<(&'static str, String)> {
    let name = alternative["const"].as_str().or_else(|| alternative["properties"]["name"]["const"].as_str())?;
    Some((name, first_sentence(&paragraph(alternative)).to_owned()))
}

/// The first paragraph of a description in one line, without link markup.
fn paragraph(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").replace("[`", "`").replace("`]", "`")
}

/// The first sentence of a text, without its full stop.
fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(sentence, _)| sentence).trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_a_type_and_a_default() {
        assert_eq!(Setting::of("train.epochs").kind(), Kind::Integer(Some(1)));
        assert!(Setting::of("train.epochs").help().ends_with("[default: 50]"));
        assert_eq!(Setting::of("train.lr").kind(), Kind::Number);
        assert_eq!(Setting::of("data.fields").kind(), Kind::List(Box::new(Kind::Text)));
        assert_eq!(Setting::of("model.options.hidden_units").kind(), Kind::List(Box::new(Kind::Integer(None))));
        let Kind::Choice(tasks) = Setting::of("data.task").kind() else { panic!("no choice") };
        assert_eq!(tasks[0].0, "regression");
        let Kind::Choice(optimizers) = Setting::of("train.optimizer").kind() else { panic!("no choice") };
        assert!(optimizers.iter().any(|(name, _)| *name == "adam"));
        assert!(Setting::of("train.optimizer").help().ends_with("[default: adam]"));
    }

    #[test]
    fn the_first_sentence_has_no_full_stop() {
        assert_eq!(first_sentence("One. Two."), "One");
        assert_eq!(first_sentence("0.1 of it."), "0.1 of it");
    }
}
