//! Unresolved settings: those of a file, overridden by those of the command line.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use fm_args::flags::Keys;
use fm_args::ready_made::{self, READY_MADE};
use fm_core::Error;
use fm_core::error::nearest;
use fm_core::train::Update;
use fm_data::movielens::Release;
use fm_data::table::standard_input::is_standard_input;
use fm_data::table::{is_pattern, within};
use fm_data::{Declared, Inferred, presets};
use fm_models::run::{ModelSettings, Run};
use serde_json::{Map, Value as Json};
use toml::{Table, Value};

use super::{Settings, default_l2, default_lr, schema};
use crate::training::shell_word;

/// Some of the settings, by key.
#[derive(Clone, Debug, Default)]
pub struct Draft(Table);

impl Draft {
    /// Reads a settings file, or a built-in one. Paths in a file are relative to it.
    pub fn open(name: &str) -> Result<Draft> {
        Draft::open_after(name, |_| Ok(()))
    }

    /// Like [`Draft::open`], for a file with additional content, which `take` removes.
    pub fn open_after(name: &str, take: impl FnOnce(&mut Table) -> Result<()>) -> Result<Draft> {
        let path = Path::new(name);
        let text = match (path.is_file(), ready_made::find(name)) {
            (false, Some(text)) => text.to_owned(),
            (false, None) if !name.ends_with(".toml") => return Err(unknown(name)),
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

    /// The text of an equivalent file.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(&self.0)?)
    }

    /// Overrides settings by those of a command line. A path in `data.schema` is read.
    pub fn apply(&mut self, keys: Keys) -> Result<()> {
        for (key, value) in keys {
            match (key.as_str(), &value) {
                ("data.schema", Value::String(path)) => {
                    let (declaration, task) = declaration(Path::new(path))?;
                    self.insert(&key, declaration)?;
                    if let (Some(task), None) = (task, self.0.get("data").and_then(|data| data.get("task"))) {
                        self.insert("data.task", task)?;
                    }
                }
                _ => self.insert(&key, value)?,
            }
        }
        Ok(())
    }

    /// Sets the value of a dotted key.
    fn insert(&mut self, key: &str, value: Value) -> Result<()> {
        let (mut table, mut rest) = (&mut self.0, key);
        while let Some((head, tail)) = rest.split_once('.') {
            let below = table.entry(head).or_insert_with(|| Value::Table(Table::new()));
            // For `train.optimizer = "sgd"` followed by `train.optimizer.momentum`.
            if let Value::String(name) = below {
                *below = Value::Table(named(std::mem::take(name)));
            }
            let Value::Table(below) = below else { bail!("`{key}`: `{head}` is not a table") };
            (table, rest) = (below, tail);
        }
        match (table.get_mut(rest), &value) {
            // The same name keeps the options of the file; another name starts a new table.
            (Some(Value::Table(old)), Value::String(name)) if old.get("name").and_then(Value::as_str) == Some(name) => {
            }
            _ => drop(table.insert(rest.into(), value)),
        }
        Ok(())
    }

    /// Takes the settings that are not given from the run of `init_from`: all but those of the data's place, the device and
    /// what a start takes over. A setting whose default depends on one that is given is not taken.
    fn inherit(&mut self) -> Result<()> {
        let Some(Value::String(run)) = self.0.get("init_from") else { return Ok(()) };
        let run = Run::open(run)?;
        let mut earlier: Table = toml::from_str(&Settings::of_run(&run)?.to_toml()?)?;
        earlier.retain(|name, _| ["data", "model", "train"].contains(&name));
        let differs = |table: &str, key: &str| {
            let [given, earlier] = [&self.0, &earlier].map(|settings| settings.get(table)?.get(key).map(name_of_value));
            given.is_some() && given != earlier
        };
        let mut left_out = vec![("data", "data"), ("data", "train"), ("data", "valid"), ("data", "test")];
        if self.0.get("data").is_some_and(|data| data.get("schema").is_some()) {
            left_out.extend([("data", "label"), ("data", "fields")]);
        }
        if differs("data", "task") {
            let of_task =
                ["l2", "lr", "monitor", "label_smoothing", "positive_weight", "focal_gamma", "pairwise_share"];
            left_out.extend(of_task.map(|key| ("train", key)));
            left_out.push(("data", "threshold"));
        }
        if differs("model", "name") {
            left_out.push(("train", "l2"));
        }
        if differs("train", "progressive") {
            left_out.push(("train", "epochs"));
        }
        if differs("train", "optimizer") || differs("train", "update") {
            left_out.push(("train", "lr"));
        }
        for (table, key) in left_out {
            if let Some(Value::Table(below)) = earlier.get_mut(table) {
                below.remove(key);
            }
        }
        tracing::info!("settings that are not given are those of {}", run.folder().display());
        complete(&mut self.0, earlier);
        Ok(())
    }

    /// Takes settings from the run of `init_from`, completes the declaration of a table, and chooses the task that suits its labels if the settings do not.
    pub fn declare(&mut self) -> Result<()> {
        self.inherit()?;
        let mut table = self.0.clone();
        let explained = |fault: Fault| anyhow!("{}", fault.reason);
        check(&mut table).map_err(explained)?;
        let settings = parse(&table).map_err(explained)?;
        let Some(Declared { spec, inferred }) = fm_data::declare(&settings.data)? else { return Ok(()) };
        self.insert("data.schema", Value::try_from(spec)?)?;
        if let Some(inferred) = inferred {
            if self.0.get("data").and_then(|data| data.get("task")).is_none() {
                self.insert("data.task", Value::try_from(inferred.task)?)?;
            }
            report(&inferred);
        }
        Ok(())
    }

    /// Fills in all defaults and checks every value.
    pub fn resolve(mut self) -> Result<Settings> {
        let explained = |fault: Fault| anyhow!("{}", fault.reason);
        check(&mut self.0).map_err(explained)?;
        let mut settings = parse(&self.0).map_err(explained)?;
        settings.model = settings.model.resolved()?;
        let is_given = |name: &str| self.0.get("train").and_then(|train| train.get(name)).is_some();
        if !is_given("l2") {
            settings.train.l2 = default_l2(settings.data.task) * settings.model.entry()?.l2_factor;
        }
        if settings.train.update == Update::Online && !is_given("optimizer") {
            settings.train.optimizer = "adagrad".parse()?;
        }
        if settings.train.progressive && !is_given("epochs") {
            settings.train.epochs = 1;
        }
        if !is_given("lr") {
            settings.train.lr = default_lr(&settings.train);
        }
        settings.data = settings.data.absolute();
        settings.init_from = settings.init_from.map(|run| std::path::absolute(&run).unwrap_or(run));
        Ok(settings)
    }
}

/// Tells what was inferred about a table.
pub fn report(inferred: &Inferred) {
    let table = inferred.table.to_string_lossy();
    tracing::info!(
        "inferred from {}, as `fm data infer {}` shows in more detail:",
        inferred.sample(),
        shell_word(&table)
    );
    inferred.to_string().lines().for_each(|line| tracing::info!("  {line}"));
    inferred.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

/// Adds the settings that are not given. A declaration is given as a whole, and so are the options of what has another
/// name.
fn complete(given: &mut Table, others: Table) {
    for (key, other) in others {
        match (given.get_mut(&key), other) {
            (None, other) => drop(given.insert(key, other)),
            (Some(value @ Value::String(_)), other @ Value::Table(_))
                if name_of_value(value) == name_of_value(&other) =>
            {
                *value = other;
            }
            (Some(Value::Table(below)), Value::Table(others)) if key != "schema" => {
                let is_other = |name: &Value| others.get("name").is_some_and(|other| other != name);
                if !below.get("name").is_some_and(is_other) {
                    complete(below, others);
                }
            }
            (Some(_), _) => {}
        }
    }
}

/// The name in the settings of an optimiser or its like, or the setting itself.
fn name_of_value(value: &Value) -> &Value {
    value.get("name").unwrap_or(value)
}

/// The table for a name, such as an optimiser's.
fn named(name: String) -> Table {
    Table::from_iter([("name".to_owned(), Value::String(name))])
}

/// An error in settings, and its dotted key.
struct Fault {
    key: String,
    reason: String,
}

/// The error for a name that is neither a file nor a built-in one.
pub fn unknown(name: &str) -> anyhow::Error {
    let names: Vec<&str> = READY_MADE.iter().map(|(name, _)| *name).collect();
    let hint = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
    anyhow!("there is no file `{name}`: {}the built-in files are {}", hint.unwrap_or_default(), names.join(", "))
}

/// Resolves the paths in a file, which are relative to its folder, and reads the declaration of the fields.
fn take_from_folder(table: &mut Table, folder: &Path) -> Result<()> {
    if let Some(Value::String(run)) = table.get_mut("init_from") {
        *run = folder.join(&*run).to_string_lossy().into_owned();
    }
    let Some(Value::Table(data)) = table.get_mut("data") else { return Ok(()) };
    for name in ["train", "valid", "test"] {
        if let Some(Value::String(path)) = data.get_mut(name)
            && !is_standard_input(Path::new(&*path))
        {
            *path = within(folder, Path::new(&*path)).to_string_lossy().into_owned();
        }
    }
    if let Some(Value::String(data)) = data.get_mut("data")
        && data.parse::<Release>().is_err()
        && !is_standard_input(Path::new(&*data))
    {
        let path = within(folder, Path::new(&*data));
        if path.exists() || is_pattern(Path::new(&*data)) {
            *data = path.to_string_lossy().into_owned();
        }
    }
    if let Some(schema) = data.get_mut("schema")
        && let Value::String(path) = schema
    {
        // A preset has a name, not a place.
        let file = folder.join(&*path);
        let is_preset = !file.is_file() && presets::preset(path).is_ok();
        let (declaration, task) = declaration(if is_preset { Path::new(&*path) } else { &file })?;
        *schema = declaration;
        if let Some(task) = task {
            data.entry("task").or_insert(task);
        }
    }
    Ok(())
}

/// A `schema.toml` or a preset as a value of the key `data.schema`, and the task of a preset.
fn declaration(path: &Path) -> Result<(Value, Option<Value>)> {
    let (spec, preset) = presets::declaration(path)?;
    let task = preset.and_then(|preset| preset.fact("task")).map(|task| Value::String(task.to_owned()));
    Ok((Value::try_from(spec)?, task))
}

/// Checks that every key is known, and replaces a name by a table where a table with a name is expected.
fn check(table: &mut Table) -> Result<(), Fault> {
    let name = table.get("model").and_then(|model| model.get("name")).and_then(Value::as_str);
    let name = name.map_or_else(|| ModelSettings::default().name, str::to_owned);
    // The look-up of the model reports an unknown one.
    let schema = schema::with_model(fm_models::find(&name).ok());
    check_table(table, &schema, "").map_err(|fault| match fault.key.strip_prefix("model.options.") {
        Some(option) => Fault { reason: format!("model {name}: unknown option `{option}`: {}", fault.reason), ..fault },
        None => fault,
    })
}

fn check_table(table: &mut Table, schema: &Json, path: &str) -> Result<(), Fault> {
    let Some(known) = properties(schema, table) else { return Ok(()) };
    for (name, value) in table.iter_mut() {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(schema) = known.get(name) else {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            let hint = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if path == "model.options" => format!("the options are {}", names.join(", ")),
                None => format!("the settings are {}", names.join(", ")),
            };
            let reason = match path {
                "" => format!("unknown setting `{name}`: {hint}"),
                // The caller names the model.
                "model.options" => hint,
                _ => format!("unknown setting `{name}` in [{path}]: {hint}"),
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

/// The alternatives of a schema, or the schema itself if there are none.
pub fn alternatives(schema: &Json) -> Vec<&Json> {
    match schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Json::as_array) {
        Some(alternatives) => {
            alternatives.iter().filter(|one| one.get("type").is_none_or(|kind| kind != "null")).collect()
        }
        None => vec![schema],
    }
}

/// The name of an alternative, such as an optimiser or a schedule.
pub fn name_of(alternative: &Json) -> Option<&str> {
    alternative.pointer("/properties/name/const").and_then(Json::as_str)
}

/// Whether a schema describes named alternatives.
pub fn is_named(schema: &Json) -> bool {
    alternatives(schema).into_iter().any(|alternative| name_of(alternative).is_some())
}

/// The keys that are allowed in a table: those of the alternative that it names. `None` if any key is allowed.
pub fn properties<'a>(schema: &'a Json, table: &Table) -> Option<&'a Map<String, Json>> {
    let name = table.get("name").and_then(Value::as_str);
    let alternatives = alternatives(schema);
    let fits = |alternative: &&&Json| name_of(alternative).is_none_or(|its| Some(its) == name);
    alternatives.iter().find(fits)?.get("properties")?.as_object()
}

/// The settings of a table with checked keys.
fn parse(table: &Table) -> Result<Settings, Fault> {
    let unreadable = |error: &dyn std::fmt::Display| Fault { key: String::new(), reason: error.to_string() };
    // Go through text: the declaration of fields records its position in a text.
    let text = toml::to_string(table).map_err(|error| unreadable(&error))?;
    let document = toml::Deserializer::parse(&text).map_err(|error| unreadable(&error.message()))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        let reason = error.inner().message().lines().collect::<Vec<_>>().join(": ");
        Fault { reason: format!("`{key}`: {reason}"), key }
    })
}

/// The line of a dotted key in TOML text, from 1; if the key is not there, the line of the table around it.
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
