//! Calibration after training, and decisions by its probabilities.

use serde_json::Value;

use crate::scene::{Scene, assert_holds, assert_same_scores};

const BINARY: &str = "train --data ml --task binary --model fm --epochs 2 --run run";

fn logloss(measured: &Value) -> f64 {
    measured["logloss"].as_f64().unwrap()
}

#[test]
fn a_calibration_is_in_all_that_scores_until_it_is_removed() {
    let scene = Scene::after(&[BINARY]);
    scene.ok("evaluate run --output before.csv");
    for method in ["temperature", "platt", "isotonic"] {
        let found = scene.ok_json(&format!("calibrate run --method {method} --json"));
        assert_eq!(found["calibration"]["method"], method);
        let valid = &found["valid"];
        assert!(logloss(&valid["after"]) <= logloss(&valid["before"]) + 1e-9, "{method}: {valid}");
        // Each method starts from the scores of training.
        assert_eq!(valid["before"], scene.json("run/summary.json")["valid"], "{method}");

        let evaluated = scene.ok_json("evaluate run --json --output after.csv");
        assert_eq!(evaluated["metrics"], found["test"]["after"], "{method}");
        let (before, after) = (scene.scores("before.csv"), scene.scores("after.csv"));
        assert_ne!(before, after);
        for (a, b) in before.iter().zip(&after).zip(before.iter().zip(&after).skip(1)) {
            assert!((a.0 - b.0) * (a.1 - b.1) >= 0.0, "{method} changes the order");
        }

        scene.ok("export run --output model.pt");
        for model in ["run", "model.pt"] {
            scene.ok(&format!("predict {model} --input before.csv --output {method}.csv"));
            assert_same_scores(&scene.scores(&format!("{method}.csv")), &after);
        }
        assert_holds(&scene.ok("verify model.pt"), &["calibration", method]);
        assert_eq!(scene.ok_json("runs . --json")[0]["test"], found["test"]["after"]);
    }
    scene.ok("calibrate run --remove");
    scene.ok("evaluate run --output removed.csv");
    assert_eq!(scene.scores("before.csv"), scene.scores("removed.csv"));
    scene.fails_with("calibrate run --remove", &["run has no calibration"]);
}

#[test]
fn an_explanation_has_what_the_calibration_adds() {
    let scene = Scene::after(&[BINARY]);
    scene.ok("calibrate run --method isotonic");
    let found = scene.ok_json("explain run --user 1 --item 2 --json");
    let formula = &found["parts"];
    assert!(formula.to_string().contains("calibration"), "{found}");
}

#[test]
fn a_calibration_of_another_checkpoint_is_refused_and_resuming_removes_it() {
    let scene = Scene::after(&[BINARY]);
    scene.ok("train --data ml --task binary --model fm --epochs 1 --run other");
    scene.ok("calibrate other");
    std::fs::copy(scene.path("other/calibration.json"), scene.path("run/calibration.json")).unwrap();
    scene.fails_with("evaluate run", &["calibration.json", "fitted to another checkpoint", "fm calibrate"]);
    // To fit it again is what the error says.
    scene.ok("calibrate run");
    scene.ok("evaluate run");
    for broken in ["{", r#"{"calibration":{"method":"platt","slope":1}}"#] {
        scene.write("run/calibration.json", broken);
        scene.fails_with("evaluate run", &["run/calibration.json is not a usable calibration", "remove it"]);
    }
}

#[test]
fn what_cannot_be_calibrated_is_an_error_of_one_line() {
    let scene = Scene::after(&["train --data ml --model lr --epochs 1 --run stars"]);
    scene.fails_with("calibrate stars", &["stars predicts no probability", "only binary tasks"]);
    scene.fails_with("evaluate stars --costs 1:5", &["--costs", "only binary tasks"]);
    for (costs, why) in [("1", "such as 1:5"), ("1:x", "such as 1:5"), ("0:0", "more than 0"), ("-1:2", "such as 1:5")]
    {
        scene.fails_with(&format!("evaluate stars --costs={costs}"), &[why]);
    }
}

#[test]
fn thresholds_cost_what_their_rows_cost() {
    let scene = Scene::after(&[BINARY]);
    let found = scene.ok_json("evaluate run --costs 1:3 --output scored.csv --json");
    let (scores, labels) = (scene.scores("scored.csv"), scene.column("scored.csv", "rating"));
    let is_positive: Vec<bool> = labels.iter().map(|rating| rating.parse::<f64>().unwrap() >= 4.0).collect();
    let thresholds = found["thresholds"].as_array().unwrap();
    assert_eq!(thresholds.len(), 9);
    let mut least = f64::INFINITY;
    for threshold in thresholds {
        let from = threshold["probability"].as_f64().unwrap_or(f64::INFINITY);
        let cost = |(score, positive): (&f64, &bool)| match (*score >= from - 1e-7, positive) {
            (true, false) => 1.0,
            (false, true) => 3.0,
            _ => 0.0,
        };
        let expected = scores.iter().zip(&is_positive).map(cost).sum::<f64>() / scores.len() as f64;
        let found = threshold["cost"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9, "{threshold}: {expected}");
        least = least.min(found);
    }
    let best = thresholds.iter().find(|threshold| threshold["why"] == "least cost on these rows").unwrap();
    assert_eq!(best["cost"].as_f64(), Some(least));
    assert_holds(&scene.ok("evaluate run --costs 1:3"), &["probability from 0.250, by the costs", "cost of a row"]);
}

#[test]
fn rows_are_measured_by_value_and_by_time() {
    let scene = Scene::after(&[BINARY]);
    let found = scene.ok_json("evaluate run --by gender --output scored.csv --json");
    let of_gender = scene.column("scored.csv", "gender");
    for part in found["by"].as_array().unwrap() {
        let value = part["value"].as_str().unwrap();
        assert_eq!(part["rows"], of_gender.iter().filter(|gender| *gender == value).count());
        assert!(part["metrics"]["logloss"].is_f64() && part["margin"].is_f64(), "{part}");
    }
    let days = scene.ok_json("evaluate run --by timestamp --json");
    let days: Vec<&str> = days["by"].as_array().unwrap().iter().map(|part| part["value"].as_str().unwrap()).collect();
    assert!(days.is_sorted() && days.iter().all(|day| day.starts_with("19") || day.starts_with("20")), "{days:?}");
    scene.fails_with("evaluate run --by nothing", &["no column `nothing`", "user_id"]);
}
