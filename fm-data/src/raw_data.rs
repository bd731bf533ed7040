//! The rows of a run as text: read, declared and split, but not encoded.

use std::path::Path;

use fm_core::{Records, Schema, Task};
use polars::prelude::DataFrame;

use crate::config::{DataConfig, TaskName};
use crate::derived;
use crate::encode::{Labels, encode_labelled};
use crate::error::{Error, Result};
use crate::fit::fit;
use crate::inspect::{Inspection, inspect};
use crate::source::{DeclaredTable, Division, reader};
use crate::spec::TableSpec;
use crate::split::{Parts, Split, SplitColumns};
use crate::table::{codes, strings};

/// The rows of a run in memory, before encoding.
#[derive(Debug)]
pub struct RawData {
    /// All rows: a column of text for each field and role.
    pub frame: DataFrame,
    /// The fields and roles that the settings select.
    pub spec: TableSpec,
    /// Which rows train, validate and test.
    pub parts: Parts,
    /// `[N]`: the label of each row, before any threshold.
    pub labels: Vec<f32>,
    /// `[N]`: the time of each row, if rows have times.
    pub timestamps: Option<Vec<i64>>,
    /// `[N]`: the weight of each row, if rows have weights.
    pub weights: Option<Vec<f32>>,
    /// The list of all items, if the source has one.
    pub(crate) items: Option<DataFrame>,
    task: Task,
    /// The columns of the user and the item, even if they are not selected as fields.
    pub(crate) roles: Roles,
}

#[derive(Clone, Debug)]
pub(crate) struct Roles {
    pub user: Option<String>,
    pub item: Option<String>,
}

impl RawData {
    /// Reads and splits the rows. `data_dir` is the folder of downloaded data.
    ///
    /// # Errors
    /// Invalid files, or settings that contradict themselves or the files.
    pub fn open(config: &DataConfig, data_dir: &Path) -> Result<RawData> {
        let mut table = reader(config, data_dir)?.read(config)?;
        let roles = Roles { user: table.spec.user.clone(), item: table.spec.item.clone() };
        let parts = divide(&mut table, &roles, config)?;
        if let Some(fields) = &config.fields {
            table.spec = table.spec.select(fields)?;
        }
        derived::add(&mut table, roles.user.as_deref(), roles.item.as_deref(), &parts.train)?;
        let task = task(config, &table)?;
        let DeclaredTable { frame, spec, labels, timestamps, weights, items, .. } = table;
        Ok(RawData { frame, spec, parts, labels, timestamps, weights, items, task, roles })
    }

    /// Fits vocabularies and statistics to the training rows.
    ///
    /// # Errors
    /// As [`fit`].
    pub fn fit(&self) -> Result<Schema> {
        fit(&self.frame, &self.spec, &self.labels, &self.parts.train, self.task)
    }

    /// Encodes some rows with their labels and weights.
    ///
    /// # Errors
    /// As [`encode_labelled`].
    pub fn encode(&self, schema: &Schema, rows: &[u32]) -> Result<Records> {
        let labels = Labels { labels: &self.labels, weights: self.weights.as_deref() };
        encode_labelled(&self.frame, schema, labels, rows)
    }

    /// Fields, cardinalities, coverage, sparsity and labels.
    ///
    /// # Errors
    /// As [`fit`].
    pub fn inspect(&self) -> Result<Inspection> {
        inspect(&self.frame, &self.fit()?, &self.labels, &self.parts)
    }

    /// The latest of some rows; of several at the same time, the last.
    pub(crate) fn latest(&self, rows: impl Iterator<Item = usize>) -> Option<usize> {
        rows.max_by_key(|&row| (self.timestamps.as_ref().map_or(0, |times| times[row]), row))
    }
}

/// The parts that the source gives, or those of the settings' split.
fn divide(table: &mut DeclaredTable, roles: &Roles, config: &DataConfig) -> Result<Parts> {
    let fold = match &mut table.division {
        Division::Parts(parts) => return Ok(std::mem::take(parts)),
        Division::Fold { train, test } => Some((train.as_slice(), test.as_slice())),
        Division::Undivided => None,
    };
    let user = roles.user.as_ref().map(|user| strings(&table.frame, user)).transpose()?;
    let users = user.as_ref().map(|column| codes(column).0);
    let columns = SplitColumns { users: users.as_deref(), timestamps: table.timestamps.as_deref(), fold };
    config.split.parse::<Split>()?.parts(table.frame.height(), &columns, config.seed)
}

fn task(config: &DataConfig, table: &DeclaredTable) -> Result<Task> {
    let task = match (config.task, config.threshold) {
        (TaskName::Regression, Some(_)) => return Err(Error::UnusedThreshold),
        (TaskName::Regression, None) => Task::Regression,
        (TaskName::Binary, given) => {
            let is_binary = table.labels.iter().all(|label| [0.0, 1.0].contains(label));
            let default = table.least_positive.or(is_binary.then_some(1.0));
            let missing = || Error::MissingThreshold { label: table.spec.label.clone() };
            Task::Binary { threshold: given.or(default).ok_or_else(missing)? }
        }
        (TaskName::Ranking, threshold) => Task::Ranking { threshold },
    };
    match task {
        Task::Binary { threshold } | Task::Ranking { threshold: Some(threshold) } if !threshold.is_finite() => {
            Err(Error::Spec(format!("the threshold is {threshold}: it must be a finite number")))
        }
        _ => Ok(task),
    }
}
