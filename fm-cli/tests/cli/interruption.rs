//! Runs that are interrupted, and resumed.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::scene::{FM_ON_ML, Scene, assert_holds};

/// 20 epochs of 75 steps: time enough to interrupt it.
const TRAIN: &str = "train --data ml --epochs 20 --patience 0 --batch-size 32 --hidden-units 16";

/// A scene with the run `straight`, which nothing has interrupted.
fn scene() -> Scene {
    Scene::after(&[format!("{TRAIN} --run straight")])
}

/// Starts training and waits for the end of the second epoch.
fn started(scene: &Scene, line: &str, run: &str) -> Child {
    let mut child = scene.fm(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = scene.path(run).join("metrics.jsonl");
    let began = Instant::now();
    while std::fs::read_to_string(&metrics).map_or(0, |text| text.matches('\n').count()) < 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "no second epoch within a minute");
        assert!(child.try_wait().unwrap().is_none(), "training ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn interrupted(scene: &Scene, train: &str, run: &str) -> Output {
    let child = started(scene, &format!("{train} --quiet --run {run}"), run);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success(), "training ended before the signal came");
    output
}

#[track_caller]
fn assert_same_run(scene: &Scene, a: &str, b: &str) {
    assert_eq!(scene.metrics(a), scene.metrics(b));
    assert_eq!(scene.summary(a), scene.summary(b));
    for checkpoint in ["best", "last"] {
        let bytes = |run: &str| scene.bytes(&format!("{run}/checkpoints/{checkpoint}.safetensors"));
        assert!(bytes(a) == bytes(b), "{checkpoint} differs");
    }
}

#[test]
fn an_interrupted_run_is_usable_and_resumes_as_if_uninterrupted() {
    let scene = scene();
    let output = interrupted(&scene, TRAIN, "run");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(output.status.code(), Some(130));
    assert_holds(&stderr, &["error: interrupted in epoch", "resume with `fm train --resume run`"]);

    scene.ok("evaluate run");
    scene.ok("export run -o model.pt");
    scene.ok("recommend model.pt --user 7");

    scene.ok("train --resume run");
    assert_same_run(&scene, "run", "straight");
}

#[test]
fn an_interrupted_ranking_draws_the_same_negatives_when_resumed() {
    let scene = Scene::new();
    let train = "train --data books.csv --schema schema.toml --task ranking --threshold 4 --split leave-last-out \
                 --model fm --epochs 20 --patience 0 --batch-size 32";
    interrupted(&scene, train, "run");
    scene.ok("train --resume run");
    scene.ok(&format!("{train} --run straight"));
    assert_same_run(&scene, "run", "straight");
}

#[test]
fn a_run_can_be_interrupted_any_number_of_times() {
    let scene = scene();
    interrupted(&scene, TRAIN, "run");
    for _ in 0..2 {
        let before = scene.metrics("run").len();
        let mut child = scene.fm("train --resume run -q").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while scene.metrics("run").len() <= before && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&child, "-INT");
        child.wait().unwrap();
    }
    scene.ok("train --resume run");
    assert_same_run(&scene, "run", "straight");
}

#[test]
fn a_killed_run_resumes_after_its_last_complete_epoch() {
    let scene = scene();
    let mut child = started(&scene, &format!("{TRAIN} --quiet --run run"), "run");
    signal(&child, "-KILL");
    child.wait().unwrap();
    // What a crash during a write leaves behind.
    let metrics = scene.text("run/metrics.jsonl");
    scene.write("run/metrics.jsonl", format!("{metrics}{{\"epoch\":"));
    scene.ok("evaluate run");
    scene.ok("train --resume run");
    assert_same_run(&scene, "run", "straight");
    // The best, the last and the previous one, and the state after the best epoch if these do not have it.
    let checkpoints = |run: &str| {
        let entries = std::fs::read_dir(scene.path(run).join("checkpoints")).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    assert_eq!(checkpoints("run"), checkpoints("straight"));
    assert!((3..=4).contains(&checkpoints("run").len()));
}

#[test]
fn resuming_a_finished_run_prints_its_results_and_changes_nothing() {
    let scene = Scene::new();
    for stop in ["--epochs 3", "--epochs 50 --patience 1 --lr 0.1"] {
        let results = scene.ok(&format!("train --data ml --model fm {stop} --run run --force"));
        let content = || {
            let files =
                ["metrics.jsonl", "summary.json", "checkpoints/best.safetensors", "checkpoints/last.safetensors"];
            files.map(|file| scene.bytes(&format!("run/{file}")))
        };
        let before = content();
        let output = scene.run("train --resume run");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), results);
        assert_holds(&String::from_utf8(output.stderr).unwrap(), &["the run is finished"]);
        assert!(content() == before, "{stop}");
    }
}

#[test]
fn resume_accepts_flags_of_the_machine_but_no_settings() {
    let scene = Scene::after(&[FM_ON_ML]);
    scene.ok(&format!("train --resume run --device cpu --data-dir {} --quiet", scene.path("else").display()));
    for option in ["--epochs 5", "--data ml", "--model lr", "--seed 3", "--force", "--lr 0.1", "--model-option k=2"] {
        scene.fails_with(&format!("train --resume run {option}"), &["--resume", "cannot be used with"]);
    }
}

#[test]
fn a_run_whose_data_has_changed_cannot_be_resumed() {
    let scene = Scene::after(&[FM_ON_ML]);
    scene.write("ml/u.data", scene.text("ml/u.data").replace("\t79\t", "\t80\t"));
    scene.fails_with("train --resume run --quiet", &["the data has changed since run was trained"]);
}
