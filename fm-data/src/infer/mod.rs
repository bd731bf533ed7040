//! A first declaration of a table, inferred from a sample of its rows.
//!
//! ```
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("clicks.csv");
//! std::fs::write(&path, "user_id,tags,click\n7,news|sport,0\n8,news,1\n7,sport|music,1\n").unwrap();
//! let inferred = fm_data::infer(&path, &fm_data::InferOptions::default())?;
//! assert_eq!((inferred.spec.label.as_str(), inferred.spec.user.as_deref()), ("click", Some("user_id")));
//! assert_eq!(inferred.task, fm_data::TaskName::Binary);
//! # Ok::<(), fm_data::Error>(())
//! ```

mod column;
mod document;
mod names;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use fm_core::calendar::instant;
use fm_core::number::number;
use fm_core::schema::{Derived, TimePart};
use fm_core::{Keep, Side, Weighting};
use polars::prelude::{DataFrame, StringChunked};

use self::column::{Content, Values, content};
use self::names::Name;
use crate::config::TaskName;
use crate::error::{Error, Result, shown};
use crate::fit::MAX_LEN;
use crate::format::{OnBadRow, sparse};
use crate::spec::{FieldSpec, FieldSpecKind, ListSpec, TableSpec, TransformSpec};
use crate::table::{
    BadRows, ChunkSize, DecimalMark, NO_CODE, Origin, ReadOptions, RowCheck, TableReader, labels, sparse_fields,
    strings,
};

/// Number of bytes of text after which a sample ends.
const MOST_BYTES: usize = 256 << 20;

/// What is known about a table before its rows are read.
#[derive(Clone, Debug)]
pub struct InferOptions {
    /// The column of the label. By default, its name shows it.
    pub label: Option<String>,
    /// The maximum number of rows that are read, from the start of the table.
    pub rows: usize,
    /// What becomes of rows that cannot be read. Those that are skipped do not count, and are not reported: they will be when
    /// the whole table is read.
    pub on_bad_row: OnBadRow,
}

impl Default for InferOptions {
    fn default() -> InferOptions {
        InferOptions { label: None, rows: 100_000, on_bad_row: OnBadRow::Fail }
    }
}

/// A declaration with the reasons for it.
#[derive(Clone, Debug)]
pub struct Inferred {
    /// The declaration.
    pub spec: TableSpec,
    /// The task that suits the labels: regression or binary.
    pub task: TaskName,
    /// The columns, in the order of the table.
    pub columns: Vec<Finding>,
    /// The number of rows that were read.
    pub rows: usize,
    /// Whether these are all rows of the table.
    pub is_whole: bool,
    /// What is odd about the table, a line each.
    pub warnings: Vec<String>,
    /// How many of these rows were left out because they cannot be read, in words; `None` if there were none.
    pub skipped: Option<String>,
    /// The table.
    pub table: PathBuf,
}

/// What was decided about a column.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its name.
    pub column: String,
    /// What it is used as.
    pub role: Role,
    /// What was seen in it.
    pub reason: String,
}

/// What a column is used as.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// What the model predicts.
    Label,
    /// How much a row counts.
    Weight,
    /// The order of the rows.
    Timestamp,
    /// The name of the item.
    Title,
    /// A field of this kind.
    Field(Box<FieldSpec>),
    /// Nothing.
    LeftOut,
}

/// Infers the declaration of a table from its first rows: the label, the kind of each column, the user, the item, the
/// time, texts for missing values, and the decimal mark. Columns that cannot help are left out: those without values,
/// with the same value in each row, with a value of their own in each row, or that give the label away.
///
/// # Errors
/// Those of [`TableReader`]; [`Error::NoLabel`] if no column has the name of a label; [`Error::MissingColumn`];
/// [`Error::Data`] for a label that is not a number; [`Error::Spec`] if no column can be a field.
pub fn infer(path: impl AsRef<Path>, options: &InferOptions) -> Result<Inferred> {
    let path = path.as_ref();
    let bad_rows = BadRows::new(options.on_bad_row);
    let Sample { table, is_whole, in_file, origin } = sample(path, options.rows, &bad_rows)?;
    if table.height() == 0 {
        bad_rows.finish(path, 0)?;
        return Err(Error::data(path, None, "has no rows to infer its fields from"));
    }
    let names: Vec<String> = table.get_column_names().iter().map(|name| name.to_string()).collect();
    let is_sparse = sparse_fields(path).is_some();
    let label = match (&options.label, is_sparse) {
        (Some(label), _) => label.clone(),
        (None, true) => sparse::LABEL.to_owned(),
        (None, false) => {
            name_of_label(&names).ok_or_else(|| Error::NoLabel { table: shown(path), there: names.clone() })?
        }
    };
    let table = RowCheck::of_labels(&label, false).apply(table, 0, &origin, &bad_rows)?;
    let skipped = bad_rows.finish(path, table.height())?.warning();
    let found = labels(&table, &label, &origin).map_err(Error::of_row)?;
    let (task, reason) = task(&found);
    let finding = Finding { column: label.clone(), role: Role::Label, reason };
    let mut inferred = Inferred {
        spec: TableSpec::new(&label, vec![]),
        task,
        columns: vec![],
        rows: table.height(),
        is_whole,
        warnings: vec![],
        skipped,
        table: path.to_owned(),
    };
    match is_sparse {
        true => inferred.declare_sparse(&table, finding)?,
        false => inferred.declare_columns(&table, &names, &in_file, &found, finding)?,
    }
    let is_field =
        |finding: &Finding| if let Role::Field(field) = &finding.role { Some((**field).clone()) } else { None };
    inferred.spec.fields = inferred.columns.iter().filter_map(is_field).collect();
    if inferred.spec.fields.is_empty() {
        let reason = |finding: &Finding| format!("`{}` {}", finding.column, finding.reason);
        let others = inferred.columns.iter().filter(|finding| finding.role == Role::LeftOut);
        let reasons: Vec<String> = others.take(3).map(reason).collect();
        return Err(Error::Spec(format!(
            "{}: no column can be a field: {}",
            shown(path).display(),
            reasons.join(", ")
        )));
    }
    inferred.spec.check()?;
    Ok(inferred)
}

/// The first rows of a table.
struct Sample {
    /// With every column as text.
    table: DataFrame,
    /// Whether these are all rows.
    is_whole: bool,
    /// The names of the columns in the file.
    in_file: Vec<String>,
    origin: Origin,
}

fn sample(path: &Path, rows: usize, bad_rows: &BadRows) -> Result<Sample> {
    let size = ChunkSize { rows: rows.clamp(1, ChunkSize::default().rows), ..ChunkSize::default() };
    let options = ReadOptions { size, bad_rows: bad_rows.clone(), ..ReadOptions::default() };
    let mut chunks = TableReader::open_with(path, &options)?;
    let in_file = chunks.names().to_vec();
    let (mut table, mut origin) = (DataFrame::default(), Origin::new(options));
    let mut is_whole = false;
    while table.height() <= rows && table.estimated_size() <= MOST_BYTES {
        let Some(chunk) = chunks.next().transpose()? else {
            is_whole = true;
            break;
        };
        origin.push(chunks.file(), chunk.height());
        table = if table.width() == 0 { chunk } else { table.vstack(&chunk)? };
    }
    is_whole &= table.height() <= rows;
    Ok(Sample { table: table.slice(0, rows), is_whole, in_file, origin })
}

fn name_of_label(names: &[String]) -> Option<String> {
    let rank = |name: &&String| Name::new(name).label_rank();
    names.iter().filter(|name| rank(name).is_some()).min_by_key(rank).cloned()
}

/// The distinct labels, the smallest first.
fn distinct(labels: &[f32]) -> Vec<f32> {
    let mut distinct = labels.to_vec();
    distinct.sort_unstable_by(f32::total_cmp);
    distinct.dedup();
    distinct
}

/// The task that suits labels, and what the labels are.
fn task(labels: &[f32]) -> (TaskName, String) {
    let distinct = distinct(labels);
    let share =
        |label: f32| 100.0 * labels.iter().filter(|&&other| other == label).count() as f64 / labels.len() as f64;
    match distinct[..] {
        [0.0, 1.0] => (TaskName::Binary, format!("1 in {:.1}% of the rows, otherwise 0", share(1.0))),
        [-1.0, 1.0] => (TaskName::Binary, format!("1 in {:.1}% of the rows, otherwise -1", share(1.0))),
        [0.0] | [1.0] => (TaskName::Binary, format!("{} in every row", distinct[0])),
        [] | [_] => (TaskName::Regression, "the same number in every row".into()),
        [least, .., most] => {
            (TaskName::Regression, format!("{} distinct numbers from {least} to {most}", distinct.len()))
        }
    }
}

/// A column that may become a field.
struct Candidate<'a> {
    name: Name,
    values: Values<'a>,
    content: Content,
    reason: String,
}

impl Inferred {
    /// The fields of a sparse file are lists of indices with their values.
    fn declare_sparse(&mut self, table: &DataFrame, label: Finding) -> Result<()> {
        let list = ListSpec { keep: Keep::Last, ..ListSpec::new(sparse::SEPARATOR, None, Weighting::Given) };
        self.columns.push(label);
        for name in table.get_column_names() {
            let (column, longest) = (name.to_string(), longest_list(&strings(table, name)?));
            let finding = match column.as_str() {
                sparse::LABEL => continue,
                sparse::QUERY => {
                    let reason = "the query of the row".into();
                    Finding { role: Role::LeftOut, reason, column }
                }
                _ => {
                    // Fitting finds the longest list up to the default maximum.
                    let most = if self.is_whole { longest } else { 4 * longest };
                    let max_len = Some(most).filter(|most| *most > MAX_LEN);
                    let kind = FieldSpecKind::MultiValued(ListSpec { max_len, ..list.clone() });
                    let role = Role::Field(FieldSpec::new(&column, kind, Side::Context).into());
                    Finding { role, reason: format!("lists of up to {longest} indices with their values"), column }
                }
            };
            self.columns.push(finding);
        }
        Ok(())
    }

    fn declare_columns(
        &mut self,
        table: &DataFrame,
        names: &[String],
        in_file: &[String],
        labels: &[f32],
        label: Finding,
    ) -> Result<()> {
        let texts = names.iter().map(|name| strings(table, name)).collect::<Result<Vec<StringChunked>>>()?;
        let candidate = |(name, texts)| {
            let (name, values) = (Name::new(name), Values::new(texts));
            let (content, reason) = content(&name, &values);
            Candidate { name, values, content, reason }
        };
        let candidates: Vec<Candidate<'_>> =
            crate::threads::map(names.iter().map(String::as_str).zip(&texts), names.len() * table.height(), candidate);
        let [user, item] = [Name::is_user, Name::is_item as fn(&Name) -> bool].map(|is| {
            let is_role = |one: &Candidate<'_>| is(&one.name) && one.content == Content::Categorical;
            names.iter().zip(&candidates).position(|(name, one)| *name != self.spec.label && is_role(one))
        });
        let time = time_of(&candidates, user.map(|user| &candidates[user]), item.map(|item| &candidates[item]));
        let is_weight = |one: &Candidate<'_>| one.values.counts.iter().all(|(value, _)| number(value).is_some());
        let weight = candidates.iter().position(|one| one.name.is_weight() && is_weight(one));
        let label_codes = codes_of_labels(labels);
        let has_points = |texts: &StringChunked| texts.iter().flatten().any(is_decimal_point);
        let is_point = |(one, texts): (&Candidate<'_>, &StringChunked)| {
            one.content == Content::Numeric { has_commas: false } && has_points(texts)
        };
        let uses_points = candidates.iter().zip(&texts).any(is_point);
        for (at, (column, one)) in names.iter().zip(&candidates).enumerate() {
            let side = match at {
                _ if user == Some(at) => Side::User,
                _ if item == Some(at) => Side::Item,
                _ => side(one, user.map(|user| &candidates[user]), item.map(|item| &candidates[item])),
            };
            let field = |kind| FieldSpec { min_count: least_count(&one.values), ..FieldSpec::new(column, kind, side) };
            let is_title = || {
                item.is_some_and(|item| one.name.is_title() && candidates[item].values.determines(&one.values) > 0.99)
            };
            let mut reason = one.reason.clone();
            let role = match &one.content {
                _ if *column == self.spec.label => {
                    self.columns.push(label.clone());
                    continue;
                }
                _ if column.is_empty() || in_file.iter().filter(|name| *name == column).count() != 1 => {
                    reason = "has no name of its own".into();
                    Role::LeftOut
                }
                Content::Constant(_) if !self.is_whole && !one.name.is_time() => {
                    Role::Field(field(FieldSpecKind::Categorical).into())
                }
                Content::Empty if !self.is_whole => {
                    reason = "has no value in these rows".into();
                    Role::LeftOut
                }
                Content::Empty | Content::Constant(_) => Role::LeftOut,
                _ if time == Some(at) => Role::Timestamp,
                Content::Time { .. } => {
                    reason.push_str(", which do not order the rows");
                    Role::LeftOut
                }
                Content::Numeric { .. } | Content::Categorical if weight == Some(at) => Role::Weight,
                Content::Categorical | Content::Unrepeated(_) | Content::List(_) if is_title() => Role::Title,
                Content::Unrepeated(why) => {
                    reason = (*why).to_owned();
                    Role::LeftOut
                }
                _ if gives_away(&one.values, &label_codes) => {
                    reason = format!("gives the label away: {reason}, nearly every one with one label only");
                    self.warnings.push(format!(
                        "`{column}` gives the label away: nearly every one of its {} values occurs with one label only; it is \
                         left out, so declare it if it is known before the label is",
                        one.values.distinct()
                    ));
                    Role::LeftOut
                }
                Content::Numeric { has_commas: true } if uses_points => {
                    self.warnings.push(format!(
                        "`{column}` looks like numbers with a decimal comma, but other columns have decimal points: it is \
                         taken as categories; write all numbers in one form"
                    ));
                    Role::Field(field(FieldSpecKind::Categorical).into())
                }
                Content::Numeric { has_commas } => {
                    if *has_commas {
                        self.spec.decimal = DecimalMark::Comma;
                    }
                    let kind = match !has_commas && is_heavy_tailed(&one.values) {
                        true => FieldSpecKind::Transformed(TransformSpec::Log),
                        false => FieldSpecKind::Numeric,
                    };
                    Role::Field(FieldSpec { min_count: 1, ..field(kind) }.into())
                }
                Content::List(list) => Role::Field(field(FieldSpecKind::MultiValued(list.clone())).into()),
                Content::Categorical => Role::Field(field(FieldSpecKind::Categorical).into()),
            };
            for null in one.values.nulls.iter().filter(|_| role != Role::LeftOut) {
                if !self.spec.null_values.iter().any(|known| known == null) {
                    self.spec.null_values.push((*null).to_owned());
                }
            }
            let missing = one.values.codes.len() - one.values.present();
            if missing > 0 && one.values.present() > 0 {
                reason.push_str(&format!(", missing in {}", percent(missing, one.values.codes.len())));
            }
            self.columns.push(Finding { column: column.clone(), role, reason });
        }
        if let Some((at, column)) = time.map(|at| (at, &names[at])).filter(|(_, column)| self.is_timestamp(column)) {
            let fields = fields_of_time(column, &candidates[at].values);
            let fields = fields.into_iter().filter(|(field, _)| !names.contains(&field.name));
            self.columns.extend(fields.map(|(field, reason)| Finding {
                column: field.name.clone(),
                role: Role::Field(field.into()),
                reason,
            }));
        }
        let name_of =
            |role: &Role| self.columns.iter().find(|found| found.role == *role).map(|found| found.column.clone());
        let (timestamp, title, weight) = (name_of(&Role::Timestamp), name_of(&Role::Title), name_of(&Role::Weight));
        let field = |at: Option<usize>| at.map(|at| &names[at]).filter(|name| self.is_field(name)).cloned();
        let (user, item) = (field(user), field(item));
        self.spec = TableSpec { timestamp, title, weight, user, item, ..self.spec.clone() };
        Ok(())
    }

    fn is_timestamp(&self, name: &str) -> bool {
        self.columns.iter().any(|finding| finding.column == name && finding.role == Role::Timestamp)
    }

    fn is_field(&self, name: &str) -> bool {
        self.columns.iter().any(|finding| finding.column == name && matches!(finding.role, Role::Field(_)))
    }
}

/// The position of the column that orders the rows: the first that is named as a time, or else the first of all times.
fn time_of(candidates: &[Candidate<'_>], user: Option<&Candidate<'_>>, item: Option<&Candidate<'_>>) -> Option<usize> {
    let is_of = |one: &Candidate<'_>, other: Option<&Candidate<'_>>| {
        other.is_some_and(|other| other.values.determines(&one.values) > 0.99)
    };
    // A row without a time has no place in the order, and dates of birth or release order no rows.
    let is_time = |one: &Candidate<'_>| {
        one.content == Content::Time { has_dates: true }
            && one.values.present() == one.values.codes.len()
            && !one.name.is_other_time()
            && !is_of(one, user)
            && !is_of(one, item)
    };
    let named = candidates.iter().position(|one| is_time(one) && one.name.is_time());
    named.or_else(|| candidates.iter().position(is_time))
}

/// The hour and the weekday of the rows' times, with reasons. A part whose values come one after another in the rows tells little
/// of later rows, so each must recur.
fn fields_of_time(column: &str, values: &Values<'_>) -> Vec<(FieldSpec, String)> {
    let times = values.counts.iter().filter_map(|(text, _)| instant(text)).map(|(seconds, _)| seconds);
    let days: HashSet<i64> = times.clone().map(|seconds| seconds.div_euclid(86_400)).collect();
    let hours: HashSet<i64> = times.map(|seconds| seconds.rem_euclid(86_400) / 3_600).collect();
    let span = days.iter().max().zip(days.iter().min()).map_or(0, |(last, first)| last - first + 1);
    let recurs =
        [(TimePart::Hour, hours.len() > 1 && days.len() >= 3), (TimePart::Weekday, days.len() >= 7 && span >= 14)];
    let parts = recurs.into_iter().filter(|(_, recurs)| *recurs).map(|(part, _)| part);
    let field = |part: TimePart| {
        let derived = Derived { time: Some(part), ..Derived::default() };
        let name = format!("{column}_{}", part.name());
        let field = FieldSpec::new(name, FieldSpecKind::Categorical, Side::Context);
        let reason = format!("the {} of `{column}` in UTC, which spans {span} days", part.name());
        (FieldSpec { column: Some(column.into()), derived, ..field }, reason)
    };
    parts.map(field).collect()
}

/// What a column describes: the user or the item that decides its value, or the situation.
fn side(one: &Candidate<'_>, user: Option<&Candidate<'_>>, item: Option<&Candidate<'_>>) -> Side {
    let follows_from = |other: Option<&Candidate<'_>>| other.map_or(0.0, |other| other.values.determines(&one.values));
    let (of_user, of_item) = (follows_from(user), follows_from(item));
    if (user.is_some() && one.name.is_history()) || (of_user > 0.99 && of_user >= of_item) {
        Side::User
    } else if of_item > 0.99 {
        Side::Item
    } else {
        Side::Context
    }
}

/// Whether a text is a number with a fraction after a point.
fn is_decimal_point(text: &str) -> bool {
    text.contains('.') && number(text).is_some_and(|number| number.fract() != 0.0)
}

/// Whether almost all numbers are at least 0, and the greatest ones far beyond most, as counts and prices are.
fn is_heavy_tailed(values: &Values<'_>) -> bool {
    let mut counts: Vec<(f64, usize)> =
        values.counts.iter().filter_map(|(value, count)| Some((number(value)?, *count))).collect();
    counts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let rows: usize = counts.iter().map(|(_, count)| count).sum();
    let at = |share: f64| {
        let mut before = 0;
        let reaches = |(_, count): &&(f64, usize)| {
            before += count;
            before as f64 >= share * rows as f64
        };
        counts.iter().find(reaches).map_or(0.0, |(number, _)| *number)
    };
    at(0.01) >= 0.0 && at(0.999) > 30.0 * (1.0 + at(0.5))
}

/// Values of one row tell nothing, and large vocabularies are full of them.
fn least_count(values: &Values<'_>) -> u32 {
    let rare = values.counts.iter().filter(|(_, count)| *count == 1).count();
    if values.distinct() > 10_000 && 2 * rare > values.distinct() { 2 } else { 1 }
}

/// The labels as codes, and the number of rows of each.
fn codes_of_labels(labels: &[f32]) -> (Vec<u32>, Vec<usize>) {
    let distinct = distinct(labels);
    let code = |label: &f32| distinct.partition_point(|other| other < label) as u32;
    let codes: Vec<u32> = labels.iter().map(code).collect();
    let mut counts = vec![0; distinct.len()];
    codes.iter().for_each(|&code| counts[code as usize] += 1);
    (codes, counts)
}

/// Whether almost every row's label follows from its value, though values repeat and labels differ.
fn gives_away(values: &Values<'_>, (labels, counts): &(Vec<u32>, Vec<usize>)) -> bool {
    let (rows, most) = (values.present(), counts.iter().max().copied().unwrap_or(0));
    if rows < 100 || values.distinct() * 5 > rows || most as f64 > 0.99 * labels.len() as f64 {
        return false;
    }
    let mut of_values = polars::prelude::PlHashMap::<(u32, u32), usize>::default();
    for (&value, &label) in values.codes.iter().zip(labels).filter(|(value, _)| **value != NO_CODE) {
        *of_values.entry((value, label)).or_default() += 1;
    }
    // By chance, a few rows may all have the most frequent label.
    let mut with_labels = vec![0; counts.len()];
    of_values.iter().for_each(|((_, label), count)| with_labels[*label as usize] += count);
    with_labels.sort_unstable();
    if with_labels.iter().rev().nth(1).is_none_or(|&second| second < 20) {
        return false;
    }
    let mut best = vec![0; values.distinct()];
    of_values.into_iter().for_each(|((value, _), count)| best[value as usize] = count.max(best[value as usize]));
    best.iter().sum::<usize>() as f64 > 0.999 * rows as f64
}

fn longest_list(cells: &StringChunked) -> usize {
    cells.iter().flatten().map(|cell| cell.split_ascii_whitespace().count()).max().unwrap_or(0)
}

fn percent(count: usize, rows: usize) -> String {
    format!("{:.1}% of the rows", 100.0 * count as f64 / rows.max(1) as f64)
}
