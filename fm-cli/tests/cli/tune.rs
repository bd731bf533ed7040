//! `fm tune`: the search for settings.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scene::{Scene, assert_holds};

const SPACE: &str = "[data]\ndata = \"ml\"\n[model]\nname = \"fm\"\noptions.embedding_dim = { choices = [2, 4] }\n\
                     [train]\nepochs = 2\nlr = { min = 0.0001, max = 0.1, scale = \"log\" }\nbatch_size = { min = 32, max = 256 }\n";

/// The trials of a study without times.
fn trials(scene: &Scene, study: &str) -> Vec<Value> {
    let timeless = |line: &str| {
        let mut trial: Value = serde_json::from_str(line).unwrap();
        trial.as_object_mut().unwrap().remove("seconds").unwrap();
        trial
    };
    scene.text(&format!("{study}/trials.jsonl")).lines().map(timeless).collect()
}

fn result(trial: &Value) -> f64 {
    trial["result"].as_f64().unwrap()
}

#[test]
fn training_with_the_best_settings_repeats_the_best_result() {
    let scene = Scene::new();
    scene.write("space.toml", SPACE);
    let found = scene.ok("tune space.toml --trials 12 --study study");
    let trials = trials(&scene, "study");
    assert_eq!(trials.len(), 12);
    for trial in &trials {
        let [k, batch, lr] = trial["values"].as_array().unwrap().clone().try_into().unwrap();
        let named = [("batch_size", &batch), ("embedding_dim", &k), ("lr", &lr)];
        let of = |name: &str| named.iter().find(|(known, _)| *known == name).unwrap().1;
        assert!((32..=256).contains(&of("batch_size").as_i64().unwrap()), "{trial}");
        assert!([2, 4].contains(&of("embedding_dim").as_i64().unwrap()), "{trial}");
        assert!((0.0001..=0.1).contains(&of("lr").as_f64().unwrap()), "{trial}");
    }
    let best = trials.iter().min_by(|a, b| result(a).total_cmp(&result(b))).unwrap();
    assert_holds(&found, &[&format!("rmse {:.4} in trial {} of 12", result(best), best["number"]), "train.lr = "]);
    // Only the best trial's run is kept.
    let runs = std::fs::read_dir(scene.path("study")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(runs.count(), 1);
    scene.ok("train --config study/best.toml --run again");
    assert_eq!(scene.summary("again")["valid"]["rmse"].as_f64().unwrap(), result(best));
    scene.ok(&format!("evaluate study/trial-{}", best["number"]));
}

#[test]
fn a_killed_study_resumes_as_if_uninterrupted() {
    let scene = Scene::new();
    scene.write("space.toml", SPACE);
    let line = "tune space.toml --trials 13";
    let mut child =
        scene.fm(&format!("{line} --study study")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while std::fs::read_to_string(scene.path("study/trials.jsonl")).map_or(0, |text| text.lines().count()) < 4 {
        assert!(began.elapsed() < Duration::from_secs(60), "no fourth trial within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What a crash during a write leaves behind.
    let text = scene.text("study/trials.jsonl");
    scene.write("study/trials.jsonl", text + "{\"number\":");
    scene.ok(&format!("{line} --study study"));
    scene.ok(&format!("{line} --study straight"));
    assert_eq!(trials(&scene, "study"), trials(&scene, "straight"));
}

#[test]
fn unpromising_trials_are_stopped() {
    let scene = Scene::new();
    let space = SPACE.replace("epochs = 2", "epochs = 4\npatience = 0").replace("min = 0.0001", "min = 0.0000001");
    scene.write("space.toml", space);
    scene.ok("tune space.toml --trials 9 --halving 1 --ratio 2 --sampler random --study study");
    let trials = trials(&scene, "study");
    let (stopped, finished): (Vec<&Value>, Vec<&Value>) = trials.iter().partition(|trial| trial["ending"] == "stopped");
    assert!(!stopped.is_empty() && !finished.is_empty());
    for trial in stopped {
        let epochs = trial["curve"].as_array().unwrap().len();
        assert!([1, 2].contains(&epochs), "it is stopped at a rung, not in epoch {epochs}");
        let earlier = trials.iter().take_while(|other| other["number"] != trial["number"]);
        let better = earlier.filter(|other| {
            other["curve"][epochs - 1]
                .as_f64()
                .is_some_and(|other| other < trial["curve"][epochs - 1].as_f64().unwrap())
        });
        assert!(better.count() > 0, "the best is not stopped");
    }
    assert!(finished.iter().all(|trial| trial["curve"].as_array().unwrap().len() == 4));
}

#[test]
fn a_diverging_trial_is_the_worst_and_the_search_continues() {
    let scene = Scene::new();
    scene.write("space.toml", "[model]\nname = \"fm\"\n[train]\nepochs = 1\nlr = { choices = [0.01, 1e30] }\n");
    scene.ok("tune space.toml --data ml --trials 6 --study study");
    let trials = trials(&scene, "study");
    let diverged = trials.iter().filter(|trial| trial["ending"] == "diverged");
    assert!(diverged.clone().count() > 0 && diverged.clone().all(|trial| trial["result"].is_null()));
    assert_holds(&scene.text("study/best.toml"), &["lr = 0.01"]);
}

#[test]
fn an_invalid_search_space_is_an_error_before_the_first_trial() {
    let scene = Scene::new();
    let fails = |space: &str, words: &[&str]| {
        scene.write("space.toml", space);
        scene.fails_with("tune space.toml --data ml --trials 2 --study study", words);
    };
    fails("[train]\nlr = 0.1\n", &["space.toml has no range to search", "scale = \"log\""]);
    fails("[train]\nlr = { min = 1.0, max = 0.5 }\n", &["`train.lr`", "min must be less than max"]);
    fails("[train]\nlr = { min = 0.0, max = 0.5, scale = \"log\" }\n", &["`train.lr`", "greater than 0"]);
    fails("[train]\nlr = { min = 0.1 }\n", &["`train.lr` must be {"]);
    fails("[train]\nlr = { choices = [] }\n", &["`train.lr`", "`choices` is empty"]);
    fails("[train]\nlearning_rate = { min = 0.1, max = 0.5 }\n", &["learning_rate"]);
    fails("[model]\nname = { choices = [\"fm\", \"depfm\"] }\n", &["`model.name`", "did you mean `deepfm`?"]);
    scene.write("space.toml", SPACE);
    scene.fails_with("tune none.toml", &["cannot read none.toml"]);
    scene.ok("tune space.toml --trials 1 --study study");
    scene.fails_with("tune space.toml --trials 1 --seed 2 --study study", &["another seed", "--study"]);
    scene.fails_with("tune space.toml --trials 1 --study ml", &["ml contains other files"]);
}
