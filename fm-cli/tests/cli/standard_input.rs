//! Tables from standard input, which `fm` reads as files of the same format.

use std::fs::File;
use std::io::Write;
use std::process::{Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::scene::{EDITED, Scene, assert_holds};

/// Runs a command with a file as its standard input, which must succeed.
fn with_input(scene: &Scene, line: &str, file: &str) -> Output {
    let output = scene.fm(line).stdin(File::open(scene.path(file)).unwrap()).output().unwrap();
    assert!(output.status.success(), "fm {line}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn fails(scene: &Scene, line: &str, input: impl Into<Stdio>, words: &[&str]) {
    assert_holds(&scene.command_fails(scene.fm(line).stdin(input)), words);
}

/// The files in the folder of encoded rows that are not those of an entry.
fn left_over(scene: &Scene) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(scene.path("data/cache")) else { return vec![] };
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.len() != 32).collect()
}

#[test]
fn a_run_on_standard_input_is_that_on_the_file_in_every_format() {
    let scene = Scene::new();
    let train = "train --schema schema.toml --model lr --epochs 1";
    scene.ok(&format!("{train} --data books.csv --run file"));
    for name in ["books.tsv", "books.jsonl", "books.csv.zst", "books.parquet", "books.arrow"] {
        scene.ok(&format!("data convert books.csv {name}"));
    }
    let mut packed = GzEncoder::new(File::create(scene.path("books.gz")).unwrap(), Compression::fast());
    packed.write_all(&scene.bytes("books.csv")).unwrap();
    packed.finish().unwrap();
    for name in ["books.csv", "books.gz", "books.tsv", "books.jsonl", "books.csv.zst", "books.parquet", "books.arrow"] {
        with_input(&scene, &format!("{train} --data - --run {name}-run"), name);
        assert_eq!(scene.metrics("file"), scene.metrics(&format!("{name}-run")), "{name}");
        assert_eq!(left_over(&scene), [""; 0]);
    }
    assert_holds(&scene.text("books.csv-run/settings.toml"), &["data = \"-\""]);
    // A pipe, which can be read once; and the rows of an earlier run.
    let mut command = scene.fm(&format!("{train} --train - --run pipe"));
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&scene.bytes("books.csv")).unwrap();
    assert!(child.wait().unwrap().success());
    let again = with_input(&scene, "evaluate books.csv-run --data - --json", "books.csv");
    let on_file = scene.ok("evaluate file --json");
    let metrics = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()["metrics"].clone();
    assert_eq!(metrics(str::from_utf8(&again.stdout).unwrap()), metrics(&on_file));
    fails(&scene, "evaluate books.csv-run", Stdio::null(), &["was trained on rows from standard input", "`--data`"]);
    // Sparse files, and the inference of fields.
    scene.ok("data convert books.csv books.libffm --schema schema.toml");
    for (name, word) in [("books.libffm", "field_0"), ("books.csv", "name = \"reader\"")] {
        let label = if name == "books.csv" { "--label stars" } else { "" };
        let inferred = String::from_utf8(with_input(&scene, &format!("data infer - {label}"), name).stdout).unwrap();
        assert_holds(&inferred, &[word, "rows of standard input"]);
    }
    with_input(&scene, "data inspect - --label stars", "books.jsonl");
}

#[test]
fn tables_from_standard_input_are_scored_and_converted_in_their_format() {
    let scene = Scene::after(&["train --data books.csv --schema schema.toml --model lr --epochs 1 --run run"]);
    scene.ok("data convert books.csv books.jsonl");
    scene.ok("data convert books.csv books.libffm --schema schema.toml");
    scene.ok("predict run --input books.csv --output expected.csv --only-scores");
    let scores = with_input(&scene, "predict run --input - --output - --only-scores", "books.jsonl");
    assert_eq!(String::from_utf8(scores.stdout).unwrap(), scene.text("expected.csv"));
    with_input(&scene, "data convert - copy.csv", "books.jsonl");
    assert_eq!(scene.text("copy.csv"), scene.text("books.csv"));
    with_input(&scene, "data convert - copy.libffm --schema schema.toml", "books.jsonl");
    assert_eq!(scene.text("copy.libffm"), scene.text("books.libffm"));
    with_input(&scene, "data convert - again.libffm", "books.libffm");
    assert_eq!(scene.text("again.libffm"), scene.text("books.libffm"));
    assert_eq!(left_over(&scene), [""; 0]);
}

#[test]
fn standard_input_that_is_no_table_is_an_error_of_one_line() {
    let scene = Scene::new();
    let file = |name: &str| File::open(scene.path(name)).unwrap();
    scene.write("wide.csv", b"\xFF\xFEa\0");
    scene.write("ragged.csv", "stars,a\n1,x\n2\n3,x\n");
    fails(&scene, "train --data - --label stars", Stdio::null(), &["standard input: is empty"]);
    fails(&scene, "train --data - --label stars", file("wide.csv"), &["standard input: is UTF-16"]);
    fails(&scene, "train --data - --label stars", file("ragged.csv"), &["standard input, line 3: has 1 cells"]);
    scene.write("other.csv", "a,b\n1,2\n");
    fails(&scene, "train --data -", file("other.csv"), &["standard input has no column with a usual name"]);
    fails(&scene, "train --train - --test - --schema schema.toml", file("books.csv"), &["only one of the tables"]);
    assert_eq!(left_over(&scene), [""; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_is_killed_leaves_nothing_of_standard_input() {
    let scene = Scene::new();
    let mut child =
        scene.fm("train --data - --label stars").stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&scene.bytes("books.csv")).unwrap();
    // The engine has begun to read once it has taken more than a pipe holds.
    input.write_all(&vec![b'\n'; 4 << 20]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(left_over(&scene), [""; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_as_standard_input_is_an_error_at_once() {
    let scene = Scene::after(&["train --data books.csv --schema schema.toml --model lr --epochs 1 --run run"]);
    for line in ["train --data - --label stars", "data infer -", "data convert - -", "predict run --input - --output -"]
    {
        let fm = env!("CARGO_BIN_EXE_fm");
        // `script` gives the command a terminal, and writes what it prints.
        let mut script = scene.command("script");
        let Ok(output) = script.args(["-qec", &format!("{fm} {line}"), "/dev/null"]).stdin(Stdio::null()).output()
        else {
            eprintln!("skipped: there is no program `script`");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_holds(&text, &["error: standard input: is a terminal: send a table to it"]);
        let lines = text.lines().filter(|line| !line.trim_end().ends_with(EDITED));
        assert_eq!(lines.count(), 1, "{text}");
    }
}
