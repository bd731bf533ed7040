use std::io::Cursor;

use proptest::prelude::*;

use super::super::bad_rows::BadRows;
use super::super::interface::ChunkSize;
use super::super::selection::{ListText, Needed, Selection};
use super::lines::Lines;
use super::*;
use crate::table::{Origin, TableReader, read_table, write_table};

type Rows = Vec<Vec<String>>;

fn rows(rows: usize) -> ChunkSize {
    ChunkSize { rows, ..ChunkSize::default() }
}

/// The names of all columns, and the rows that are read; null is `-`.
fn read_in(text: &[u8], size: ChunkSize, columns: Selection) -> Result<(String, Rows)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.jsonl");
    std::fs::write(&path, text).unwrap();
    let mut reader = TableReader::open_with(&path, &ReadOptions { size, columns, ..ReadOptions::default() })?;
    let mut table = Rows::new();
    for chunk in &mut reader {
        let chunk = chunk?;
        let columns: Vec<_> = chunk.columns().iter().map(|column| column.str().unwrap()).collect();
        let row = |row| columns.iter().map(|column| column.get(row).unwrap_or("-").to_owned()).collect();
        table.extend((0..chunk.height()).map(row));
    }
    Ok((reader.names().join(","), table))
}

fn read(text: &str) -> Result<(String, Rows)> {
    read_in(text.as_bytes(), ChunkSize::default(), Selection::default())
}

fn needed(names: &[&str]) -> Selection {
    Selection { needed: names.iter().map(|&name| Needed::one(name)).collect(), others: false }
}

/// The error without the folder.
fn fault(text: &[u8], columns: Selection) -> String {
    let error = read_in(text, ChunkSize::default(), columns).unwrap_err().to_string();
    error.split_once("t.jsonl").unwrap().1.to_owned()
}

#[test]
fn values_of_all_kinds_have_a_text() {
    let text = "\u{FEFF}{\"a\": \"x, \\\"y\\\"\\n\", \"n\": 4.0, \"b\": true}\r\n\
                \n  \t\r\n\
                {\"n\": null, \"list\": [1, \"p|q\", null], \"a\": \"\"}\n\
                {\"b\": false, \"n\": 12345678901234567890123, \"list\": []}";
    let (names, table) = read(text).unwrap();
    assert_eq!(names, "a,n,b,list");
    let expected = [
        ["x, \"y\"\n", "4", "true", "-"],
        ["", "-", "-", r#"["1","p|q"]"#],
        ["-", "12345678901234567890123", "false", "[]"],
    ];
    assert_eq!(table, expected);
}

#[test]
fn lists_are_joined_as_their_field_says() {
    let list = |is_exact| Selection {
        needed: vec![Needed { name: "x".into(), list: Some(ListText { separator: "|".into(), is_exact }) }],
        others: false,
    };
    let text = b"{\"x\":[\"a\",2]}\n{\"x\":\"b|c\"}\n{\"x\":[]}\n{\"x\":[\"d|e\"]}\n";
    let table = read_in(text, ChunkSize::default(), list(false)).unwrap().1;
    assert_eq!(table, [["a|2"], ["b|c"], [""], [r#"["d|e"]"#]]);
    assert!(fault(text, list(true)).starts_with(", line 4: column `x` has a value with the separator `|` in it"));
    assert!(fault(text, needed(&["x"])).starts_with(", line 1: column `x` holds lists, but is declared"));
    assert!(fault(b"{\"x\":[[1]]}", list(false)).starts_with(", line 1: column `x` holds objects or nested lists"));
}

#[test]
fn a_line_that_is_not_an_object_is_an_error() {
    for (line, says) in [
        ("{\"a\":1", "ends within an object: write one whole object per line"),
        ("[1]", "is not an object: write one object per line"),
        ("3", "is not an object: write one object per line"),
        ("a,b", "is not JSON: expected value, column 1"),
        ("{\"a\":1} {\"a\":2}", "is not JSON: trailing characters, column 9"),
        ("{'a':1}", "is not JSON: key must be a string, column 2"),
        ("{\"a\":NaN}", "is not JSON: expected value, column 6: JSON has neither NaN nor Infinity, write null"),
        ("{\"a\":1,\"a\":1}", "the key `a` occurs twice"),
        ("{\"a\":\"\\udc00\"}", "column `a` has a string with half a character, such as `\\ud83d` alone"),
    ] {
        let text = format!("{{\"a\":1}}\n\n{line}\n{{\"a\":1}}\n");
        for columns in [Selection::default(), needed(&["a"])] {
            assert_eq!(fault(text.as_bytes(), columns), format!(", line 3: {says}"));
        }
    }
    for text in ["", "\u{FEFF}", "\n \r\n"] {
        assert_eq!(fault(text.as_bytes(), Selection::default()), ": is empty: expected an object on each line");
    }
    assert_eq!(
        fault(b"{\"a\":1}\n{\"a\":\"\xFF\"}", needed(&["a"])),
        ", line 2: is not UTF-8 in column `a`: convert the file, for example with iconv"
    );
}

#[test]
fn keys_that_are_not_needed_block_nothing() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = [
        b"{\"id\":1,\"o\":{\"p\":[1,{}]},\"t\":\"\xFF\",\"t\":2,\"h\":\"\\ud800\"}\n{\"id\":2,\"deep\":".to_vec(),
        deep.into_bytes(),
        b"}\n".to_vec(),
    ]
    .concat();
    let all = Selection { others: true, ..needed(&["id"]) };
    let (names, table) = read_in(&text, ChunkSize::default(), all).unwrap();
    assert_eq!(
        (names.as_str(), table),
        (
            "id,o,t,h,deep",
            vec![vec!["1".into(), "\u{FFFD}".into(), "\\ud800".into()], vec!["2".into(), "-".into(), "-".into()],]
        )
    );
    assert_eq!(read_in(&text, ChunkSize::default(), needed(&["id"])).unwrap().1, [["1"], ["2"]]);
    assert!(fault(&text, needed(&["o"])).starts_with(", line 1: column `o` holds objects or nested lists"));
}

#[test]
fn columns_are_the_keys_of_the_first_chunk_and_the_needed_ones() {
    let text = b"{\"a\":1}\n{\"a\":2,\"b\":3}\n{\"c\":4,\"d\":5,\"a\":6}\n{\"d\":7}\n";
    let one = |columns| read_in(text, rows(1), columns).unwrap();
    let table = |rows: &[&[&str]]| -> Rows {
        rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
    };
    assert_eq!(one(Selection::default()), ("a".into(), table(&[&["1"], &["2"], &["6"], &["-"]])));
    let rows_of_both = table(&[&["-", "1"], &["-", "2"], &["5", "6"], &["7", "-"]]);
    assert_eq!(one(needed(&["d", "a", "none"])), ("a,d".into(), rows_of_both));
    let with_others = one(Selection { others: true, ..needed(&["c"]) });
    assert_eq!(with_others, ("a,c".into(), table(&[&["1", "-"], &["2", "-"], &["6", "4"], &["-", "-"]])));
    // Values of a later chunk must not get lost without notice.
    let error = read_in(b"{\"a\":1}\n{\"a\":{}}\n", rows(1), Selection::default()).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "t.jsonl, line 2: column `a` holds objects or nested lists: store it as text, as numbers or as a plain list"
        ),
        "{error}"
    );
}

#[test]
fn many_keys_of_few_rows_each_take_little_memory() {
    let text: String = (0..2_000).map(|row| format!("{{\"key{row}\":1}}\n")).collect();
    let size = ChunkSize { bytes: 1 << 20, ..ChunkSize::default() };
    let (names, table) = read_in(text.as_bytes(), size, Selection::default()).unwrap();
    let width = names.split(',').count();
    assert!((200..600).contains(&width), "{width}");
    assert_eq!(table.len(), 2_000);
}

#[test]
fn an_error_about_a_row_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.jsonl");
    let lines: String = (0..40_000).map(|row| format!("{{\"a\":{row}}}\n\n")).collect();
    std::fs::write(&path, lines).unwrap();
    for row in [0, 7, 32_767, 32_768, 39_999] {
        let error = Origin::file(&path).error(row, "is odd").to_string();
        assert!(error.ends_with(&format!("t.jsonl, line {}: is odd", 2 * row + 1)), "{error}");
    }
}

#[test]
fn a_line_has_a_maximum_length() {
    let text = format!("{{\"a\":1}}\n{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20));
    let mut lines = Lines::new(Input::stream(Cursor::new(text.into_bytes()), "t.jsonl"), BadRows::default()).unwrap();
    lines.longest = 1 << 20;
    let error = JsonChunks::of(lines, &ReadOptions::default()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "t.jsonl, line 2: a line of more than 1 MiB: write one object per line");
}

#[test]
fn numbers_are_written_as_numbers_and_text_as_strings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.ndjson.gz");
    let mut table = df!(
        "\"t\"" => [Some("1"), None, Some("é\n\u{7}")],
        "f" => [0.1f32, 4.0, f32::INFINITY],
        "d" => [Some(1e-7), Some(f64::NAN), None],
        "i" => [Some(-7i64), None, Some(i64::MIN)],
        "b" => [true, false, true],
    )
    .unwrap();
    write_table(&path, &mut table).unwrap();
    let mut text = String::new();
    let packed = std::fs::File::open(&path).unwrap();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut text).unwrap();
    let expected = [
        r#"{"\"t\"":"1","f":0.1,"d":0.0000001,"i":-7,"b":true}"#,
        r#"{"\"t\"":null,"f":4,"d":null,"i":null,"b":false}"#,
        r#"{"\"t\"":"é\n\u0007","f":null,"d":null,"i":-9223372036854775808,"b":true}"#,
    ];
    assert_eq!(text, expected.join("\n") + "\n");
    let read = read_table(&path).unwrap();
    let column = |name: &str| {
        read.column(name).unwrap().str().unwrap().iter().map(|cell| cell.map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(column("\"t\""), [Some("1".into()), None, Some("é\n\u{7}".into())]);
    assert_eq!(column("f"), [Some("0.1".into()), Some("4".into()), None]);
}

proptest! {
    #[test]
    fn any_lines_give_the_same_rows_or_error_in_chunks_of_any_size(
        lines in prop::collection::vec(
            prop_oneof![
                8 => prop::sample::select(vec![
                    r#"{"a":1}"#, r#"{"a":"x","b":2.50}"#, r#"{"b":[1,"|"]}"#, r#"{"c":{}}"#, "{}", "",
                    r#"{"c":3,"a":null}"#,
                ]),
                1 => prop::sample::select(vec![r#"{"a":{}}"#, r#"{"a":1,"a":2}"#, "[]", "{", r#"{"b":[[]]}"#]),
            ],
            0..12,
        ),
        size in 1usize..5,
    ) {
        let list = Some(ListText { separator: "|".into(), is_exact: false });
        let columns = Selection { needed: vec![Needed { name: "b".into(), list }, Needed::one("a")], others: false };
        let text = lines.join("\n");
        let whole = read_in(text.as_bytes(), ChunkSize::default(), columns.clone());
        let small = read_in(text.as_bytes(), rows(size), columns);
        prop_assert_eq!(whole.map(|(_, rows)| rows).ok(), small.map(|(_, rows)| rows).ok());
    }

    #[test]
    fn any_bytes_are_rows_or_an_error_of_one_line(
        bytes in prop::collection::vec(prop::sample::select(b"{}[]\"\"\\:,1a\n\xFFu.e-".to_vec()), 0..60),
    ) {
        if let Err(error) = read_in(&bytes, ChunkSize::default(), Selection::default()) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
