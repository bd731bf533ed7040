//! Flags that several commands share.

mod setting;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

pub use setting::{
    BadRowFlags, DataFlags, DeviceFlags, Flag, Given, Group, InitFlags, Keys, ModelFlags, ModelOptionFlags,
    SelectionFlags, TrainingFlags, all, model_name, model_name_or_auto,
};

use crate::documentation::Setting;

/// A whole number of at least 1.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("it must be a whole number".into()),
    }
}

/// A number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or("it must be a number from 0 to 1".into())
}

/// A time such as 90s, 30m or 2h.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let number = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[number.len()..] {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return Err("it must be a number with a unit, such as 90s, 30m or 2h".into()),
    };
    let seconds = number.trim_end().parse::<f64>().ok().map(|number| number * unit);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.filter(|duration| !duration.is_zero()).ok_or("it must be more than 0, such as 90s, 30m or 2h".into())
}

/// `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("`=` is missing between a name and a value".into()),
    }
}

/// A TOML value; text that is not valid TOML becomes a string.
pub fn value(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    match parsed.and_then(|mut table| (table.len() == 1).then(|| table.remove("value")).flatten()) {
        Some(value) => value,
        None => toml::Value::String(text.to_owned()),
    }
}

/// The options of a model.
#[derive(Debug, clap::Args)]
pub struct ModelOptions {
    /// The options with flags of their own.
    #[command(flatten)]
    given: Given<ModelOptionFlags>,
    /// Another option of the model (see `fm models`); repeatable
    #[arg(long = "model-option", value_name = "NAME=VALUE", value_parser = pair, help_heading = "Model")]
    others: Vec<(String, String)>,
}

impl ModelOptions {
    /// The settings given by these flags.
    pub fn keys(&self) -> Keys {
        let others = self.others.iter().map(|(name, text)| (format!("model.options.{name}"), value(text)));
        self.given.keys().into_iter().chain(others).collect()
    }
}

/// Settings by their keys.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Any other setting, such as train.keep=5; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "General")]
    pub set: Vec<(String, String)>,
}

impl Set {
    /// The settings given by these flags.
    pub fn keys(&self) -> Keys {
        self.set.iter().map(|(key, text)| (key.clone(), value(text))).collect()
    }
}

/// The data, and how to read and split it.
#[derive(Debug, clap::Args)]
pub struct Rows {
    #[command(flatten)]
    data: Given<DataFlags>,
    #[command(flatten)]
    selection: Given<SelectionFlags>,
    #[command(flatten)]
    bad_rows: Given<BadRowFlags>,
    /// Where data sets are.
    #[command(flatten)]
    pub folders: Folders,
}

impl Rows {
    /// The settings given by these flags.
    pub fn keys(&self) -> Keys {
        [self.data.keys(), self.selection.keys(), self.bad_rows.keys()].concat()
    }

    /// The value of `--seed`, if given.
    pub fn seed(&self) -> Option<i64> {
        self.selection.value("seed").and_then(toml::Value::as_integer)
    }
}

/// Where data sets are.
#[derive(Debug, clap::Args)]
pub struct Folders {
    /// Folder of data sets [default: fm in the user's data folder]
    #[arg(long, value_name = "DIR", env = "FM_DATA_DIR", hide_env_values = true, help_heading = "Data")]
    pub data_dir: Option<PathBuf>,
}

/// The data of a run.
#[derive(Debug, clap::Args)]
pub struct Moved {
    /// The data, if it has moved since training
    #[arg(long, value_name = "NAME|DIR|FILE", help_heading = "Data", add = crate::completion::data())]
    pub data: Option<String>,
    /// Its tables, if it was trained on a table for each part.
    #[command(flatten)]
    pub tables: MovedTables,
}

/// The tables of a run that was trained on a table for each part.
#[derive(Debug, clap::Args)]
pub struct MovedTables {
    /// The training table, if it has moved since training
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub train: Option<PathBuf>,
    /// The validation table, if it has moved since training
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub valid: Option<PathBuf>,
    /// The test table, if it has moved since training
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub test: Option<PathBuf>,
}

/// The device of a trained model.
#[derive(Debug, clap::Args)]
pub struct Device {
    #[arg(
        long,
        default_value = "auto",
        help = Setting::of("device").sentence(),
        help_heading = "General",
        add = crate::completion::setting("device")
    )]
    /// The device, in its text form.
    pub device: String,
}

/// Several processes that train together.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub struct Processes {
    /// Train together with other processes, which a launcher starts
    ///
    /// Train together with other processes, which a launcher such as torchrun starts: `torchrun --no-python
    /// --nproc-per-node 2 -- fm train ... --distributed env`. Each process takes a part of every batch, so `batch_size` is that
    /// of all of them. Rank 0 writes the run and prints results.
    #[arg(long, value_enum, value_name = "env")]
    pub distributed: Option<Launcher>,
    /// How long a process waits for the others, in seconds
    ///
    /// How long a process waits for the others, in seconds. They wait while rank 0 encodes the rows, measures baselines and writes
    /// checkpoints, too: raise it for data whose encoding takes longer.
    #[arg(long, value_name = "SECONDS", default_value = "1800", requires = "distributed",
          value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub distributed_timeout: u64,
    /// What each process keeps of the embedding tables: all rows, or its part of them
    ///
    /// What each process keeps of the embedding tables and of their optimizer state: all rows, or its part of them.
    /// Sharded tables may be larger than the memory of one process, and fetch the rows of each batch from the other
    /// processes.
    #[arg(long, value_enum, value_name = "KIND", default_value = "replicated", requires = "distributed")]
    pub tables: Tables,
}

/// What each process keeps of the embedding tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tables {
    /// All rows
    Replicated,
    /// Its part of the rows
    Sharded,
}

/// How processes that train together find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Launcher {
    /// By the environment variables MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE
    Env,
}

/// The form of the output.
#[derive(Debug, clap::Args)]
pub struct Form {
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The training rows
    Train,
    /// The validation rows, which choose the best epoch
    Valid,
    /// The test rows
    Test,
}

impl Part {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Valid => "valid",
            Part::Test => "test",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_toml_or_text() {
        assert_eq!(value("3"), toml::Value::Integer(3));
        assert_eq!(value("[8, 4]"), toml::Value::Array(vec![8.into(), 4.into()]));
        assert_eq!(value("adam"), toml::Value::String("adam".into()));
        assert_eq!(value("1\nlr = 2"), toml::Value::String("1\nlr = 2".into()));
    }
}
