//! `fm runs`: the list of runs.

use crate::scene::{Scene, assert_holds};

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
