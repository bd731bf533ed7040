//! `fm runs`: the list of runs, and what trackers of experiments get.

use serde_json::Value;

use crate::scene::{FM_ON_BOOKS, Scene, assert_holds, python};

/// Runs of two tasks, one of them interrupted.
fn scene() -> Scene {
    let scene = Scene::new();
    for (name, flags) in [("a", "--model lr --lr 0.01"), ("b", "--model fm"), ("c/seed-1", "--model fm --seed 7")] {
        scene.ok(&format!("train --data ml {flags} --epochs 1 --run runs/{name}"));
    }
    std::fs::remove_file(scene.path("runs/c/seed-1/summary.json")).unwrap();
    scene
}

#[test]
fn runs_are_listed_best_first_with_their_results_and_the_settings_that_differ() {
    let scene = scene();
    let rmse = |run: &str| scene.summary(run)["test"]["rmse"].as_f64().unwrap();
    let (a, b) = (rmse("runs/a"), rmse("runs/b"));
    let listed = scene.ok_json("runs --json");
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect();
    let expected = if a < b { ["runs/a", "runs/b"] } else { ["runs/b", "runs/a"] };
    assert_eq!(names, [expected[0], expected[1], "runs/c/seed-1"]);
    assert_eq!((&listed[2]["state"], &listed[0]["state"]), (&"interrupted".into(), &"finished".into()));
    assert_eq!(listed[0]["test"]["rmse"].as_f64().unwrap(), a.min(b));

    let text = scene.ok("runs --show train.lr,train.seed");
    assert_holds(
        &text,
        &["runs/a", "lr", &format!("{a:.4}"), &format!("{b:.4}"), "1, interrupted", "0.01", "train.seed"],
    );
    let found = scene.ok("runs --where model.name=fm --sort name");
    assert!(!found.contains("runs/a") && found.contains("runs/b") && found.contains("runs/c/seed-1"), "{found}");
    assert_eq!(scene.ok("runs runs/c --top 1").lines().count(), 3);
}

#[test]
fn runs_of_different_tasks_have_their_own_metrics() {
    let scene = scene();
    scene.ok("train --data ml --model lr --task binary --epochs 1 --run runs/d");
    assert_holds(&scene.ok("runs"), &["metric", "rmse", "logloss"]);
    assert_holds(&scene.ok("runs --sort auc"), &["auc", "runs/d"]);
    assert!(scene.ok("runs --sort auc").lines().nth(2).unwrap().contains("runs/d"));
}

#[test]
fn a_list_without_runs_or_with_an_unknown_setting_is_an_error_of_one_line() {
    let scene = scene();
    scene.fails_with("runs nowhere", &["there is no run in nowhere", "fm runs DIR"]);
    scene.fails_with("runs --where model.nam=fm", &["no run has the setting `model.nam`", "`model.name`"]);
    scene.fails_with("runs --where model.name=ffm", &["none of the 3 runs"]);
    scene.fails_with("runs --sort rsme", &["rsme", "did you mean `rmse`?"]);
    // A damaged run does not hide the others.
    scene.write("runs/a/schema.json", "{");
    let warnings = scene.warnings("runs");
    assert!(warnings.len() == 1 && warnings[0].contains("runs/a is left out"), "{warnings:?}");
}

/// What the example logs to MLflow and to Weights & Biases.
#[test]
fn a_tracker_gets_the_settings_the_epochs_and_the_results() {
    let Some(python) = python() else { return };
    let scene = Scene::after(&[FM_ON_BOOKS]);
    let script = format!(
        "import json, sys; sys.path.insert(0, {:?}); from log_run import Run; run = Run('run'); \
         print(json.dumps([run.settings, [run.metrics_of(epoch) for epoch in run.epochs], run.results(), len(run.files())]))",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/trackers")
    );
    let output = scene.command(&python).args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found[0]["model.name"], "fm");
    let summary = scene.json("run/summary.json");
    assert_eq!(found[2]["test/rmse"], summary["test"]["rmse"]);
    assert_eq!(found[2]["baseline/mean/rmse"], summary["baselines"]["mean"]["rmse"]);
    for (logged, epoch) in found[1].as_array().unwrap().iter().zip(scene.metrics("run")) {
        assert_eq!((&logged["train/loss"], &logged["valid/rmse"]), (&epoch["train_loss"], &epoch["valid"]["rmse"]));
    }
    assert_eq!(found[3], 4);
}
