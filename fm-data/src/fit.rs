//! Vocabularies and statistics of the training rows.

use std::borrow::Cow;

use fm_core::schema::Reading;
use fm_core::{Field, FieldKind, Label, List, Schema, Task};
use polars::prelude::*;

use crate::codes::{self, CodedColumns};
use crate::encode::check_rows;
use crate::error::{Error, Result};
use crate::spec::{FieldSpec, FieldSpecKind, TableSpec};
use crate::statistics::Statistics;
use crate::table::{Codes, Origin, strings, weights};
use crate::threads;

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
/// deviation of the numbers of each numeric field, without extreme ones. Fields that share a table have one vocabulary. Vocabularies
/// are sorted by descending count and then by value, so the order of the rows does not matter.
///
/// `labels` has the labels of all rows of the table, before the task's threshold. Weights affect only the mean label: a
/// vocabulary counts rows, whatever their weight.
///
/// # Errors
/// [`Error::MissingColumn`]; [`Error::Spec`] for a numeric field without a number in the training rows, labels or
/// training rows that do not match the table, or training rows that all have weight 0; [`Error::Data`] for an invalid
/// weight; [`Error::Core`] for a schema that contradicts itself.
pub fn fit(table: &DataFrame, spec: &TableSpec, labels: &[f32], train: &[u32], task: Task) -> Result<Schema> {
    Ok(fit_and_warn(table, spec, labels, train, task)?.schema)
}

/// As [`fit`], with warnings.
///
/// # Errors
/// As [`fit`].
pub fn fit_and_warn(table: &DataFrame, spec: &TableSpec, labels: &[f32], train: &[u32], task: Task) -> Result<Fitted> {
    spec.check()?;
    fit_coded(table, &codes::categorical(table, spec)?, spec, labels, train, task)
}

/// As [`fit_and_warn`], with the codes of the categorical fields.
pub(crate) fn fit_coded(
    table: &DataFrame,
    codes: &CodedColumns,
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
    let columns = spec.fields.iter().map(|field| present(table, &field.name, spec)).collect::<Result<Vec<_>>>()?;
    let mut warnings = vec![];
    let kinds = columns
        .iter()
        .zip(&spec.fields)
        .map(|(column, field)| fit_kind(column, field, spec.reading(&field.name), train, &mut warnings));
    let kinds = kinds.collect::<Result<Vec<FieldKind>>>()?;
    let values = |field: &FieldSpec| {
        if field.hash_buckets.is_some() || field.shares.is_some() {
            return vec![];
        }
        let uses = |other: &FieldSpec| other.name == field.name || other.shares.as_ref() == Some(&field.name);
        let reading = spec.reading(&field.name);
        let mut all = PlHashMap::<Cow<str>, u32>::new();
        for ((column, kind), other) in columns.iter().zip(&kinds).zip(&spec.fields).filter(|(_, other)| uses(other)) {
            let counts = match codes.get(&other.name) {
                Some(codes) => counts_of_codes(column, codes, reading, train),
                None => counts(column, kind, reading, train),
            };
            counts.into_iter().for_each(|(value, count)| *all.entry(value).or_default() += count);
        }
        vocabulary(all, field.min_count)
    };
    let field = |((field, kind), column): ((&FieldSpec, &FieldKind), &StringChunked)| {
        let FieldSpec { shares, exact, hash_buckets, .. } = field.clone();
        let cut_share = cut_share(column, kind, spec.reading(&field.name), train);
        let fitted = Field::new(&field.name, kind.clone(), field.side, values(field));
        Field { shares, exact, hash_buckets, cut_share, ..fitted }
    };
    let fields = threads::map(spec.fields.iter().zip(&kinds).zip(&columns), train.len() * columns.len(), field);
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

/// A column as text, in which null values are null.
fn present(table: &DataFrame, name: &str, spec: &TableSpec) -> Result<StringChunked> {
    let column = strings(table, name)?;
    if spec.null_values.is_empty() {
        return Ok(column);
    }
    let reading = spec.reading(name);
    Ok(column.iter().map(|cell| cell.filter(|text| !reading.is_null(text))).collect())
}

fn fit_kind(
    column: &StringChunked,
    spec: &FieldSpec,
    reading: Reading<'_>,
    train: &[u32],
    warnings: &mut Vec<String>,
) -> Result<FieldKind> {
    Ok(match &spec.kind {
        FieldSpecKind::Categorical => FieldKind::Categorical,
        FieldSpecKind::MultiValued(list) => {
            let max_len =
                list.max_len.unwrap_or_else(|| most_distinct(column, &list.with_slots(MAX_LEN), reading, train));
            FieldKind::MultiValued(list.with_slots(max_len))
        }
        FieldSpecKind::Sequence(list) => {
            let max_len = list.max_len.unwrap_or_else(|| longest(column, &list.with_slots(MAX_LEN), reading, train));
            FieldKind::Sequence(list.with_slots(max_len))
        }
        FieldSpecKind::Numeric => {
            let statistics = Statistics::new(column, train).ok_or_else(|| not_numeric(column, spec, train))?;
            warnings.extend(statistics.warnings(&spec.name));
            FieldKind::Numeric { mean: statistics.mean, std: statistics.std }
        }
    })
}

fn not_numeric(column: &StringChunked, spec: &FieldSpec, train: &[u32]) -> Error {
    let found = match train.iter().find_map(|&row| column.get(row as usize)) {
        Some(text) => format!("the first value is `{text}`; declare it categorical, or leave it out"),
        None => "all its cells are empty; leave it out".into(),
    };
    Error::Spec(format!("field `{}` is declared numeric, but has no number in the training rows: {found}", spec.name))
}

/// The number of distinct values in the longest list of `rows`: from 1 to `list.max_len`.
pub(crate) fn most_distinct(column: &StringChunked, list: &List, reading: Reading<'_>, rows: &[u32]) -> usize {
    let (mut longest, mut distinct) = (1, PlHashSet::new());
    for cell in rows.iter().map(|&row| column.get(row as usize)) {
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
fn cut_share(column: &StringChunked, kind: &FieldKind, reading: Reading<'_>, rows: &[u32]) -> f32 {
    let Some(list) = kind.list() else { return 0.0 };
    let is_cut = |&&row: &&u32| {
        let pieces = || reading.pieces(column.get(row as usize), list);
        pieces().nth(list.max_len).is_some()
            && (matches!(kind, FieldKind::Sequence(_))
                || count_distinct(pieces(), list.max_len + 1, &mut PlHashSet::new()) > list.max_len)
    };
    rows.iter().filter(is_cut).count() as f32 / rows.len() as f32
}

/// The number of values in the longest list of `rows`: from 1 to `list.max_len`.
fn longest(column: &StringChunked, list: &List, reading: Reading<'_>, rows: &[u32]) -> usize {
    let length = |&row: &u32| reading.pieces(column.get(row as usize), list).take(list.max_len).count();
    let lengths = rows.iter().map(length);
    lengths.max().unwrap_or(1).max(1)
}

/// The number of occurrences of each value in `rows`, including repetitions within a row. Only values with a guaranteed
/// slot count. In a multi-valued field, these are the first or last `max_len` distinct values of a row: further values
/// get a slot only if unknown values, or values of one bucket, share a slot. Empty for a numeric field.
pub(crate) fn counts<'a>(
    column: &'a StringChunked,
    kind: &'a FieldKind,
    reading: Reading<'_>,
    rows: &[u32],
) -> Vec<(Cow<'a, str>, u32)> {
    if matches!(kind, FieldKind::Categorical) {
        return counts_of_codes(column, &Codes::new(column), reading, rows);
    }
    // The count of each value, and the position of the last row in which it had a slot.
    let mut counts = PlHashMap::<Cow<'a, str>, (u32, usize)>::new();
    for (position, &row) in rows.iter().enumerate() {
        let cell = column.get(row as usize);
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
            FieldKind::Categorical | FieldKind::Numeric { .. } => {}
        }
    }
    // An empty piece also takes a slot.
    counts.remove("");
    counts.into_iter().map(|(value, (count, _))| (value, count)).collect()
}

/// [`counts`] of a categorical field. Several texts may be one value.
fn counts_of_codes<'a>(
    column: &'a StringChunked,
    codes: &Codes,
    reading: Reading<'_>,
    rows: &[u32],
) -> Vec<(Cow<'a, str>, u32)> {
    let texts = codes.texts(column);
    let mut counts = vec![0; texts.len()];
    for &row in rows {
        if let Some(count) = counts.get_mut(codes.codes[row as usize] as usize) {
            *count += 1;
        }
    }
    let mut values = PlHashMap::<&'a str, u32>::new();
    for (text, count) in texts.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
        if let Some(value) = reading.value(text) {
            *values.entry(value).or_default() += count;
        }
    }
    values.into_iter().map(|(value, count)| (Cow::Borrowed(value), count)).collect()
}

fn vocabulary(counts: PlHashMap<Cow<'_, str>, u32>, min_count: u32) -> Vec<String> {
    let mut known: Vec<(Cow<'_, str>, u32)> = counts.into_iter().filter(|(_, count)| *count >= min_count).collect();
    known.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    known.into_iter().map(|(value, _)| value.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use fm_core::{Keep, Side, Weighting};
    use proptest::prelude::*;

    use super::*;
    use crate::encode::tests::encoded;
    use crate::spec::ListSpec;

    const TASK: Task = Task::Binary { threshold: 4.0 };

    fn spec(fields: Vec<FieldSpec>) -> TableSpec {
        TableSpec::new("y", fields)
    }

    fn categorical(name: &str) -> FieldSpec {
        FieldSpec::new(name, FieldSpecKind::Categorical, Side::Context)
    }

    fn numeric(name: &str) -> FieldSpec {
        FieldSpec::new(name, FieldSpecKind::Numeric, Side::Context)
    }

    fn tags(max_len: Option<usize>) -> FieldSpec {
        let kind = FieldSpecKind::MultiValued(ListSpec::new("|", max_len, Weighting::Mean));
        FieldSpec::new("tags", kind, Side::Item)
    }

    fn fitted(table: &DataFrame, fields: Vec<FieldSpec>, train: &[u32]) -> Result<Schema> {
        fit(table, &spec(fields), &vec![0.0; table.height()], train, TASK)
    }

    fn only(schema: &Schema) -> &Field {
        &schema.fields()[0]
    }

    #[test]
    fn a_vocabulary_is_ordered_by_count_and_then_by_value() {
        let table = df!("a" => ["x", "z", "y", "z", "w", "w"]).unwrap();
        let schema = fitted(&table, vec![categorical("a")], &[0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(only(&schema).vocabulary, ["w", "z", "x", "y"]);
    }

    #[test]
    fn values_of_validation_and_test_rows_are_not_in_the_vocabulary() {
        let table = df!("a" => ["x", "unseen", "y"], "tags" => ["p|q", "r", ""]).unwrap();
        let schema = fitted(&table, vec![categorical("a"), tags(None)], &[0, 2]).unwrap();
        assert_eq!(schema.fields()[0].vocabulary, ["x", "y"]);
        assert_eq!(schema.fields()[1].vocabulary, ["p", "q"]);
    }

    #[test]
    fn rare_and_missing_values_are_not_in_the_vocabulary() {
        let table = df!("a" => [Some("x"), Some("x"), Some("y"), None, Some(""), Some("")]).unwrap();
        let field = FieldSpec { min_count: 2, ..categorical("a") };
        assert_eq!(only(&fitted(&table, vec![field], &[0, 1, 2, 3, 4, 5]).unwrap()).vocabulary, ["x"]);
    }

    #[test]
    fn a_list_has_the_declared_number_of_slots_or_that_of_the_longest_training_list() {
        let long = (0..150).map(|value| value.to_string()).collect::<Vec<_>>().join("|");
        let table = df!("tags" => ["a|b", "a", "a|b|c|d", long.as_str()]).unwrap();
        let slots = |max_len, train: &[u32]| fitted(&table, vec![tags(max_len)], train).unwrap().num_slots();
        assert_eq!((slots(None, &[0, 1]), slots(None, &[0, 3]), slots(Some(3), &[0, 3])), (2, 100, 3));
        let schema = fitted(&table, vec![tags(Some(3))], &[2]).unwrap();
        assert_eq!(only(&schema).vocabulary, ["a", "b", "c"], "values that never get a slot are not in the vocabulary");
    }

    #[test]
    fn a_repeated_value_takes_one_slot_and_counts_each_time() {
        let table = df!("tags" => ["a|a|b|a", "b|c|c|c|c|d|b", "d"]).unwrap();
        let schema = |max_len, train: &[u32]| fitted(&table, vec![tags(max_len)], train).unwrap();
        assert_eq!((schema(None, &[0]).num_slots(), schema(None, &[0, 1, 2]).num_slots()), (2, 3));
        // c occurs 4 times, a and b 3 times; d has a slot only in the last row.
        assert_eq!(only(&schema(Some(2), &[0, 1, 2])).vocabulary, ["c", "a", "b", "d"]);
        assert_eq!(only(&schema(Some(2), &[0, 1])).vocabulary, ["c", "a", "b"]);
        let schema = schema(Some(2), &[0, 1]);
        let (ids, values) = encoded(&table, &schema);
        assert_eq!(ids, [2, 3, 3, 1, 0]);
        assert_eq!(values, [0.75, 0.25, 2.0 / 6.0, 4.0 / 6.0, 1.0]);
    }

    #[test]
    fn numbers_given_with_values_are_not_part_of_the_values() {
        let table = df!("tags" => ["a:0.5|b", "a:2|a:-1|:3|c:x|d:1"]).unwrap();
        let kind = FieldSpecKind::MultiValued(ListSpec::new("|", None, Weighting::Given));
        let schema = fitted(&table, vec![FieldSpec::new("tags", kind, Side::Item)], &[0, 1]).unwrap();
        // An empty value has a slot, too.
        assert_eq!(
            (only(&schema).vocabulary.as_slice(), schema.num_slots()),
            (&["a", "b", "d"].map(String::from)[..], 3)
        );
        let (ids, values) = encoded(&table, &schema);
        assert_eq!((ids, values), (vec![1, 2, 1, 0, 3], vec![0.5, 1.0, 1.0, 4.0, 1.0]));
    }

    #[test]
    fn fields_that_share_a_table_have_one_vocabulary() {
        let table = df!("film" => ["x", "y", "new"], "seen" => ["y|y|z", "", "other"]).unwrap();
        let seen = FieldSpecKind::Sequence(ListSpec::new("|", None, Weighting::Sum));
        let seen = FieldSpec { shares: Some("film".into()), ..FieldSpec::new("seen", seen, Side::User) };
        let schema = |min_count| {
            let film = FieldSpec { min_count, ..categorical("film") };
            fitted(&table, vec![seen.clone(), film], &[0, 1]).unwrap()
        };
        let all = schema(1);
        assert_eq!((all.fields()[1].vocabulary.as_slice(), all.num_ids()), (&["y", "x", "z"].map(String::from)[..], 4));
        assert!(all.fields()[0].vocabulary.is_empty());
        assert_eq!(encoded(&table, &all).0, [1, 1, 3, 2, 1, 0, 0]);
        assert_eq!(schema(2).vocabulary(0), ["y"]);
    }

    #[test]
    fn a_sequence_has_the_slots_of_the_longest_and_the_vocabulary_of_its_kept_values() {
        let table = df!("seen" => ["a|a|b|a", "c|b"]).unwrap();
        let schema = |max_len, keep| {
            let list = ListSpec { keep, ..ListSpec::new("|", max_len, Weighting::Sum) };
            fitted(&table, vec![FieldSpec::new("seen", FieldSpecKind::Sequence(list), Side::User)], &[0, 1]).unwrap()
        };
        let whole = schema(None, Keep::Last);
        assert_eq!(
            (whole.num_slots(), only(&whole).vocabulary.as_slice()),
            (4, &["a", "b", "c"].map(String::from)[..])
        );
        assert_eq!(encoded(&table, &whole).0, [1, 1, 2, 1, 3, 2]);
        assert_eq!(only(&schema(Some(1), Keep::Last)).vocabulary, ["a", "b"]);
        assert_eq!(only(&schema(Some(1), Keep::First)).vocabulary, ["a", "c"]);
    }

    #[test]
    fn lists_that_are_cut_are_counted() {
        let table = df!("tags" => ["a|a|b|a", "b|c|c|d", "d", "a|b|c"]).unwrap();
        let share = |max_len, sequence: bool| {
            let list = ListSpec::new("|", max_len, Weighting::Sum);
            let kind = if sequence { FieldSpecKind::Sequence(list) } else { FieldSpecKind::MultiValued(list) };
            let fields = vec![FieldSpec::new("tags", kind, Side::Item)];
            only(&fitted(&table, fields, &[0, 1, 2, 3]).unwrap()).cut_share
        };
        assert_eq!(
            (share(None, false), share(Some(2), false), share(Some(2), true), share(Some(4), true)),
            (0.0, 0.5, 0.75, 0.0)
        );
    }

    #[test]
    fn forms_of_one_value_are_one_value_and_null_values_none() {
        let table = df!(
            "a" => [Some("4.0"), Some(" 4"), Some("4"), Some("NA"), Some(" "), Some("True")],
            "tags" => [Some("x | y"), Some("['x', 'y|z']"), Some("NA"), Some("x|NA"), None, Some("[\"x\"]")],
            "n" => ["1", "3", "-999.0", "2", "", "2"],
        )
        .unwrap();
        let null_values = vec!["NA".into(), "-999".into()];
        let fields = vec![categorical("a"), tags(None), numeric("n")];
        let fit_with = |spec: &TableSpec| fit(&table, spec, &[0.0; 6], &[0, 1, 2, 3, 4, 5], TASK).unwrap();
        let schema = fit_with(&TableSpec { null_values, ..spec(fields.clone()) });
        assert_eq!(
            (&schema.fields()[0].vocabulary[..], schema.null_values()),
            (&["4", "true"].map(String::from)[..], &["NA", "-999"].map(String::from)[..])
        );
        assert_eq!(schema.fields()[1].vocabulary, ["x", "y", "y|z"]);
        assert!(matches!(schema.fields()[2].kind, FieldKind::Numeric { mean, .. } if mean == 2.0));
        let exact = |field: FieldSpec| FieldSpec { exact: true, ..field };
        let schema = fit_with(&spec(vec![exact(categorical("a")), exact(tags(None)), numeric("n")]));
        assert_eq!(schema.fields()[0].vocabulary, [" ", " 4", "4", "4.0", "NA", "True"]);
        assert_eq!(schema.fields()[1].vocabulary.len(), 7, "x, NA, and what surrounds the separators");
    }

    #[test]
    fn a_hashed_field_has_no_vocabulary_but_the_slots_of_its_longest_list() {
        let table = df!("a" => ["x", "y", "new"], "tags" => ["p|q", "p", "q|new|p"]).unwrap();
        let hashed = |field| FieldSpec { hash_buckets: Some(4), ..field };
        let schema = fitted(&table, vec![hashed(categorical("a")), hashed(tags(None))], &[0, 1]).unwrap();
        assert!(schema.fields().iter().all(|field| field.vocabulary.is_empty()));
        assert_eq!((schema.num_slots(), schema.ids(0), schema.ids(1)), (3, 0..5, 5..10));
        // The buckets of FarmHash's C++ code: x 2, y 1, new 3; p 1, q 1, which share a slot.
        let (ids, values) = encoded(&table, &schema);
        assert_eq!(ids, [3, 7, 2, 7, 4, 7, 9]);
        assert_eq!(values, [1.0, 1.0, 1.0, 1.0, 1.0, 2.0 / 3.0, 1.0 / 3.0]);
    }

    #[test]
    fn statistics_are_of_the_finite_numbers_of_training_rows() {
        let table = df!("n" => [Some("1"), Some("3"), Some("x"), None, Some("inf"), Some("1000")]).unwrap();
        let schema = fitted(&table, vec![numeric("n")], &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(only(&schema).kind, FieldKind::Numeric { mean: 2.0, std: 1.0 });
    }

    #[test]
    fn a_constant_number_is_divided_by_one() {
        let table = df!("n" => ["0.1", "0.1", "0.1"]).unwrap();
        let schema = fitted(&table, vec![numeric("n")], &[0, 1, 2]).unwrap();
        assert_eq!(only(&schema).kind, FieldKind::Numeric { mean: 0.1, std: 1.0 });
    }

    #[test]
    fn a_numeric_field_without_numbers_is_an_error() {
        let table = df!("n" => ["red", "2"]).unwrap();
        let error = fitted(&table, vec![numeric("n")], &[0]).unwrap_err().to_string();
        assert!(error.contains("field `n`") && error.contains("the first value is `red`"), "{error}");
    }

    #[test]
    fn the_label_is_summarised_over_training_rows_after_the_threshold() {
        let table = df!("a" => ["x", "y", "z", "w", "v"]).unwrap();
        let labels = [5.0, 4.0, 3.0, 1.0, -9.0];
        let label =
            |task| fit(&table, &spec(vec![categorical("a")]), &labels, &[0, 1, 2, 3], task).unwrap().label().clone();
        let (binary, raw) = (label(TASK), label(Task::Regression));
        assert_eq!((binary.min, binary.max, binary.mean), (0.0, 1.0, 0.5));
        assert_eq!((raw.min, raw.max, raw.mean), (1.0, 5.0, 3.25));
    }

    #[test]
    fn the_mean_label_is_weighted_and_the_vocabulary_is_not() {
        let table = df!("a" => ["x", "y", "y"], "w" => ["3", "0", "1"]).unwrap();
        let weighted = TableSpec { weight: Some("w".into()), ..spec(vec![categorical("a")]) };
        let fit = |train: &[u32]| fit(&table, &weighted, &[5.0, 9.0, 1.0], train, Task::Regression);
        let schema = fit(&[0, 1, 2]).unwrap();
        assert_eq!((schema.label().mean, schema.label().max), (4.0, 5.0));
        assert_eq!(only(&schema).vocabulary, ["y", "x"]);
        assert!(fit(&[1]).unwrap_err().to_string().contains("all training rows have weight 0 in column `w`"));
    }

    #[test]
    fn roles_reach_the_schema() {
        let table = df!("u" => ["x"], "i" => ["y"]).unwrap();
        let roles = TableSpec {
            user: Some("u".into()),
            item: Some("i".into()),
            ..spec(vec![categorical("u"), categorical("i")])
        };
        let schema = fit(&table, &roles, &[1.0], &[0], TASK).unwrap();
        assert_eq!((schema.user(), schema.item()), (Some("u"), Some("i")));
    }

    proptest! {
        #[test]
        fn the_same_rows_in_another_order_give_the_same_schema(
            rows in prop::collection::vec(("[a-c]{0,2}", "[a-c|]{0,4}"), 2..30),
            seed: u64,
        ) {
            use rand::{SeedableRng, seq::SliceRandom};
            let schema = |rows: &[(String, String)]| {
                let (a, tags_): (Vec<_>, Vec<_>) = rows.iter().cloned().unzip();
                let table = df!("a" => a, "tags" => tags_).unwrap();
                let train: Vec<u32> = (0..rows.len() as u32).collect();
                fitted(&table, vec![categorical("a"), tags(None)], &train).unwrap()
            };
            let mut shuffled = rows.clone();
            shuffled.shuffle(&mut rand_pcg::Pcg64::seed_from_u64(seed));
            prop_assert_eq!(schema(&rows), schema(&shuffled));
        }
    }
}
