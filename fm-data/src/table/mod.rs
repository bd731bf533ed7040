//! Tables from CSV and Parquet files, as text: an id such as "042" stays what it is, and what is a number is decided
//! by who reads the column.

mod csv;
mod parquet;
mod reader;
mod records;
mod writer;

use std::path::Path;

use fm_core::encoder::number;
use fm_core::mapped_file::MappedFile;
use polars::prelude::*;

use crate::error::{Error, Result};
use records::{Records, without_byte_order_mark};

pub use reader::{ChunkSize, TableReader};
pub use writer::TableWriter;

/// The code of a missing value in [`codes`].
pub const NO_CODE: u32 = u32::MAX;

/// The file types that tables are kept in.
#[derive(Clone, Copy)]
enum Format {
    Csv { separator: u8 },
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Result<Format> {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        match extension.to_str() {
            Some("csv") => Ok(Format::Csv { separator: b',' }),
            Some("tsv") => Ok(Format::Csv { separator: b'\t' }),
            Some("parquet") => Ok(Format::Parquet),
            _ => Err(Error::data(path, None, "a table's name ends in .csv, .tsv or .parquet")),
        }
    }
}

/// Reads a table, every column as text: `.csv`, `.tsv` (tabs) or `.parquet`.
///
/// A CSV file is UTF-8, has a header line, and quotes cells as RFC 4180 has it. An empty cell is null. Of Parquet,
/// whole numbers become their digits (a float column's, too: 5.0 is "5", as pandas keeps ids beside missing values),
/// and NaN becomes null.
///
/// # Errors
/// [`Error::Io`], or [`Error::Data`] with the line: an empty file, a line with more or fewer cells than the header,
/// bytes that are not UTF-8, a quote out of place, a column name that is there twice, a Parquet column of lists.
pub fn read_table(path: impl AsRef<Path>) -> Result<DataFrame> {
    let path = path.as_ref();
    let mut chunks = TableReader::open(path, ChunkSize::default())?;
    let mut table = chunks.next().transpose()?.unwrap_or_default();
    for chunk in chunks {
        table.vstack_mut_owned(chunk?).map_err(|error| Error::data(path, None, first_line(&error)))?;
    }
    table.rechunk_mut_par();
    Ok(table)
}

/// Writes a table, whole or not at all, as the extension says: `.csv`, `.tsv` or `.parquet`.
///
/// # Errors
/// As [`TableWriter`]'s.
pub fn write_table(path: impl AsRef<Path>, table: &mut DataFrame) -> Result<()> {
    let mut writer = TableWriter::create(path)?;
    writer.write(table)?;
    writer.finish()
}

/// Checks, before the work is done, that [`write_table`] could write here.
///
/// # Errors
/// [`Error::Data`] for a folder, or an extension that is no table's.
pub fn check_output(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    if path.is_dir() {
        return Err(Error::data(path, None, "is a folder: name the file to write, such as scores.csv"));
    }
    Format::of(path).map(|_| ())
}

/// A column as text, in one chunk.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Spec`] for a column of lists or the like.
pub fn strings(table: &DataFrame, name: &str) -> Result<StringChunked> {
    text_of(column(table, name)?).map_err(Error::Spec)
}

/// A column of finite numbers. `path` is the file that the table was read from, for the error.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Data`] with the line and the text of the first cell that is no finite number.
pub fn numbers(table: &DataFrame, name: &str, path: impl AsRef<Path>) -> Result<Vec<f32>> {
    parsed(table, name, path.as_ref(), "a number", |text| number(Some(text)))
}

/// A column of whole numbers, such as timestamps. `path` is the file that the table was read from, for the error.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Data`] with the line and the text of the first cell that is no whole number.
pub fn integers(table: &DataFrame, name: &str, path: impl AsRef<Path>) -> Result<Vec<i64>> {
    parsed(table, name, path.as_ref(), "a whole number", |text| text.trim().parse().ok())
}

/// A column of weights: finite numbers of at least 0. `path` is the file that the table was read from, for the error.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Data`] with the line and the text of the first cell that is none.
pub fn weights(table: &DataFrame, name: &str, path: impl AsRef<Path>) -> Result<Vec<f32>> {
    parsed(table, name, path.as_ref(), "a weight: a number of at least 0", |text| {
        number(Some(text)).filter(|&weight| weight >= 0.0)
    })
}

/// The rows of these numbers, in this order.
///
/// # Errors
/// [`Error::Spec`] for a number outside the table.
pub fn take_rows(table: &DataFrame, rows: &[u32]) -> Result<DataFrame> {
    let rows: IdxCa = rows.iter().map(|&row| Some(IdxSize::from(row))).collect();
    table.take(&rows).map_err(|error| Error::Spec(error.to_string()))
}

/// The columns of these names, in this order.
///
/// # Errors
/// [`Error::MissingColumn`], or [`Error::Spec`] for a name that is given twice.
pub fn take_columns(table: &DataFrame, names: &[String]) -> Result<DataFrame> {
    let columns: Vec<Column> = names.iter().map(|name| column(table, name).cloned()).collect::<Result<_>>()?;
    if let Some((_, twice)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err(Error::Spec(format!("the column `{twice}` is named twice")));
    }
    DataFrame::new(table.height(), columns).map_err(|error| Error::Spec(first_line(&error)))
}

/// The values of a column as small numbers, in the order in which they first appear, and the value of each number.
/// A missing or empty value has [`NO_CODE`].
pub fn codes<'a>(column: &'a StringChunked) -> (Vec<u32>, Vec<&'a str>) {
    let mut known = PlHashMap::<&str, u32>::new();
    let mut values = Vec::new();
    let code = |value: Option<&'a str>| {
        value.filter(|value| !value.is_empty()).map_or(NO_CODE, |value| {
            *known.entry(value).or_insert_with(|| {
                values.push(value);
                values.len() as u32 - 1
            })
        })
    };
    (column.iter().map(code).collect(), values)
}

fn column<'a>(table: &'a DataFrame, name: &str) -> Result<&'a Column> {
    table.column(name).map_err(|_| Error::MissingColumn {
        name: name.to_owned(),
        there: table.get_column_names().iter().map(|name| name.to_string()).collect(),
    })
}

fn parsed<T>(
    table: &DataFrame,
    name: &str,
    path: &Path,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>> {
    let cells = strings(table, name)?;
    let parsed = cells.iter().enumerate().map(|(row, cell)| {
        cell.and_then(&parse).ok_or_else(|| {
            let (line, place) = place_of(path, row);
            let found = cell.filter(|text| !text.is_empty()).map_or("an empty cell".into(), |text| format!("`{text}`"));
            Error::data(path, line, format!("{place}{found} in column `{name}` is not {what}"))
        })
    });
    parsed.collect()
}

/// Where a row stands in its file: the line of a CSV file, the row in words of another.
fn place_of(path: &Path, row: usize) -> (Option<usize>, String) {
    match Format::of(path) {
        Ok(Format::Csv { separator }) => {
            // A quoted cell may span lines, so the file is asked; without it, each row is taken for a line.
            let file = MappedFile::open(path).ok();
            let line = file.and_then(|file| {
                let mut records = Records::new(without_byte_order_mark(file.bytes()), separator, 1);
                records.nth(row + 1)?.ok().map(|record| record.line)
            });
            (Some(line.unwrap_or(row + 2)), String::new())
        }
        _ => (None, format!("row {}: ", row + 1)),
    }
}

fn text_of(column: &Column) -> std::result::Result<StringChunked, String> {
    let name = column.name();
    let refused = |why: String| format!("column `{name}` {why}");
    let polars = |error: PolarsError| refused(format!("cannot be read as text: {}", first_line(&error)));
    let text = match column.dtype() {
        DataType::Null => StringChunked::full_null(name.clone(), column.len()),
        DataType::String => column.str().map_err(polars)?.clone(),
        DataType::Float32 | DataType::Float64 => {
            let wide = column.dtype() == &DataType::Float64;
            let floats = column.cast(&DataType::Float64).map_err(polars)?;
            // A 32-bit number has its own shortest digits: 0.1, not 0.10000000149.
            let digits = |x: f64| if wide { x.to_string() } else { (x as f32).to_string() };
            let cells = floats.f64().map_err(polars)?.iter().map(|x| x.filter(|x| !x.is_nan()).map(digits));
            StringChunked::from_iter_options(name.clone(), cells)
        }
        kind if kind.is_integer() || kind.is_bool() || kind.is_temporal() || kind.is_categorical() => {
            let text = column.cast(&DataType::String).map_err(polars)?;
            text.str().map_err(polars)?.clone()
        }
        kind => {
            return Err(refused(format!("holds {kind}: a cell must be text or a number; join lists with a separator")));
        }
    };
    Ok(text.rechunk().into_owned())
}

fn first_line(error: &PolarsError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or("unknown error").to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Result<DataFrame> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_table(path)
    }

    fn refused(bytes: &[u8]) -> String {
        let error = read("t.csv", bytes).unwrap_err().to_string();
        error.split_once("t.csv").unwrap().1.to_owned()
    }

    fn column_of(table: &DataFrame, name: &str) -> Vec<Option<String>> {
        strings(table, name).unwrap().iter().map(|cell| cell.map(str::to_owned)).collect()
    }

    fn texts(cells: &[&str]) -> Vec<Option<String>> {
        cells.iter().map(|&cell| Some(cell.to_owned()).filter(|cell| !cell.is_empty())).collect()
    }

    #[test]
    fn ids_stay_the_text_they_are() {
        let table = read("t.csv", b"id,n\n042,1.0\n42,1\n,x\n").unwrap();
        assert_eq!(column_of(&table, "id"), texts(&["042", "42", ""]));
        assert_eq!(column_of(&table, "n"), texts(&["1.0", "1", "x"]));
    }

    #[test]
    fn quotes_line_ends_and_byte_order_marks_are_understood() {
        let table = read("t.csv", b"\xEF\xBB\xBF\"a\",b\r\n\"x,\"\"y\"\"\nz\",1\r\n\"\",\r\n\r\n").unwrap();
        assert_eq!(table.get_column_names(), ["a", "b"]);
        assert_eq!(column_of(&table, "b"), texts(&["1", ""]));
        let first = column_of(&table, "a");
        assert_eq!((first.len(), first[0].as_deref()), (2, Some("x,\"y\"\nz")));
    }

    #[test]
    fn tabs_separate_in_a_tsv() {
        let table = read("t.tsv", b"a\tb\n1,5\t2\n").unwrap();
        assert_eq!(column_of(&table, "a"), texts(&["1,5"]));
    }

    #[test]
    fn a_header_alone_is_a_table_without_rows() {
        let table = read("t.csv", b"a,b\n").unwrap();
        assert_eq!((table.height(), table.width()), (0, 2));
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_line() {
        assert_eq!(refused(b""), ": is empty: expected a header line and rows");
        assert_eq!(refused(b"a,b\n1,2\n1\n"), ", line 3: has 1 cells, but the header has 2");
        assert_eq!(refused(b"a,b\n1,2,3\n"), ", line 2: has 3 cells, but the header has 2");
        assert_eq!(refused(b"\na,b\n"), ", line 1: is blank: expected the names of the columns");
        assert_eq!(refused(b"a,b\n\n1,2\n"), ", line 2: is blank, but the header has 2");
        assert!(refused(b"a\n1\n\xFF\n").starts_with(", line 3: is not UTF-8"));
        assert_eq!(refused(b"a,b\n\"x\ny\",2\n\"1,2\n3,4\n"), ", line 4: opens a quote that never closes");
        assert!(refused(b"a,b\n1,2\n5\"x,2\n").starts_with(", line 3: has a quote inside a cell"));
        assert_eq!(refused(b"a,b\n\"1\"2,3\n"), ", line 2: has text after a closing quote");
        assert_eq!(refused(b"a,b\n1,\"2\"\r3\n"), ", line 2: has text after a closing quote");
        assert_eq!(refused(b"a,b,a\n1,2,3\n"), ", line 1: the column name `a` is there twice");
    }

    #[test]
    fn other_files_are_refused() {
        assert!(read("t.xlsx", b"").unwrap_err().to_string().ends_with("ends in .csv, .tsv or .parquet"));
        assert!(read("t.parquet", b"PAR1 or not").unwrap_err().to_string().contains("no readable Parquet"));
        assert!(read_table("none.csv").unwrap_err().to_string().starts_with("cannot read none.csv: "));
    }

    #[test]
    fn a_cell_that_is_no_number_is_shown_with_its_line_and_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "a,b\n\"x\ny\",1\nz,abc\nw,\n").unwrap();
        let table = read_table(&path).unwrap();
        let error = numbers(&table, "b", &path).unwrap_err().to_string();
        assert!(error.ends_with("t.csv, line 4: `abc` in column `b` is not a number"), "{error}");
        let empty = numbers(&table.slice(2, 1), "b", "t.parquet").unwrap_err().to_string();
        assert_eq!(empty, "t.parquet: row 1: an empty cell in column `b` is not a number");
        assert!(integers(&table, "B", &path).unwrap_err().to_string().contains("did you mean `b`?"));
    }

    #[test]
    fn infinite_labels_are_refused() {
        let table = read("t.csv", b"y\n1\ninf\n").unwrap();
        assert!(numbers(&table, "y", "t.csv").unwrap_err().to_string().contains("line 3: `inf`"));
    }

    #[test]
    fn parquet_becomes_the_same_text_as_csv() {
        let mut table = df!(
            "id" => ["042", "7"],
            "int" => [Some(3i64), None],
            "float" => [Some(5f64), Some(f64::NAN)],
            "single" => [0.1f32, 1e10],
            "yes" => [true, false],
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        write_table(&path, &mut table).unwrap();
        let read = read_table(&path).unwrap();
        assert_eq!(column_of(&read, "id"), texts(&["042", "7"]));
        assert_eq!(column_of(&read, "int"), texts(&["3", ""]));
        assert_eq!(column_of(&read, "float"), texts(&["5", ""]));
        assert_eq!(column_of(&read, "single"), texts(&["0.1", "10000000000"]));
        assert_eq!(column_of(&read, "yes"), texts(&["true", "false"]));
        assert_eq!(numbers(&read, "single", &path).unwrap(), [0.1, 1e10]);
    }

    #[test]
    fn codes_follow_the_first_appearance_and_missing_ones_have_none() {
        let column = StringChunked::from_iter([Some("b"), None, Some("a"), Some("b"), Some("")]);
        assert_eq!(codes(&column), (vec![0, NO_CODE, 1, 0, NO_CODE], vec!["b", "a"]));
    }

    proptest! {
        #[test]
        fn a_written_table_is_read_back(
            cells in prop::collection::vec(("\\PC{0,6}|[\",\n\r]{1,4}", "[a-z\"]{1,3}"), 1..20),
        ) {
            let folder = tempfile::tempdir().unwrap();
            // A lone carriage return at a cell's end belongs to the line end.
            let (a, b): (Vec<_>, Vec<_>) = cells.into_iter().map(|(a, b)| (a.replace('\r', ""), b)).unzip();
            let mut table = df!("a" => &a, "b" => &b).unwrap();
            for name in ["t.csv", "t.tsv", "t.parquet"] {
                let path = folder.path().join(name);
                write_table(&path, &mut table).unwrap();
                let read = read_table(&path).unwrap();
                let read_a: Vec<_> = column_of(&read, "a").into_iter().map(Option::unwrap_or_default).collect();
                prop_assert_eq!(&read_a, &a);
                prop_assert_eq!(column_of(&read, "b"), b.iter().cloned().map(Some).collect::<Vec<_>>());
            }
        }

        #[test]
        fn any_bytes_are_a_table_or_an_error(
            bytes in prop::collection::vec(prop::sample::select(b"a\",\n\r\xFF1".to_vec()), 0..40),
        ) {
            if let Ok(table) = read("t.csv", &bytes) {
                prop_assert!(table.width() > 0);
            }
        }
    }
}
