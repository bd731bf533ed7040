//! The settings of a run: what `settings.toml` holds.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use fm_core::model::Options;
use fm_core::train::TrainConfig;
use fm_core::{Error, ModelEntry};
use fm_data::TableSpec;
use fm_data::source::{DataConfig, TaskName};
use serde::{Deserialize, Serialize};

use crate::args;

/// Everything that decides how a run turns out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The run whose parameters training has started from.
    pub init_from: Option<PathBuf>,
    pub data: DataConfig,
    pub model: ModelSettings,
    pub train: TrainConfig,
}

/// A registered model and its resolved options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    pub name: String,
    pub options: Options,
}

/// λ where none is given. A squared error in stars has another scale than a logistic loss.
fn default_l2(task: TaskName) -> f64 {
    match task {
        TaskName::Regression => 0.05,
        TaskName::Binary => 0.005,
        TaskName::Ranking => 0.0,
    }
}

impl Settings {
    /// The settings that the command line asks for.
    pub fn from_args(args: &args::Train) -> Result<Settings> {
        let data = data_config(args.data.data.clone(), &args.data.selection)?.absolute();
        let model = ModelSettings::new(&args.model, &args.options)?;
        let default_l2 = default_l2(data.task) * model.entry()?.l2_factor;
        let train = TrainConfig {
            epochs: args.epochs,
            batch_size: args.batch_size,
            lr: args.lr,
            l2: args.l2.unwrap_or(default_l2),
            patience: args.patience,
            seed: data.seed,
            optimizer: args.optimizer,
            ..TrainConfig::default()
        };
        let init_from = args.init_from.as_ref().map(|run| std::path::absolute(run).unwrap_or_else(|_| run.clone()));
        Ok(Settings { init_from, data, model, train })
    }

    /// Reads a `settings.toml`.
    pub fn load(path: &Path) -> Result<Settings> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        Ok(Settings::parse(&text).map_err(|error| Error::format("file of settings", path, error.to_string()))?)
    }

    /// Reads the text of a `settings.toml`.
    pub fn parse(text: &str) -> Result<Settings> {
        // Its `Display` would also show the text, over several lines.
        toml::from_str(text).map_err(|error| anyhow!("{}", error.message()))
    }

    /// The text of a `settings.toml`.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

impl ModelSettings {
    /// Looks the model up and resolves its options.
    pub fn new(name: &str, args: &args::ModelOptions) -> Result<ModelSettings> {
        let mut options = Options::new();
        if let Some(k) = args.embedding_dim {
            options.insert("embedding_dim".into(), k.into());
        }
        if let Some(units) = &args.hidden_units {
            options.insert("hidden_units".into(), units.clone().into());
        }
        if let Some(dropout) = args.dropout {
            options.insert("dropout".into(), dropout.into());
        }
        for option in &args.others {
            let Some((name, value)) = option.split_once('=') else {
                bail!("--model-option takes NAME=VALUE, not `{option}`");
            };
            options.insert(name.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
        }
        let entry = fm_models::find(name)?;
        Ok(ModelSettings { name: name.into(), options: entry.resolve(&options)? })
    }

    /// The registry's entry.
    pub fn entry(&self) -> Result<&'static ModelEntry> {
        Ok(fm_models::find(&self.name)?)
    }
}

/// The data that the command line names.
pub fn data_config(data: Option<String>, args: &args::Selection) -> Result<DataConfig> {
    Ok(DataConfig {
        data,
        train: args.train.clone(),
        valid: args.valid.clone(),
        test: args.test.clone(),
        schema: args.schema.as_ref().map(TableSpec::load).transpose()?,
        fields: args.fields.clone(),
        task: args.task.into(),
        threshold: args.threshold,
        split: args.split.clone(),
        seed: args.seed,
        history: args.history,
        min_count: args.min_count,
    })
}

/// The folder of data sets.
pub fn data_dir(folders: &args::Folders) -> Result<PathBuf> {
    Ok(fm_data::movielens::data_dir(folders.data_dir.as_deref())?)
}

/// The folder of encoded data sets.
pub fn cache_dir(folders: &args::Folders) -> Result<PathBuf> {
    Ok(data_dir(folders)?.join("cache"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn settings(line: &str) -> Result<Settings> {
        let args = args::Args::try_parse_from(["fm", "train"].into_iter().chain(line.split_whitespace()))?;
        let args::Command::Train(train) = &args.command else { bail!("no training") };
        Settings::from_args(train)
    }

    #[test]
    fn settings_read_back_what_they_write() {
        let folder = tempfile::tempdir().unwrap();
        let schema = folder.path().join("schema.toml");
        let declaration = "label = \"y\"\nuser = \"a\"\n[[field]]\nname = \"a\"\nkind = \"categorical\"\nmin_count = 2\n\
                           [[field]]\nname = \"b\"\nkind = \"multi-valued\"\nmax_len = 3\nhash_buckets = 10\n";
        std::fs::write(&schema, declaration).unwrap();
        for line in [
            "--data ml-100k",
            "--train a.csv --test b.csv --schema SCHEMA --task binary --threshold 0.5 --fields a,b",
            "--data x.csv --model fm --embedding-dim 8 --optimizer adamw --l2 0 --seed 9 --init-from runs/fm-1",
        ] {
            let settings = settings(&line.replace("SCHEMA", &schema.display().to_string())).unwrap();
            assert_eq!(Settings::parse(&settings.to_toml().unwrap()).unwrap(), settings, "{line}");
        }
    }

    #[test]
    fn an_option_that_the_model_lacks_is_an_error_that_names_those_it_has() {
        let error = settings("--data ml-100k --model fm --dropout 0.1").unwrap_err().to_string();
        assert!(error.contains("model fm") && error.contains("dropout") && error.contains("embedding_dim"), "{error}");
        let error = settings("--data ml-100k --model depfm").unwrap_err().to_string();
        assert!(error.contains("did you mean `deepfm`?"), "{error}");
    }
}
