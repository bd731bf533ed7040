//! `fm predict` reads, scores and writes tables in chunks.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use crate::scene::{EDITED, FM_ON_BOOKS, Scene, assert_holds, assert_same_scores};

/// More than two chunks.
const ROWS: usize = 70_000;

fn trained() -> Scene {
    Scene::after(&[FM_ON_BOOKS])
}

/// `large.csv`: rows with quoted line ends, characters of several bytes and empty cells, a byte-order mark, Windows's
/// line ends and a blank last line; `twin.csv`: the same number of rows of the simplest form, scored alike.
fn write_large(scene: &Scene) {
    let (mut large, mut twin) =
        ("\u{FEFF}id,reader,book,tags,price,note\r\n".to_owned(), "reader,book,tags,price\n".to_owned());
    for row in 0..ROWS {
        let price = if row % 3 == 0 { String::new() } else { format!("{}.5", row % 11) };
        let fields = format!("r{:02},b{:02},kind{}|shelf{},{price}", row % 61, row % 83, row % 4, row % 6);
        let note = ["\"a \"\"note\"\"\r\n\r\nof lines, or é\"", "", "plain 日本"][row % 3];
        write!(large, "{row:05},{fields},{note}\r\n").unwrap();
        writeln!(twin, "{fields}").unwrap();
    }
    scene.write("large.csv", large + "\r\n");
    scene.write("twin.csv", twin);
}

#[test]
fn chunks_give_the_same_table_in_every_format_and_order() {
    let scene = trained();
    write_large(&scene);
    // Tables of one chunk each.
    let twin = scene.text("twin.csv");
    let (header, rows) = twin.split_once('\n').unwrap();
    let mut expected = Vec::new();
    for part in rows.split_inclusive('\n').collect::<Vec<_>>().chunks(9_999) {
        scene.write("part.csv", format!("{header}\n{}", part.concat()));
        scene.ok("predict run --input part.csv --output part-scored.csv --only-scores");
        let scored = scene.text("part-scored.csv");
        expected.extend(scored.strip_prefix("score\n").unwrap().lines().map(str::to_owned));
    }
    assert_eq!(expected.len(), ROWS);

    scene.ok("predict run --input large.csv --output a.csv");
    let text = scene.text("large.csv");
    let unix = text.trim_start_matches('\u{FEFF}').trim_end();
    // Line ends within quotes are kept, those of records become `\n`.
    let mut records = unix.split("\r\n").peekable();
    let mut whole = format!("{},score\n", records.next().unwrap());
    for score in &expected {
        let mut record = records.next().unwrap().to_owned();
        while records.peek().is_some_and(|line| line.is_empty() || line.starts_with("of lines")) {
            record = record + "\r\n" + records.next().unwrap();
        }
        writeln!(whole, "{record},{score}").unwrap();
    }
    assert!(scene.text("a.csv") == whole);

    // Through Parquet and TSV, and back.
    scene.ok("predict run --input large.csv --output b.parquet --keep note,price,tags,book,reader,id");
    scene.ok("predict run --input b.parquet --output c.tsv --keep id,reader,book,tags,price,note");
    scene.ok("predict run --input c.tsv --output d.csv --keep id,reader,book,tags,price,note");
    assert!(scene.text("d.csv") == whole);
}

#[test]
fn the_requested_columns_are_written_in_the_requested_order() {
    let scene = trained();
    scene.ok("predict run --input books.csv --output all.csv");
    scene.ok("predict run --input books.csv --output some.csv --keep when,book");
    scene.ok("predict run --input books.csv --output none.csv --only-scores");
    assert!(scene.text("all.csv").starts_with("reader,book,name,tags,price,when,stars,score\n"));
    assert!(scene.text("some.csv").starts_with("when,book,score\n"));
    for name in ["when", "book", "score"] {
        assert_eq!(scene.column("some.csv", name), scene.column("all.csv", name));
    }
    assert_eq!(scene.text("none.csv"), format!("score\n{}\n", scene.column("all.csv", "score").join("\n")));
    // A column `score` is no conflict if it is not kept.
    scene.ok("predict run --input all.csv --output again.csv --keep book");
    assert_same_scores(&scene.scores("again.csv"), &scene.scores("all.csv"));

    let predict = "predict run --input books.csv --output new.csv";
    scene.fails_with(&format!("{predict} --keep bock"), &["no column `bock`", "did you mean `book`?"]);
    scene.fails_with(&format!("{predict} --keep book,when,book"), &["`book`", "twice"]);
    scene.fails_with(&format!("{predict} --keep book --only-scores"), &["--keep", "--only-scores"]);
}

#[test]
fn an_error_in_a_late_row_leaves_the_old_file() {
    let scene = trained();
    write_large(&scene);
    let rows = scene.text("twin.csv");
    scene.write("old.csv", "old");
    for (fault, says, output) in [
        ("r01,b02\n", "has 2 cells, but the header has 4", "old.csv"),
        ("r01,b02\n", "has 2 cells, but the header has 4", "new.csv"),
        ("r01,\"b02\n", "opens a quote", "new.parquet"),
    ] {
        scene.write("torn.csv", format!("{rows}{fault}"));
        let line = format!("torn.csv, line {}", ROWS + 2);
        scene.fails_with(&format!("predict run --input torn.csv --output {output}"), &[&line, says]);
    }
    let mut bytes = rows.into_bytes();
    bytes.extend(b"r01,b\xFF,x,1\n");
    scene.write("torn.csv", bytes);
    let line = format!("torn.csv, line {}", ROWS + 2);
    scene.fails_with("predict run --input torn.csv --output old.csv", &[&line, "not UTF-8"]);
}

#[test]
fn the_output_for_an_empty_table_has_its_columns() {
    let scene = trained();
    scene.write("none.csv", "reader,book,tags,price\r\n\r\n");
    scene.ok("predict run --input none.csv --output none.parquet");
    scene.ok("predict run --input none.parquet --output some.csv --keep book");
    assert_eq!(scene.text("some.csv"), "book,score\n");
}

#[test]
fn unknown_readers_of_all_chunks_are_counted_once() {
    let scene = trained();
    scene.write(
        "rows.csv",
        format!("reader,book,tags,price\n{}", "stranger,b02,kind1,5\nr01,b02,kind1,5\n".repeat(ROWS / 2)),
    );
    let output = scene.run("predict run --input rows.csv --output scored.csv");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_holds(&stderr, &[&format!("`reader` has no value that training knows in {} of {ROWS} rows", ROWS / 2)]);
    assert_holds(&stderr, &[&format!("scored {ROWS} rows in "), "rows/s) to scored.csv"]);
    assert_eq!(stderr.lines().filter(|line| !line.ends_with(EDITED)).count(), 2, "{stderr}");
}

#[test]
fn rows_pass_through_a_pipe() {
    let scene = trained();
    write_large(&scene);
    scene.ok("predict run --input twin.csv --output scored.csv");
    let mut command = scene.fm("predict run --input - --output -");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, rows) = (child.stdin.take().unwrap(), scene.bytes("twin.csv"));
    let feeding = std::thread::spawn(move || stdin.write_all(&rows).unwrap());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap() == scene.text("scored.csv"));

    let mut command = scene.fm("predict run --input - --output new.csv");
    let torn = std::fs::File::open(scene.path("schema.toml")).unwrap();
    assert_holds(&scene.command_fails(command.stdin(torn)), &["standard input, line "]);
}

#[cfg(unix)]
#[test]
fn a_prediction_ends_when_its_output_is_closed() {
    let scene = trained();
    write_large(&scene);
    let mut command = scene.fm("predict run --input - --output -");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&scene.bytes("twin.csv")).unwrap();
    let ended = child.wait_with_output().unwrap();
    drop(stdin);
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn a_table_without_any_of_the_fields_is_an_error_even_with_allow_missing() {
    let scene = trained();
    scene.write("foreign.csv", "viewer,film\nr01,b01\n");
    let line = "predict run --input foreign.csv --output new.csv --allow-missing";
    scene.fails_with(line, &["no column for any of the fields reader, book, tags, price"]);
}

#[test]
fn an_interrupted_prediction_leaves_no_file() {
    let scene = trained();
    write_large(&scene);
    std::fs::create_dir(scene.path("out")).unwrap();
    for output in ["scored.csv", "scored.parquet"] {
        let mut command = scene.fm(&format!("predict run --input - --output out/{output}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&scene.bytes("twin.csv")).unwrap();
        // The prediction waits for more input.
        let is_begun = || std::fs::read_dir(scene.path("out")).unwrap().count() == 1;
        while !is_begun() {
            assert!(child.try_wait().unwrap().is_none(), "the prediction ended");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        // The input stays open.
        let ended = child.wait_with_output().unwrap();
        drop(stdin);
        assert_eq!(ended.status.code(), Some(130));
        assert_holds(&String::from_utf8(ended.stderr).unwrap(), &["error: interrupted after", "no file was written"]);
        assert_eq!(std::fs::read_dir(scene.path("out")).unwrap().count(), 0);
    }
}
