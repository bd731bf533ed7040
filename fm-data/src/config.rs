//! The settings that determine the encoded rows.

use std::path::{Path, PathBuf};

use fm_core::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::movielens::Release;
use crate::spec::TableSpec;
use crate::split::Split;

/// The prediction task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskName {
    /// Predict the label itself.
    #[default]
    Regression,
    /// Predict whether the label reaches the threshold.
    Binary,
    /// Rank items for a user. Rows whose label reaches the threshold show what users want.
    Ranking,
}

impl TaskName {
    /// The task with any threshold, for uses where the threshold does not matter.
    pub fn of_any_threshold(self) -> Task {
        match self {
            TaskName::Regression => Task::Regression,
            TaskName::Binary => Task::Binary { threshold: 0.0 },
            TaskName::Ranking => Task::Ranking { threshold: None },
        }
    }
}

/// The `[data]` of a run's settings: its rows, fields, label and split.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The name of a MovieLens release, a folder with one, or a table: a file (`.csv`, `.tsv`, `.txt`, `.parquet`, also
    /// `.csv.gz` and `.csv.zst`) or a folder of such files.
    pub data: Option<String>,
    /// A table of training rows, instead of `data` and a split.
    pub train: Option<PathBuf>,
    /// A table of validation rows.
    pub valid: Option<PathBuf>,
    /// A table of test rows.
    pub test: Option<PathBuf>,
    /// Declaration of a table's fields: the path of a `schema.toml`, or its content.
    #[schemars(with = "Option<serde_json::Value>")]
    pub schema: Option<TableSpec>,
    /// Fields to use, in this order. By default all fields.
    pub fields: Option<Vec<String>>,
    /// Task: what the model predicts.
    pub task: TaskName,
    /// Smallest positive label of a binary task or a ranking. By default, all rows of a ranking are positive.
    pub threshold: Option<f32>,
    /// Split into training, validation and test rows: random, leave-last-out, time, fold:NAME or kfold:K:INDEX. random
    /// and time take the shares of validation and test rows, as in random:0.1:0.1. With kfold:5:0, fold 0 of 5 tests
    /// and a tenth of the other rows validates; with kfold:5:0:0, none does.
    pub split: String,
    /// Seed of the split.
    pub seed: u64,
    /// MovieLens: maximum number of films in a rating's `history`, the films that its user last liked before it; 0 for
    /// no such field. By default 100, or 20 for releases of more than 2 million ratings, where longer histories take
    /// gigabytes.
    pub history: Option<usize>,
    /// MovieLens: maximum number of films in `rated`, the films that a rating's user rated, and of users in `raters`,
    /// the users who rated its film; 0 for no such fields. Both come from all training rows, whatever their time and
    /// rating, which helps if training rows may be later than test rows (a random split). A ranking cannot use them:
    /// they reveal the films to rank.
    pub implicit: usize,
    /// MovieLens: minimum number of occurrences in the training rows for a value to enter the vocabulary.
    pub min_count: u32,
}

impl Default for DataConfig {
    /// No data; a regression, split at random.
    fn default() -> DataConfig {
        DataConfig {
            data: None,
            train: None,
            valid: None,
            test: None,
            schema: None,
            fields: None,
            task: TaskName::default(),
            threshold: None,
            split: Split::default().to_string(),
            seed: 1,
            history: None,
            implicit: 0,
            min_count: 1,
        }
    }
}

impl DataConfig {
    /// The same settings with absolute paths, which are valid in any working folder.
    pub fn absolute(self) -> DataConfig {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let data = self.data.map(|data| {
            // The name of a release stays a name, even if the working folder has a folder of that name.
            let is_path = data.parse::<Release>().is_err() && Path::new(&data).exists();
            if is_path { absolute(PathBuf::from(&data)).to_string_lossy().into_owned() } else { data }
        });
        DataConfig {
            data,
            train: self.train.map(absolute),
            valid: self.valid.map(absolute),
            test: self.test.map(absolute),
            ..self
        }
    }

    /// The same settings with the rows of `data`, the new location of a data set that has moved. `None` changes
    /// nothing.
    pub fn moved(self, data: Option<String>) -> DataConfig {
        match data {
            Some(_) => DataConfig { data, train: None, valid: None, test: None, ..self },
            None => self,
        }
    }
}
