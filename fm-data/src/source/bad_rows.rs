//! Rows that cannot be read, in tables of all formats: the error about each, and the rows that are left without it.

use std::path::Path;

use polars::prelude::*;

use super::{DeclaredTable, reader};
use crate::config::{DataConfig, TaskName};
use crate::error::{Error, Result};
use crate::format::OnBadRow;
use crate::spec::TableSpec;
use crate::table::write_table;

const SCHEMA: &str = r#"
label = "y"
weight = "w"
timestamp = "t"

[[field]]
name = "a"
kind = "categorical"

[[field]]
name = "n"
kind = "numeric"
"#;

const SPARSE: &str = r#"
label = "label"

[[field]]
name = "COLUMN"
kind = "multi-valued"
separator = " "
weighting = "given"
"#;

/// A table of a format: its name, what stands before the rows, and its rows.
struct Table {
    name: &'static str,
    before: &'static str,
    rows: Vec<String>,
}

impl Table {
    fn of(name: &'static str) -> Table {
        let row = |i: usize| match name {
            "t.csv" => format!("{},1,{},v{i},{i}.5\n", i % 2, 100 + i),
            "t.tsv" => format!("{}\t1\t{}\tv{i}\t{i}.5\n", i % 2, 100 + i),
            "t.jsonl" => format!("{{\"y\":{},\"w\":1,\"t\":{},\"a\":\"v{i}\",\"n\":{i}.5}}\n", i % 2, 100 + i),
            "t.libsvm" => format!("{} 3:0.5 1{i}:1\n", i % 2),
            _ => format!("{} 0:3:0.5 1:1{i}:1\n", i % 2),
        };
        let before = match name {
            "t.csv" => "y,w,t,a,n\n",
            "t.tsv" => "y\tw\tt\ta\tn\n",
            _ => "",
        };
        Table { name, before, rows: (0..8).map(row).collect() }
    }

    /// The table with a bad row after the first four.
    fn with(&self, bad: &[u8]) -> Vec<u8> {
        let rows = |rows: &[String]| rows.concat().into_bytes();
        [self.before.into(), rows(&self.rows[..4]), bad.into(), b"\n".to_vec(), rows(&self.rows[4..])].concat()
    }

    /// The line of the bad row.
    fn line(&self) -> usize {
        5 + self.before.lines().count()
    }

    fn schema(&self) -> TableSpec {
        let text = match self.name {
            "t.libsvm" => SPARSE.replace("COLUMN", "features"),
            "t.libffm" => SPARSE.replace("COLUMN", "field_1"),
            _ => SCHEMA.to_owned(),
        };
        toml::from_str(&text).unwrap()
    }
}

fn config(path: &Path, schema: TableSpec, on_bad_row: OnBadRow) -> DataConfig {
    let data = Some(path.display().to_string());
    DataConfig { data, schema: Some(schema), task: TaskName::Binary, on_bad_row, ..DataConfig::default() }
}

fn read(config: &DataConfig) -> Result<DeclaredTable> {
    reader(config, Path::new(""))?.read(config, false)
}

/// Bad rows, with what is said about them.
const BAD: [(&str, &[u8], &str); 43] = [
    ("t.csv", b"x1,1,104,v,1", "`x1` in column `y` is not a number, `true`, `false`, `yes` or `no`"),
    ("t.csv", b",1,104,v,1", "an empty cell in column `y` is not a number"),
    ("t.csv", b"inf,1,104,v,1", "`inf` in column `y` is not a number"),
    ("t.csv", b"1\x002,1,104,v,1", "in column `y` is not a number"),
    ("t.csv", b"1,-2,104,v,1", "`-2` in column `w` is not a weight: a number of at least 0"),
    ("t.csv", b"1,,104,v,1", "an empty cell in column `w` is not a weight"),
    ("t.csv", b"1,1,noon,v,1", "`noon` in column `t` is not a number, a date or a time"),
    ("t.csv", b"1,1,2024-02-03,v,1", "`2024-02-03` in column `t` is a date or time, but the cells before are numbers"),
    ("t.csv", b"1,1,104,v", "has 4 cells, but the header has 5"),
    ("t.csv", b"1,1,104,v,1,2", "has 6 cells, but the header has 5"),
    ("t.csv", b"", "is blank, but the header has 5"),
    ("t.csv", b"1,1,104,caf\xe9,1", "is not UTF-8 in column `a`"),
    ("t.csv", b"1,1,104,v\"x,1", "has a quote inside a cell"),
    ("t.csv", b"1,1,104,\"v\"x,1", "has text after a closing quote"),
    ("t.csv", b"1,1,104,\"v,1", "opens a quote that never closes"),
    ("t.tsv", b"yes?\t1\t104\tv\t1", "`yes?` in column `y` is not a number"),
    ("t.tsv", b"1\t1\t104", "has 3 cells, but the header has 5"),
    ("t.tsv", b"1\t1\t104\t\xff\xfe\t1", "is not UTF-8 in column `a`"),
    ("t.jsonl", b"{\"y\":1,\"w\":1", "ends within an object"),
    ("t.jsonl", b"[1]", "is not an object"),
    ("t.jsonl", b"{\"y\":1,\"w\":1,\"t\":104,\"a\":NaN}", "is not JSON"),
    ("t.jsonl", b"{\"w\":1,\"t\":104,\"a\":\"v\"}", "an empty cell in column `y` is not a number"),
    ("t.jsonl", b"{\"y\":\"x\",\"w\":1,\"t\":104,\"new\":3}", "`x` in column `y` is not a number"),
    ("t.jsonl", b"{\"y\":1,\"w\":-1,\"t\":104}", "`-1` in column `w` is not a weight"),
    ("t.jsonl", b"{\"y\":1,\"w\":1,\"t\":104,\"y\":0}", "the key `y` occurs twice"),
    ("t.jsonl", b"{\"y\":1,\"w\":1,\"t\":104,\"a\":[\"v\"]}", "column `a` holds lists"),
    ("t.jsonl", b"{\"y\":1,\"w\":1,\"t\":104,\"a\":{}}", "column `a` holds objects"),
    ("t.jsonl", b"{\"y\":1,\"w\":1,\"t\":104,\"a\":\"\\ud83d\"}", "column `a` has a string with half a character"),
    ("t.jsonl", b"{\"y\":1,\"w\":1,\"t\":104,\"a\":\"caf\xe9\"}", "is not UTF-8 in column `a`"),
    ("t.libsvm", b"x 3:1", "`x` at column 1 is not a label"),
    ("t.libsvm", b"1 3:1 4x:1", "`4x:1` at column 7 has the index `4x`, which is not a whole number"),
    ("t.libsvm", b"1 3:1o", "`3:1o` at column 3 has the value `1o`, which is not a finite number"),
    ("t.libsvm", b"1 -3:1", "`-3:1` at column 3 has the index `-3`, which is negative"),
    ("t.libsvm", b"1 2147483648:1", "has the index `2147483648`, which is beyond 2147483647"),
    ("t.libsvm", b"1 3:1 5:1 3:1", "has index 3 twice"),
    ("t.libsvm", b"1 3:1\x00", "which is not a finite number"),
    ("t.libsvm", b"1 3:\xff", "is not UTF-8 at column 5"),
    ("t.libsvm", b"1 qid:3 4:1", "has a qid, but the first row has none"),
    ("t.libffm", b"1 0:3:1 5", "`5` at column 9 is not of the form field:index:value"),
    ("t.libffm", b"1 -1:3:1", "has the field `-1`, which is negative"),
    ("t.libffm", b"1 70000:3:1", "has the field `70000`, which is beyond 65535"),
    ("t.libffm", b"1 0:2147483648:1", "which is beyond 2147483647"),
    ("t.libffm", b"1 0:3:1 1:3:1 0:3:2", "has index 3 of field 0 twice"),
];

#[test]
fn a_bad_row_is_an_error_with_its_line_or_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bad, says) in BAD {
        let table = Table::of(name);
        for packed in [false, true] {
            let bytes = table.with(bad);
            let path = folder.path().join(if packed { format!("{name}.zst") } else { name.to_owned() });
            std::fs::write(&path, if packed { zstd::encode_all(&bytes[..], 1).unwrap() } else { bytes }).unwrap();
            let place = format!("{}, line {}: ", path.display(), table.line());
            let what = format!("{}: {:?}", path.display(), String::from_utf8_lossy(bad));
            let error = read(&config(&path, table.schema(), OnBadRow::Fail)).unwrap_err();
            assert!(matches!(error, Error::BadRow(_)), "{what}: {error:?}");
            let error = error.to_string();
            assert!(error.starts_with(&place) && error.contains(says) && error.lines().count() == 1, "{what}: {error}");
            let read = read(&config(&path, table.schema(), OnBadRow::Skip)).unwrap();
            assert_eq!(read.labels, [0.0, 1.0].repeat(4), "{what}");
            let warning = read.origin.skipped().warning().unwrap();
            let begins = format!("left out 1 of 9 rows, which cannot be read: {place}");
            assert!(warning.starts_with(&begins) && warning.contains(says), "{what}: {warning}");
        }
    }
}

#[test]
fn rows_that_look_odd_but_can_be_read_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, row) in [
        ("t.csv", "1,1,104,v,one hundred"),
        ("t.csv", "1,1,104,v\0x,1"),
        ("t.csv", "1,1,104,v,\r"),
        ("t.csv", "yes,1,104,v,"),
        ("t.jsonl", "{\"y\":1,\"w\":1,\"t\":104,\"n\":\"x\",\"z\":{}}\r"),
        ("t.libsvm", "1\r"),
        ("t.libsvm", "1 2147483647:1 0:1 # comment \u{e9}"),
        ("t.libffm", "1 65535:2147483647:-1e-3\r"),
    ] {
        let table = Table::of(name);
        let path = folder.path().join(name);
        // A byte-order mark belongs to no name and no label.
        std::fs::write(&path, [&b"\xEF\xBB\xBF"[..], &table.with(row.as_bytes())].concat()).unwrap();
        let read = read(&config(&path, table.schema(), OnBadRow::Fail)).unwrap();
        assert_eq!(read.labels, [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0], "{name}: {row}");
    }
}

#[test]
fn a_label_outside_its_set_is_named_or_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (table, path) = (Table::of("t.csv"), folder.path().join("t.csv"));
    std::fs::write(&path, table.with(b"2,1,104,v,1")).unwrap();
    let open = |on_bad_row| crate::RawData::open(&config(&path, table.schema(), on_bad_row), folder.path());
    let error = open(OnBadRow::Fail).unwrap_err().to_string();
    assert!(error.contains("t.csv, line 6: column `y` has values other than 0 and 1, such as 2, so"), "{error}");
    let data = open(OnBadRow::Skip).unwrap();
    assert_eq!(data.labels.len(), 8);
    assert!(data.skipped.as_ref().unwrap().ends_with("t.csv, line 6: `2` in column `y` is not 0 or 1"));
    assert_eq!(data.fit_and_warn().unwrap().warnings[0], data.skipped.unwrap());
}

#[test]
fn rows_of_parquet_and_arrow_are_left_out_by_label_weight_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = df!(
        "y" => [Some(1.0), None, Some(0.0), Some(f64::INFINITY), Some(1.0), Some(0.0), Some(1.0)],
        "w" => [1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0],
        "t" => ["1", "2", "3", "4", "?", "6", "7"],
        "a" => ["x"; 7],
        "n" => [0.5; 7],
    )
    .unwrap();
    for name in ["t.parquet", "t.arrow"] {
        let path = folder.path().join(name);
        write_table(&path, &mut table).unwrap();
        let error = read(&config(&path, Table::of("t.csv").schema(), OnBadRow::Fail)).unwrap_err();
        assert!(matches!(error, Error::BadRow(_)) && error.to_string().contains("row 2: an empty cell"), "{error}");
        let error = read(&config(&path, Table::of("t.csv").schema(), OnBadRow::Skip)).unwrap_err().to_string();
        assert!(error.contains("4 of 7 rows cannot be read, more than half"), "{error}");
        let (good, bad) = (table.slice(5, 2), table.clone());
        write_table(&path, &mut bad.vstack(&good).unwrap()).unwrap();
        let read = read(&config(&path, Table::of("t.csv").schema(), OnBadRow::Skip)).unwrap();
        assert_eq!(read.labels, [1.0, 0.0, 1.0, 0.0, 1.0]);
        let warning = read.origin.skipped().warning().unwrap();
        assert!(warning.starts_with("left out 4 of 9 rows, which cannot be read: such as "), "{warning}");
        for row in ["row 2: an empty cell", "row 3: `-1`", "row 4: `inf`"] {
            assert!(warning.contains(row), "{warning}");
        }
    }
}

#[test]
fn faults_of_the_whole_file_are_errors_even_if_rows_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let table = Table::of("t.csv");
    let whole = [table.before.to_owned(), table.rows.concat()].concat();
    let mut cut = zstd::encode_all(whole.as_bytes(), 1).unwrap();
    cut.truncate(cut.len() - 5);
    for (bytes, says) in [
        (b"".to_vec(), "is empty"),
        (whole.replacen("y,w", "z,w", 1).into_bytes(), "there is no column `y`"),
        (whole.replacen("y,w", "y,y", 1).into_bytes(), "the column name `y` occurs twice"),
        (cut, "cannot read"),
        (b"\xFF\xFEy\0".to_vec(), "is UTF-16"),
    ] {
        let path = folder.path().join("t.csv");
        std::fs::write(&path, bytes).unwrap();
        let error = read(&config(&path, table.schema(), OnBadRow::Skip)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn rows_of_all_parts_and_tables_are_counted_together() {
    let folder = tempfile::tempdir().unwrap();
    let (table, parts) = (Table::of("t.csv"), folder.path().join("parts"));
    std::fs::create_dir(&parts).unwrap();
    for (part, bad) in [("a.csv", "1,1\n1,1"), ("b.csv", "x,1,104,v,1\n1,1"), ("c.csv", "1,1,2024-01-01,v,1")] {
        std::fs::write(parts.join(part), table.with(bad.as_bytes())).unwrap();
    }
    let read_all = read(&config(&parts, table.schema(), OnBadRow::Skip)).unwrap();
    assert_eq!(read_all.labels.len(), 24);
    let warning = read_all.origin.skipped().warning().unwrap();
    let places = ["left out 5 of 29 rows", "a.csv, line 6: ", "a.csv, line 7: ", "b.csv, line 7: "];
    assert!(places.iter().all(|place| warning.contains(place)), "{warning}");
    let tables = DataConfig {
        data: None,
        train: Some(parts.join("a.csv")),
        valid: Some(parts.join("b.csv")),
        test: Some(parts.join("c.csv")),
        ..config(&parts, table.schema(), OnBadRow::Skip)
    };
    let read_all = read(&tables).unwrap();
    assert_eq!(read_all.labels.len(), 24);
    assert!(read_all.origin.skipped().warning().unwrap().starts_with("left out 5 of 29 rows"));
}

#[test]
fn a_very_long_line_is_an_error_of_one_short_line() {
    let folder = tempfile::tempdir().unwrap();
    let long = vec![b'x'; 100 << 20];
    for (name, before, after, says) in [
        ("t.csv", "", "", "has 1 cells, but the header has 5"),
        ("t.csv", "", ",1,104,v,1", "xxx…` in column `y` is not a number"),
        ("t.jsonl", "", "", "is not JSON: expected value, column 1"),
        ("t.jsonl", "{\"y\":\"", "\",\"w\":1,\"t\":1}", "xxx…` in column `y` is not a number"),
        ("t.libsvm", "", " 1:1", "xxx…` at column 1 is not a label"),
        ("t.libsvm", "1 2:1 ", "", "xxx…` at column 7 is not of the form index:value"),
    ] {
        let (table, path) = (Table::of(name), folder.path().join(name));
        std::fs::write(&path, table.with(&[before.as_bytes(), &long, after.as_bytes()].concat())).unwrap();
        let error = read(&config(&path, table.schema(), OnBadRow::Fail)).unwrap_err().to_string();
        let place = format!("{name}, line {}: ", table.line());
        assert!(error.contains(&place) && error.contains(says), "{}", fm_core::terminal::shortened(&error, 300));
        assert!(error.len() < 400 && error.lines().count() == 1, "{} bytes", error.len());
    }
}

#[test]
fn parts_have_their_columns_in_any_order_but_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.csv", "y,w,t,a,n\n1,1,1,v,0.5\n");
    write("b.csv", "n,a,extra,t,w,y\n0.5,v,x,2,1,0\n");
    let read_all = || read(&config(folder.path(), Table::of("t.csv").schema(), OnBadRow::Fail));
    assert_eq!(read_all().unwrap().labels, [1.0, 0.0]);
    write("b.csv", "n,extra,t,w,y\n0.5,x,2,1,0\n");
    let error = read_all().unwrap_err().to_string();
    assert!(error.contains("b.csv: has no column `a`, which ") && error.contains("a.csv has"), "{error}");
}

#[test]
fn a_field_that_the_first_part_of_a_libffm_folder_lacks_is_a_field() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.libffm", &"1 0:3:1\n0 0:4:1\n".repeat(10));
    write("b.libffm", &"1 7:3:0.5\n0 0:4:1 7:4:1\n".repeat(10));
    // Inference sees rows of the first part only.
    let options = crate::InferOptions { rows: 5, ..Default::default() };
    let inferred = crate::infer(folder.path(), &options).unwrap();
    let fields: Vec<&str> = inferred.spec.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(fields, ["field_0", "field_7"]);
    let read = read(&config(folder.path(), inferred.spec, OnBadRow::Fail)).unwrap();
    assert_eq!((read.rows.cell("field_7", 0).unwrap(), read.rows.cell("field_7", 20).unwrap()), (None, Some("3:0.5")));
}

#[test]
fn inference_sees_the_rows_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bad) in [("t.csv", "x,1,104,v,1\n1,1"), ("t.jsonl", "{\"y\":\n{\"q\":1"), ("t.libsvm", "1 -1:1\n1 3")] {
        let (table, path) = (Table::of(name), folder.path().join(name));
        std::fs::write(&path, table.with(bad.as_bytes())).unwrap();
        let label = Some(if name == "t.libsvm" { "label" } else { "y" }.to_owned());
        let infer = |on_bad_row| {
            crate::infer(&path, &crate::InferOptions { label: label.clone(), on_bad_row, ..Default::default() })
        };
        assert!(matches!(infer(OnBadRow::Fail), Err(Error::BadRow(_))), "{name}");
        let inferred = infer(OnBadRow::Skip).unwrap();
        assert_eq!((inferred.rows, inferred.task), (8, TaskName::Binary), "{name}");
        assert!(inferred.skipped.unwrap().starts_with("left out 2 of 10 rows"), "{name}");
        assert!(inferred.columns.iter().all(|finding| finding.column != "q"), "{name}");
    }
}
