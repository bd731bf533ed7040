//! Settings files, and what the program prints while it works.

use serde_json::Value;

use crate::scene::{Scene, assert_holds};

const FLAGS: &str =
    "--data ml --model fm --embedding-dim 4 --epochs 2 --lr 0.01 --optimizer adagrad --task binary --seed 3";

#[test]
fn a_printed_configuration_trains_like_the_flags_that_it_shows() {
    let scene = Scene::new();
    let printed = scene.ok(&format!("train {FLAGS} --print-config"));
    assert_holds(&printed, &["# k: length of the latent vectors.\nembedding_dim = 4\n", "name = \"adagrad\""]);
    assert!(!scene.path("runs").exists(), "nothing is trained");
    scene.write("printed.toml", printed);
    scene.ok("train --config printed.toml --run file");
    scene.ok(&format!("train {FLAGS} --run flags"));
    // The settings in a run, too.
    scene.ok("train --config flags/settings.toml --run again");
    for run in ["file", "again"] {
        assert_eq!(scene.metrics(run), scene.metrics("flags"));
        assert_eq!(scene.text(&format!("{run}/settings.toml")), scene.text("flags/settings.toml"));
    }
}

#[test]
fn a_settings_file_finds_tables_in_its_folder() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("own")).unwrap();
    for file in ["books.csv", "schema.toml"] {
        std::fs::rename(scene.path(file), scene.path("own").join(file)).unwrap();
    }
    let text = "[data]\ndata = \"books.csv\"\nschema = \"schema.toml\"\n[model]\nname = \"lr\"\n[train]\nepochs = 1\n";
    scene.write("own/settings.toml", text);
    scene.ok("train --config own/settings.toml --run run");
    scene.write("own/settings.toml", text.replace("books.csv", "b*.csv"));
    scene.ok("train --config own/settings.toml --run pattern");
    assert_eq!(scene.metrics("pattern"), scene.metrics("run"));
    scene.write("own/settings.toml", text.replace("schema.toml", "none.toml"));
    scene.fails_with("train --config own/settings.toml", &["cannot read own/none.toml"]);
}

#[test]
fn built_in_settings_files_are_listed_and_printed() {
    let scene = Scene::new();
    let list = scene.ok("settings");
    // Long descriptions continue on indented lines.
    let mut names =
        list.lines().filter(|line| !line.starts_with(' ')).map(|line| line.split_whitespace().next().unwrap());
    // A test of the settings reads all of them.
    let name = names.next_back().unwrap();
    scene.write("copy.toml", scene.ok(&format!("settings {name}")));
    let with = |config: &str| scene.ok(&format!("train --config {config} --print-config"));
    assert_eq!(with(name), with("copy.toml"));
    scene.fails_with("settings frape/fm", &["did you mean `frappe/fm`?"]);
    scene.fails_with("train --config frape/fm", &["no file `frape/fm`", "did you mean `frappe/fm`?"]);
    scene.fails_with("train --config none.toml", &["cannot read none.toml"]);
}

#[test]
fn an_unknown_setting_is_an_error_that_names_the_closest_one() {
    let scene = Scene::new();
    scene.write("own.toml", "[data]\ndata = \"ml\"\n\n[train]\nepochs = 1\npatiance = 2\n");
    scene.fails_with("train --config own.toml", &["own.toml, line 6", "`patiance`", "did you mean `patience`?"]);
    scene.fails_with("train --data ml --set train.epoch=1", &["`epoch`", "did you mean `epochs`?"]);
    scene.fails_with("train --data ml --set train.epochs", &["KEY=VALUE"]);
    scene.fails_with("train --data ml --set train.epochs=some", &["train.epochs", "some"]);
    scene.fails_with("train --data ml --set train.epochs.x=1", &["`train.epochs`", "map"]);
}

#[test]
fn every_line_of_a_json_log_is_json() {
    let scene = Scene::new();
    let output = scene.run("train --data ml --model lr --epochs 2 --run run --log-format json");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()));
    let epochs: Vec<&Value> = lines.iter().filter(|line| line["epoch"].is_u64()).collect();
    assert_eq!(epochs.len(), 2);
    let records = scene.metrics("run");
    assert_eq!((&epochs[1]["valid"], &epochs[1]["train_loss"]), (&records[1]["valid"], &records[1]["train_loss"]));
    assert!(epochs[1]["rows_per_second"].as_f64().unwrap() > 0.0);
    let output = scene.fm("train --data none --log-format json").output().unwrap();
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["level"], "ERROR");
    assert_holds(error["message"].as_str().unwrap(), &["no folder none"]);
}

#[test]
fn a_quiet_training_prints_only_its_results() {
    let scene = Scene::new();
    let output = scene.run("train --data ml --model lr --epochs 1 --run run -q");
    assert!(output.stderr.is_empty());
    assert_holds(&String::from_utf8(output.stdout).unwrap(), &["rmse", "lr, test"]);
}
