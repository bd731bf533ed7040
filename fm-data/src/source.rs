//! Where rows come from: a MovieLens release, or a person's own table. Both end as one frame, its declaration and its
//! parts.

mod pair;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fm_core::{Records, Schema, Side, Task, Weighting};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cache::{CacheKey, Prepared, prepare};
use crate::catalogue::{Catalogue, CatalogueSource};
use crate::encode::{Labels, encode_labelled};
use crate::error::{Error, Result};
use crate::fit::{fit, longest};
use crate::history::{Likes, SEPARATOR, companions, latest_history, liked_history};
use crate::inspect::{Inspection, inspect};
use crate::movielens::{self, Release};
use crate::spec::{FieldSpec, FieldSpecKind, TableSpec};
use crate::split::{Parts, Split, SplitColumns};
use crate::table::{codes, integers, numbers, read_table, strings, take_rows, weights};

pub use pair::{Pair, Rated};

/// The rating from which a film counts as liked, and from which a binary label is positive by default.
pub const LIKED: f32 = 4.0;

/// What is predicted of the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskName {
    /// The label itself.
    #[default]
    Regression,
    /// Whether it reaches the threshold.
    Binary,
    /// Which items come first for a user, as the rows that reach the threshold show it.
    Ranking,
}

impl TaskName {
    /// The task, where its threshold does not matter.
    pub fn of_any_threshold(self) -> Task {
        match self {
            TaskName::Regression => Task::Regression,
            TaskName::Binary => Task::Binary { threshold: 0.0 },
            TaskName::Ranking => Task::Ranking { threshold: None },
        }
    }
}

/// Which rows, which fields, which label, which split: the `[data]` of a run's settings.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// A MovieLens release by name, a folder that holds one, or a table (`.csv`, `.tsv`, `.parquet`).
    pub data: Option<String>,
    /// A table of training rows, instead of `data` and a split.
    pub train: Option<PathBuf>,
    /// A table of validation rows.
    pub valid: Option<PathBuf>,
    /// A table of test rows.
    pub test: Option<PathBuf>,
    /// The declaration of a table's fields: the path of a `schema.toml`, or what one holds.
    #[schemars(with = "Option<serde_json::Value>")]
    pub schema: Option<TableSpec>,
    /// The fields to use, in this order; all if not given.
    pub fields: Option<Vec<String>>,
    /// What is predicted.
    pub task: TaskName,
    /// Labels of at least this are positive, for a binary task or a ranking. Without one, all rows of a ranking are.
    pub threshold: Option<f32>,
    /// How the rows are split: random, random:0.1:0.1 (the shares that validate and that test), leave-last-out, time,
    /// time:0.1:0.1, fold:u1, or kfold:5:0 (block 0 of 5 tests; a tenth of the rest validates, or none with kfold:5:0:0).
    pub split: String,
    /// The seed of the split.
    pub seed: u64,
    /// MovieLens: how many of the films last liked before a rating are a field of it, 0 for none. By default 100, or 20 in
    /// releases of more than 2 million ratings, where each takes gigabytes.
    pub history: Option<usize>,
    /// MovieLens: how many of the films that a user rated, and of the users who rated a film, are fields of each of their ratings,
    /// `rated` and `raters`; 0 for none. They come from training rows and are the same whatever the rating and its time are, which
    /// helps where both lie anywhere (a random split), and gives away what is looked for in a ranking.
    pub implicit: usize,
    /// MovieLens: values that fewer training rows hold are out of the vocabulary.
    pub min_count: u32,
}

impl Default for DataConfig {
    /// No data yet; ratings, split at random.
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
    /// The same with absolute paths, so that a run can be opened from any folder.
    pub fn absolute(self) -> DataConfig {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let data = self.data.map(|data| {
            // The name of a release stays one, whatever the folder holds where training was started.
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

    /// The same with other rows, if there are any: those of a data set that has moved.
    pub fn moved(self, data: Option<String>) -> DataConfig {
        match data {
            Some(_) => DataConfig { data, train: None, valid: None, test: None, ..self },
            None => self,
        }
    }

    /// The files that the rows come from, and the folder or file that names them in messages.
    fn origin(&self, data_dir: &Path) -> Result<Origin> {
        let tables = [&self.train, &self.valid, &self.test];
        if tables.iter().any(|table| table.is_some()) {
            let Some(train) = &self.train else {
                return Err(Error::Spec("there is no training table: give it as `--train`".into()));
            };
            if self.data.is_some() {
                return Err(Error::Spec(
                    "rows come from `--data`, or from `--train` and its companions: not both".into(),
                ));
            }
            let (valid, test) = (self.valid.clone(), self.test.clone());
            return Ok(Origin::Tables { train: train.clone(), valid, test });
        }
        let Some(data) = &self.data else {
            return Err(Error::Spec(
                "no data is named: give a MovieLens release or a table as `--data`, or tables as `--train`, `--valid` \
                 and `--test`"
                    .into(),
            ));
        };
        if Path::new(data).is_file() {
            return Ok(Origin::Table(PathBuf::from(data)));
        }
        Ok(Origin::MovieLens(movielens::locate(data_dir, data)?))
    }

    /// The declaration of tables.
    fn spec(&self) -> Result<TableSpec> {
        self.schema.clone().ok_or_else(|| {
            Error::Spec(
                "a table needs a declaration of its fields: write a schema.toml and give it as `--schema`".into(),
            )
        })
    }

    /// Opens the rows and encodes them, or takes the encoded ones from the cache.
    ///
    /// # Errors
    /// What reading, splitting and fitting return.
    pub fn prepare(&self, data_dir: &Path, cache_dir: &Path) -> Result<Prepared> {
        let origin = self.origin(data_dir)?;
        let key = CacheKey { inputs: &origin.files()?, settings: self };
        prepare(&key, cache_dir, || {
            let source = Source::open(self, data_dir)?;
            let schema = source.fit()?;
            let catalogue = (self.task == TaskName::Ranking).then(|| source.catalogue(&schema)).transpose()?;
            let part = |rows: &[u32]| source.encode(&schema, rows);
            let (train, valid, test) =
                (part(&source.parts.train)?, part(&source.parts.valid)?, part(&source.parts.test)?);
            Ok(Prepared { train, valid, test, catalogue, schema: schema.clone() })
        })
    }
}

enum Origin {
    MovieLens(PathBuf),
    Table(PathBuf),
    Tables { train: PathBuf, valid: Option<PathBuf>, test: Option<PathBuf> },
}

impl Origin {
    /// Every file whose change changes the rows.
    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(match self {
            Origin::Table(path) => vec![path.clone()],
            Origin::Tables { train, valid, test } => {
                [Some(train), valid.as_ref(), test.as_ref()].into_iter().flatten().cloned().collect()
            }
            Origin::MovieLens(folder) => {
                let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
                let mut files: Vec<PathBuf> =
                    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
                files.sort();
                files
            }
        })
    }
}

/// Rows in memory, before encoding.
#[derive(Debug)]
pub struct Source {
    /// All rows: a column for each field, as text.
    pub frame: DataFrame,
    /// What is declared of them.
    pub spec: TableSpec,
    /// Which rows train, validate and test.
    pub parts: Parts,
    /// The label of each row, before any threshold.
    pub labels: Vec<f32>,
    /// The time of each row, if there are times.
    pub timestamps: Option<Vec<i64>>,
    /// How much each row counts, if that is declared.
    pub weights: Option<Vec<f32>>,
    task: Task,
    /// The columns of the user and of the item, also where they are left out of the fields.
    roles: (Option<String>, Option<String>),
    /// MovieLens: all films, also those that nobody rated.
    movies: Option<DataFrame>,
}

impl Source {
    /// Reads and splits the rows.
    ///
    /// # Errors
    /// What is wrong with the files, the declaration or the split.
    pub fn open(config: &DataConfig, data_dir: &Path) -> Result<Source> {
        let source = match config.origin(data_dir)? {
            Origin::MovieLens(folder) => Source::open_movielens(config, &folder)?,
            Origin::Table(path) => {
                let spec = config.spec()?;
                let frame = read_table(&path)?;
                let labels = numbers(&frame, &spec.label, &path)?;
                let weights = spec.weight.as_ref().map(|name| weights(&frame, name, &path)).transpose()?;
                let timestamps = spec.timestamp.as_ref().map(|name| integers(&frame, name, &path)).transpose()?;
                let parts = split(config, &frame, &spec, timestamps.as_deref(), None)?;
                Source { weights, ..Source::new(frame, spec, parts, labels, timestamps) }
            }
            Origin::Tables { train, valid, test } => {
                Source::open_tables(config.spec()?, &train, valid.as_deref(), test.as_deref())?
            }
        };
        source.with_task(config)?.with_fields(config.fields.as_deref())
    }

    /// Rows that count alike, and whose labels are predicted as they are.
    fn new(frame: DataFrame, spec: TableSpec, parts: Parts, labels: Vec<f32>, timestamps: Option<Vec<i64>>) -> Source {
        let roles = (spec.user.clone(), spec.item.clone());
        Source { frame, spec, parts, labels, weights: None, task: Task::Regression, roles, timestamps, movies: None }
    }

    fn open_tables(spec: TableSpec, train: &Path, valid: Option<&Path>, test: Option<&Path>) -> Result<Source> {
        let mut source = Source::new(DataFrame::empty(), spec, Parts::default(), vec![], None);
        for (part, path) in [(0, Some(train)), (1, valid), (2, test)] {
            let Some(path) = path else { continue };
            let table = declared(&read_table(path)?, &source.spec)?;
            let first = source.labels.len() as u32;
            source.labels.extend(numbers(&table, &source.spec.label, path)?);
            if let Some(name) = &source.spec.weight {
                source.weights.get_or_insert_default().extend(weights(&table, name, path)?);
            }
            if let Some(name) = &source.spec.timestamp {
                source.timestamps.get_or_insert_default().extend(integers(&table, name, path)?);
            }
            let rows = (first..source.labels.len() as u32).collect();
            match part {
                0 => (source.frame, source.parts.train) = (table, rows),
                _ => {
                    source.frame.vstack_mut(&table).map_err(|error| Error::data(path, None, error.to_string()))?;
                    *(if part == 1 { &mut source.parts.valid } else { &mut source.parts.test }) = rows;
                }
            }
        }
        if source.parts.train.is_empty() {
            return Err(Error::data(train, None, "it holds no row to train on"));
        }
        Ok(source)
    }

    fn open_movielens(config: &DataConfig, folder: &Path) -> Result<Source> {
        let mut data = movielens::read(folder)?;
        let mut frame = data.frame()?;
        let labels = numbers(&frame, "rating", folder)?;
        let timestamps = integers(&frame, "timestamp", folder)?;
        let fold = match config.split.parse()? {
            Split::Fold(name) => Some(movielens::official_fold(folder, &data, &name)?),
            _ => None,
        };
        let has_times = timestamps.iter().any(|time| *time != timestamps[0]);
        let usual = if frame.height() <= 2_000_000 { 100 } else { 20 };
        let history = if has_times { config.history.unwrap_or(usual) } else { 0 };
        let mut spec = movielens_spec(&frame, history, config);
        let parts = split(config, &frame, &spec, Some(&timestamps), fold)?;
        if !has_times {
            tracing::warn!("all timestamps are equal: there is no history, no hour and no weekday");
        }
        let (users, items) = (strings(&frame, "user_id")?, strings(&frame, "movie_id")?);
        if config.implicit > 0 {
            if config.task == TaskName::Ranking {
                return Err(Error::Spec(
                    "the films that a user rated give away those that a ranking looks for: leave out `implicit`, and take \
                     `history`, which has earlier ones alone"
                        .into(),
                ));
            }
            let columns = [("rated", &users, &items), ("raters", &items, &users)];
            for (name, keys, others) in columns {
                let (keys, _) = codes(keys);
                let lists =
                    companions(&keys, others, &timestamps, &parts.train, config.implicit).with_name(name.into());
                add_lists(&mut frame, &mut spec, lists, &parts.train)?;
            }
            data.movies = with_raters(&data.movies, &frame)?;
        }
        if history > 0 {
            let (users, _) = codes(&users);
            let likes = Likes {
                users: &users,
                items: &items,
                labels: &labels,
                timestamps: &timestamps,
                train: &parts.train,
                liked: LIKED,
            };
            let lists = liked_history(&likes, history).with_name("history".into());
            add_lists(&mut frame, &mut spec, lists, &parts.train)?;
        }
        let source = Source::new(frame, spec, parts, labels, Some(timestamps));
        Ok(Source { movies: Some(data.movies), ..source })
    }

    fn with_task(mut self, config: &DataConfig) -> Result<Source> {
        self.task = match config.task {
            TaskName::Regression if config.threshold.is_some() => {
                return Err(Error::Spec(
                    "`--threshold` is for `--task binary` and `--task ranking`: a regression predicts the label itself"
                        .into(),
                ));
            }
            TaskName::Regression => Task::Regression,
            TaskName::Binary => {
                let is_binary = self.labels.iter().all(|label| [0.0, 1.0].contains(label));
                let threshold = match (config.threshold, &self.movies) {
                    (Some(threshold), _) => threshold,
                    (None, Some(_)) => LIKED,
                    (None, None) if is_binary => 1.0,
                    (None, None) => {
                        return Err(Error::Spec(format!(
                            "column `{}` holds more than 0 and 1: give the least positive label as `--threshold`",
                            self.spec.label
                        )));
                    }
                };
                Task::Binary { threshold }
            }
            TaskName::Ranking => Task::Ranking { threshold: config.threshold },
        };
        match self.task {
            Task::Binary { threshold } | Task::Ranking { threshold: Some(threshold) } if !threshold.is_finite() => {
                Err(Error::Spec(format!("the threshold is {threshold}: it must be a finite number")))
            }
            _ => Ok(self),
        }
    }

    fn with_fields(mut self, fields: Option<&[String]>) -> Result<Source> {
        if let Some(fields) = fields {
            self.spec = self.spec.select(fields)?;
        }
        Ok(self)
    }

    /// Fits the vocabularies and statistics on the training rows.
    ///
    /// # Errors
    /// What [`fit`] returns.
    pub fn fit(&self) -> Result<Schema> {
        fit(&self.frame, &self.spec, &self.labels, &self.parts.train, self.task)
    }

    /// Encodes some rows with their labels and weights.
    ///
    /// # Errors
    /// What [`encode_labelled`] returns.
    pub fn encode(&self, schema: &Schema, rows: &[u32]) -> Result<Records> {
        let labels = Labels { labels: &self.labels, weights: self.weights.as_deref() };
        encode_labelled(&self.frame, schema, labels, rows)
    }

    /// Fields, cardinalities, coverage, sparsity and labels.
    ///
    /// # Errors
    /// What fitting returns.
    pub fn inspect(&self) -> Result<Inspection> {
        inspect(&self.frame, &self.fit()?, &self.labels, &self.parts)
    }

    /// Rows to score for a user: one for each item that the user has no row with, with the user's latest attributes and
    /// context. What is not known of a user is missing, and so falls on the out-of-vocabulary ids.
    ///
    /// # Errors
    /// [`Error::Spec`] if the table declares no user or no item.
    pub fn candidates(&self, user: &str) -> Result<Candidates> {
        let (user_field, item_field) = self.roles("recommending")?;
        let (users, items) = (strings(&self.frame, user_field)?, strings(&self.frame, item_field)?);
        let rows: Vec<usize> = (0..users.len()).filter(|&row| users.get(row) == Some(user)).collect();
        let latest = self.latest(rows.iter().copied());
        let seen: PlHashSet<&str> = rows.iter().filter_map(|&row| items.get(row)).collect();

        let catalogue = self.item_rows(item_field, &items)?;
        let ids = strings(&catalogue, item_field)?;
        let keep: BooleanChunked = ids.iter().map(|id| Some(id.is_some_and(|id| !seen.contains(id)))).collect();
        let polars = |error: PolarsError| Error::Spec(error.to_string());
        let catalogue = catalogue.filter(&keep).map_err(polars)?;
        let height = catalogue.height();

        let mut columns = Vec::with_capacity(self.spec.fields.len());
        for field in &self.spec.fields {
            let name = PlSmallStr::from_str(&field.name);
            if self.is_of_item(field) {
                columns.push(strings(&catalogue, &field.name)?.with_name(name).into_column());
                continue;
            }
            let column = match &self.of_user(&field.name, user, latest)? {
                Some(value) => StringChunked::full(name, value, height),
                None => StringChunked::full_null(name, height),
            };
            columns.push(column.into_column());
        }
        let (items, titles) = self.names(item_field, &catalogue)?;
        let frame = DataFrame::new(height, columns).map_err(polars)?;
        Ok(Candidates { frame, items, titles, known_user: latest.is_some() })
    }

    /// The fields that hold the user's and the item's identity, which `what` needs to know.
    fn roles(&self, what: &str) -> Result<(&str, &str)> {
        match (&self.spec.user, &self.spec.item) {
            (Some(user), Some(item)) => Ok((user, item)),
            _ => Err(Error::Spec(format!(
                "{what} needs to know who the user and the item are: declare `user` and `item` in schema.toml, and keep both \
                 fields"
            ))),
        }
    }

    /// The latest of some rows.
    fn latest(&self, rows: impl Iterator<Item = usize>) -> Option<usize> {
        rows.max_by_key(|&row| (self.timestamps.as_ref().map_or(0, |times| times[row]), row))
    }

    /// Whether a candidate's value of the field is the item's own.
    fn is_of_item(&self, field: &FieldSpec) -> bool {
        field.side == Side::Item || self.spec.item.as_ref() == Some(&field.name)
    }

    /// What a field that is not the item's holds for a user: what it held in the `latest` row, and the history of now.
    fn of_user(&self, field: &str, user: &str, latest: Option<usize>) -> Result<Option<String>> {
        Ok(match latest {
            _ if self.spec.user.as_deref() == Some(field) => Some(user.to_owned()),
            Some(_) if field == "history" && self.movies.is_some() => self.latest_history(user)?,
            Some(row) => strings(&self.frame, field)?.get(row).map(str::to_owned),
            None => None,
        })
    }

    /// All items, each as a row of which the item's own fields are filled, in the order of the data.
    ///
    /// # Errors
    /// [`Error::Spec`] if the table declares no item.
    pub fn items(&self) -> Result<Items> {
        let Some(item_field) = &self.spec.item else {
            return Err(Error::Spec(
                "a catalogue needs to know what an item is: declare `item` in schema.toml, and keep the field".into(),
            ));
        };
        let frame = self.item_rows(item_field, &strings(&self.frame, item_field)?)?;
        let (ids, titles) = self.names(item_field, &frame)?;
        Ok(Items { frame, ids, titles })
    }

    /// What a ranking needs beside the rows.
    ///
    /// # Errors
    /// [`Error::Spec`] if the table declares no user or no item.
    pub fn catalogue(&self, schema: &Schema) -> Result<Catalogue> {
        let (Some(user), Some(item)) = &self.roles else {
            return Err(Error::Spec(
                "a ranking needs to know who the user and the item are: declare `user` and `item` in schema.toml"
                    .into(),
            ));
        };
        let (users, items) = (strings(&self.frame, user)?, strings(&self.frame, item)?);
        let owned = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
        let catalogue = self.item_rows(item, &items)?;
        let source = CatalogueSource {
            rows: &self.frame,
            user,
            item,
            users: owned(codes(&users).1),
            item_ids: owned(strings(&catalogue, item)?.iter().map(Option::unwrap_or_default).collect()),
            items: &catalogue,
            labels: &self.labels,
            parts: &self.parts,
        };
        Catalogue::encode(&source, schema)
    }

    /// The ids of a catalogue's items, and their titles; the ids where there are none.
    fn names(&self, item_field: &str, catalogue: &DataFrame) -> Result<(Vec<String>, Vec<String>)> {
        let owned = |name: &str| -> Result<Vec<String>> {
            Ok(strings(catalogue, name)?.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
        };
        let ids = owned(item_field)?;
        let mut titles = self.spec.title.as_ref().map_or_else(|| Ok(ids.clone()), |title| owned(title))?;
        for (title, id) in titles.iter_mut().zip(&ids).filter(|(title, _)| title.trim().is_empty()) {
            title.clone_from(id);
        }
        Ok((ids, titles))
    }

    fn latest_history(&self, user: &str) -> Result<Option<String>> {
        let (user_field, item_field) = self.roles("a history")?;
        let (users, items) = (strings(&self.frame, user_field)?, strings(&self.frame, item_field)?);
        let (codes, names) = codes(&users);
        let Some(timestamps) = &self.timestamps else { return Ok(None) };
        let (labels, train) = (&self.labels, &self.parts.train);
        let likes = Likes { users: &codes, items: &items, labels, timestamps, train, liked: LIKED };
        let history = latest_history(&likes);
        Ok(names.iter().position(|name| *name == user).and_then(|code| history[code].clone()))
    }

    /// All items with their attributes: the films of MovieLens, or of each item of a table its last row.
    fn item_rows(&self, item_field: &str, items: &StringChunked) -> Result<DataFrame> {
        if let Some(movies) = &self.movies {
            return Ok(movies.clone());
        }
        let mut last: PlHashMap<&str, IdxSize> = PlHashMap::new();
        for (row, item) in items.iter().enumerate() {
            if let Some(item) = item.filter(|item| !item.is_empty()) {
                last.insert(item, row as IdxSize);
            }
        }
        let mut rows: Vec<IdxSize> = last.into_values().collect();
        rows.sort_unstable();
        let item_side = self.spec.fields.iter().filter(|field| field.side == Side::Item);
        let item_side = item_side.map(|field| field.name.as_str());
        let names: PlHashSet<&str> = item_side.chain([item_field]).chain(self.spec.title.as_deref()).collect();
        let frame = self.frame.select(names).map_err(|error| Error::Spec(error.to_string()))?;
        take_rows(&frame, &rows)
    }
}

/// What could be recommended.
#[derive(Debug)]
pub struct Items {
    /// A row for each item: a column for each of its own fields.
    pub frame: DataFrame,
    /// The items' ids.
    pub ids: Vec<String>,
    /// The items' names for people; the ids where there are none.
    pub titles: Vec<String>,
}

/// What could be recommended to a user.
#[derive(Debug)]
pub struct Candidates {
    /// A row for each item: a column for each field.
    pub frame: DataFrame,
    /// The items' ids.
    pub items: Vec<String>,
    /// The items' names for people; the ids where there are none.
    pub titles: Vec<String>,
    /// Whether the user has any row.
    pub known_user: bool,
}

/// The columns that the declaration names: others may differ from file to file.
fn declared(table: &DataFrame, spec: &TableSpec) -> Result<DataFrame> {
    let roles = [Some(&spec.label), spec.weight.as_ref(), spec.timestamp.as_ref(), spec.title.as_ref()];
    let roles = roles.into_iter().flatten();
    let mut names: Vec<&String> = spec.fields.iter().map(|field| &field.name).chain(roles).collect();
    names.sort();
    names.dedup();
    let columns = names.into_iter().map(|name| Ok(strings(table, name)?.with_name(name.into()).into_column()));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    DataFrame::new(table.height(), columns).map_err(|error| Error::Spec(error.to_string()))
}

fn split(
    config: &DataConfig,
    frame: &DataFrame,
    spec: &TableSpec,
    timestamps: Option<&[i64]>,
    fold: Option<(Vec<u32>, Vec<u32>)>,
) -> Result<Parts> {
    let users = spec.user.as_ref().map(|user| Ok::<_, Error>(codes(&strings(frame, user)?).0)).transpose()?;
    let fold = fold.as_ref().map(|(train, test)| (train.as_slice(), test.as_slice()));
    let columns = SplitColumns { users: users.as_deref(), timestamps, fold };
    config.split.parse::<Split>()?.parts(frame.height(), &columns, config.seed)
}

/// Adds a column of lists, whose field is declared, with no more slots than any training row fills.
fn add_lists(frame: &mut DataFrame, spec: &mut TableSpec, lists: StringChunked, train: &[u32]) -> Result<()> {
    let field = spec.fields.iter_mut().find(|field| lists.name() == &field.name);
    if let Some(FieldSpecKind::MultiValued { max_len: Some(max_len), .. }) = field.map(|field| &mut field.kind) {
        *max_len = longest(&lists, SEPARATOR, train, *max_len);
    }
    frame.with_column(lists.into_column()).map_err(|error| Error::Spec(error.to_string()))?;
    Ok(())
}

/// The films with the column `raters` of their ratings.
fn with_raters(movies: &DataFrame, ratings: &DataFrame) -> Result<DataFrame> {
    let (rated, raters) = (strings(ratings, "movie_id")?, strings(ratings, "raters")?);
    let of_films: HashMap<&str, Option<&str>> =
        rated.iter().zip(raters.iter()).filter_map(|(film, raters)| Some((film?, raters))).collect();
    let films = strings(movies, "movie_id")?;
    let lists: StringChunked = films.iter().map(|film| *of_films.get(film?)?).collect();
    let mut movies = movies.clone();
    movies
        .with_column(lists.with_name("raters".into()).into_column())
        .map_err(|error| Error::Spec(error.to_string()))?;
    Ok(movies)
}

/// The fields that a release has.
fn movielens_spec(frame: &DataFrame, history: usize, config: &DataConfig) -> TableSpec {
    let DataConfig { implicit, min_count, .. } = *config;
    let several =
        |max_len| FieldSpecKind::MultiValued { separator: SEPARATOR.into(), max_len, weighting: Weighting::Sqrt };
    let one = || FieldSpecKind::Categorical;
    let fields = [
        ("user_id", one(), Side::User),
        ("movie_id", one(), Side::Item),
        ("gender", one(), Side::User),
        ("age", one(), Side::User),
        ("occupation", one(), Side::User),
        ("zip", one(), Side::User),
        ("genres", several(None), Side::Item),
        ("year", one(), Side::Item),
        ("hour", one(), Side::Context),
        ("weekday", one(), Side::Context),
        ("history", several(Some(history)), Side::User),
        ("rated", several(Some(implicit)), Side::User),
        ("raters", several(Some(implicit)), Side::Item),
    ];
    let is_there = |name: &str| match name {
        "history" => history > 0,
        "rated" | "raters" => implicit > 0,
        name => frame.column(name).is_ok(),
    };
    let fields = fields
        .into_iter()
        .filter(|(name, ..)| is_there(name))
        .map(|(name, kind, side)| FieldSpec { min_count, ..FieldSpec::new(name, kind, side) })
        .collect();
    TableSpec {
        label: "rating".into(),
        weight: None,
        timestamp: Some("timestamp".into()),
        user: Some("user_id".into()),
        item: Some("movie_id".into()),
        title: Some("title".into()),
        fields,
    }
}
