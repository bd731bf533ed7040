use proptest::prelude::*;

use super::super::selection::{Needed, Selection};
use super::*;
use crate::table::{TableWriter, read_table, strings};

/// The names of the columns, and the cells of each row.
fn read(name: &str, text: &str, options: &ReadOptions) -> Result<(Vec<String>, Vec<Vec<String>>), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let read = || -> Result<_> {
        let mut chunks = super::super::of(&path)?.read(Input::open(&path)?, options)?;
        let (mut names, mut rows) = (vec![], vec![]);
        while let Some(chunk) = chunks.next_chunk()? {
            assert!(chunk.height() <= options.size.rows);
            names = chunk.get_column_names().iter().map(|name| name.to_string()).collect();
            let cell = |name: &String, row| strings(&chunk, name).unwrap().get(row).unwrap_or("-").to_owned();
            rows.extend((0..chunk.height()).map(|row| names.iter().map(|name| cell(name, row)).collect()));
        }
        Ok((names, rows))
    };
    read().map_err(|error| error.to_string().split_once(name).unwrap().1.to_owned())
}

fn rows(name: &str, text: &str) -> Vec<String> {
    let size = ChunkSize { rows: 2, ..ChunkSize::default() };
    let (names, rows) = read(name, text, &ReadOptions { size, ..ReadOptions::default() }).unwrap();
    std::iter::once(names).chain(rows).map(|cells| cells.join(" | ")).collect()
}

#[test]
fn a_libsvm_file_has_a_label_and_a_list_of_features() {
    let text = "\u{feff}1 3:0.5 17:1\r\n\n# a comment\n-1 7:2 # another\n0\n+1 007:1.0";
    assert_eq!(rows("t.libsvm", text), ["label | features", "1 | 3:0.5 17", "-1 | 7:2", "0 | -", "+1 | 7:1.0"]);
    assert_eq!(rows("t.svm", "2 qid:4 1:1\n1 qid:5\n"), ["label | qid | features", "2 | 4 | 1", "1 | 5 | -"]);
}

#[test]
fn a_libffm_file_has_a_column_for_each_field_wherever_it_occurs() {
    let text = "1 2:9:1 0:3:0.5 0:4:1\n0 0:3:1\n1 10:8:2\n";
    let expected = ["label | field_0 | field_2 | field_10", "1 | 3:0.5 4 | 9 | -", "0 | 3 | - | -", "1 | - | - | 8:2"];
    assert_eq!(rows("t.libffm", text), expected);
    assert_eq!(rows("t.ffm", text), expected);
}

#[test]
fn only_needed_fields_are_read_and_a_field_may_have_no_values() {
    let needed = ["field_2", "field_7", "label"].map(Needed::one).into();
    let options = ReadOptions { columns: Selection { needed, others: false }, ..ReadOptions::default() };
    let (names, rows) = read("t.libffm", "1 0:1:1 2:5:1\n0 0:1:1\n", &options).unwrap();
    assert_eq!(names, ["field_2", "field_7", "label"]);
    assert_eq!(rows, [["5", "-", "1"], ["-", "-", "0"]]);
}

#[test]
fn an_error_names_the_line() {
    let fails = |name: &str, text: &str| read(name, text, &ReadOptions::default()).unwrap_err();
    assert_eq!(fails("t.libsvm", ""), ": is empty: expected lines such as `1 3:0.5 17:1`");
    assert_eq!(fails("t.libffm", "# nothing\n"), ": is empty: expected lines such as `1 0:3:0.5 2:17:1`");
    let error = fails("t.libsvm", "1 1:1\n\n0 1:x\n");
    assert_eq!(error, ", line 3: `1:x` at column 3 has the value `x`, which is not a finite number");
    assert_eq!(fails("t.libsvm", "1 qid:1 1:1\n0 1:1\n"), ", line 2: has no qid, but the first row has one");
    assert_eq!(fails("t.libsvm", "1 1:1\n0 qid:1 1:1\n"), ", line 2: has a qid, but the first row has none");
    let nul = fails("t.libsvm", "1 1:1\n0 1:\u{0}1\n");
    assert!(nul.starts_with(", line 2: ") && nul.ends_with("which is not a finite number"), "{nul}");
}

#[test]
fn a_row_is_found_on_its_line() {
    let read = |text: &'static str| {
        let chunks = LIBSVM.read(Input::stream(text.as_bytes(), "t"), &ReadOptions::default());
        chunks.unwrap().line_after(2)
    };
    assert_eq!(read("# head\n1 1:1\n\n0 1:1\n1 2:1\n"), Some(5));
    assert_eq!(read("1 1:1\n0 1:1\n"), None);
}

#[test]
fn a_stream_has_no_fields_of_its_own() {
    let error = LIBFFM.read(Input::stream(&b"1 0:1:1\n"[..], "t"), &ReadOptions::default());
    let error = error.map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "t: is a stream, and the fields of a libffm file are known only at its end: save it as a file");
}

#[test]
fn other_columns_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, mut table: DataFrame| {
        let mut writer = TableWriter::create(folder.path().join(name)).unwrap();
        writer.write(&mut table).unwrap_err().to_string().split_once(": ").unwrap().1.to_owned()
    };
    let table = || polars::prelude::df!("label" => ["1"], "user" => ["ann"]).unwrap();
    assert_eq!(refused("t.libsvm", table()), "unexpected column `user`: expected label, qid and features");
    assert_eq!(refused("t.libffm", table()), "unexpected column `user`: expected label, field_0, field_1, …");
    let unlabelled = polars::prelude::df!("features" => ["1:1"]).unwrap();
    assert_eq!(refused("t.libsvm", unlabelled), "the column `label` is missing");
    let words = polars::prelude::df!("label" => ["1"], "features" => ["good"]).unwrap();
    let error = refused("t.libsvm", words);
    assert!(error.starts_with("cannot have the row `1 good:1`: `good:1` at column 3"), "{error}");
}

proptest! {
    #[test]
    fn a_written_file_is_read_back(
        rows in prop::collection::vec((-3..3i32, prop::collection::btree_map((0..4u16, 0..99u32), 0.001..9f32, 0..6)), 1..9),
        has_fields in any::<bool>(),
        packing in prop::sample::select(vec!["", ".gz", ".zst"]),
    ) {
        let line = |(label, features): &(i32, std::collections::BTreeMap<(u16, u32), f32>)| {
            let feature = |((field, index), value): (&(u16, u32), &f32)| match has_fields {
                true => format!(" {field}:{index}:{value}"),
                false => format!(" {}:{value}", u32::from(*field) * 100 + index),
            };
            format!("{label}{}\n", features.iter().map(feature).collect::<String>())
        };
        let text: String = rows.iter().map(line).collect();
        let folder = tempfile::tempdir().unwrap();
        let name = if has_fields { "t.libffm" } else { "t.libsvm" };
        let (path, copy) = (folder.path().join(name), folder.path().join(format!("copy-{name}{packing}")));
        std::fs::write(&path, &text).unwrap();
        let mut table = read_table(&path).unwrap();
        let mut writer = TableWriter::create(&copy).unwrap();
        writer.write(&mut table).unwrap();
        writer.finish().unwrap();
        prop_assert!(read_table(&copy).unwrap().equals_missing(&table));
        if packing.is_empty() {
            prop_assert_eq!(std::fs::read_to_string(&copy).unwrap(), text);
        }
    }
}
