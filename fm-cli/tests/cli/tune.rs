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

/// A study whose second trial learns next to nothing, and is stopped after its first epoch.
const HALVED: &str = "[data]\ndata = \"ml\"\n[model]\nname = \"fm\"\noptions.embedding_dim = 4\n\
                      [train]\nepochs = 30\npatience = 0\nbatch_size = 32\nlr = { choices = [0.003, 0.0000001] }\n";

/// `HALVED` with one learning rate, to train it alone.
fn halved(lr: &str) -> String {
    HALVED.replace("{ choices = [0.003, 0.0000001] }", lr)
}

/// A seed with which the first trial has the good learning rate and the second one the bad one.
fn seed_of_halved(scene: &Scene) -> u64 {
    let rates = |seed: u64| {
        scene.write("quick.toml", HALVED.replace("epochs = 30", "epochs = 1"));
        let study = format!("seed-{seed}");
        scene.ok(&format!("tune quick.toml --trials 2 --sampler random --seed {seed} --study {study}"));
        trials(scene, &study).iter().map(|trial| trial["values"][0].as_f64().unwrap()).collect::<Vec<_>>()
    };
    (1..20).find(|&seed| rates(seed) == [0.003, 0.000_000_1]).unwrap()
}

#[test]
#[cfg(unix)]
fn a_trial_that_was_behind_when_the_study_was_killed_ends_where_it_would_have_been_stopped() {
    let scene = Scene::new();
    let seed = seed_of_halved(&scene);
    scene.write("space.toml", HALVED);
    let tune = format!("tune space.toml --trials 3 --halving 1 --ratio 2 --sampler random --seed {seed} --study");
    scene.ok(&format!("{tune} straight"));
    let straight = trials(&scene, "straight");
    assert_eq!((&straight[1]["ending"], straight[1]["curve"].as_array().unwrap().len()), (&"stopped".into(), 1));

    // As if it had been killed during the second trial.
    crate::scene::copy(&scene.path("straight"), &scene.path("study"));
    let first = scene.text("straight/trials.jsonl").lines().next().unwrap().to_owned() + "\n";
    scene.write("study/trials.jsonl", first);
    let _ = std::fs::remove_dir_all(scene.path("study/trial-3"));
    scene.write("second.toml", halved("0.0000001"));
    let mut child = scene
        .fm(&format!("train --config second.toml --seed {seed} --run study/trial-2 --quiet"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while std::fs::read_to_string(scene.path("study/trial-2/metrics.jsonl")).map_or(0, |text| text.lines().count()) < 2
    {
        assert!(began.elapsed() < Duration::from_secs(60), "no second epoch within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    scene.ok(&format!("{tune} study"));
    assert_eq!(trials(&scene, "study"), straight);
}

#[test]
#[cfg(unix)]
fn a_study_stops_at_ctrl_c_even_if_a_trial_falls_behind_at_that_moment() {
    let scene = Scene::new();
    let seed = seed_of_halved(&scene);
    scene.write("space.toml", HALVED);
    let tune = format!("tune space.toml --trials 4 --halving 1 --ratio 2 --sampler random --seed {seed} --study");
    let mut child = scene.fm(&format!("{tune} study")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    // The file of epochs is written in the epoch in which the trial falls behind.
    while !scene.path("study/trial-2/metrics.jsonl").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no second trial within a minute");
        assert!(child.try_wait().unwrap().is_none(), "the study ended before it could be stopped");
        std::thread::sleep(Duration::from_micros(200));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    scene.ok(&format!("{tune} study"));
    scene.ok(&format!("{tune} straight"));
    assert_eq!(trials(&scene, "study"), trials(&scene, "straight"));
}

#[test]
fn a_study_of_other_rows_is_not_continued() {
    let scene = Scene::new();
    scene.write("space.toml", SPACE);
    scene.ok("tune space.toml --trials 1 --study study");
    scene.write("ml/u.data", scene.text("ml/u.data").replace("\t79\t", "\t80\t"));
    scene.fails_with("tune space.toml --trials 2 --study study -q", &["the data has changed since study began"]);
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
