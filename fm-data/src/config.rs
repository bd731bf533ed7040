//! The settings that determine the encoded rows.

use std::path::{Path, PathBuf};

use fm_core::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format::OnBadRow;
use crate::format::pattern::{is_pattern, within};
use crate::format::standard_input::is_standard_input;
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

/// What the history of a MovieLens rating is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryForm {
    /// The set of films that the user liked before.
    #[default]
    Liked,
    /// All films that the user rated before, in their order.
    Sequence,
}

/// The `[data]` of a run's settings: its rows, fields, label and split.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The name of a MovieLens release, a folder with one, or a table: a file (`.csv`, `.tsv`, `.txt`, `.jsonl`,
    /// `.ndjson`, `.parquet`, `.arrow`, `.feather`, `.ipc`, `.libsvm`, `.svm`, `.libffm`, `.ffm`; text also as in
    /// `.csv.gz` and `.csv.zst`), a folder of such files, a pattern of their names, as in `parts/*.csv`, or - for
    /// standard input.
    pub data: Option<String>,
    /// A table of training rows, instead of `data` and a split.
    pub train: Option<PathBuf>,
    /// A table of validation rows. Without one, a part of the training rows validates: by default the latest tenth if
    /// rows have times, otherwise a random tenth; `split` can set another share, as in time:0.2:0 or random:0:0.
    pub valid: Option<PathBuf>,
    /// A table of test rows.
    pub test: Option<PathBuf>,
    /// Declaration of a table's fields: the path of a `schema.toml`, the name of a preset, or its content. Without one, the fields are
    /// inferred from the table; `fm data infer` shows how.
    #[schemars(with = "Option<serde_json::Value>")]
    pub schema: Option<TableSpec>,
    /// Column of the label. By default that of the schema or, without a schema, the first one with a usual name, such as label, click or rating.
    pub label: Option<String>,
    /// Fields to use, in this order. By default all fields.
    pub fields: Option<Vec<String>>,
    /// Task: what the model predicts.
    pub task: TaskName,
    /// Smallest positive label of a binary task or a ranking. By default, all rows of a ranking are positive, unless the
    /// labels of a table are 0 and 1: then those with 1 are.
    pub threshold: Option<f32>,
    /// Split into training, validation and test rows: random, leave-last-out, time, fold:NAME or kfold:K:INDEX. random
    /// and time take the shares of validation and test rows, as in random:0.1:0.1. With kfold:5:0, fold 0 of 5 tests
    /// and a tenth of the other rows validates; with kfold:5:0:0, none does.
    pub split: String,
    /// Seed of the split.
    pub seed: u64,
    /// Rows of a table that cannot be read: fail, or skip them. Such a row has another number of cells than the header, bytes
    /// that are not UTF-8, broken JSON, an invalid index or value in a sparse file, or a label, a weight or a timestamp
    /// that is none. A warning says how many were left out; more than half of all rows are still an error.
    pub on_bad_row: OnBadRow,
    /// MovieLens: maximum number of films in a rating's `history`, the films that its user last liked before it; 0 for
    /// no such field. By default 100, or 20 for releases of more than 2 million ratings, where longer histories take
    /// gigabytes.
    pub history: Option<usize>,
    /// MovieLens: what `history` is: liked (the set of films that the user liked before, with vectors of their own) or
    /// sequence (all films that the user rated before, in their order and with the vectors of `movie_id`, as models of
    /// sequences need).
    pub history_form: HistoryForm,
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
            label: None,
            fields: None,
            task: TaskName::default(),
            threshold: None,
            split: Split::default().to_string(),
            seed: 1,
            on_bad_row: OnBadRow::default(),
            history: None,
            history_form: HistoryForm::default(),
            implicit: 0,
            min_count: 1,
        }
    }
}

impl DataConfig {
    /// The same settings with absolute paths, which are valid in any working folder.
    pub fn absolute(self) -> DataConfig {
        let absolute = |path: PathBuf| match std::env::current_dir() {
            _ if is_standard_input(&path) => path,
            Ok(folder) if is_pattern(&path) => within(&folder, &path),
            _ => std::path::absolute(&path).unwrap_or(path),
        };
        let data = self.data.map(|data| {
            // The name of a release stays a name, even if the working folder has a folder of that name.
            let path = Path::new(&data);
            let is_path =
                data.parse::<Release>().is_err() && !is_standard_input(path) && (path.exists() || is_pattern(path));
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

    /// Whether rows come from standard input.
    pub fn reads_standard_input(&self) -> bool {
        let tables = [&self.train, &self.valid, &self.test].into_iter().flatten().map(PathBuf::as_path);
        self.data.iter().map(Path::new).chain(tables).any(is_standard_input)
    }

    /// The same settings with the new locations of data that has moved.
    ///
    /// # Errors
    /// [`Error::InTables`] or [`Error::InOneDataSet`] for locations of another kind than the settings have;
    /// [`Error::Spec`] for the location of a part that has no table.
    pub fn moved(mut self, to: Moved) -> Result<DataConfig> {
        let is_in_tables = [&self.train, &self.valid, &self.test].iter().any(|table| table.is_some());
        if to.data.is_some() && is_in_tables {
            return Err(Error::InTables);
        }
        self.data = to.data.or(self.data);
        let tables = [("training", to.train, &mut self.train), ("validation", to.valid, &mut self.valid)];
        for (part, new, old) in tables.into_iter().chain([("test", to.test, &mut self.test)]) {
            match (new, &old) {
                (None, _) => {}
                (Some(_), _) if !is_in_tables => return Err(Error::InOneDataSet),
                (Some(_), None) => {
                    return Err(Error::Spec(format!("the run has no {part} table that could have moved")));
                }
                (new, Some(_)) => *old = new,
            }
        }
        Ok(self)
    }
}

/// The new locations of the data of a run; `None` where it has not moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// The new location of [`DataConfig::data`].
    pub data: Option<String>,
    /// The new location of [`DataConfig::train`].
    pub train: Option<PathBuf>,
    /// The new location of [`DataConfig::valid`].
    pub valid: Option<PathBuf>,
    /// The new location of [`DataConfig::test`].
    pub test: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_data_takes_the_place_of_data_of_its_kind_only() {
        let one = DataConfig { data: Some("a.csv".into()), ..DataConfig::default() };
        let tables = DataConfig { train: Some("a.csv".into()), test: Some("c.csv".into()), ..DataConfig::default() };
        let data = Moved { data: Some("new.csv".into()), ..Moved::default() };
        let test = Moved { test: Some("new.csv".into()), ..Moved::default() };
        let valid = Moved { valid: Some("new.csv".into()), ..Moved::default() };
        for config in [&one, &tables] {
            assert_eq!(config.clone().moved(Moved::default()).unwrap(), *config);
        }
        assert_eq!(one.clone().moved(data.clone()).unwrap().data, Some("new.csv".into()));
        assert!(matches!(one.moved(test.clone()).unwrap_err(), Error::InOneDataSet));
        // One table split at random must not stand for three.
        assert!(matches!(tables.clone().moved(data).unwrap_err(), Error::InTables));
        assert_eq!(tables.clone().moved(test).unwrap(), DataConfig { test: Some("new.csv".into()), ..tables.clone() });
        let error = tables.moved(valid).unwrap_err().to_string();
        assert_eq!(error, "the run has no validation table that could have moved");
    }
}
