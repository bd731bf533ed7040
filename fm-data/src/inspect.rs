//! A summary of a table before training: sizes, coverage, density and labels.

use std::collections::HashSet;
use std::fmt;

use fm_core::farmhash::bucket;
use fm_core::number::number;
use fm_core::schema::{Reading, TimePart};
use fm_core::terminal::line;
use fm_core::{FieldKind, Schema, Side};
use polars::prelude::*;
use serde::Serialize;

use crate::error::Result;
use crate::fit::counts;
use crate::split::Parts;
use crate::table::{NO_CODE, Present, TextColumns, cells, codes, values};

/// Maximum number of distinct labels in a histogram. Quantiles summarise more.
const MAX_HISTOGRAM: usize = 20;

/// A summary of a table, its schema and its parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The number of rows of each part.
    pub rows: RowCounts,
    /// S, the number of slots of a row.
    pub slots: usize,
    /// n, the number of rows of the embedding table.
    pub ids: i64,
    /// The fields, in the order of their slots.
    pub fields: Vec<FieldInspection>,
    /// The user-item matrix; `None` if the user or the item is not declared.
    pub matrix: Option<Matrix>,
    /// The labels of all rows, before the threshold.
    pub labels: Labels,
}

/// The number of rows of each part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Training rows.
    pub train: usize,
    /// Validation rows.
    pub valid: usize,
    /// Test rows.
    pub test: usize,
}

/// A summary of one field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldInspection {
    /// The column's name.
    pub name: String,
    /// `categorical`, `multi-valued`, `sequence` or `numeric`.
    pub kind: &'static str,
    /// What becomes of the number of a numeric field that is not standardised: `log`, `min-max`, `identity`, `buckets` or
    /// `criteo-log`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<&'static str>,
    /// The part of a time that it is; `None` for another field.
    pub time: Option<TimePart>,
    /// The fields that it crosses; empty for another field.
    pub cross: Vec<String>,
    /// What it describes.
    pub side: Side,
    /// The number of slots.
    pub slots: usize,
    /// The number of ids, including the out-of-vocabulary id.
    pub cardinality: i64,
    /// The number of distinct values in the training rows; `None` for a numeric field.
    pub distinct: Option<usize>,
    /// The number of distinct values that are too rare for the vocabulary.
    pub below_min_count: usize,
    /// The number of distinct values that share their hash bucket with another value; `None` for a field that is not
    /// hashed.
    pub colliding: Option<usize>,
    /// The share of training rows with a value.
    pub coverage: f64,
    /// The share of validation rows with a known value, which is in the vocabulary or, in a hashed field, in the
    /// training rows. `None` if there are no validation rows.
    pub known_valid: Option<f64>,
    /// The share of test rows with a known value; `None` if there are no test rows.
    pub known_test: Option<f64>,
}

/// The user-item matrix of all rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Matrix {
    /// The number of distinct users.
    pub users: usize,
    /// The number of distinct items.
    pub items: usize,
    /// The number of distinct pairs of a user and an item.
    pub pairs: usize,
    /// `pairs / (users · items)`; the sparsity is 1 minus it.
    pub density: f64,
}

/// The distribution of the labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Each label and its number of rows.
    Histogram(Vec<(f32, usize)>),
    /// Quantiles: shares of the rows from 0 to 1, each with the largest label of this share.
    Quantiles(Vec<(f64, f32)>),
}

/// Summarises a table. `labels` has the labels of all rows, before the threshold.
///
/// # Errors
/// [`crate::Error::MissingColumn`] if the table lacks a field or role.
pub fn inspect(table: &impl TextColumns, schema: &Schema, labels: &[f32], parts: &Parts) -> Result<Inspection> {
    let fields =
        (0..schema.num_fields()).map(|field| inspect_field(table, schema, field, parts)).collect::<Result<_>>()?;
    let matrix = match (schema.user(), schema.item()) {
        (Some(user), Some(item)) => {
            let column = |name| {
                values(table, name, schema.field_index(name).map_or(Reading::default(), |at| schema.reading(at)))
            };
            Some(matrix(&column(user)?, &column(item)?))
        }
        _ => None,
    };
    Ok(Inspection {
        rows: RowCounts { train: parts.train.len(), valid: parts.valid.len(), test: parts.test.len() },
        slots: schema.num_slots(),
        ids: schema.num_ids(),
        fields,
        matrix,
        labels: distribution(labels),
    })
}

fn inspect_field(table: &impl TextColumns, schema: &Schema, position: usize, parts: &Parts) -> Result<FieldInspection> {
    let field = &schema.fields()[position];
    let reading = schema.reading(position);
    let present = Present { cells: cells(table, &field.name, field.column(), &field.derived)?, reading };
    let (column, counts) = (&present.cells, counts(&present, &field.kind, &parts.train));
    let hash_buckets = schema.hash_buckets(position);
    let known: HashSet<&str> = match hash_buckets {
        Some(_) => counts.iter().map(|(value, _)| &**value).collect(),
        None => schema.vocabulary(position).iter().map(String::as_str).collect(),
    };
    let number = |cell: Option<&str>| cell.filter(|text| !reading.is_null(text)).and_then(number);
    let has_value = |cell: Option<&str>| match &field.kind {
        FieldKind::Categorical => cell.is_some_and(|text| reading.value(text).is_some()),
        FieldKind::MultiValued(list) | FieldKind::Sequence(list) => reading.pieces(cell, list).next().is_some(),
        FieldKind::Numeric { .. } | FieldKind::Transformed(_) => number(cell).is_some(),
    };
    let is_known = |cell: Option<&str>| match &field.kind {
        FieldKind::Categorical => cell.and_then(|text| reading.value(text)).is_some_and(|value| known.contains(value)),
        FieldKind::MultiValued(list) => {
            // Values that share an id share a slot: those of one bucket, or all outside the vocabulary.
            let id = |piece: &str| match hash_buckets {
                Some(_) if piece.is_empty() => (None, None),
                Some(buckets) => (Some(bucket(piece, buckets)), None),
                None => (None, known.get(piece)),
            };
            let mut taken = PlHashSet::new();
            list.ordered(reading.pieces(cell, list)).any(|(piece, _)| {
                let id = id(&piece);
                if !taken.contains(&id) {
                    if taken.len() == list.max_len {
                        return false;
                    }
                    taken.insert(id);
                }
                known.contains(&*piece)
            })
        }
        FieldKind::Sequence(list) => list.kept(reading.pieces(cell, list)).any(|(value, _)| known.contains(&*value)),
        FieldKind::Numeric { .. } | FieldKind::Transformed(_) => number(cell).is_some(),
    };
    let share = |rows: &[u32], holds: &dyn Fn(Option<&str>) -> bool| {
        let held = rows.iter().filter(|&&row| holds(column.get(row as usize))).count();
        (!rows.is_empty()).then(|| held as f64 / rows.len() as f64)
    };
    let (coverage, known_valid, known_test) =
        (share(&parts.train, &has_value), share(&parts.valid, &is_known), share(&parts.test, &is_known));
    let distinct = (!field.kind.is_numeric()).then_some(counts.len());
    Ok(FieldInspection {
        name: field.name.clone(),
        kind: match field.kind {
            FieldKind::Categorical => "categorical",
            FieldKind::MultiValued(_) => "multi-valued",
            FieldKind::Sequence(_) => "sequence",
            FieldKind::Numeric { .. } | FieldKind::Transformed(_) => "numeric",
        },
        transform: match &field.kind {
            FieldKind::Transformed(transform) => Some(transform.name()),
            _ => None,
        },
        time: field.derived.time,
        cross: field.derived.cross.clone(),
        side: field.side,
        slots: field.num_slots(),
        cardinality: schema.ids(position).end - schema.ids(position).start,
        distinct,
        below_min_count: counts.iter().filter(|(value, _)| !known.contains(&**value)).count(),
        colliding: hash_buckets.map(|buckets| colliding(counts.iter().map(|(value, _)| &**value), buckets)),
        coverage: coverage.unwrap_or(0.0),
        known_valid,
        known_test,
    })
}

/// The number of distinct values that share their bucket with another value.
fn colliding<'a>(values: impl Iterator<Item = &'a str>, buckets: u32) -> usize {
    let mut counts = PlHashMap::<u32, usize>::new();
    values.for_each(|value| *counts.entry(bucket(value, buckets)).or_insert(0) += 1);
    counts.into_values().filter(|&count| count > 1).sum()
}

fn matrix(users: &StringChunked, items: &StringChunked) -> Matrix {
    let ((user_codes, users), (item_codes, items)) = (codes(users), codes(items));
    let both = user_codes.iter().zip(&item_codes).filter(|&(&user, &item)| user != NO_CODE && item != NO_CODE);
    let mut pairs: Vec<u64> = both.map(|(&user, &item)| u64::from(user) << 32 | u64::from(item)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let cells = (users.len() as f64 * items.len() as f64).max(1.0);
    Matrix { users: users.len(), items: items.len(), pairs: pairs.len(), density: pairs.len() as f64 / cells }
}

fn distribution(labels: &[f32]) -> Labels {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let runs = || sorted.chunk_by(|a, b| a == b);
    if runs().nth(MAX_HISTOGRAM).is_none() {
        return Labels::Histogram(runs().map(|run| (run[0], run.len())).collect());
    }
    let at = |share: f64| (share, sorted[((sorted.len() - 1) as f64 * share).floor() as usize]);
    Labels::Quantiles([0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0].map(at).to_vec())
}

impl FieldInspection {
    fn kind_in_words(&self) -> String {
        let cross = (!self.cross.is_empty()).then_some("cross");
        let words = [Some(self.kind), cross, self.time.map(TimePart::name), self.transform];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let RowCounts { train, valid, test } = self.rows;
        writeln!(f, "rows    {train} train, {valid} valid, {test} test")?;
        writeln!(f, "size    {} slots a row, {} ids", self.slots, self.ids)?;
        if let Some(Matrix { users, items, pairs, density }) = self.matrix {
            let sparsity = 100.0 * (1.0 - density);
            writeln!(f, "matrix  {users} users x {items} items, {pairs} pairs, {sparsity:.2}% empty")?;
        }
        writeln!(f)?;
        let percent = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}%", 100.0 * share));
        let mut lines = vec![
            [
                "field",
                "kind",
                "side",
                "slots",
                "ids",
                "values",
                "too rare",
                "colliding",
                "filled",
                "known valid",
                "known test",
            ]
            .map(String::from),
        ];
        let count = |count: Option<usize>| count.map_or("-".into(), |count| count.to_string());
        lines.extend(self.fields.iter().map(|field| {
            [
                line(&field.name).into_owned(),
                field.kind_in_words(),
                format!("{:?}", field.side).to_lowercase(),
                field.slots.to_string(),
                field.cardinality.to_string(),
                count(field.distinct),
                field.below_min_count.to_string(),
                count(field.colliding),
                percent(Some(field.coverage)),
                percent(field.known_valid),
                percent(field.known_test),
            ]
        }));
        // Words are aligned to the left, numbers to the right.
        align(f, &lines, 3)?;
        writeln!(f)?;
        let lines: Vec<[String; 3]> = match &self.labels {
            Labels::Histogram(labels) => {
                let rows = labels.iter().map(|(_, count)| count).sum::<usize>().max(1) as f64;
                let line = |(label, count): &(f32, usize)| {
                    [label.to_string(), count.to_string(), percent(Some(*count as f64 / rows))]
                };
                std::iter::once(["label", "rows", "share"].map(String::from)).chain(labels.iter().map(line)).collect()
            }
            Labels::Quantiles(quantiles) => {
                let line =
                    |(share, label): &(f64, f32)| [format!("{:.0}%", 100.0 * share), label.to_string(), String::new()];
                std::iter::once(["of rows", "label up to", ""].map(String::from))
                    .chain(quantiles.iter().map(line))
                    .collect()
            }
        };
        align(f, &lines, 0)
    }
}

/// Writes lines in columns: the first `words` columns aligned to the left, the others to the right.
fn align<const N: usize>(f: &mut fmt::Formatter, lines: &[[String; N]], words: usize) -> fmt::Result {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for line in lines {
        let cell = |(column, text): (usize, &String)| {
            let width = widths[column];
            if column < words { format!("{text:<width$}") } else { format!("{text:>width$}") }
        };
        let cells: Vec<String> = line.iter().enumerate().map(cell).collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use fm_core::{Task, Weighting};

    use super::*;
    use crate::spec::{FieldSpec, FieldSpecKind, ListSpec, TableSpec};

    fn inspected() -> Inspection {
        let table = df!(
            "user" => ["ann", "ann", "bob", "bob", "cid"],
            "item" => [Some("x"), Some("y"), Some("x"), Some("x"), None],
            "tags" => ["p|q", "", "p", "q|new", "new"],
            "age" => ["1", "old", "3", "4", ""],
            "device" => ["x", "p", "y", "q", "y"],
        )
        .unwrap();
        let tags = FieldSpecKind::MultiValued(ListSpec::new("|", None, Weighting::Sqrt));
        let fields = vec![
            FieldSpec { min_count: 2, ..FieldSpec::new("user", FieldSpecKind::Categorical, Side::User) },
            FieldSpec::new("item", FieldSpecKind::Categorical, Side::Item),
            FieldSpec::new("tags", tags, Side::Item),
            FieldSpec::new("age", FieldSpecKind::Numeric, Side::User),
            FieldSpec { hash_buckets: Some(4), ..FieldSpec::new("device", FieldSpecKind::Categorical, Side::Context) },
        ];
        let (user, item) = (Some("user".into()), Some("item".into()));
        let spec = TableSpec { user, item, ..TableSpec::new("y", fields) };
        let labels = [1.0, 5.0, 5.0, 2.5, 1.0];
        let parts = Parts { train: vec![0, 1, 2], valid: vec![3, 4], test: vec![] };
        let schema = crate::fit::fit(&table, &spec, &labels, &parts.train, Task::Regression).unwrap();
        inspect(&table, &schema, &labels, &parts).unwrap()
    }

    #[test]
    fn shares_and_sizes_are_counted() {
        let inspection = inspected();
        let [user, item, tags, age, device] = &inspection.fields[..] else { panic!("five fields") };
        assert_eq!((user.cardinality, user.below_min_count, user.coverage), (2, 1, 1.0));
        assert_eq!((user.known_valid, user.known_test), (Some(0.0), None));
        assert_eq!((item.known_valid, item.cardinality), (Some(0.5), 3));
        assert_eq!((tags.slots, tags.coverage, tags.known_valid), (2, 2.0 / 3.0, Some(0.5)));
        assert_eq!((age.coverage, age.known_valid, age.below_min_count), (2.0 / 3.0, Some(0.5), 0));
        assert_eq!((user.distinct, user.colliding, age.distinct), (Some(2), None, None));
        // Of the values x, p and y, the last two share a bucket; q shares it, too, but is not in the training rows.
        assert_eq!((device.cardinality, device.distinct, device.colliding), (5, Some(3), Some(2)));
        assert_eq!((device.below_min_count, device.known_valid), (0, Some(0.5)));
        let expected = Matrix { users: 3, items: 2, pairs: 3, density: 0.5 };
        assert_eq!(inspection.matrix, Some(expected));
        assert_eq!(inspection.labels, Labels::Histogram(vec![(1.0, 2), (2.5, 1), (5.0, 2)]));
    }

    #[test]
    fn a_value_is_known_if_it_has_a_slot() {
        let train = df!("tags" => ["p", "q"]).unwrap();
        let known = |cell: &str, max_len, hash_buckets| {
            let table = train.vstack(&df!("tags" => [cell]).unwrap()).unwrap();
            let kind = FieldSpecKind::MultiValued(ListSpec::new("|", Some(max_len), Weighting::Mean));
            let fields = vec![FieldSpec { hash_buckets, ..FieldSpec::new("tags", kind, Side::Item) }];
            let spec = TableSpec::new("y", fields);
            let parts = Parts { train: vec![0, 1], valid: vec![2], test: vec![] };
            let schema = crate::fit::fit(&table, &spec, &[1.0; 3], &parts.train, Task::Regression).unwrap();
            inspect(&table, &schema, &[1.0; 3], &parts).unwrap().fields[0].known_valid == Some(1.0)
        };
        assert!(known("new|newer|newest|p", 2, None), "unknown values share a slot");
        assert!(!known("new|newer|newest|p", 1, None));
        // The buckets of FarmHash's C++ code: x 2, y 1, new 3, p 1.
        assert!(known("x|new|x|y|p", 3, Some(4)));
        assert!(!known("x|new|x|y|p", 2, Some(4)));
    }

    #[test]
    fn it_is_printed_as_aligned_text() {
        let expected = "\
rows    3 train, 2 valid, 0 test
size    6 slots a row, 15 ids
matrix  3 users x 2 items, 3 pairs, 50.00% empty

field   kind          side     slots  ids  values  too rare  colliding  filled  known valid  known test
user    categorical   user         1    2       2         1          -  100.0%         0.0%           -
item    categorical   item         1    3       2         0          -  100.0%        50.0%           -
tags    multi-valued  item         2    3       2         0          -   66.7%        50.0%           -
age     numeric       user         1    2       -         0          -   66.7%        50.0%           -
device  categorical   context      1    5       3         0          2  100.0%        50.0%           -

label  rows  share
    1     2  40.0%
  2.5     1  20.0%
    5     2  40.0%
";
        assert_eq!(inspected().to_string(), expected);
    }

    #[test]
    fn many_distinct_labels_are_shown_as_quantiles() {
        let labels: Vec<f32> = (0..=100).rev().map(|x| x as f32).collect();
        let Labels::Quantiles(quantiles) = distribution(&labels) else { panic!("101 distinct labels") };
        assert_eq!(quantiles[4], (0.5, 50.0));
        assert_eq!((quantiles[0].1, quantiles[8].1), (0.0, 100.0));
    }
}
