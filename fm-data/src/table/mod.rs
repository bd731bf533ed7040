//! Tables as text: an id such as "042" stays unchanged, and the reader of a column decides whether it has numbers.

mod codes;
mod columns;
mod compact;
mod decimal;
mod origin;
mod present;
mod reader;
#[cfg(test)]
mod round_trips;
mod row_check;
mod times;
mod writer;

use std::collections::HashSet;
use std::path::Path;

use fm_core::{Field, Schema};
use polars::prelude::{DataFrame, IntoColumn, StringChunked};

use crate::error::{Error, Result};
use crate::format;
use crate::spec::derived_texts;

pub use crate::format::parts::files;
pub use crate::format::pattern::{is_pattern, within};
pub use crate::format::standard_input;
pub use crate::format::{BadRows, ChunkSize, ListText, Needed, ReadOptions, Selection};
pub(crate) use codes::Codes;
pub use codes::NO_CODE;
pub(crate) use columns::cells;
pub use columns::{codes, labels, numbers, strings, take_columns, take_rows, values, weights};
pub(crate) use compact::CompactBuilder;
pub use compact::{CompactTable, TextColumn, TextColumns};
pub use decimal::DecimalMark;
pub(crate) use decimal::with_point;
pub use origin::Origin;
pub(crate) use present::Present;
pub use reader::TableReader;
pub(crate) use row_check::RowCheck;
pub(crate) use times::is_time;
pub use times::timestamps;
pub use writer::TableWriter;

/// Reads a table with every column as text: a `.csv`, `.tsv` or `.txt` file or JSON lines (`.jsonl`, `.ndjson`), plain
/// or compressed with gzip or zstd, a `.parquet` file, an Arrow IPC file (`.arrow`, `.feather`, `.ipc`), or a folder of
/// files with one format and the same columns. Folders in it that are named as in `year=2024` give a column, which the
/// files need not have. A path with `*`, `?` or `[` that does not exist is a pattern: the files that match are the
/// parts of one table, too.
///
/// Text is UTF-8. A CSV file has a header line, and quotes cells as RFC 4180 does. Its separator is a comma, a
/// semicolon, a tab or `|`, whichever the header has. An empty cell is null. In Parquet, whole numbers become their
/// digits (even in a float column: 5.0 is "5", since pandas stores ids as floats if some are missing), NaN becomes
/// null, times become `2023-11-14 22:41:28` (in UTC, with `+00:00`, if they have a zone), durations become seconds, and
/// lists become JSON. JSON values have the same texts, but numbers keep their digits. Columns of maps, structs and
/// objects are left out.
///
/// # Errors
/// [`Error::Io`], or [`Error::Data`] with the line: an empty file, a line with more or fewer cells than the header,
/// bytes that are not UTF-8, a misplaced quote.
pub fn read_table(path: impl AsRef<Path>) -> Result<DataFrame> {
    let mut table: Option<DataFrame> = None;
    read_columns(path, ReadOptions::default(), &mut |chunk, _| {
        let rows = chunk.height();
        match &mut table {
            None => table = Some(chunk),
            Some(table) => table.vstack_mut_owned(chunk).map(|_| ())?,
        }
        Ok(rows)
    })?;
    let mut table = table.unwrap_or_default();
    table.rechunk_mut_par();
    Ok(table)
}

/// Whether the lines of a table are sparse, and then whether they have fields; `None` for another format.
pub fn sparse_fields(path: impl AsRef<Path>) -> Option<bool> {
    format::sparse::has_fields(files(path.as_ref()).ok()?.first()?)
}

/// Reads the needed columns of a table, and the others if `options` ask for them, chunk by chunk. The origin names the
/// files and lines of rows in errors. `take` also gets the origin of the rows up to those of the chunk, and returns how many
/// of them it uses.
///
/// # Errors
/// As [`read_table`]; [`Error::MissingColumn`]; those of `take`.
pub fn read_columns(
    path: impl AsRef<Path>,
    options: ReadOptions,
    take: &mut dyn FnMut(DataFrame, &Origin) -> Result<usize>,
) -> Result<Origin> {
    let path = path.as_ref();
    let (bad_rows, mut used) = (options.bad_rows.clone(), 0);
    let mut chunks = TableReader::open_with(path, &options)?;
    let there: HashSet<&str> = chunks.names().iter().map(String::as_str).collect();
    if let Some(missing) = options.columns.needed.iter().find(|needed| !there.contains(needed.name.as_str())) {
        return Err(Error::MissingColumn { name: missing.name.clone(), there: chunks.names().to_vec() });
    }
    let mut origin = Origin::new(options);
    while let Some(chunk) = chunks.next().transpose()? {
        origin.push(chunks.file(), chunk.height());
        used += take(chunk, &origin)?;
    }
    origin.set_skipped(bad_rows.finish(path, used)?);
    Ok(origin)
}

/// The columns that encoding needs.
pub fn needed_columns(schema: &Schema) -> Vec<Needed> {
    let list = |(position, field): (usize, &Field)| {
        let separator = field.kind.list()?.separator.clone();
        Some(ListText { separator, is_exact: schema.reading(position).is_exact() })
    };
    let fields = || schema.fields().iter().enumerate();
    let of_column = |column: &str| fields().filter(|(_, field)| field.column() == column).find_map(list);
    schema.columns().into_iter().map(|column| Needed { name: column.into(), list: of_column(column) }).collect()
}

/// A table of raw values in which each field of a schema has a column of its own name, too, as far as there are the columns that
/// it reads.
///
/// # Errors
/// [`Error::Spec`] for a column that has no text form.
pub fn columns_of_fields(table: &DataFrame, schema: &Schema) -> Result<DataFrame> {
    let mut named = table.clone();
    let is_own = |field: &&Field| field.name == field.column() && !field.derived.is_derived();
    let others = schema.fields().iter().filter(|field| !is_own(field));
    // Crosses come last: they need the columns of their fields.
    let (crosses, others): (Vec<&Field>, Vec<&Field>) = others.partition(|field| field.derived.is_cross());
    let reading = |name: &str| schema.field_index(name).map(|field| schema.reading(field)).unwrap_or_default();
    for field in others.into_iter().chain(crosses) {
        let so_far = named.clone();
        let cells = match field.derived.is_derived() {
            true => {
                let of = (&field.derived, field.column());
                let text = derived_texts(of, table, &so_far, schema.null_values(), reading);
                text.map(|text| (0..table.height()).map(text).collect::<StringChunked>())
            }
            false => strings(table, field.column()),
        };
        match cells {
            Ok(cells) => drop(named.with_column(cells.with_name(field.name.as_str().into()).into_column())?),
            // A column of the field's name would be another one.
            Err(Error::MissingColumn { .. }) => drop(named.drop_in_place(&field.name)),
            Err(error) => return Err(error),
        }
    }
    Ok(named)
}

/// Writes a table atomically, in the format of the extension, such as `.csv`, `.jsonl` or `.parquet`. Text is
/// compressed if the name ends in `.gz` or `.zst`, too.
///
/// # Errors
/// Those of [`TableWriter`].
pub fn write_table(path: impl AsRef<Path>, table: &mut DataFrame) -> Result<()> {
    let mut writer = TableWriter::create(path)?;
    writer.write(table)?;
    writer.finish()
}

/// Checks that [`write_table`] can write to `path`. Call it before any work is done.
///
/// # Errors
/// [`Error::Data`] for a folder, or an unknown extension.
pub fn check_output(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    if path.is_dir() {
        return Err(Error::data(path, None, "is a folder: name the file to write, such as scores.csv"));
    }
    format::of(path).map(|_| ())
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;
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
    fn ids_remain_unchanged_text() {
        let table = read("t.csv", b"id,n\n042,1.0\n42,1\n,x\n").unwrap();
        assert_eq!(column_of(&table, "id"), texts(&["042", "42", ""]));
        assert_eq!(column_of(&table, "n"), texts(&["1.0", "1", "x"]));
    }

    #[test]
    fn quotes_line_ends_and_byte_order_marks_are_parsed() {
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
    fn an_error_names_its_line() {
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
    }

    #[test]
    fn other_files_are_errors() {
        assert!(read("t.xlsx", b"").unwrap_err().to_string().contains("must be .csv, .tsv, .txt, "));
        assert!(read("t.parquet", b"PAR1 or not").unwrap_err().to_string().contains("not a readable Parquet file"));
        assert!(read_table("none.csv").unwrap_err().to_string().starts_with("cannot read none.csv: "));
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
        assert_eq!(numbers(&read, "single", &Origin::file(&path)).unwrap(), [0.1, 1e10]);
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
            for name in ["t.csv", "t.tsv", "t.txt", "t.csv.gz", "t.tsv.zst", "t.jsonl", "t.ndjson.gz", "t.parquet"] {
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
