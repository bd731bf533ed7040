//! Exported files give the same scores in Rust, Python and C++ as in the program, for every model.

use std::path::{Path, PathBuf};
use std::process::Command;

use fm_core::device::compiled_libtorch;
use fm_core::script::Scorer;
use fm_core::tch::Device;
use serde_json::Value;

use crate::every_kind::{self, FIELDS};
use crate::scene::{Scene, assert_holds, python};

#[path = "../../../fm-core/examples/score.rs"]
#[allow(dead_code, reason = "a program's `main` runs where there is a command line")]
mod rust_example;

/// Batch sizes.
const BATCHES: [usize; 5] = [0, 1, 2, 7, 1000];
/// Columns that `narrow.csv` does not have.
const LEFT_OUT: [&str; 3] = ["book", "moods", "price"];
/// An unknown user, as clients describe one.
const USER: [(&str, &str); 4] = [("reader", "nobody"), ("city", ""), ("moods", ""), ("book", "b02")];

#[test]
fn every_client_gives_the_scores_of_the_program_for_every_model() {
    let (scene, models) = every_kind::trained();
    write_rows(&scene);
    let python = python();
    std::thread::scope(|scope| {
        let program = scope.spawn(|| python.as_deref().and_then(|python| build_cpp(&scene, python)));
        for model in &models {
            export(&scene, model);
            rust_agrees(&scene, model);
        }
        // The program scores with an exported file, too.
        for model in &models[..2] {
            scene.ok(&format!("predict {model}.pt --input rows-1000.csv --output of-file.csv"));
            difference(model, &scene.scores("of-file.csv"), &scene.scores(&format!("{model}.csv")));
        }
        let program = program.join().unwrap();
        scope.spawn(|| python.as_deref().inspect(|python| python_agrees(&scene, python, &models)));
        if let Some(program) = program {
            cpp_agrees(&scene, &program, &models);
        }
    });
}

/// Writes the rows to score: as many as a batch each, and all of them with some columns left out.
fn write_rows(scene: &Scene) {
    let rows = every_kind::rows(1000);
    let header = FIELDS.join(",") + "\n";
    for batch in BATCHES {
        let lines: String = rows[..batch].iter().map(|row| row.join(",") + "\n").collect();
        scene.write(&format!("rows-{batch}.csv"), header.clone() + &lines);
    }
    scene.write("narrow.csv", scene.bytes("rows-1000.csv"));
    LEFT_OUT.iter().for_each(|name| scene.without_column("narrow.csv", name, "narrow.csv"));
}

/// Writes `MODEL.pt`, and what the program says of the run: `MODEL.csv`, `MODEL-narrow.csv` and `MODEL.json`, the list for a
/// stranger.
fn export(scene: &Scene, model: &str) {
    scene.ok(&format!("export {model} -o {model}.pt --with-catalogue"));
    scene.ok(&format!("predict {model} --input rows-1000.csv --output {model}.csv"));
    scene.ok(&format!("predict {model} --input narrow.csv --output {model}-narrow.csv --allow-missing"));
    scene.write(&format!("{model}.json"), scene.ok(&format!("recommend {model} --user nobody --top 1000 --json")));

    let scores = scene.scores(&format!("{model}.csv"));
    let (low, high) = scores.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (low.min(x), high.max(x)));
    assert!(high - low > 0.05, "{model}: all rows score the same, {low} to {high}");
}

/// The greatest difference between the scores of a client and of the program. It must be within 1e-6 of the score,
/// or of 1: the program sums over the active slots of a row, an exported file over all slots. Powers, and layer
/// norms of small numbers, enlarge rounding.
#[track_caller]
fn difference(model: &str, found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len(), "{model}");
    let tolerance = if ["afn", "edcn"].contains(&model) { 1e-5 } else { 1e-6 };
    let relative = |(found, expected): (&f64, &f64)| (found - expected).abs() / expected.abs().max(1.0);
    let differences: Vec<f64> = found.iter().zip(expected).map(relative).collect();
    // NaN matches no range.
    let wrong = differences.iter().position(|difference| !(0.0..=tolerance).contains(difference));
    assert_eq!(wrong.map(|row| (row, found[row], expected[row])), None, "{model}: row, found, expected");
    differences.into_iter().fold(0.0, f64::max)
}

fn rust_agrees(scene: &Scene, model: &str) {
    let expected = scene.scores(&format!("{model}.csv"));
    let file = scene.path(&format!("{model}.pt"));
    let scorer = Scorer::load(&file, Device::Cpu).unwrap();
    let rows = every_kind::rows(1000);
    // An empty text equals a missing one: half of them are omitted.
    let cells = |row: &[&'static str; FIELDS.len()]| {
        FIELDS.into_iter().zip(*row).enumerate().filter(|(at, (_, text))| at % 2 == 0 || !text.is_empty())
    };
    let mut worst = 0f64;
    for batch in BATCHES {
        let rows = rows[..batch].iter().map(|row| cells(row).map(|(_, cell)| cell).collect::<Vec<_>>());
        let found: Vec<f64> = scorer.score(rows).unwrap().into_iter().map(f64::from).collect();
        worst = worst.max(difference(model, &found, &expected[..batch]));
    }
    let row: Vec<(&str, &str)> = FIELDS.into_iter().zip(rows[0]).collect();
    let of_example = f64::from(rust_example::score(&file, &row).unwrap());
    worst = worst.max(difference(model, &[of_example], &expected[..1]));

    let list = scene.json(&format!("{model}.json"));
    let expected: Vec<(&str, f64)> = list["items"].as_array().unwrap().iter().map(item).collect();
    let found = scorer.recommend(USER, 1000, &[]).unwrap();
    assert_eq!(found.len(), expected.len());
    for ((item, score), (expected_item, expected_score)) in found.iter().zip(&expected) {
        assert_eq!(item, expected_item, "{model}");
        worst = worst.max(difference(model, &[f64::from(*score)], &[*expected_score]));
    }
    println!("{model}: greatest difference of Scorer {worst:.1e}");
}

fn item(item: &Value) -> (&str, f64) {
    (item["item"].as_str().unwrap(), item["score"].as_f64().unwrap())
}

/// `clients.py` for all models, and `score.py` as its users run it for one.
fn python_agrees(scene: &Scene, python: &Path, models: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients.py");
    let printed = ok(scene.command(python).arg(script).args(models));
    assert_eq!(printed.lines().count(), models.len(), "{printed}");
    print!("{printed}");

    let example = example("python/score.py");
    let (model, rows) = (format!("{}.pt", models[0]), "rows-1000.csv");
    scene.write("python.csv", ok(scene.command(python).arg(&example).arg(&model).arg(rows)));
    let expected = scene.scores(&format!("{}.csv", models[0]));
    difference("score.py", &scene.scores("python.csv"), &expected);
    scene.without_column("python.csv", "score", "python.csv");
    assert_eq!(scene.text("python.csv"), scene.text(rows));
    let shown = ok(scene.command(python).arg(&example).arg(&model));
    assert_holds(
        &shown,
        &["fields: reader book", "card: # ", "rows: tensor(", "tensors: tensor(", "recommended: (['b"],
    );
}

/// Builds the C++ client with the CMake and Ninja in the folder of the Python.
fn build_cpp(scene: &Scene, python: &Path) -> Option<PathBuf> {
    let tools = python.parent()?;
    let (cmake, ninja) = (tools.join("cmake"), tools.join("ninja"));
    if !cmake.is_file() || !ninja.is_file() {
        eprintln!("skipped: the C++ client, as there is no cmake or ninja in {}", tools.display());
        return None;
    }
    let libtorch = Path::new(compiled_libtorch().1).parent()?;
    let mut configure = scene.command(&cmake);
    configure.args(["-G", "Ninja", "-B", "cpp", "-S"]).arg(example("cpp"));
    configure.arg(format!("-DCMAKE_MAKE_PROGRAM={}", ninja.display()));
    configure.arg(format!("-DLIBTORCH={}", libtorch.display()));
    ok(&mut configure);
    ok(scene.command(&cmake).args(["--build", "cpp"]));
    Some(scene.path("cpp/score"))
}

fn cpp_agrees(scene: &Scene, program: &Path, models: &[&str]) {
    for model in models {
        let files = BATCHES.map(|batch| format!("rows-{batch}.csv"));
        let printed = ok(scene.command(program).arg(format!("{model}.pt")).args(files).arg("narrow.csv"));
        let found: Vec<f64> = printed.lines().map(|line| line.parse().unwrap()).collect();
        let whole = scene.scores(&format!("{model}.csv"));
        let mut expected: Vec<f64> = BATCHES.iter().flat_map(|&batch| whole[..batch].to_vec()).collect();
        expected.extend(scene.scores(&format!("{model}-narrow.csv")));
        let worst = difference(model, &found, &expected);
        println!("{model}: greatest difference of C++ {worst:.1e}");
    }
    cpp_fails_in_one_line(scene, program, &format!("{}.pt", models[0]));
}

fn cpp_fails_in_one_line(scene: &Scene, program: &Path, model: &str) {
    scene.write("torn.csv", "reader,book\nr01");
    scene.write("cut.pt", &scene.bytes(model)[..1000]);
    for (arguments, words) in [
        (&[model][..], "usage: score"),
        (&[model, "none.csv"], "cannot read none.csv"),
        (&[model, "torn.csv"], "torn.csv: a row and the header differ in length"),
        (&["none.pt", "narrow.csv"], "none.pt"),
        (&["cut.pt", "narrow.csv"], "failed reading zip archive"),
    ] {
        let error = scene.command_fails(scene.command(program).args(arguments));
        assert_holds(&error, &[words]);
    }
}

/// A file of the examples.
fn example(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).join(name)
}

/// Runs a command, which must succeed; its standard output.
#[track_caller]
pub fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout
}
