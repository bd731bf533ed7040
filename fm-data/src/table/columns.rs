//! Columns of a table as text, as numbers and as codes.

use std::collections::HashSet;

use fm_core::number::number;
use fm_core::schema::{Derived, Reading};
use fm_core::terminal::shortened;
use polars::prelude::*;

use super::codes::Codes;
#[cfg(test)]
use super::codes::NO_CODE;
use super::compact::{TextColumn, TextColumns};
use super::origin::Origin;
use crate::error::{Error, Result, first_line};
use crate::format::text::text_of;

/// A column as text, in one chunk.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Spec`] for a column of another type, such as lists.
pub fn strings(table: &DataFrame, name: &str) -> Result<StringChunked> {
    text_of(column(table, name)?).map_err(Error::Spec)
}

/// The cells of a field as text: those of its own name, or else those of the column that it reads. A field that follows from
/// columns needs one of its own name ([`columns_of_fields`](super::columns_of_fields)).
///
/// # Errors
/// As [`strings`].
pub(crate) fn cells<'a>(
    table: &'a impl TextColumns,
    field: &str,
    column: &str,
    derived: &Derived,
) -> Result<TextColumn<'a>> {
    match table.column(field) {
        Err(Error::MissingColumn { .. }) if column != field && !derived.is_derived() => table.column(column),
        cells => cells,
    }
}

/// The values of a column in the form in which they are compared; missing ones are null.
///
/// # Errors
/// As [`strings`].
pub fn values(table: &impl TextColumns, name: &str, reading: Reading<'_>) -> Result<StringChunked> {
    let texts = table.texts(name)?;
    let are_values = texts.iter().flatten().all(|text| reading.value(text) == Some(text));
    Ok(if are_values { texts } else { texts.iter().map(|cell| reading.value(cell?)).collect() })
}

/// A column of finite numbers. Errors name the file in `origin`.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Data`] with the line and the text of the first cell that is not a finite
/// number.
pub fn numbers(table: &impl TextColumns, name: &str, origin: &Origin) -> Result<Vec<f32>> {
    parsed(table, name, origin, "a number", narrow)
}

/// A column of labels: finite numbers, or the truth values `true` and `false`, `yes` and `no`, or the first letters of these, in
/// any case, as 1 and 0. Errors name the file in `origin`.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Data`] with the line and the text of the first cell that is neither a number nor, beside
/// numbers other than 0 and 1, a truth value.
pub fn labels(table: &impl TextColumns, name: &str, origin: &Origin) -> Result<Vec<f32>> {
    let labels = parsed(table, name, origin, LABEL, |text| narrow(text).or_else(|| truth(text).map(f32::from)))?;
    if labels.iter().any(|label| ![0.0, 1.0].contains(label)) {
        return numbers(table, name, origin);
    }
    Ok(labels)
}

/// A column of weights: finite numbers of at least 0. Errors name the file in `origin`.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Data`] with the line and the text of the first cell that is not a weight.
pub fn weights(table: &impl TextColumns, name: &str, origin: &Origin) -> Result<Vec<f32>> {
    parsed(table, name, origin, WEIGHT, weight)
}

/// What a label and a weight are, for errors.
pub(super) const LABEL: &str = "a number, `true`, `false`, `yes` or `no`";
pub(super) const WEIGHT: &str = "a weight: a number of at least 0";

/// The weight in a text.
pub(super) fn weight(text: &str) -> Option<f32> {
    narrow(text).filter(|&weight| weight >= 0.0)
}

/// The number in a text, if float32 holds it.
pub(super) fn narrow(text: &str) -> Option<f32> {
    number(text).map(|number| number as f32).filter(|number| number.is_finite())
}

/// The rows with these numbers, in this order.
///
/// # Errors
/// [`Error::Spec`] for a row outside the table.
pub fn take_rows(table: &DataFrame, rows: &[u32]) -> Result<DataFrame> {
    let rows: IdxCa = rows.iter().map(|&row| Some(IdxSize::from(row))).collect();
    table.take(&rows).map_err(|error| Error::Spec(error.to_string()))
}

/// The columns with these names, in this order.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Spec`] for a repeated name.
pub fn take_columns(table: &DataFrame, names: &[String]) -> Result<DataFrame> {
    let columns: Vec<Column> = names.iter().map(|name| column(table, name).cloned()).collect::<Result<_>>()?;
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(Error::Spec(format!("the column `{twice}` is given twice")));
    }
    DataFrame::new(table.height(), columns).map_err(|error| Error::Spec(first_line(&error)))
}

/// The values of a column as codes 0, 1, … in the order of first appearance, and the value of each code. A missing or
/// empty value has the code [`NO_CODE`](super::NO_CODE).
pub fn codes(column: &StringChunked) -> (Vec<u32>, Vec<&str>) {
    let coded = Codes::new(column);
    let texts = coded.texts(column);
    (coded.codes, texts)
}

/// Whether a word says yes.
pub(super) fn truth(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| text.trim_ascii().eq_ignore_ascii_case(word));
    if is_one_of(["true", "yes", "t", "y"]) {
        return Some(true);
    }
    is_one_of(["false", "no", "f", "n"]).then_some(false)
}

fn column<'a>(table: &'a DataFrame, name: &str) -> Result<&'a Column> {
    table
        .column(name)
        .map_err(|_| missing(name, table.get_column_names().iter().map(|name| name.to_string()).collect()))
}

/// The error for a missing column.
pub(super) fn missing(name: &str, there: Vec<String>) -> Error {
    Error::MissingColumn { name: name.to_owned(), there }
}

fn parsed<T>(
    table: &impl TextColumns,
    name: &str,
    origin: &Origin,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>> {
    let cells = table.column(name)?;
    let parsed = cells
        .iter()
        .enumerate()
        .map(|(row, cell)| cell.and_then(&parse).ok_or_else(|| origin.error(row, &is_not(cell, name, what))));
    parsed.collect()
}

/// Says that a cell is not what its column holds.
pub(super) fn is_not(cell: Option<&str>, name: &str, what: &str) -> String {
    let found = cell
        .filter(|text| !text.is_empty())
        .map_or("an empty cell".into(), |text| format!("`{}`", shortened(text, 80)));
    format!("{found} in column `{name}` is not {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::read_table;

    #[test]
    fn a_cell_that_is_not_a_number_is_an_error_with_its_line_and_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "a,b\n\"x\ny\",1\nz,abc\nw,\n").unwrap();
        let table = read_table(&path).unwrap();
        let error = numbers(&table, "b", &Origin::file(&path)).unwrap_err().to_string();
        assert!(error.ends_with("t.csv, line 4: `abc` in column `b` is not a number"), "{error}");
        let empty = numbers(&table.slice(2, 1), "b", &Origin::file("t.parquet")).unwrap_err().to_string();
        assert_eq!(empty, "t.parquet: row 1: an empty cell in column `b` is not a number");
        assert!(numbers(&table, "B", &Origin::file(&path)).unwrap_err().to_string().contains("did you mean `b`?"));
    }

    #[test]
    fn labels_may_be_truth_values_but_not_beside_other_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let of = |cells: &[&str]| {
            std::fs::write(
                &path,
                format!("x,y\n{}", cells.iter().map(|cell| format!("a,{cell}\n")).collect::<String>()),
            )
            .unwrap();
            labels(&read_table(&path).unwrap(), "y", &Origin::file(&path)).map_err(|error| error.to_string())
        };
        assert_eq!(of(&["True", "false", " TRUE ", "F"]), Ok(vec![1.0, 0.0, 1.0, 0.0]));
        assert_eq!(of(&["yes", "No", "y", "N", "1", "0.0"]), Ok(vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0]));
        assert_eq!(of(&["4.5", "-1"]), Ok(vec![4.5, -1.0]));
        assert!(of(&["4.5", "no"]).unwrap_err().ends_with("line 3: `no` in column `y` is not a number"));
        let error = of(&["true", "maybe"]).unwrap_err();
        assert!(
            error.ends_with("line 3: `maybe` in column `y` is not a number, `true`, `false`, `yes` or `no`"),
            "{error}"
        );
        let error = of(&["true", ""]).unwrap_err();
        assert!(
            error.ends_with("line 3: an empty cell in column `y` is not a number, `true`, `false`, `yes` or `no`"),
            "{error}"
        );
    }

    #[test]
    fn an_infinite_label_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "y\n1\ninf\n").unwrap();
        let error = numbers(&read_table(&path).unwrap(), "y", &Origin::file(&path)).unwrap_err().to_string();
        assert!(error.contains("line 3: `inf`"), "{error}");
    }

    #[test]
    fn values_are_canonical_and_missing_ones_null() {
        let table = df!("a" => [Some(" 4.0"), Some("4"), Some(" "), None, Some("NA"), Some("True")]).unwrap();
        let nulls = ["NA".to_owned()];
        let column = values(&table, "a", Reading::new(false, &nulls)).unwrap();
        assert_eq!(column.iter().collect::<Vec<_>>(), [Some("4"), Some("4"), None, None, None, Some("true")]);
        assert_eq!(codes(&column), (vec![0, 0, NO_CODE, NO_CODE, NO_CODE, 1], vec!["4", "true"]));
        let exact = values(&table, "a", Reading::new(true, &nulls)).unwrap();
        assert_eq!(exact.iter().collect::<Vec<_>>(), [Some(" 4.0"), Some("4"), Some(" "), None, None, Some("True")]);
    }

    #[test]
    fn codes_follow_the_first_appearance_and_missing_values_have_none() {
        let column = StringChunked::from_iter([Some("b"), None, Some("a"), Some("b"), Some("")]);
        assert_eq!(codes(&column), (vec![0, NO_CODE, 1, 0, NO_CODE], vec!["b", "a"]));
    }
}
