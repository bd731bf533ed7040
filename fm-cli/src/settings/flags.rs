//! The settings that flags of the command line stand for.

use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use toml::Value;

use super::draft::{declaration, value};
use crate::args::{ModelOptions, Selection, Train};

/// Values by their dotted keys.
pub type Keys = Vec<(String, Value)>;

/// The keys of `fm train`'s flags.
pub fn train_keys(args: &Train) -> Result<Keys> {
    let mut keys = data_keys(args.data.data.as_deref(), &args.data.selection)?;
    keys.extend(model_keys(args.model.as_deref(), &args.options)?);
    let count = |number: Option<usize>| number.map(|number| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)));
    let more = [
        ("train.epochs", count(args.epochs)),
        ("train.batch_size", count(args.batch_size)),
        ("train.lr", args.lr.map(Value::Float)),
        ("train.l2", args.l2.map(Value::Float)),
        ("train.patience", count(args.patience)),
        ("train.optimizer", args.optimizer.clone().map(Value::String)),
        ("init_from", args.init_from.as_deref().map(|run| Value::String(run.to_string_lossy().into_owned()))),
        ("device", args.device.map(|device| Value::String(device.to_string()))),
    ];
    keys.extend(given(more));
    Ok(keys)
}

/// The keys of the flags that say which rows.
pub fn data_keys(data: Option<&str>, args: &Selection) -> Result<Keys> {
    let text = |text: &str| Value::String(text.to_owned());
    let path = |path: &Path| Value::String(path.to_string_lossy().into_owned());
    let count = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let names = |names: &Vec<String>| Value::Array(names.iter().map(|name| text(name)).collect());
    Ok(given([
        ("data.data", data.map(text)),
        ("data.train", args.train.as_deref().map(path)),
        ("data.valid", args.valid.as_deref().map(path)),
        ("data.test", args.test.as_deref().map(path)),
        ("data.schema", args.schema.as_deref().map(declaration).transpose()?),
        ("data.fields", args.fields.as_ref().map(names)),
        ("data.task", args.task.and_then(|task| Some(text(task.to_possible_value()?.get_name())))),
        // By its digits: 0.1 is no f64 that an f32 is.
        ("data.threshold", args.threshold.map(|number| Value::Float(number.to_string().parse().unwrap_or(f64::NAN)))),
        ("data.split", args.split.as_deref().map(text)),
        ("data.seed", args.seed.map(Value::Integer)),
        ("train.seed", args.seed.map(Value::Integer)),
        ("data.history", args.history.map(count)),
        ("data.implicit", args.implicit.map(count)),
        ("data.min_count", args.min_count.map(|number| Value::Integer(number.into()))),
    ]))
}

/// The keys of the flags that say which model.
pub fn model_keys(model: Option<&str>, args: &ModelOptions) -> Result<Keys> {
    let units = |units: &Vec<i64>| Value::Array(units.iter().copied().map(Value::Integer).collect());
    let mut keys = given([
        ("model.name", model.map(|name| Value::String(name.to_owned()))),
        ("model.options.embedding_dim", args.embedding_dim.map(Value::Integer)),
        ("model.options.hidden_units", args.hidden_units.as_ref().map(units)),
        ("model.options.dropout", args.dropout.map(Value::Float)),
    ]);
    for option in &args.others {
        let Some((name, text)) = option.split_once('=') else {
            bail!("--model-option takes NAME=VALUE, not `{option}`");
        };
        keys.push((format!("model.options.{name}"), value(text)));
    }
    Ok(keys)
}

fn given<const N: usize>(keys: [(&str, Option<Value>); N]) -> Keys {
    keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}
