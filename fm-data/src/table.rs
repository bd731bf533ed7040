//! Tables from CSV and Parquet files, as text: an id such as "042" stays what it is, and what is a number is decided
//! by who reads the column.

use std::io::{self, Cursor};
use std::path::Path;
use std::sync::Arc;

use fm_core::atomic_file::write_atomically;
use fm_core::encoder::number;
use fm_core::mapped_file::MappedFile;
use polars::prelude::*;

use crate::error::{Error, Result};

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
    match Format::of(path)? {
        Format::Csv { separator } => read_csv(path, separator),
        Format::Parquet => read_parquet(path),
    }
}

/// Writes a table, whole or not at all, as the extension says: `.csv`, `.tsv` or `.parquet`.
///
/// # Errors
/// [`fm_core::Error::Io`], or [`Error::Data`] for another extension.
pub fn write_table(path: impl AsRef<Path>, table: &mut DataFrame) -> Result<()> {
    let path = path.as_ref();
    let format = Format::of(path)?;
    write_atomically(path, |file| match format {
        Format::Csv { separator } => {
            CsvWriter::new(file).with_separator(separator).finish(table).map_err(io::Error::other)
        }
        Format::Parquet => ParquetWriter::new(file).finish(table).map(|_| ()).map_err(io::Error::other),
    })?;
    Ok(())
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

/// The rows of these numbers, in this order.
///
/// # Errors
/// [`Error::Spec`] for a number outside the table.
pub fn take_rows(table: &DataFrame, rows: &[u32]) -> Result<DataFrame> {
    let rows: IdxCa = rows.iter().map(|&row| Some(IdxSize::from(row))).collect();
    table.take(&rows).map_err(|error| Error::Spec(error.to_string()))
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
                let mut records = Records::new(body(file.bytes()), separator);
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

fn read_parquet(path: &Path) -> Result<DataFrame> {
    let file = std::fs::File::open(path).map_err(Error::io("read", path))?;
    let invalid = |error: PolarsError| {
        // The types that this build of Polars leaves out.
        let what = first_line(&error);
        let left_out = what.starts_with("cannot create series from");
        let advice = if left_out { ": keep the column as text, or as 32- or 64-bit numbers" } else { "" };
        Error::data(path, None, format!("no readable Parquet: {what}{advice}"))
    };
    let table = ParquetReader::new(file).finish().map_err(invalid)?;
    let text = |column: &Column| text_of(column).map(IntoColumn::into_column);
    let columns: std::result::Result<_, String> = table.columns().iter().map(text).collect();
    DataFrame::new(table.height(), columns.map_err(|reason| Error::data(path, None, reason))?).map_err(invalid)
}

fn read_csv(path: &Path, separator: u8) -> Result<DataFrame> {
    let file = MappedFile::open(path)?;
    let bytes = body(file.bytes());
    // Polars fills short lines with nulls and names no lines in its errors; so the file is checked first.
    let header = check_csv(bytes, separator).map_err(|(line, reason)| Error::data(path, line, reason))?;
    let columns: Schema = header.iter().map(|name| Field::new(name.into(), DataType::String)).collect();
    if Records::new(bytes, separator).nth(1).is_none() {
        return Ok(DataFrame::empty_with_schema(&columns));
    }
    let options = CsvReadOptions::default()
        .with_has_header(true)
        .with_schema(Some(Arc::new(columns)))
        .with_rechunk(true)
        .map_parse_options(|options| options.with_separator(separator));
    let table = options.into_reader_with_file_handle(Cursor::new(bytes)).finish();
    table.map_err(|error| Error::data(path, None, first_line(&error)))
}

fn first_line(error: &PolarsError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or("unknown error").to_owned()
}

/// The file without its byte-order mark and its closing line ends.
fn body(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// The column names of a well-formed CSV file; or the line and what is wrong with it.
fn check_csv(bytes: &[u8], separator: u8) -> std::result::Result<Vec<String>, (Option<usize>, String)> {
    if bytes.is_empty() {
        return Err((None, "is empty: expected a header line and rows".into()));
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        return Err((Some(line), "is not UTF-8: convert the file, for example with iconv".into()));
    }
    let mut records = Records::new(bytes, separator);
    let header = records.next().transpose()?.map_or(&[][..], |record| record.bytes);
    let names = cells(header, separator);
    if let Some((_, twice)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err((Some(1), format!("the column name `{twice}` is there twice")));
    }
    for record in records {
        let Record { line, cells, bytes } = record?;
        if cells != names.len() {
            let found = if bytes.is_empty() { "is blank".into() } else { format!("has {cells} cells") };
            return Err((Some(line), format!("{found}, but the header has {}", names.len())));
        }
    }
    Ok(names)
}

/// The cells of a well-formed record.
fn cells(record: &[u8], separator: u8) -> Vec<String> {
    let (mut quoted, mut start, mut cells) = (false, 0, Vec::new());
    for at in 0..=record.len() {
        match record.get(at) {
            Some(b'"') => quoted = !quoted,
            end if !quoted && end.is_none_or(|byte| *byte == separator) => {
                let cell = String::from_utf8_lossy(&record[start..at]);
                let inner = cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"'));
                cells.push(inner.map_or_else(|| cell.to_string(), |inner| inner.replace("\"\"", "\"")));
                start = at + 1;
            }
            _ => {}
        }
    }
    cells
}

/// The records of a CSV file, one after the other.
struct Records<'a> {
    rest: &'a [u8],
    separator: u8,
    line: usize,
}

struct Record<'a> {
    /// The line that it starts on, from 1.
    line: usize,
    /// The number of its cells.
    cells: usize,
    /// Its bytes, without the line end.
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    fn new(bytes: &'a [u8], separator: u8) -> Records<'a> {
        Records { rest: bytes, separator, line: 1 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = std::result::Result<Record<'a>, (Option<usize>, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest;
        if bytes.is_empty() {
            return None;
        }
        let line = self.line;
        let (mut at, mut cells, mut cell_starts) = (0, 1, true);
        let end = loop {
            match bytes.get(at) {
                None => break at,
                Some(b'\n') => break at,
                Some(b'"') if cell_starts => match closing_quote(&bytes[at..], self.separator) {
                    Ok(len) => {
                        self.line += bytes[at..at + len].iter().filter(|&&byte| byte == b'\n').count();
                        at += len;
                        cell_starts = false;
                        continue;
                    }
                    Err(reason) => return self.fail(line, reason),
                },
                Some(b'"') => return self.fail(self.line, STRAY_QUOTE),
                Some(byte) => {
                    cell_starts = *byte == self.separator;
                    cells += usize::from(cell_starts);
                }
            }
            at += 1;
        };
        self.rest = &bytes[bytes.len().min(end + 1)..];
        self.line += 1;
        let bytes = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        Some(Ok(Record { line, cells, bytes }))
    }
}

const STRAY_QUOTE: &str = "has a quote inside a cell: put the cell in quotes and double those inside";

impl<'a> Records<'a> {
    fn fail(&mut self, line: usize, reason: &str) -> Option<<Self as Iterator>::Item> {
        self.rest = &[];
        Some(Err((Some(line), reason.to_owned())))
    }
}

/// The length of the quoted cell that `bytes` start with.
fn closing_quote(bytes: &[u8], separator: u8) -> std::result::Result<usize, &'static str> {
    let mut at = 1;
    loop {
        match bytes[at..].iter().position(|&byte| byte == b'"') {
            None => return Err("opens a quote that never closes"),
            Some(offset) => at += offset + 1,
        }
        match bytes.get(at) {
            Some(b'"') => at += 1,
            None | Some(b'\n' | b'\r') => return Ok(at),
            Some(byte) if *byte == separator => return Ok(at),
            Some(_) => return Err("has text after a closing quote"),
        }
    }
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
        assert_eq!(refused(b"a,b\n\n1,2\n"), ", line 2: is blank, but the header has 2");
        assert!(refused(b"a\n1\n\xFF\n").starts_with(", line 3: is not UTF-8"));
        assert_eq!(refused(b"a,b\n\"x\ny\",2\n\"1,2\n3,4\n"), ", line 4: opens a quote that never closes");
        assert!(refused(b"a,b\n1,2\n5\"x,2\n").starts_with(", line 3: has a quote inside a cell"));
        assert_eq!(refused(b"a,b\n\"1\"2,3\n"), ", line 2: has text after a closing quote");
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
