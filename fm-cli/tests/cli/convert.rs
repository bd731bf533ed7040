//! `fm data convert`: a table in another format.

use std::fmt::Write;
use std::io::Write as _;
use std::process::Stdio;

use crate::scene::{Scene, assert_holds};

/// Cells with everything that a format may not keep, in the form that `fm` writes.
fn odd() -> String {
    let mut text = "id,\"no;te\",\"\",tags\n".to_owned();
    for row in 0..70_000 {
        let note = ["\"a, \"\"b\"\"\nc\"", "é\u{FEFF}日本", "", "\"\"", "\"line\r\nend\"", "[1]", "null"][row % 7];
        writeln!(text, "0{row},{note},4.0,a|b").unwrap();
    }
    text
}

#[test]
fn a_table_passes_through_all_formats() {
    let scene = Scene::new();
    scene.write("odd.csv", odd());
    let formats = ["a.parquet", "b.jsonl.gz", "c.arrow", "d.tsv.zst", "e.ndjson", "f.feather", "g.txt", "h.csv"];
    let mut from = "odd.csv";
    for to in formats {
        let output = scene.run(&format!("data convert {from} {to}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_holds(&stderr, &["wrote 70000 rows in ", &format!("to {to}")]);
        assert_eq!((stderr.lines().count(), output.stdout.len()), (1, 0), "{stderr}");
        from = to;
    }
    assert!(scene.text("h.csv") == odd());
    // The same rows give the same model.
    scene.ok("data convert books.csv books.feather");
    let train = "train --schema schema.toml --model lr --epochs 1";
    scene.ok(&format!("{train} --data books.csv --run a"));
    scene.ok(&format!("{train} --data books.feather --run b"));
    assert_eq!(scene.metrics("a"), scene.metrics("b"));
}

#[test]
fn some_columns_of_folders_patterns_and_pipes_are_written() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("days/day=1")).unwrap();
    scene.write("days/day=1/a.jsonl", "{\"a\":1,\"b\":[\"x\",2],\"c\":{\"d\":1}}\n{\"a\":null}\n");
    std::fs::create_dir_all(scene.path("days/day=2")).unwrap();
    scene.write("days/day=2/a.jsonl", "{\"a\":\"\",\"b\":\"y\",\"c\":{}}\n");
    let warnings = scene.warnings("data convert days all.csv");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_holds(&warnings[0], &["the output lacks the columns c, which hold maps, structs or nested lists"]);
    assert_eq!(scene.text("all.csv"), "a,b,day\n1,\"[\"\"x\"\",\"\"2\"\"]\",1\n,,1\n\"\",y,2\n");
    assert_eq!(scene.warnings("data convert days/*=2/*.jsonl some.jsonl --columns day,b"), [""; 0]);
    assert_eq!(scene.text("some.jsonl"), "{\"day\":\"2\",\"b\":\"y\"}\n");
    scene.fails_with("data convert days new.csv --columns a,e", &["there is no column `e`"]);
    scene.fails_with("data convert days new.csv --columns a,a", &["the column `a` is given twice"]);
    scene.fails_with("data convert days new.csv --columns c", &["column `c` holds objects or nested lists"]);

    let mut command = scene.fm("data convert - -");
    command.stdin(std::fs::File::open(scene.path("all.csv")).unwrap());
    assert_eq!(String::from_utf8(command.output().unwrap().stdout).unwrap(), scene.text("all.csv"));
    // Of one column, a missing value is an empty text, so that no row is lost.
    scene.ok("data convert days a.csv --columns a");
    assert_eq!(scene.text("a.csv"), "a\n1\n\"\"\n\"\"\n");
    scene.write("none.csv", "a,b\n");
    scene.ok("data convert none.csv none.feather");
    scene.ok("data convert none.feather again.csv");
    assert_eq!(scene.text("again.csv"), "a,b\n");
}

#[test]
fn what_is_read_is_not_overwritten() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("parts")).unwrap();
    scene.write("parts/a.csv", "a\n1\n");
    let is_read = "is a file to read: give another one to write";
    for input in ["parts/a.csv", "parts/../parts/a.csv", "parts", "parts/*.csv"] {
        scene.fails_with(&format!("data convert {input} parts/a.csv"), &["parts/a.csv", is_read]);
    }
    scene.fails_with("data convert books.csv ./books.csv", &["./books.csv", is_read]);
    scene.fails_with("data convert parts parts/b.parquet", &["parts/b.parquet is in the folder to read"]);
    scene.ok("data convert parts/*.csv parts/b.parquet");
}

#[test]
fn a_table_that_cannot_be_read_leaves_the_old_file() {
    let scene = Scene::new();
    scene.write("old.csv", "old");
    scene.write("torn.jsonl", format!("{}{{\"a\":", "{\"a\":1}\n".repeat(70_000)));
    scene.fails_with("data convert torn.jsonl old.csv", &["torn.jsonl, line 70001: ends within an object"]);
    scene.write("objects.jsonl", "{\"a\":{}}\n");
    scene.fails_with("data convert objects.jsonl new.csv", &["objects.jsonl has no columns of text, numbers or plain"]);
    scene.fails_with("data convert none.csv new.csv", &["cannot read none.csv"]);
    scene.fails_with("data convert none* new.csv", &["none*: the pattern matches no .csv"]);
    scene.fails_with("data convert books.csv new.xlsx", &["new.xlsx: the extension of a table must be"]);
    scene.fails_with("data convert books.csv no/new.csv", &["cannot write no/new.csv"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_conversion_leaves_no_file() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("out")).unwrap();
    for output in ["new.csv", "new.arrow"] {
        let mut command = scene.fm(&format!("data convert - out/{output}"));
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(odd().as_bytes()).unwrap();
        // The command waits for more input.
        while std::fs::read_dir(scene.path("out")).unwrap().count() == 0 {
            assert!(child.try_wait().unwrap().is_none(), "the conversion ended");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        drop(stdin);
        assert_eq!(ended.status.code(), Some(130));
        assert_holds(&String::from_utf8(ended.stderr).unwrap(), &["error: interrupted after", "no file was written"]);
        assert_eq!(std::fs::read_dir(scene.path("out")).unwrap().count(), 0);
    }
}
