//! Settings before they are settled: what a file says, and on top of it what the command line says.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use fm_core::Error;
use fm_core::error::nearest;
use fm_core::model::describe;
use fm_data::TableSpec;
use fm_data::movielens::Release;
use serde_json::{Map, Value as Json};
use toml::{Table, Value};

use super::{ModelSettings, Settings, default_l2, ready_made};

/// Some of the keys of [`Settings`], by their names.
#[derive(Clone, Debug, Default)]
pub struct Draft(Table);

impl Draft {
    /// Reads a file of settings, or one of those that the program brings along. Paths in a file are relative to it.
    pub fn open(name: &str) -> Result<Draft> {
        Draft::open_after(name, |_| Ok(()))
    }

    /// As [`Draft::open`], of a file that holds more than settings, which `take` takes out of it.
    pub fn open_after(name: &str, take: impl FnOnce(&mut Table) -> Result<()>) -> Result<Draft> {
        let path = Path::new(name);
        let text = match (path.is_file(), ready_made::find(name)) {
            (false, Some(text)) => text.to_owned(),
            (false, None) if !name.ends_with(".toml") => bail!("{}", ready_made::unknown(name)),
            _ => std::fs::read_to_string(path).map_err(Error::io("read", path))?,
        };
        let faulty = |fault: Fault| match line_of(&text, &fault.key) {
            Some(line) => anyhow!("{name}, line {line}: {}", fault.reason),
            None => anyhow!("{name}: {}", fault.reason),
        };
        let mut table: Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| 1 + before.matches('\n').count());
            anyhow!("{name}, line {line}: {}", error.message())
        })?;
        take(&mut table)?;
        if let Some(folder) = path.is_file().then(|| path.parent()).flatten() {
            take_from_folder(&mut table, folder)?;
        }
        check(&mut table).and_then(|()| parse(&table)).map_err(faulty)?;
        Ok(Draft(table))
    }

    /// The text of a file that says the same.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(&self.0)?)
    }

    /// Puts values over those of the file, by their dotted keys.
    pub fn apply(&mut self, keys: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
        keys.into_iter().try_for_each(|(key, value)| self.insert(&key, value))
    }

    /// As [`Draft::apply`], for the text `train.lr=0.01`. What is no value of TOML is a text.
    pub fn set(&mut self, pair: &str) -> Result<()> {
        let Some((key, text)) = pair.split_once('=') else { bail!("--set takes KEY=VALUE, not `{pair}`") };
        self.insert(key.trim(), value(text.trim()))
    }

    /// Puts a value in the place of a dotted key.
    pub fn insert(&mut self, key: &str, value: Value) -> Result<()> {
        let (mut table, mut rest) = (&mut self.0, key);
        while let Some((head, tail)) = rest.split_once('.') {
            let below = table.entry(head).or_insert_with(|| Value::Table(Table::new()));
            // `train.optimizer = "sgd"`, and then `train.optimizer.momentum`.
            if let Value::String(name) = below {
                *below = Value::Table(named(std::mem::take(name)));
            }
            let Value::Table(below) = below else { bail!("`{key}`: `{head}` is no table") };
            (table, rest) = (below, tail);
        }
        match (table.get_mut(rest), &value) {
            // Another name makes a new table of options, the same one keeps those that the file gives.
            (Some(Value::Table(old)), Value::String(name)) if old.get("name").and_then(Value::as_str) == Some(name) => {
            }
            _ => drop(table.insert(rest.into(), value)),
        }
        Ok(())
    }

    /// Fills in all defaults and checks every value.
    pub fn settle(mut self) -> Result<Settings> {
        let explained = |fault: Fault| anyhow!("{}", fault.reason);
        check(&mut self.0).map_err(explained)?;
        let mut settings = parse(&self.0).map_err(explained)?;
        settings.model = ModelSettings::resolved(&settings.model.name, &settings.model.options)?;
        let l2_is_given = self.0.get("train").and_then(|train| train.get("l2")).is_some();
        if !l2_is_given {
            settings.train.l2 = default_l2(settings.data.task) * settings.model.entry()?.l2_factor;
        }
        settings.data = settings.data.absolute();
        settings.init_from = settings.init_from.map(|run| std::path::absolute(&run).unwrap_or(run));
        Ok(settings)
    }
}

/// The table that a text stands for where one of that name is chosen: an optimiser, say.
fn named(name: String) -> Table {
    Table::from_iter([("name".to_owned(), Value::String(name))])
}

/// What is wrong with settings, and at which dotted key.
struct Fault {
    key: String,
    reason: String,
}

/// A value as TOML has it; else a text.
pub fn value(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok();
    match parsed.and_then(|mut table| (table.len() == 1).then(|| table.remove("value")).flatten()) {
        Some(value) => value,
        None => Value::String(text.to_owned()),
    }
}

/// Takes what paths in a file name from the file's folder: tables, data, and the declaration of fields, which is read.
fn take_from_folder(table: &mut Table, folder: &Path) -> Result<()> {
    if let Some(Value::String(run)) = table.get_mut("init_from") {
        *run = folder.join(&*run).to_string_lossy().into_owned();
    }
    let Some(Value::Table(data)) = table.get_mut("data") else { return Ok(()) };
    for name in ["train", "valid", "test"] {
        if let Some(Value::String(path)) = data.get_mut(name) {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    }
    if let Some(Value::String(data)) = data.get_mut("data")
        && data.parse::<Release>().is_err()
        && folder.join(&*data).exists()
    {
        *data = folder.join(&*data).to_string_lossy().into_owned();
    }
    if let Some(schema) = data.get_mut("schema")
        && let Value::String(path) = schema
    {
        *schema = declaration(&folder.join(&*path))?;
    }
    Ok(())
}

/// What a `schema.toml` declares, as a value of the key `data.schema`.
pub fn declaration(path: &Path) -> Result<Value> {
    Ok(Value::try_from(TableSpec::load(path)?)?)
}

/// Checks that every key is one of the settings', and lets a text stand for a table of that `name`.
fn check(table: &mut Table) -> Result<(), Fault> {
    let name = table.get("model").and_then(|model| model.get("name")).and_then(Value::as_str);
    let name = name.map_or_else(|| ModelSettings::default().name, str::to_owned);
    let mut schema = describe::<Settings>().to_value();
    // Another model's options are refused; an unknown model is named when it is looked up.
    if let (Ok(entry), Some(options)) = (fm_models::find(&name), schema.pointer_mut(MODEL_OPTIONS)) {
        *options = entry.describe().to_value();
    }
    check_table(table, &schema, "").map_err(|fault| match fault.key.strip_prefix("model.options.") {
        Some(option) => {
            Fault { reason: format!("model {name}: there is no option `{option}`: {}", fault.reason), ..fault }
        }
        None => fault,
    })
}

/// Where the JSON schema of the settings describes the model's options.
pub const MODEL_OPTIONS: &str = "/properties/model/properties/options";

fn check_table(table: &mut Table, schema: &Json, path: &str) -> Result<(), Fault> {
    let Some(known) = properties(schema, table) else { return Ok(()) };
    for (name, value) in table.iter_mut() {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(schema) = known.get(name) else {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            let hint = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", names.join(", ")),
            };
            let reason = match path {
                "" => format!("there is no setting `{name}`: {hint}"),
                // Of which model, the caller knows.
                "model.options" => hint,
                _ => format!("there is no setting `{name}` in [{path}]: {hint}"),
            };
            return Err(Fault { key, reason });
        };
        if is_named(schema) {
            match value {
                Value::String(text) => *value = Value::Table(named(std::mem::take(text))),
                Value::Table(options) if !options.contains_key("name") => {
                    let default = schema.pointer("/default/name").and_then(Json::as_str);
                    options.extend(default.map(|name| ("name".to_owned(), Value::String(name.to_owned()))));
                }
                _ => {}
            }
        }
        if let Value::Table(below) = value {
            check_table(below, schema, &key)?;
        }
    }
    Ok(())
}

/// The alternatives of a schema; itself if there are none.
pub fn alternatives(schema: &Json) -> Vec<&Json> {
    match schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Json::as_array) {
        Some(alternatives) => {
            alternatives.iter().filter(|one| one.get("type").is_none_or(|kind| kind != "null")).collect()
        }
        None => vec![schema],
    }
}

/// The name of an alternative that has one: an optimiser's, a schedule's.
pub fn name_of(alternative: &Json) -> Option<&str> {
    alternative.pointer("/properties/name/const").and_then(Json::as_str)
}

/// Whether what a schema describes is one of several that have names.
pub fn is_named(schema: &Json) -> bool {
    alternatives(schema).into_iter().any(|alternative| name_of(alternative).is_some())
}

/// The keys that a table may have: those of the alternative that it names. `None` if any are allowed.
pub fn properties<'a>(schema: &'a Json, table: &Table) -> Option<&'a Map<String, Json>> {
    let name = table.get("name").and_then(Value::as_str);
    let alternatives = alternatives(schema);
    let fits = |alternative: &&&Json| name_of(alternative).is_none_or(|its| Some(its) == name);
    alternatives.iter().find(fits)?.get("properties")?.as_object()
}

/// The settings of a table whose keys are checked.
fn parse(table: &Table) -> Result<Settings, Fault> {
    let unreadable = |error: &dyn std::fmt::Display| Fault { key: String::new(), reason: error.to_string() };
    // Through a text: a declaration of fields knows where in a text it stands.
    let text = toml::to_string(table).map_err(|error| unreadable(&error))?;
    let document = toml::Deserializer::parse(&text).map_err(|error| unreadable(&error.message()))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        let reason = error.inner().message().lines().collect::<Vec<_>>().join(": ");
        Fault { reason: format!("`{key}`: {reason}"), key }
    })
}

/// The line of a dotted key in a text of TOML, from 1; that of the table around it, if it has none.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let (mut table, mut at) = (document.get_ref(), None);
    for part in key.split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else { break };
        at = Some(name.span().start);
        let toml::de::DeValue::Table(below) = value.get_ref() else { break };
        table = below;
    }
    Some(1 + text.get(..at?)?.matches('\n').count())
}
