//! Text from data that would command a terminal.

use std::process::Output;

use crate::data::{HEADER, SCHEMA, table};
use crate::scene::{Scene, assert_holds};

/// A colour, a bell, a cursor in eight bits, an override of direction, and a line end.
const HOSTILE: &str = "\u{1b}[31mBo\u{7}ok\u{9b}2J\u{202e}2\rX";
/// How a terminal shows it.
const SHOWN: &str = "\u{fffd}[31mBo\u{fffd}ok\u{fffd}2J\u{fffd}2 X";

#[track_caller]
fn assert_harmless(output: &Output) -> (String, String) {
    let [out, error] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).expect("output is UTF-8"));
    for text in [&out, &error] {
        let is_command = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(is_command), "{text:?}");
    }
    (out, error)
}

/// A run on a table whose second book has a hostile title and tag.
fn trained() -> Scene {
    Scene::shared("hostile", |scene| {
        let table = table().replace("\"Book 2, or é\",kind2", &format!("\"{HOSTILE}\",{HOSTILE}"));
        scene.write("hostile.csv", table);
        scene.ok("train --data hostile.csv --schema schema.toml --model fm --epochs 1 --run run");
        scene.ok("export run --output model.pt --with-catalogue");
    })
}

#[test]
fn titles_and_values_cannot_command_a_terminal() {
    let scene = trained();
    let top = "recommend run --user nobody --top 80";
    let (list, _) = assert_harmless(&scene.run(top));
    assert_holds(&list, &[&format!("  {SHOWN}  [b02]")]);
    let (list, _) = assert_harmless(&scene.run(&top.replace("run", "model.pt")));
    assert_holds(&list, &[&format!("  {SHOWN}  [b02]")]);
    let (page, _) = assert_harmless(&scene.run("explain run --user r01 --item b02"));
    assert_holds(&page, &[SHOWN]);
    assert_harmless(&scene.run("data inspect hostile.csv --schema schema.toml"));

    // JSON has the same text, in escapes.
    let (list, _) = assert_harmless(&scene.run(&format!("{top} --json")));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let titles: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect();
    assert!(titles.contains(&HOSTILE), "{titles:?}");
}

#[test]
fn files_keep_their_text() {
    let scene = trained();
    scene.ok("predict run --input hostile.csv --output scored.csv");
    assert_holds(&scene.text("scored.csv"), &[HOSTILE]);
    let (table, _) = {
        let output = scene.run("predict run --input hostile.csv --output -");
        (String::from_utf8(output.stdout).unwrap(), output.stderr)
    };
    assert_holds(&table, &[HOSTILE]);
}

#[test]
fn errors_and_warnings_cannot_command_a_terminal_and_are_short() {
    let scene = trained();
    let long = HOSTILE.repeat(10_000);
    scene.write("label.csv", format!("{HEADER}r01,b02,x,kind2,7.2,1,\"{long}\"\n"));
    let fails = |line: &str| {
        let output = scene.fm(line).output().unwrap();
        assert!(!output.status.success());
        let (_, error) = assert_harmless(&output);
        assert!(error.chars().count() < 500, "{error}");
        error
    };
    let error = fails("train --data label.csv --schema schema.toml");
    assert_holds(&error, &["label.csv, line 2: `\u{fffd}[31mBo", "…` in column `stars` is not a number"]);
    assert_holds(&fails("--log-format json train --data label.csv --schema schema.toml"), &["is not a number"]);

    // A schema whose column is not there, and a table whose columns have other names.
    scene.write("odd.toml", SCHEMA.replace("\"price\"", &format!("{:?}", "\u{7}price")));
    fails("train --data books.csv --schema odd.toml");
    scene.write("names.csv", format!("\"{HOSTILE}\",\"{HOSTILE}\"\n1,2\n"));
    fails("train --data names.csv --schema schema.toml");

    // An example of a value that training does not know.
    scene.write("rows.csv", format!("{HEADER}\"{HOSTILE}\",\"{long}\",x,kind2,7.2,1,3\n").repeat(1));
    for format in ["text", "json"] {
        let (_, warning) =
            assert_harmless(&scene.run(&format!("--log-format {format} predict run --input rows.csv --output o.csv")));
        assert_holds(&warning, &["WARN", "for example `"]);
        assert!(warning.lines().all(|line| line.chars().count() < 600), "{warning}");
    }
}
