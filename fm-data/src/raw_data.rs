//! The rows of a run as text, split but not encoded.

use std::path::Path;

use fm_core::schema::Reading;
use fm_core::{Encoder, Field, FieldKind, List, Records, Schema, Task};
use polars::prelude::{DataFrame, StringChunked};

use crate::config::{DataConfig, TaskName};
use crate::derived;
use crate::encode::{Columns, Labels, MissingColumns};
use crate::encoded::{EncodedRows, Place};
use crate::error::{Error, Result};
use crate::fit::{Fitted, fit_and_warn};
use crate::inspect::{Inspection, inspect};
use crate::source::{DeclaredTable, Division, reader};
use crate::spec::{FieldOrigin, FieldSpec, FieldSpecKind, ListSpec, TableSpec, TransformSpec};
use crate::split::{Parts, Split, SplitColumns};
use crate::table::{CompactTable, NO_CODE, TextColumns, values};

/// The rows of a run in memory, before encoding.
#[derive(Debug)]
pub struct RawData {
    /// All rows, with a column for each field and role.
    pub rows: CompactTable,
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
    /// What was decided about the rows because the settings do not.
    pub notes: Vec<String>,
    /// How many rows were left out because they cannot be read, in words; `None` if there were none.
    pub skipped: Option<String>,
    /// What is odd about the labels.
    warnings: Vec<String>,
    /// The list of all items, if the source has one.
    pub(crate) items: Option<DataFrame>,
    task: Task,
    /// The columns of the user and the item, even if they are not selected as fields.
    pub(crate) roles: Roles,
}

/// Encodes several sets of the rows with one encoder.
pub(crate) struct EncodableRows<'a> {
    data: &'a RawData,
    columns: Columns<'a, &'a Schema>,
}

impl EncodableRows<'_> {
    /// A set for `expected` rows.
    ///
    /// # Errors
    /// As [`EncodedRows::new`].
    pub fn set(&self, expected: usize, place: Place<'_>) -> Result<EncodedRows> {
        Ok(EncodedRows::new(self.columns.schema(), self.data.weights.is_some(), expected, place)?)
    }

    /// Appends some rows to a set.
    ///
    /// # Errors
    /// As [`RawData::encode`].
    pub fn encode(&self, rows: &[u32], to: &mut EncodedRows) -> Result<()> {
        let labels = Labels { labels: &self.data.labels, weights: self.data.weights.as_deref() };
        self.columns.encode_labelled(labels, rows, to)
    }

    /// The groups of the rows, for [`EncodedRows::finish`].
    ///
    /// # Errors
    /// [`Error::MissingColumn`].
    pub fn groups(&self, rows: &[u32]) -> Result<Option<Vec<i64>>> {
        match (self.columns.schema().label().task, &self.data.roles.user) {
            (Task::Binary { .. }, Some(user)) => Ok(Some(self.data.numbers_of_users(user, rows)?)),
            _ => Ok(None),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Roles {
    pub user: Option<String>,
    pub item: Option<String>,
    /// Which of them compare their values byte by byte.
    exact: Vec<String>,
}

impl Roles {
    fn of(spec: &TableSpec) -> Roles {
        let exact = [&spec.user, &spec.item].into_iter().flatten().filter(|name| spec.reading(name).is_exact());
        Roles { user: spec.user.clone(), item: spec.item.clone(), exact: exact.cloned().collect() }
    }
}

impl RawData {
    /// Reads and splits the rows, with all columns of a table that have a text form. `data_dir` is the folder of downloaded
    /// data.
    ///
    /// # Errors
    /// Invalid files, or settings that contradict themselves or the files.
    pub fn open(config: &DataConfig, data_dir: &Path) -> Result<RawData> {
        RawData::read(config, data_dir, true)
    }

    /// As [`RawData::open`], with the declared columns only.
    ///
    /// # Errors
    /// As [`RawData::open`].
    pub fn open_declared(config: &DataConfig, data_dir: &Path) -> Result<RawData> {
        RawData::read(config, data_dir, false)
    }

    fn read(config: &DataConfig, data_dir: &Path, others: bool) -> Result<RawData> {
        let mut table = reader(config, data_dir)?.read(config, others)?;
        let (mut notes, mut warnings) = (vec![], vec![]);
        let parts = divide(&mut table, config, &mut notes)?;
        let task = task(config, &table, &mut notes, &mut warnings)?;
        let data = RawData::of(table, config, parts, |parts| &parts.train, task)?;
        Ok(RawData { notes, warnings, ..data })
    }

    /// Reads new rows for a trained model: all rows of the data set `data` are test rows, and none trains. `config` and
    /// `schema` are those of the model; the rows need its label and its fields.
    ///
    /// # Errors
    /// As [`RawData::open`].
    pub fn open_new(config: &DataConfig, schema: &Schema, data: &str, data_dir: &Path) -> Result<RawData> {
        let spec = match &config.schema {
            // The order of new rows does not matter, and a history is one of the rows of training: new rows have it as a column.
            Some(spec) => {
                let given = |field: &FieldSpec| FieldSpec { origin: FieldOrigin::Column, ..field.clone() };
                TableSpec { timestamp: None, fields: spec.fields.iter().map(given).collect(), ..spec.clone() }
            }
            None => declaration(schema),
        };
        let config = DataConfig {
            data: Some(data.to_owned()),
            train: None,
            valid: None,
            test: None,
            schema: Some(spec),
            split: Split::default().to_string(),
            ..config.clone()
        };
        let table = reader(&config, data_dir)?.read(&config, true)?;
        let parts = Parts { test: (0..table.labels.len() as u32).collect(), ..Parts::default() };
        RawData::of(table, &config, parts, |parts| &parts.test, schema.label().task)
    }

    /// The selected fields of a table. Those derived from other rows are derived from the rows `known`.
    fn of(
        mut table: DeclaredTable,
        config: &DataConfig,
        parts: Parts,
        known: fn(&Parts) -> &[u32],
        task: Task,
    ) -> Result<RawData> {
        let roles = Roles::of(&table.spec);
        if let Some(fields) = &config.fields {
            table.spec = table.spec.select(fields)?;
        }
        derived::add(&mut table, roles.user.as_deref(), roles.item.as_deref(), known(&parts))?;
        let DeclaredTable { rows, spec, labels, timestamps, weights, items, origin, .. } = table;
        let (notes, warnings, skipped) = (vec![], vec![], origin.skipped().warning());
        Ok(RawData { rows, spec, parts, labels, timestamps, weights, notes, skipped, warnings, items, task, roles })
    }

    /// Fits vocabularies and statistics to the training rows.
    ///
    /// # Errors
    /// Like [`fit`](crate::fit::fit).
    pub fn fit(&self) -> Result<Schema> {
        Ok(self.fit_and_warn()?.schema)
    }

    /// As [`RawData::fit`], with warnings.
    ///
    /// # Errors
    /// As [`fit_and_warn`].
    pub fn fit_and_warn(&self) -> Result<Fitted> {
        let RawData { rows, spec, labels, parts, task, .. } = self;
        let fitted = fit_and_warn(rows, spec, labels, &parts.train, *task)?;
        let warnings = self.skipped.iter().chain(&self.warnings).cloned().chain(fitted.warnings).collect();
        Ok(Fitted { warnings, ..fitted })
    }

    /// Encodes some rows with their labels and weights. Of a binary task, the groups of the rows are their users, for
    /// metrics within users. Rows that would take much memory go to a file without a name in the folder of downloaded data.
    ///
    /// # Errors
    /// Like [`encode_labelled`](crate::encode_labelled).
    pub fn encode(&self, schema: &Schema, rows: &[u32]) -> Result<Records> {
        let encoder = Encoder::new(schema);
        let encodable = self.encodable(&encoder)?;
        let bytes = size_of::<u32>() * schema.num_fields() * rows.len();
        let place = self.rows.folder_for(bytes).map_or(Place::Memory, Place::Folder);
        let mut set = encodable.set(rows.len(), place)?;
        encodable.encode(rows, &mut set)?;
        Ok(set.finish(schema, encodable.groups(rows)?)?)
    }

    /// The rows with an encoder that can encode several sets of them.
    ///
    /// # Errors
    /// [`Error::MissingColumn`] if there is no column for a field.
    pub(crate) fn encodable<'a>(&'a self, encoder: &'a Encoder<&'a Schema>) -> Result<EncodableRows<'a>> {
        Ok(EncodableRows { data: self, columns: Columns::new(&self.rows, encoder, MissingColumns::Error)? })
    }

    /// A number for the user of each row, and -1 for none. The text of a user is what tells users apart: values of one
    /// hash bucket, rare values, and values that training has not seen share an id.
    fn numbers_of_users(&self, user: &str, rows: &[u32]) -> Result<Vec<i64>> {
        let codes = self.rows.column(user)?.codes_of_values(self.reading(user), rows.iter().copied());
        Ok(codes.into_iter().map(|code| if code == NO_CODE { -1 } else { code.into() }).collect())
    }

    /// Fields, cardinalities, coverage, sparsity and labels. Warns about odd values of the training rows.
    ///
    /// # Errors
    /// Like [`fit`](crate::fit::fit).
    pub fn inspect(&self) -> Result<Inspection> {
        let Fitted { schema, warnings } = self.fit_and_warn()?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        inspect(&self.rows, &schema, &self.labels, &self.parts)
    }

    /// The values of a column in the form in which they are compared, such as those of the user; missing ones are null.
    ///
    /// # Errors
    /// [`Error::MissingColumn`] if there is no such column.
    pub fn values(&self, name: &str) -> Result<StringChunked> {
        values(&self.rows, name, self.reading(name))
    }

    /// How the texts of a field, the user or the item become values.
    pub fn reading(&self, name: &str) -> Reading<'_> {
        match self.roles.exact.iter().any(|exact| exact == name) {
            true => Reading::new(true, &self.spec.null_values),
            false => self.spec.reading(name),
        }
    }

    /// The same rows with the training rows in sequence: by time if they have times, otherwise as in the table.
    #[must_use]
    pub fn in_sequence(mut self) -> RawData {
        match &self.timestamps {
            Some(times) => self.parts.train.sort_unstable_by_key(|&row| (times[row as usize], row)),
            None => self.parts.train.sort_unstable(),
        }
        self
    }

    /// The latest of some rows; the last one if several have the same time.
    pub(crate) fn latest(&self, rows: impl Iterator<Item = usize>) -> Option<usize> {
        rows.max_by_key(|&row| (self.timestamps.as_ref().map_or(0, |times| times[row]), row))
    }
}

/// The parts given by the source, or those of the split in the settings.
fn divide(table: &mut DeclaredTable, config: &DataConfig, notes: &mut Vec<String>) -> Result<Parts> {
    let split: Split = config.split.parse()?;
    let given = match &mut table.division {
        Division::Parts(parts) if config.valid.is_some() => return Ok(std::mem::take(parts)),
        Division::Parts(parts) => Some(std::mem::take(parts)),
        Division::Fold { .. } | Division::Undivided => None,
    };
    let fold = match &table.division {
        Division::Fold { train, test } => Some((train.as_slice(), test.as_slice())),
        Division::Parts(_) | Division::Undivided => None,
    };
    let all = || 0..table.rows.height() as u32;
    let users = |user: &String| -> Result<Vec<u32>> {
        Ok(table.rows.column(user)?.codes_of_values(table.spec.reading(user), all()))
    };
    let user = table.spec.user.as_ref().filter(|_| split == Split::LeaveLastOut);
    let users = user.map(users).transpose()?;
    let columns = SplitColumns { users: users.as_deref(), timestamps: table.timestamps.as_deref(), fold };
    let Some(Parts { train, test, .. }) = given else {
        return split.parts(table.rows.height(), &columns, config.seed);
    };
    let (n, (train, valid, how)) = (train.len(), split.hold_out(train, &columns, config.seed)?);
    if !valid.is_empty() {
        let split = split.to_string();
        notes.push(format!(
            "there is no validation table: {} of the {n} training rows validate, {how}; the split, which is `{split}`, \
             decides their share",
            valid.len()
        ));
    }
    Ok(Parts { train, valid, test })
}

/// What the settings and the labels say about the task.
fn task(
    config: &DataConfig,
    table: &DeclaredTable,
    notes: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<Task> {
    // libsvm files have -1 for 0.
    let are = |labels: [f32; 2]| table.labels.iter().all(|label| labels.contains(label));
    let is_binary = || are([0.0, 1.0]) || are([-1.0, 1.0]);
    let column = &table.spec.label;
    let task = match (config.task, config.threshold) {
        (TaskName::Regression, Some(_)) => return Err(Error::UnusedThreshold),
        (TaskName::Regression, None) => Task::Regression,
        (TaskName::Binary, given) => {
            let default = table.least_positive.or(is_binary().then_some(1.0));
            let missing = || {
                let is_other = |label: &f32| ![-1.0, 0.0, 1.0].contains(label);
                let row = table
                    .labels
                    .iter()
                    .position(is_other)
                    .or_else(|| table.labels.iter().position(|&label| label < 0.0));
                let row = row.unwrap_or_default();
                let other = table.labels.get(row).copied().unwrap_or_default();
                let reason = format!("column `{column}` has values other than 0 and 1, such as {other}");
                Error::MissingThreshold { row: Box::new(table.origin.error(row, &reason)) }
            };
            Task::Binary { threshold: given.or(default).ok_or_else(missing)? }
        }
        (TaskName::Ranking, None) if table.least_positive.is_none() => {
            let labels = || table.labels.iter().copied();
            let (min, max) = (labels().fold(f32::INFINITY, f32::min), labels().fold(f32::NEG_INFINITY, f32::max));
            if min < max && is_binary() {
                let positives = labels().filter(|&label| label == 1.0).count();
                notes.push(format!(
                    "the {positives} of {} rows with the label 1 in column `{column}` are what users want, and those with \
                     {min} are not; with a threshold of {min}, all rows are",
                    table.labels.len()
                ));
                Task::Ranking { threshold: Some(1.0) }
            } else {
                if min < max {
                    warnings.push(format!(
                        "the labels in column `{column}` range from {min} to {max}, but a ranking without a `threshold` takes \
                         all {} rows as what users want: set it to the smallest label of a row that a user likes, or to \
                         {min} if all rows count",
                        table.labels.len()
                    ));
                }
                Task::Ranking { threshold: None }
            }
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

/// The declaration of a table with the label and the fields of a schema.
fn declaration(schema: &Schema) -> TableSpec {
    let kind = |kind: &FieldKind| {
        let list = |list: &List| ListSpec {
            keep: list.keep,
            ..ListSpec::new(&list.separator, Some(list.max_len), list.weighting)
        };
        match kind {
            FieldKind::Categorical => FieldSpecKind::Categorical,
            FieldKind::MultiValued(values) => FieldSpecKind::MultiValued(list(values)),
            FieldKind::Sequence(values) => FieldSpecKind::Sequence(list(values)),
            FieldKind::Numeric { .. } => FieldSpecKind::Numeric,
            FieldKind::Transformed(transform) => FieldSpecKind::Transformed(TransformSpec::of(transform)),
        }
    };
    let field = |field: &Field| FieldSpec {
        exact: field.exact,
        column: field.column.clone(),
        derived: field.derived.clone(),
        shares: field.shares.clone(),
        ..FieldSpec::new(&field.name, kind(&field.kind), field.side)
    };
    let role = |role: Option<&str>| role.map(str::to_owned);
    TableSpec {
        user: role(schema.user()),
        item: role(schema.item()),
        ..TableSpec::new(&schema.label().column, schema.fields().iter().map(field).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A release of one user, who rates movies 1 to 4 at times 1 to 4 with 5, 3, 4 and 5 stars.
    fn release() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ratings.dat", "7::1::5::1\n7::2::3::2\n7::3::4::3\n7::4::5::4\n");
        write(
            "movies.dat",
            "1::A (1990)::War\n2::B (1991)::War\n3::C (1992)::Drama\n4::D (1993)::Drama\n9::E (1994)::War\n",
        );
        folder
    }

    fn open(change: impl FnOnce(DataConfig) -> DataConfig) -> Result<RawData> {
        let folder = release();
        let data = Some(folder.path().display().to_string());
        let config = DataConfig { data, split: "time:0.25:0.25".into(), ..DataConfig::default() };
        RawData::open(&change(config), folder.path())
    }

    fn cells(table: &impl TextColumns, name: &str) -> Vec<String> {
        table.texts(name).unwrap().iter().map(|cell| cell.unwrap_or("-").to_owned()).collect()
    }

    #[test]
    fn the_history_of_a_rating_has_earlier_training_rows_and_that_of_a_new_row_all_of_them() {
        let data = open(|config| config).unwrap();
        assert_eq!(
            (&data.parts.train[..], &data.parts.valid[..], &data.parts.test[..]),
            (&[0, 1][..], &[2][..], &[3][..])
        );
        assert_eq!(cells(&data.rows, "history"), ["-", "1", "1", "1"]);
        let data = open(|config| DataConfig { split: "time:0:0.25".into(), ..config }).unwrap();
        assert_eq!(cells(&data.rows, "history"), ["-", "1", "1", "3|1"]);
        let unseen = data.catalogue().unwrap().unseen("7").unwrap();
        assert_eq!(unseen.items.titles, ["E (1994)"]);
        assert_eq!(
            (cells(&unseen.items.frame, "history"), cells(&unseen.items.frame, "genres")),
            (vec!["3|1".to_owned()], vec!["War".to_owned()])
        );
    }

    #[test]
    fn fields_derived_from_user_and_item_need_neither_as_a_field() {
        let data = open(|config| DataConfig { fields: Some(vec!["history".into()]), ..config }).unwrap();
        assert_eq!(cells(&data.rows, "history"), ["-", "1", "1", "1"]);
        assert!(matches!(data.catalogue().unwrap_err(), Error::NoRole { user: false, .. }));
    }

    #[test]
    fn movies_that_a_user_liked_have_4_stars_or_more_unless_a_threshold_is_given() {
        let threshold = |threshold| {
            let data = open(|config| DataConfig { task: TaskName::Binary, threshold, ..config }).unwrap();
            data.fit().unwrap().label().task
        };
        assert_eq!(threshold(None), Task::Binary { threshold: 4.0 });
        assert_eq!(threshold(Some(5.0)), Task::Binary { threshold: 5.0 });
        assert!(matches!(open(|config| DataConfig { threshold: Some(4.0), ..config }), Err(Error::UnusedThreshold)));
        let infinite = open(|config| DataConfig { task: TaskName::Binary, threshold: Some(f32::INFINITY), ..config });
        assert!(infinite.unwrap_err().to_string().contains("must be a finite number"));
    }

    #[test]
    fn a_ranking_has_no_lists_that_reveal_the_movies_to_rank() {
        let error = open(|config| DataConfig { task: TaskName::Ranking, implicit: 5, ..config }).unwrap_err();
        assert!(error.to_string().contains("leave out `implicit`"), "{error}");
    }
}
