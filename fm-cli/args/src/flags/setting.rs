//! Flags for settings. This list is the only place that connects a flag to a setting: the flag has the setting's
//! documentation, default and type.

use std::fmt::Debug;
use std::marker::PhantomData;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::Value;

use crate::completion;
use crate::documentation::{Kind, Setting};

/// Values of settings by their dotted keys.
pub type Keys = Vec<(String, Value)>;

/// A flag that sets one setting, or several settings to the same value.
#[derive(Debug)]
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// The dotted keys of its settings. The first one documents the flag.
    pub keys: &'static [&'static str],
    value_name: &'static str,
    heading: &'static str,
}

const fn flag(
    name: &'static str,
    keys: &'static [&'static str],
    value_name: &'static str,
    heading: &'static str,
) -> Flag {
    Flag { name, keys, value_name, heading }
}

/// The source of the rows.
pub const DATA: &[Flag] = &[flag("data", &["data.data"], "NAME|DIR|FILE", "Data")];

/// How to read and split rows.
pub const SELECTION: &[Flag] = &[
    flag("train", &["data.train"], "FILE", "Data"),
    flag("valid", &["data.valid"], "FILE", "Data"),
    flag("test", &["data.test"], "FILE", "Data"),
    flag("schema", &["data.schema"], "FILE", "Data"),
    flag("label", &["data.label"], "NAME", "Data"),
    flag("fields", &["data.fields"], "NAME,...", "Data"),
    flag("task", &["data.task"], "TASK", "Data"),
    flag("threshold", &["data.threshold"], "X", "Data"),
    flag("split", &["data.split"], "SPLIT", "Data"),
    flag("seed", &["train.seed", "data.seed"], "N", "Data"),
    flag("history", &["data.history"], "N", "Data"),
    flag("implicit", &["data.implicit"], "N", "Data"),
    flag("min-count", &["data.min_count"], "N", "Data"),
];

/// Rows of a table that cannot be read.
pub const BAD_ROWS: &[Flag] = &[flag("on-bad-row", &["data.on_bad_row"], "ACTION", "Data")];

/// The model.
pub const MODEL: &[Flag] = &[flag("model", &["model.name"], "MODEL", "Model")];

/// Options that many models have.
pub const MODEL_OPTIONS: &[Flag] = &[
    flag("embedding-dim", &["model.options.embedding_dim"], "K", "Model"),
    flag("hidden-units", &["model.options.hidden_units"], "N,...", "Model"),
    flag("dropout", &["model.options.dropout"], "P", "Model"),
];

/// How to train it.
pub const TRAINING: &[Flag] = &[
    flag("epochs", &["train.epochs"], "N", "Training"),
    flag("batch-size", &["train.batch_size"], "N", "Training"),
    flag("lr", &["train.lr"], "X", "Training"),
    flag("l2", &["train.l2"], "X", "Training"),
    flag("patience", &["train.patience"], "N", "Training"),
    flag("optimizer", &["train.optimizer"], "NAME", "Training"),
];

/// The device.
pub const DEVICE: &[Flag] = &[flag("device", &["device"], "DEVICE", "General")];

/// Where training starts.
pub const INIT_FROM: &[Flag] =
    &[flag("init-from", &["init_from"], "RUN", "Training"), flag("init-state", &["init_state"], "STATE", "Training")];

/// All flags for settings.
pub fn all() -> impl Iterator<Item = &'static Flag> {
    [DATA, SELECTION, BAD_ROWS, MODEL, MODEL_OPTIONS, TRAINING, DEVICE, INIT_FROM].into_iter().flatten()
}

impl Flag {
    fn arg(&self) -> Arg {
        let setting = Setting::of(self.keys[0]);
        let arg = Arg::new(self.name).long(self.name).value_name(self.value_name).help_heading(self.heading);
        let arg = arg.help(setting.help()).long_help(setting.long_help());
        let arg = match setting.kind() {
            Kind::List(kind) => typed(arg, *kind).value_delimiter(',').action(ArgAction::Append),
            kind => typed(arg, kind).action(ArgAction::Set),
        };
        match self.keys[0] {
            "data.data" => arg.add(completion::data()),
            "init_from" => arg.add(completion::runs()),
            key => match setting.kind() {
                Kind::Text if !setting.suggestions().is_empty() => arg.add(completion::setting(key)),
                Kind::Text if self.value_name == "FILE" => arg.value_hint(clap::ValueHint::FilePath),
                _ => arg,
            },
        }
    }

    /// The value on the command line, if given.
    fn value(&self, matches: &ArgMatches) -> Option<Value> {
        let mut values = matches.get_many::<Value>(self.name)?.cloned();
        match Setting::of(self.keys[0]).kind() {
            Kind::List(_) => Some(Value::Array(values.collect())),
            _ => values.next(),
        }
    }
}

fn typed(arg: Arg, kind: Kind) -> Arg {
    match kind {
        Kind::Text | Kind::List(_) => {
            arg.value_parser(ValueParser::new(|text: &str| Ok::<Value, String>(Value::String(text.to_owned()))))
        }
        Kind::Integer(minimum) => {
            arg.allow_negative_numbers(true).value_parser(ValueParser::new(move |text: &str| integer(text, minimum)))
        }
        Kind::Number => arg.allow_negative_numbers(true).value_parser(ValueParser::new(number)),
        Kind::Choice(choices) => arg.value_parser(one_of(choices).map(Value::String)),
    }
}

/// The name of a model.
pub fn model_name() -> PossibleValuesParser {
    one_of(Setting::of("model.name").suggestions())
}

/// The same, or `auto`.
pub fn model_name_or_auto() -> PossibleValuesParser {
    let auto = ("auto", "Find a model".to_owned());
    one_of([auto].into_iter().chain(Setting::of("model.name").suggestions()).collect())
}

fn one_of(choices: Vec<(&'static str, String)>) -> PossibleValuesParser {
    PossibleValuesParser::new(choices.into_iter().map(|(name, help)| PossibleValue::new(name).help(help)))
}

fn integer(text: &str, minimum: Option<i64>) -> Result<Value, String> {
    match (text.parse::<i64>(), minimum) {
        (Ok(number), Some(minimum)) if number < minimum => Err(format!("it must be at least {minimum}")),
        (Ok(number), _) => Ok(Value::Integer(number)),
        (Err(_), _) => Err("it must be a whole number".into()),
    }
}

fn number(text: &str) -> Result<Value, String> {
    text.parse().map(Value::Float).map_err(|_| "it must be a number".into())
}

/// A group of flags for settings.
pub trait Group: Debug {
    /// The flags.
    const FLAGS: &'static [Flag];
}

macro_rules! groups {
    ($($(#[$doc:meta])* $name:ident = $flags:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl Group for $name {
            const FLAGS: &'static [Flag] = $flags;
        }
    )* };
}

groups! {
    /// `DATA`.
    DataFlags = DATA;
    /// `SELECTION`.
    SelectionFlags = SELECTION;
    /// `BAD_ROWS`.
    BadRowFlags = BAD_ROWS;
    /// `MODEL`.
    ModelFlags = MODEL;
    /// `MODEL_OPTIONS`.
    ModelOptionFlags = MODEL_OPTIONS;
    /// `TRAINING`.
    TrainingFlags = TRAINING;
    /// `DEVICE`.
    DeviceFlags = DEVICE;
    /// `INIT_FROM`.
    InitFlags = INIT_FROM;
}

/// The flags of a group that the command line gives.
#[derive(Debug)]
pub struct Given<G: Group> {
    values: Vec<(&'static Flag, Value)>,
    group: PhantomData<G>,
}

impl<G: Group> Given<G> {
    /// The settings given by these flags.
    pub fn keys(&self) -> Keys {
        let keys = |(flag, value): &(&'static Flag, Value)| {
            flag.keys.iter().map(|key| ((*key).to_owned(), value.clone())).collect::<Keys>()
        };
        self.values.iter().flat_map(keys).collect()
    }

    /// The value of a flag, if given.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(flag, _)| flag.name == name).map(|(_, value)| value)
    }
}

impl<G: Group> clap::Args for Given<G> {
    fn augment_args(command: Command) -> Command {
        G::FLAGS.iter().fold(command, |command, flag| command.arg(flag.arg()))
    }

    // clap requires it, and calls it only to update arguments that are already parsed.
    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: Group> clap::FromArgMatches for Given<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = G::FLAGS.iter().filter_map(|flag| Some((flag, flag.value(matches)?))).collect();
        Ok(Given { values, group: PhantomData })
    }

    // As above.
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_sets_settings_that_are_documented() {
        for flag in all() {
            for key in flag.keys {
                assert!(!Setting::of(key).help().is_empty(), "--{}: {key} has no documentation", flag.name);
            }
        }
    }
}
