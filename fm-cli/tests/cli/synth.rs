//! `fm data synth` writes rows whose best possible metrics are known.

use fm_data::read_table;

use crate::scene::{Scene, assert_holds};

#[test]
fn fm_learns_the_planted_machine_and_lr_only_its_linear_part() {
    let scene = Scene::new();
    let settings = "--rows 20000 --fields 4 --cardinality 10 --zipf 0.5 --embedding-dim 2 --interactions 1.5";
    let optimum = scene.ok_json(&format!("data synth {settings} --output clicks.csv --json"));
    let auc = |run: &str, model: &str| {
        scene.ok(&format!(
            "train --data clicks.csv --label label --split random:0.1:0.3 --model {model} \
             --lr 0.01 --run {run} --device cpu"
        ));
        scene.test_auc(run)
    };
    let best = optimum["bayes_auc"].as_f64().unwrap();
    // The AUC of 6,000 rows has a standard error of 0.005.
    let (fm, lr) = (auc("fm", "fm --embedding-dim 4 --epochs 10"), auc("lr", "lr --epochs 5"));
    assert!((fm - best).abs() < 0.015, "fm {fm}, best {best}");
    assert!(lr < best - 0.05, "lr {lr}, best {best}");
}

#[test]
fn every_format_has_the_same_rows_and_fewer_rows_are_the_first_ones() {
    let scene = Scene::new();
    let synth = |more: &str, file: &str| {
        scene.ok_json(&format!("data synth --fields 3 --cardinality 5,50,7 --json --output {file} {more}"))
    };
    let metrics = synth("--rows 3000", "rows.csv");
    let rows = read_table(scene.path("rows.csv")).unwrap();
    assert_eq!(rows.height(), 3000);
    assert_eq!(rows.get_column_names(), ["label", "c1", "c2", "c3"]);
    let clicks = scene.column("rows.csv", "label").iter().filter(|label| *label == "1").count();
    assert_eq!((&metrics["rows"], &metrics["fields"], &metrics["file"]), (&3000.into(), &3.into(), &"rows.csv".into()));
    assert_eq!(metrics["click_rate"].as_f64(), Some(clicks as f64 / 3000.0));
    for file in ["rows.tsv", "rows.csv.gz", "rows.csv.zst", "rows.jsonl", "rows.parquet"] {
        scene.write(file, "an old file");
        let mut again = synth("--rows 3000 --threads 1", file);
        again["file"] = "rows.csv".into();
        assert_eq!(again, metrics);
        assert!(read_table(scene.path(file)).unwrap().equals_missing(&rows), "{file}");
    }
    for file in ["rows.libsvm", "rows.ffm.gz"] {
        synth("--rows 3000", file);
        let inspection = scene.ok_json(&format!("data inspect {file} --json"));
        let fields = inspection["fields"].as_array().unwrap();
        assert_eq!(fields.len(), if file == "rows.libsvm" { 1 } else { 3 }, "{inspection}");
        let labels = read_table(scene.path(file)).unwrap().column("label").unwrap().clone();
        assert!(labels.equals(rows.column("label").unwrap()), "{file}");
    }
    synth("--rows 1200", "few.csv");
    assert!(scene.text("rows.csv").starts_with(&scene.text("few.csv")));
    synth("--rows 1200 --seed 2", "other.csv");
    assert_ne!(scene.text("few.csv"), scene.text("other.csv"));
}

#[test]
fn the_best_metrics_are_printed_beside_those_of_the_click_rate() {
    let scene = Scene::new();
    let output = scene.run("data synth --rows 2000 --fields 2 --cardinality 9 --output rows.csv");
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(out.starts_with("rows: 2,000, fields: 2, click rate: 0.2"), "{out}");
    assert_eq!((lines.len(), &lines[1][..]), (4, &["logloss", "auc"][..]));
    let number =
        |line: usize, from_end: usize| -> f64 { lines[line].iter().rev().nth(from_end).unwrap().parse().unwrap() };
    assert!(number(2, 0) > 0.6 && number(3, 0) == 0.5 && number(2, 1) < number(3, 1), "{out}");
    assert_holds(&error, &["wrote 2000 rows in ", "next: fm train --data rows.csv --label label"]);
    let output = scene.run("data synth --rows 1 --output one.csv --quiet");
    assert_holds(&String::from_utf8(output.stdout).unwrap(), &["rows: 1, fields: 10", " -\n"]);
    assert!(output.stderr.is_empty());
}

#[test]
fn invalid_settings_and_files_are_errors_of_one_line() {
    let scene = Scene::new();
    scene.write("rows.csv", "an old file");
    for (flags, words) in [
        ("--rows 0", &["--rows", "at least 1"][..]),
        ("--fields 0", &["--fields", "at least 1"]),
        ("--fields 10001", &["the number of fields is 10001", "from 1 to 10000"]),
        ("--cardinality a", &["'a'", "--cardinality", "whole number"]),
        ("--cardinality 5,0", &["--cardinality", "at least 1"]),
        ("--cardinality 5,6", &["the number of cardinalities is 2", "one for each of the 10 fields"]),
        ("--cardinality 5000000000", &["a cardinality is 5000000000"]),
        ("--click-rate 0", &["the click rate is 0", "above 0 and below 1"]),
        ("--click-rate -0.1", &["the click rate is -0.1"]),
        ("--zipf -1", &["the exponent of Zipf's law is -1"]),
        ("--linear inf", &["the scale of the linear part is inf"]),
        ("--interactions -2", &["the scale of the interactions is -2"]),
        ("--embedding-dim 0", &["--embedding-dim", "at least 1"]),
    ] {
        scene.fails_with(&format!("data synth {flags} --output rows.csv"), words);
    }
    std::fs::create_dir(scene.path("folder.csv")).unwrap();
    for (file, words) in [
        ("none/rows.csv", "cannot write none/rows.csv"),
        ("folder.csv", "is a folder"),
        ("rows", "the extension of a table must be"),
        ("-", "name a file, such as clicks.csv"),
    ] {
        scene.fails_with(&format!("data synth --rows 10 --output {file}"), &[words]);
    }
    scene.fails_with("data synth --rows 10", &["--output"]);
    let large = "data synth --fields 3 --cardinality 1000000000 --output rows.libffm";
    scene.fails_with(large, &["the number of values of all fields is 3000000000", "in a sparse file"]);
}

#[cfg(unix)]
#[test]
fn an_interruption_leaves_the_old_file_and_no_other() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("out")).unwrap();
    scene.write("out/rows.csv", "an old file");
    let mut command = scene.fm("data synth --rows 1000000000 --fields 2 --output out/rows.csv");
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while std::fs::read_dir(scene.path("out")).unwrap().count() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "the command ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), &ended.stdout[..]), (Some(130), &b""[..]));
    assert_holds(&String::from_utf8(ended.stderr).unwrap(), &["error: interrupted after", "no file was written"]);
    assert_eq!(std::fs::read_dir(scene.path("out")).unwrap().count(), 1);
    assert_eq!(scene.text("out/rows.csv"), "an old file");
}
