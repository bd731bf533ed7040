//! Encodes rows of a table as records.

use std::borrow::Borrow;

use fm_core::rows::{Category, Slots};
use fm_core::{Encoder, Field, FieldKind, Records, Schema};

use crate::encoded::{EncodedRows, Place, rows_builder};
use crate::error::{Error, Result};
use crate::table::{TextColumn, TextColumns, cells};
use crate::threads;

/// Number of rows that a thread encodes at once.
const CHUNK: usize = 1 << 14;

/// Number of rows whose categories are looked up column by column: few enough to stay in a processor's cache.
const BLOCK: usize = 256;

/// What to do if the table lacks the column of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingColumns {
    /// Fail.
    Error,
    /// Treat all its values as missing.
    Unknown,
}

/// The labels and weights of all rows of a table.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The label of each row, before the threshold of the task.
    pub labels: &'a [f32],
    /// The weight of each row, finite and at least 0; `None` if all rows have the same weight.
    pub weights: Option<&'a [f32]>,
}

/// Encodes rows of a table for scoring ([`columns_of_fields`](crate::table::columns_of_fields) has the columns of all fields): all rows, or the rows with these numbers, in this order. Their labels are 0.
/// One encoder can encode all chunks of a large table.
///
/// # Errors
/// [`Error::MissingColumn`], depending on `missing`; [`Error::Spec`] if a row number is outside the table.
pub fn encode<S: Borrow<Schema> + Sync>(
    table: &impl TextColumns,
    encoder: &Encoder<S>,
    rows: Option<&[u32]>,
    missing: MissingColumns,
) -> Result<Records> {
    check_numbers(table.height(), rows.unwrap_or_default())?;
    let columns = Columns::new(table, encoder, missing)?;
    let row = |at: usize| rows.map_or(at, |rows| rows[at] as usize);
    let n = rows.map_or(table.height(), <[u32]>::len);
    let mut encoded = EncodedRows::new(columns.schema(), false, n, Place::Memory)?;
    columns.encode(&mut encoded, n, false, row, |_| (0.0, None))?;
    Ok(encoded.finish(columns.schema(), None)?)
}

/// Encodes the rows with these numbers, in this order, with their labels and weights.
///
/// # Errors
/// [`Error::MissingColumn`]; [`Error::Spec`] if the table does not have one row per label and weight, or a row number
/// is outside the table; [`Error::Core`] if a label or a weight is invalid.
pub fn encode_labelled(table: &impl TextColumns, schema: &Schema, labels: Labels<'_>, rows: &[u32]) -> Result<Records> {
    let encoder = Encoder::new(schema);
    let columns = Columns::new(table, &encoder, MissingColumns::Error)?;
    let mut encoded = EncodedRows::new(schema, labels.weights.is_some(), rows.len(), Place::Memory)?;
    columns.encode_labelled(labels, rows, &mut encoded)?;
    Ok(encoded.finish(schema, None)?)
}

/// Returns an error unless each row of the table has a label, and all row numbers are inside the table.
pub(crate) fn check_rows(height: usize, labels: &[f32], rows: &[u32]) -> Result<()> {
    if labels.len() != height {
        return Err(Error::Spec(format!("there are {} labels for a table of {height} rows", labels.len())));
    }
    check_numbers(height, rows)
}

fn check_numbers(height: usize, rows: &[u32]) -> Result<()> {
    match rows.iter().find(|&&row| row as usize >= height) {
        Some(row) => Err(Error::Spec(format!("there is no row {row}: the table has {height} rows"))),
        None => Ok(()),
    }
}

/// The columns of a schema's fields in a table.
pub(crate) struct Columns<'a, S: Borrow<Schema>> {
    height: usize,
    encoder: &'a Encoder<S>,
    of_fields: Vec<Cells<'a>>,
}

/// The cells of a field.
enum Cells<'a> {
    Missing,
    Texts(TextColumn<'a>),
    /// The texts as codes, and the category of each code.
    Categories {
        texts: TextColumn<'a>,
        categories: Vec<Category>,
        missing: Category,
    },
}

impl<'a, S: Borrow<Schema> + Sync> Columns<'a, S> {
    pub fn new(
        table: &'a impl TextColumns,
        encoder: &'a Encoder<S>,
        missing: MissingColumns,
    ) -> Result<Columns<'a, S>> {
        let fields = encoder.schema().fields();
        let cells = |(number, field): (usize, &Field)| {
            let texts = match cells(table, &field.name, field.column(), &field.derived) {
                Err(Error::MissingColumn { .. }) if missing == MissingColumns::Unknown => return Ok(Cells::Missing),
                texts => texts?,
            };
            let category = |text| encoder.category(number, text);
            Ok(match (&field.kind, texts.texts()) {
                (FieldKind::Categorical, Some(distinct)) => {
                    let categories = distinct.iter().map(category).collect();
                    Cells::Categories { texts, categories, missing: category(None) }
                }
                _ => Cells::Texts(texts),
            })
        };
        let of_fields: Vec<Cells<'_>> = threads::map(fields.iter().enumerate(), fields.len() * table.height(), cells)
            .into_iter()
            .collect::<Result<_>>()?;
        if of_fields.iter().all(|cells| matches!(cells, Cells::Missing)) {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            return Err(Error::Spec(format!("the table has no column for any of the fields {}", names.join(", "))));
        }
        Ok(Columns { height: table.height(), encoder, of_fields })
    }

    /// The schema of the encoder.
    pub fn schema(&self) -> &Schema {
        self.encoder.schema()
    }

    /// Appends the rows with these numbers, in this order, with their labels and weights; see [`encode_labelled`].
    pub fn encode_labelled(&self, labels: Labels<'_>, rows: &[u32], to: &mut EncodedRows) -> Result<()> {
        let Labels { labels, weights } = labels;
        for numbers in [Some(labels), weights].into_iter().flatten() {
            check_rows(self.height, numbers, rows)?;
        }
        let label = self.encoder.schema().label();
        let target = |row: usize| (label.target(labels[row]), weights.map(|weights| weights[row]));
        self.encode(to, rows.len(), weights.is_some(), |at| rows[at] as usize, |at| target(rows[at] as usize))
    }

    /// Encodes `n` rows on [as many threads as are allowed](threads::set_num_threads). For each position, `row` returns
    /// the row's number in the table, and `target` the training target and, if rows have weights, the weight.
    fn encode(
        &self,
        to: &mut EncodedRows,
        n: usize,
        has_weights: bool,
        row: impl Fn(usize) -> usize + Sync,
        target: impl Fn(usize) -> (f32, Option<f32>) + Sync,
    ) -> Result<()> {
        let schema = self.encoder.schema();
        let counts_unknown = to.counts_unknown();
        let encode = |places: std::ops::Range<usize>| -> fm_core::Result<(Records, Option<Vec<usize>>)> {
            let mut builder = rows_builder(schema, has_weights);
            let (mut slots, mut codes) = (Slots::default(), vec![]);
            // [F, BLOCK]
            let mut categories: Vec<Vec<Category>> = self.of_fields.iter().map(|_| vec![]).collect();
            for first in places.clone().step_by(BLOCK) {
                let places = first..places.end.min(first + BLOCK);
                let numbers: Vec<usize> = places.clone().map(&row).collect();
                for (cells, found) in self.of_fields.iter().zip(&mut categories) {
                    if let Cells::Categories { texts, categories, missing } = cells {
                        texts.codes_of(&numbers, &mut codes);
                        found.clear();
                        found.extend(codes.iter().map(|&code| *categories.get(code as usize).unwrap_or(missing)));
                    }
                }
                for (at, (place, &number)) in places.zip(&numbers).enumerate() {
                    slots.clear();
                    for (field, cells) in self.of_fields.iter().enumerate() {
                        match cells {
                            Cells::Missing => self.encoder.encode(field, None, &mut slots),
                            Cells::Texts(texts) => self.encoder.encode(field, texts.get(number), &mut slots),
                            Cells::Categories { .. } => slots.push_category(categories[field][at]),
                        }
                    }
                    let (label, weight) = target(place);
                    builder.push(&slots, label, weight)?;
                }
            }
            let records = builder.finish();
            let unknown = counts_unknown.then(|| records.unknown_counts());
            Ok((records, unknown))
        };
        // A few chunks at a time, so that memory contains little more than the result.
        let starts: Vec<usize> = (0..n).step_by(CHUNK).collect();
        for starts in starts.chunks(4 * threads::num_threads()) {
            let chunks = threads::map(starts, n * self.of_fields.len(), |&start| encode(start..n.min(start + CHUNK)));
            for chunk in chunks {
                let (records, unknown) = chunk?;
                to.append(&records, unknown.as_deref())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fm_core::{FieldKind, Label, List, Rows, Side, Task, Weighting};
    use polars::prelude::{DataFrame, df};

    use super::*;

    /// The ids and values of all slots of all rows of a table.
    pub(crate) fn encoded(table: &DataFrame, schema: &Schema) -> (Vec<i32>, Vec<f32>) {
        slots(&encode(table, &Encoder::new(schema), None, MissingColumns::Error).unwrap())
    }

    fn slots(rows: &Records) -> (Vec<i32>, Vec<f32>) {
        let fields = || rows.rows().flat_map(|row| row.fields());
        (fields().flat_map(|field| field.ids()).collect(), fields().flat_map(|field| field.values()).collect())
    }

    /// a: 0 unknown, 1 x, 2 y. tags: 3 unknown, 4 p, 5 q. n: 6 missing, 7 a number.
    fn schema() -> Schema {
        let field = |name: &str, kind, values: &[&str]| {
            Field::new(name, kind, Side::Context, values.iter().map(|&v| v.into()).collect())
        };
        let tags = FieldKind::MultiValued(List::new("|", 2, Weighting::Mean));
        let fields = vec![
            field("a", FieldKind::Categorical, &["x", "y"]),
            field("tags", tags, &["p", "q"]),
            field("n", FieldKind::Numeric { mean: 2.0, std: 1.0 }, &[]),
        ];
        Schema::new(Label::fit("y", Task::Binary { threshold: 4.0 }, [0.0, 5.0]), fields).unwrap()
    }

    fn table() -> DataFrame {
        df!("a" => ["x", "y", "?"], "tags" => ["p|q", "", "q"], "n" => ["1", "3", "x"]).unwrap()
    }

    #[test]
    fn rows_are_encoded_in_the_given_order() {
        let (table, schema) = (table(), schema());
        let encode = |rows: Option<&[u32]>| encode(&table, &Encoder::new(&schema), rows, MissingColumns::Error);
        let (ids, values) = slots(&encode(Some(&[2, 0])).unwrap());
        assert_eq!(ids, [0, 5, 6, 1, 4, 5, 7]);
        assert_eq!(values, [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, -1.0]);
        assert_eq!(encode(None).unwrap().len(), 3);
        assert!(encode(Some(&[3])).unwrap_err().to_string().contains("there is no row 3"));
        assert!(encode(Some(&[])).unwrap().is_empty());
    }

    #[test]
    fn labels_are_thresholded_and_weights_are_those_of_the_rows() {
        let labels = |labels, weights| encode_labelled(&table(), &schema(), Labels { labels, weights }, &[2, 1]);
        let rows = labels(&[0.0, 3.0, 4.0], Some(&[0.5, 1.0, 2.0])).unwrap();
        assert_eq!((rows.labels(), rows.weights()), (vec![1.0, 0.0], Some(vec![2.0, 1.0])));
        assert_eq!(labels(&[0.0, 3.0, 4.0], None).unwrap().weights(), None);
        let error = labels(&[0.0], None).unwrap_err().to_string();
        assert_eq!(error, "there are 1 labels for a table of 3 rows");
    }

    #[test]
    fn a_missing_column_is_an_error_or_all_unknown() {
        let schema = schema();
        let encode = |table: &DataFrame, missing| encode(table, &Encoder::new(&schema), None, missing);
        let without = table().drop("a").unwrap();
        let error = encode(&without, MissingColumns::Error).unwrap_err().to_string();
        assert_eq!(error, "there is no column `a`; available: tags, n");
        let (ids, _) = slots(&encode(&without, MissingColumns::Unknown).unwrap());
        assert_eq!(ids, [0, 4, 5, 7, 0, 7, 0, 5, 6]);
        let foreign = df!("b" => ["x"]).unwrap();
        let error = encode(&foreign, MissingColumns::Unknown).unwrap_err().to_string();
        assert_eq!(error, "the table has no column for any of the fields a, tags, n");
    }

    #[test]
    fn chunks_of_many_rows_are_encoded_like_few_rows() {
        let n = 3 * CHUNK + 5;
        let text = |row: usize| ["x", "y", "?"][row % 3];
        let table =
            df!("a" => (0..n).map(text).collect::<Vec<_>>(), "tags" => vec!["q"; n], "n" => vec!["2"; n]).unwrap();
        let labels: Vec<f32> = (0..n).map(|row| (row % 7) as f32).collect();
        let rows: Vec<u32> = (0..n as u32).rev().collect();
        let encoded = encode_labelled(&table, &schema(), Labels { labels: &labels, weights: None }, &rows).unwrap();
        assert!(encoded.ids_of(0).eq((0..n).rev().map(|row| [1, 2, 0][row % 3])));
        assert!(encoded.labels().into_iter().eq((0..n).rev().map(|row| f32::from(row % 7 >= 4))));
    }
}
