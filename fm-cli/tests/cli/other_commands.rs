//! Commands that need no run.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use fm_core::terminal::grouped;
use serde_json::{Value, json};

use crate::data::{FILMS, RATINGS, USERS};
use crate::scene::{Scene, assert_holds};

#[test]
fn models_are_listed_with_their_papers_options_and_sizes() {
    let scene = Scene::new();
    let text = scene.ok("models");
    let models = scene.ok_json("models --json");
    let models = models.as_array().unwrap();
    assert_eq!(models.len(), fm_models::MODELS.len());
    for model in models {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for key in ["name", "title", "paper", "url", "captures"] {
            assert_holds(&text, &[model[key].as_str().unwrap()]);
        }
        assert_holds(&text, &[&model["year"].to_string(), &parameters(model)]);
        assert!(model["options"].is_object(), "{model}");
    }
    // w₀, one weight per value of MovieLens-100K, and one per field for unknown values; it has 11 fields.
    assert_eq!(parameters(&models[0]), "4,664");
}

fn parameters(model: &Value) -> String {
    grouped(model["parameters_on_ml_100k"].as_i64().unwrap())
}

#[test]
fn the_readme_lists_all_models() {
    let mut table =
        String::from("| `--model` | model | year | what it captures | parameters |\n|---|---|---|---|---:|\n");
    for model in Scene::new().ok_json("models --json").as_array().unwrap() {
        let text = |key: &str| model[key].as_str().unwrap();
        let (name, title, url, captures) = (text("name"), text("title"), text("url"), text("captures"));
        let (year, parameters) = (&model["year"], parameters(model));
        table.push_str(&format!("| `{name}` | [{title}]({url}) | {year} | {captures} | {parameters} |\n"));
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    assert!(readme.contains(&table), "README.md should hold this table:\n{table}");
}

#[test]
fn every_model_has_a_summary() {
    let scene = Scene::new();
    for model in fm_models::MODELS {
        // The books that a reader has visited are the history that some models need.
        let data = if model.needs_history { "every.csv --schema every.toml" } else { "books.csv --schema schema.toml" };
        let summary = scene.ok(&format!("summary {} --data {data}", model.name));
        assert_holds(&summary, &["Layer", "Total parameters"]);
    }
}

#[test]
fn inspect_shows_a_data_set_without_training() {
    let scene = Scene::new();
    assert_holds(&scene.ok("data inspect ml"), &["user_id", "history", "60 users x 79 items", "rows"]);
    let inspection = scene.ok_json("data inspect ml --json");
    let matrix = json!({ "users": USERS, "items": FILMS - 1, "pairs": RATINGS });
    for key in ["users", "items", "pairs"] {
        assert_eq!(inspection["matrix"][key], matrix[key]);
    }
    let table = scene.ok_json("data inspect books.csv --schema schema.toml --json");
    let kinds: Vec<&str> =
        table["fields"].as_array().unwrap().iter().map(|field| field["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["categorical", "categorical", "multi-valued", "numeric"]);
}

#[test]
fn the_doctor_lists_installed_and_broken_data_sets() {
    let scene = Scene::new();
    assert_holds(&scene.ok("doctor"), &["libtorch", "no data set is installed", "fm data download ml-100k"]);
    std::fs::create_dir(scene.path("data")).unwrap();
    std::fs::rename(scene.path("ml"), scene.path("data/ml-100k")).unwrap();
    assert_holds(&scene.ok("doctor"), &["ml-100k: 3000 ratings"]);
    scene.write("data/ml-100k/u.data", "");
    assert_holds(&scene.ok("doctor"), &["ml-100k: unusable", "the file is empty"]);
}

/// The completions that bash offers for the last word of a line.
fn completed(scene: &Scene, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = scene.command(env!("CARGO_BIN_EXE_fm"));
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
    command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true").env("_CLAP_IFS", "\n");
    let output = command.arg("--").args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn completion_offers_commands_flags_values_settings_files_and_runs() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path("runs/fm-1")).unwrap();
    scene.write("runs/fm-1/settings.toml", "");
    for (line, expected) in [
        ("fm rec", "recommend"),
        ("fm train --embed", "--embedding-dim"),
        ("fm train --model deep", "deepfm"),
        ("fm train --task bin", "binary"),
        ("fm train --split leave", "leave-last-out"),
        ("fm train --data ml-100", "ml-100k"),
        ("fm settings frappe/x", "frappe/xdeepfm"),
        ("fm train --config frappe/x", "frappe/xdeepfm"),
        ("fm evaluate runs/f", "runs/fm-1"),
        ("fm train --resume runs/f", "runs/fm-1"),
    ] {
        let found = completed(&scene, line);
        assert!(found.iter().any(|word| word == expected), "{line}: {found:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert_holds(&scene.ok(&format!("completions {shell}")), &["COMPLETE", "fm"]);
    }
}

#[test]
fn man_prints_a_page_or_writes_all_into_a_folder() {
    let scene = Scene::new();
    let page = scene.ok("man");
    assert_holds(&page, &[".TH fm 1", "fm\\-train(1)", "fm data download ml\\-100k"]);
    scene.ok("man --output share/man1");
    assert_eq!(scene.text("share/man1/fm.1").trim_end(), page.trim_end());
    assert_holds(&scene.text("share/man1/fm-serve.1"), &["\\-\\-max\\-body", "fm serve runs/likes"]);
    scene.write("file", "");
    scene.fails_with("man --output file", &["cannot create file"]);
}

/// The libraries of libtorch that an executable names.
fn libtorch_in(executable: &Path) -> Vec<&'static str> {
    let bytes = std::fs::read(executable).unwrap();
    let names = ["libtorch_cpu", "libtorch.so", "libc10"];
    names.into_iter().filter(|name| bytes.windows(name.len()).any(|window| window == name.as_bytes())).collect()
}

#[test]
fn help_version_and_usage_errors_need_neither_libtorch_nor_the_engine() {
    let fm = Path::new(env!("CARGO_BIN_EXE_fm"));
    assert!(libtorch_in(fm).is_empty(), "fm loads {:?} before it does anything", libtorch_in(fm));
    assert!(!libtorch_in(Path::new(env!("CARGO_BIN_EXE_fm-engine"))).is_empty());
    let scene = Scene::new();
    let alone = scene.path("fm");
    std::fs::copy(fm, &alone).unwrap();
    for arguments in ["--version", "--help", "train --help"] {
        let output = scene.command(&alone).args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments}");
    }
    assert_holds(&scene.command_fails(scene.command(&alone).args(["train", "--epoch", "3"])), &["--epochs"]);
    assert_holds(&scene.command_fails(scene.command(&alone).arg("models")), &["fm-engine", "same folder"]);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let scene = Scene::new();
    assert_holds(&scene.ok("--help"), &["Usage:", "train", "recommend"]);
    assert_holds(&scene.ok("train --help"), &["--embedding-dim", "--resume"]);
    assert_holds(&scene.ok("--version"), &["fm "]);
}

#[test]
fn a_closed_standard_output_is_not_an_error() {
    let scene = Scene::new();
    for line in ["models --json", "completions bash", "man"] {
        let mut child = scene.fm(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // As `head` does, but before the program writes anything.
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(child.wait().unwrap().success(), "{line}");
        assert_eq!(stderr, "", "{line}");
    }
}

#[test]
fn quiet_prints_only_results_and_verbose_prints_the_causes_of_an_error() {
    let scene = Scene::new();
    let output = scene.run("train --data ml --model lr --epochs 1 --run run --quiet");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(!output.stdout.is_empty());
    let output = scene.fm("predict none --input rows.csv --output scored.csv --verbose").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_holds(&stderr, &["error: cannot read none", "\n  because: "]);
}
