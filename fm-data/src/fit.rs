//! Vocabularies and statistics of the training rows.

use std::borrow::Cow;

use fm_core::number::number;
use fm_core::schema::{Reading, Transform};
use fm_core::terminal::shortened;
use fm_core::{Field, FieldKind, Label, List, Schema, Task};
use polars::prelude::*;

use crate::buckets::{criteo_edges, quantile_edges};
use crate::encode::check_rows;
use crate::error::{Error, Result};
use crate::spec::{FieldSpec, FieldSpecKind, TableSpec, TransformSpec};
use crate::statistics::Statistics;
use crate::table::{Origin, Present, TextColumn, TextColumns, cells, is_time, weights};
use crate::threads;

/// Maximum number of training rows whose numbers give the statistics of a numeric field: of more rows, evenly spaced ones do.
const SAMPLE: usize = 4_000_000;

/// Maximum number of slots of a field that declares no `max_len`.
pub(crate) const MAX_LEN: usize = 100;

/// A schema, and what is odd about the rows that it was fitted to.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The fields and vocabularies.
    pub schema: Schema,
    /// Warnings of one line: what was seen, in how many rows, what was done, and what to do.
    pub warnings: Vec<String>,
}

/// Fits a schema to the training rows: a vocabulary for each field that is not hashed, and the mean and standard
/// deviation of the numbers of each numeric field, without extreme ones, or what its transform needs. Fields that share a
/// table have one vocabulary. Vocabularies are sorted by descending count and then by value, so the order of the rows does
/// not matter.
///
/// `labels` has the labels of all rows of the table, before the task's threshold. Weights affect only the mean label: a
/// vocabulary counts rows, whatever their weight.
///
/// # Errors
/// [`Error::MissingColumn`]; [`Error::Spec`] for a numeric field without a number in the training rows, labels or
/// training rows that do not match the table, or training rows that all have weight 0; [`Error::Data`] for an invalid
/// weight; [`Error::Core`] for a schema that contradicts itself.
pub fn fit(table: &impl TextColumns, spec: &TableSpec, labels: &[f32], train: &[u32], task: Task) -> Result<Schema> {
    Ok(fit_and_warn(table, spec, labels, train, task)?.schema)
}

/// As [`fit`], with warnings.
///
/// # Errors
/// As [`fit`].
pub fn fit_and_warn(
    table: &impl TextColumns,
    spec: &TableSpec,
    labels: &[f32],
    train: &[u32],
    task: Task,
) -> Result<Fitted> {
    spec.check()?;
    check_rows(table.height(), labels, train)?;
    if train.is_empty() {
        return Err(Error::Spec("there are no training rows to fit a schema to".into()));
    }
    let readable = spec.fields.iter().map(|field| warning_of_times(table, field, spec, train));
    let of_times = readable.collect::<Result<Vec<Option<String>>>>()?;
    // A thread has the text of one column at a time.
    let fitted = |field: &FieldSpec| FittedField::new(table, field, spec, train);
    let fitted = threads::map(&spec.fields, train.len() * spec.fields.len(), fitted);
    let fitted = fitted.into_iter().collect::<Result<Vec<FittedField>>>()?;
    let of_numbers = fitted.iter().flat_map(|fitted| fitted.warnings.iter().cloned());
    let warnings = of_times.into_iter().flatten().chain(of_numbers).collect();
    let field = |(field, FittedField { kind, cut_share, .. }): (&FieldSpec, &FittedField)| {
        let FieldSpec { name, column, derived, side, shares, exact, hash_buckets, .. } = field.clone();
        let uses = |other: &FieldSpec| other.name == name || other.shares.as_ref() == Some(&name);
        let of_users = spec.fields.iter().zip(&fitted).filter(|(other, _)| uses(other));
        let values = match shares {
            Some(_) => vec![],
            None => vocabulary(of_users.flat_map(|(_, fitted)| &fitted.counts), field.min_count),
        };
        let fitted = Field::new(name, kind.clone(), side, values);
        Field { column, derived, shares, exact, hash_buckets, cut_share: *cut_share, ..fitted }
    };
    let fields = threads::map(spec.fields.iter().zip(&fitted), train.len() * spec.fields.len(), field);
    let weights = spec.weight.as_ref().map(|name| weights(table, name, &Origin::file("the table"))).transpose()?;
    let weight = |row: u32| weights.as_ref().map_or(1.0, |weights| weights[row as usize]);
    if let Some(name) = spec.weight.as_ref().filter(|_| train.iter().all(|&row| weight(row) == 0.0)) {
        return Err(Error::Spec(format!(
            "all training rows have weight 0 in column `{name}`: there is nothing to fit"
        )));
    }
    let label = Label::fit_weighted(&spec.label, task, train.iter().map(|&row| (labels[row as usize], weight(row))));
    let schema = Schema::new(label, fields)?
        .with_null_values(&spec.null_values)?
        .with_roles(spec.user.clone(), spec.item.clone())?;
    Ok(Fitted { schema, warnings })
}

/// What is odd about the times that a field reads.
fn warning_of_times(
    table: &impl TextColumns,
    field: &FieldSpec,
    spec: &TableSpec,
    train: &[u32],
) -> Result<Option<String>> {
    let FieldSpec { name, derived, .. } = field;
    if derived.time.is_none() {
        return Ok(None);
    }
    let texts = table.column(name)?;
    // A table without the column itself says no more.
    let Ok(times) = table.column(field.column()) else { return Ok(None) };
    let reading = Reading::new(false, &spec.null_values);
    let unread = train.iter().filter_map(|&row| {
        let text = times.get(row as usize).filter(|text| reading.value(text).is_some());
        text.filter(|_| texts.get(row as usize).is_none())
    });
    let (column, until) = (field.column(), derived.until_column());
    let until = until.map_or_else(String::new, |until| format!(" until `{until}`"));
    let (count, n, first) = (unread.clone().count(), train.len(), { unread }.next());
    let forms = "a date, a time or a number of seconds since 1970, such as 2023-11-14T22:41:28 or 1700001688";
    match first {
        Some(text) if train.iter().all(|&row| texts.get(row as usize).is_none()) => Err(Error::Spec(format!(
            "field `{name}` finds no time in column `{column}`{until} of the training rows: the first text is `{}`, and a time is \
             {forms}",
            shortened(text, 40)
        ))),
        None if train.iter().all(|&row| texts.get(row as usize).is_none()) => Err(Error::Spec(format!(
            "field `{name}` finds no time in column `{column}` of the training rows, which is empty: leave it out"
        ))),
        Some(text) => Ok(Some(format!(
            "field `{name}`: {count} of {n} training rows have no time in column `{column}`{until}, such as `{}`: they count as \
             missing; write {forms}",
            shortened(text, 40)
        ))),
        None => Ok(early(&times, train).map(|(text, count)| {
            format!(
                "field `{name}`: {count} of {n} training rows have a number in column `{column}` that is within a year of 1970, \
                 such as `{text}`: numbers are seconds, milliseconds, microseconds or nanoseconds since 1970; write others as \
                 dates, such as 2023-11-14"
            )
        })),
    }
}

/// A text that is a number of seconds within a year of 1970, and in how many of the rows, if in most: it hardly means that.
fn early<'t>(times: &'t TextColumn<'_>, rows: &[u32]) -> Option<(&'t str, usize)> {
    let is_early = |text: &&str| number(text).is_some_and(|number| number.abs() < 31_536_000.0) && !is_time(text);
    let mut early = rows.iter().filter_map(|&row| times.get(row as usize)).filter(is_early);
    let count = early.clone().count();
    (2 * count > rows.len()).then(|| early.next()).flatten().map(|text| (text, count))
}

/// What the training rows say about a field.
struct FittedField {
    kind: FieldKind,
    cut_share: f32,
    /// The number of rows of each value; empty if there is no vocabulary.
    counts: Vec<(String, u32)>,
    warnings: Vec<String>,
}

impl FittedField {
    fn new(table: &impl TextColumns, field: &FieldSpec, spec: &TableSpec, train: &[u32]) -> Result<FittedField> {
        let reading = spec.reading(&field.name);
        let owner = field.shares.as_ref().unwrap_or(&field.name);
        let is_hashed = spec.fields.iter().any(|other| other.name == *owner && other.hash_buckets.is_some());
        let owned = |counts: Vec<(Cow<'_, str>, u32)>| -> Vec<(String, u32)> {
            counts.into_iter().filter(|_| !is_hashed).map(|(value, count)| (value.into_owned(), count)).collect()
        };
        let mut warnings = vec![];
        let column = Present { cells: cells(table, &field.name, field.column(), &field.derived)?, reading };
        let kind = fit_kind(&column, field, train, &mut warnings)?;
        let cut_share = cut_share(&column, &kind, train);
        let counts = if is_hashed { vec![] } else { owned(counts(&column, &kind, train)) };
        Ok(FittedField { kind, cut_share, counts, warnings })
    }
}

fn fit_kind(column: &Present<'_>, spec: &FieldSpec, train: &[u32], warnings: &mut Vec<String>) -> Result<FieldKind> {
    Ok(match &spec.kind {
        FieldSpecKind::Categorical => FieldKind::Categorical,
        FieldSpecKind::MultiValued(list) => {
            let max_len = list.max_len.unwrap_or_else(|| most_distinct(column, &list.with_slots(MAX_LEN), train));
            FieldKind::MultiValued(list.with_slots(max_len))
        }
        FieldSpecKind::Sequence(list) => {
            let max_len = list.max_len.unwrap_or_else(|| longest(column, &list.with_slots(MAX_LEN), train));
            FieldKind::Sequence(list.with_slots(max_len))
        }
        FieldSpecKind::Numeric => numeric(column, spec, None, train, warnings)?,
        FieldSpecKind::Transformed(transform) => numeric(column, spec, Some(*transform), train, warnings)?,
    })
}

/// A numeric field, standardised unless a transform is given.
fn numeric(
    column: &Present<'_>,
    spec: &FieldSpec,
    transform: Option<TransformSpec>,
    train: &[u32],
    warnings: &mut Vec<String>,
) -> Result<FieldKind> {
    let is_log = transform == Some(TransformSpec::Log);
    let sample = train.iter().step_by(train.len().div_ceil(SAMPLE));
    let found = Statistics::new(sample.filter_map(|&row| column.get(row)), is_log)
        .ok_or_else(|| not_numeric(column, spec, train))?;
    let Statistics { mean, std, min, range, .. } = found;
    let kind = match transform {
        None => FieldKind::Numeric { mean, std },
        Some(transform) => FieldKind::Transformed(match transform {
            TransformSpec::Log => Transform::Log { mean, std },
            TransformSpec::MinMax => Transform::MinMax { min, range },
            TransformSpec::Identity => Transform::Identity,
            TransformSpec::Sin { period } => Transform::Sin { period },
            TransformSpec::Cos { period } => Transform::Cos { period },
            TransformSpec::Buckets { buckets } => {
                Transform::Buckets { edges: quantile_edges(found.numbers(), buckets) }
            }
            TransformSpec::CriteoLog => Transform::CriteoLog { edges: criteo_edges(found.numbers()) },
        }),
    };
    warnings.extend(found.warnings(&spec.name, &kind));
    Ok(kind)
}

fn not_numeric(column: &Present<'_>, spec: &FieldSpec, train: &[u32]) -> Error {
    let found = match train.iter().find_map(|&row| column.get(row)) {
        Some(text) => format!("the first value is `{text}`; declare it categorical, or leave it out"),
        None => "all its cells are empty; leave it out".into(),
    };
    Error::Spec(format!("field `{}` is declared numeric, but has no number in the training rows: {found}", spec.name))
}

/// The number of distinct values in the longest list of `rows`: from 1 to `list.max_len`.
pub(crate) fn most_distinct(column: &Present<'_>, list: &List, rows: &[u32]) -> usize {
    let reading = column.reading;
    let (mut longest, mut distinct) = (1, PlHashSet::new());
    for cell in rows.iter().map(|&row| column.get(row)) {
        if longest >= list.max_len {
            break;
        }
        // Only a text with more values can have more distinct values.
        if reading.pieces(cell, list).nth(longest).is_some() {
            longest = longest.max(count_distinct(reading.pieces(cell, list), list.max_len, &mut distinct));
        }
    }
    longest
}

/// The number of distinct values, or `most` if there are more. The values are put into `distinct`.
fn count_distinct<'t>(
    pieces: impl Iterator<Item = (Cow<'t, str>, f64)>,
    most: usize,
    distinct: &mut PlHashSet<Cow<'t, str>>,
) -> usize {
    distinct.clear();
    for (value, _) in pieces {
        // A list may have millions of values.
        if distinct.len() == most {
            break;
        }
        distinct.insert(value);
    }
    distinct.len()
}

/// The share of `rows` whose lists have more values than the field has slots; of a multi-valued field, more distinct ones.
fn cut_share(column: &Present<'_>, kind: &FieldKind, rows: &[u32]) -> f32 {
    let Some(list) = kind.list() else { return 0.0 };
    let is_cut = |&&row: &&u32| {
        let pieces = || column.reading.pieces(column.get(row), list);
        pieces().nth(list.max_len).is_some()
            && (matches!(kind, FieldKind::Sequence(_))
                || count_distinct(pieces(), list.max_len + 1, &mut PlHashSet::new()) > list.max_len)
    };
    let cut = threads::map(parts(rows), rows.len(), |part| part.iter().filter(is_cut).count());
    cut.into_iter().sum::<usize>() as f32 / rows.len() as f32
}

/// Consecutive rows for each thread.
fn parts(rows: &[u32]) -> impl Iterator<Item = &[u32]> {
    rows.chunks(rows.len().div_ceil(threads::num_threads()).max(1))
}

/// The number of values in the longest list of `rows`: from 1 to `list.max_len`.
pub(crate) fn longest(column: &Present<'_>, list: &List, rows: &[u32]) -> usize {
    let length = |&row: &u32| column.reading.pieces(column.get(row), list).take(list.max_len).count();
    let longest = threads::map(parts(rows), rows.len(), |part| part.iter().map(length).max());
    longest.into_iter().flatten().max().unwrap_or(1).max(1)
}

/// The number of occurrences of each value in `rows`, including repetitions within a row. Only values with a guaranteed
/// slot count. In a multi-valued field, these are the first or last `max_len` distinct values of a row: further values
/// get a slot only if unknown values, or values of one bucket, share a slot. Empty for a numeric field.
pub(crate) fn counts<'a>(column: &'a Present<'_>, kind: &'a FieldKind, rows: &[u32]) -> Vec<(Cow<'a, str>, u32)> {
    let Present { cells, reading } = column;
    if matches!(kind, FieldKind::Categorical) {
        let mut values = PlHashMap::<&str, u32>::new();
        let mut add = |text, count| {
            if let Some(value) = reading.value(text) {
                *values.entry(value).or_default() += count;
            }
        };
        match cells.texts() {
            Some(texts) => {
                let mut counts = vec![0; texts.len()];
                for &row in rows {
                    if let Some(count) = counts.get_mut(cells.code(row as usize) as usize) {
                        *count += 1;
                    }
                }
                let counted = texts.iter().flatten().zip(counts).filter(|(_, count)| *count > 0);
                counted.for_each(|(text, count)| add(text, count));
            }
            None => rows.iter().filter_map(|&row| cells.get(row as usize)).for_each(|text| add(text, 1)),
        }
        return values.into_iter().map(|(value, count)| (Cow::Borrowed(value), count)).collect();
    }
    let mut all = PlHashMap::<Cow<'a, str>, u32>::new();
    for counts in threads::map(parts(rows), rows.len(), |part| counts_of_lists(column, kind, part)) {
        counts.into_iter().for_each(|(value, count)| *all.entry(value).or_default() += count);
    }
    // An empty piece also takes a slot.
    all.remove("");
    all.into_iter().collect()
}

/// As [`counts`], of a field with lists.
fn counts_of_lists<'a>(
    column: &'a Present<'_>,
    kind: &'a FieldKind,
    rows: &[u32],
) -> impl Iterator<Item = (Cow<'a, str>, u32)> + use<'a> {
    let reading = &column.reading;
    // The count of each value, and the position of the last row in which it had a slot.
    let mut counts = PlHashMap::<Cow<'a, str>, (u32, usize)>::new();
    for (position, &row) in rows.iter().enumerate() {
        let cell = column.get(row);
        match kind {
            FieldKind::MultiValued(list) => {
                let mut used = 0;
                for (piece, _) in list.ordered(reading.pieces(cell, list)) {
                    match counts.get_mut(&*piece) {
                        Some((count, last)) if *last == position => *count += 1,
                        _ if used == list.max_len => {}
                        Some((count, last)) => {
                            (*count, *last) = (*count + 1, position);
                            used += 1;
                        }
                        None => {
                            counts.insert(piece, (1, position));
                            used += 1;
                        }
                    }
                }
            }
            FieldKind::Sequence(list) => {
                for (value, _) in list.kept(reading.pieces(cell, list)) {
                    counts.entry(value).or_insert((0, position)).0 += 1;
                }
            }
            FieldKind::Categorical | FieldKind::Numeric { .. } | FieldKind::Transformed(_) => {}
        }
    }
    counts.into_iter().map(|(value, (count, _))| (value, count))
}

/// The values that occur often enough, the most frequent first. Several fields may count the same value.
fn vocabulary<'a>(counts: impl Iterator<Item = &'a (String, u32)>, min_count: u32) -> Vec<String> {
    let mut all = PlHashMap::<&str, u32>::new();
    counts.for_each(|(value, count)| *all.entry(value).or_default() += count);
    let mut known: Vec<(&str, u32)> = all.into_iter().filter(|(_, count)| *count >= min_count).collect();
    known.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    known.into_iter().map(|(value, _)| value.to_owned()).collect()
}

#[cfg(test)]
mod tests;
