//! A run is one process's, and replacing it never loses it.
#![cfg(unix)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::scene::{Scene, assert_holds};

const TRAIN: &str = "train --data ml --model fm --epochs 40 --patience 0 --batch-size 32";

/// Starts a program and waits until a file has this many lines.
fn started(scene: &Scene, line: &str, file: &str, lines: usize) -> Child {
    let mut child = scene.fm(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while std::fs::read_to_string(scene.path(file)).map_or(0, |text| text.matches('\n').count()) < lines {
        assert!(began.elapsed() < Duration::from_secs(60), "no line {lines} in {file} within a minute");
        assert!(child.try_wait().unwrap().is_none(), "fm {line} ended too early");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// The error of a command that fails.
fn error(scene: &Scene, line: &str) -> String {
    let output = scene.fm(line).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "fm {line}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn a_second_process_is_told_who_trains_a_run_and_sigterm_and_sighup_are_ctrl_c() {
    let scene = Scene::new();
    let mut child = started(&scene, &format!("{TRAIN} -q --run run"), "run/metrics.jsonl", 2);
    let holder = format!("run is in use by process {}", child.id());
    for line in ["train --resume run -q".to_owned(), format!("{TRAIN} -q --run run --force")] {
        assert_holds(&error(&scene, &line), &[&holder, "wait until it ends, or stop it"]);
    }
    for name in ["-TERM", "-HUP"] {
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{name}: {said}");
        assert_holds(&said, &["interrupted in epoch", "resume with `fm train --resume run`"]);
        assert!(!scene.path("run/lock").exists());
        let lines = scene.metrics("run").len();
        child = started(&scene, "train --resume run -q", "run/metrics.jsonl", lines + 1);
    }
    // A killed process leaves no lock.
    child.kill().unwrap();
    child.wait().unwrap();
    scene.ok("train --resume run -q");
    scene.ok(&format!("{TRAIN} -q --run straight"));
    assert_eq!(scene.metrics("run"), scene.metrics("straight"));
    for name in ["best", "last"] {
        let bytes = |run: &str| scene.bytes(&format!("{run}/checkpoints/{name}.safetensors"));
        assert!(bytes("run") == bytes("straight"), "{name} differs");
    }
}

#[test]
fn a_program_that_nohup_started_outlives_its_terminal() {
    let scene = Scene::new();
    let mut command = scene.command("sh");
    let script = format!("trap '' HUP; exec \"$0\" {TRAIN} -q --run run");
    let mut child = command.args(["-c", &script, env!("CARGO_BIN_EXE_fm")]).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !scene.path("run/metrics.jsonl").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "no first epoch within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&child, "-HUP");
    assert!(child.wait().unwrap().success());
    assert_eq!(scene.metrics("run").len(), 40);
}

#[test]
fn force_keeps_the_old_run_until_the_new_one_has_a_checkpoint() {
    let scene = Scene::new();
    scene.ok("train --data ml --model fm --epochs 2 -q --run run");
    scene.write("run/notes.txt", "years of work");
    // It diverges before its first checkpoint: nothing has changed.
    let force = "train --data ml --model fm --run run --force -q";
    scene.fails_with(&format!("{force} --epochs 1 --optimizer sgd --lr 1e30"), &["became"]);
    // It is killed before its first checkpoint.
    let mut child = scene.fm(&format!("{force} --epochs 1 --batch-size 1")).stdout(Stdio::null()).spawn().unwrap();
    let (began, aside) = (Instant::now(), scene.path("run.replaced"));
    while !(aside.exists() && scene.path("run/settings.toml").exists()) {
        assert!(began.elapsed() < Duration::from_secs(60), "the run is not set aside within a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    scene.ok("evaluate run.replaced -q");
    assert_eq!(scene.text("run.replaced/notes.txt"), "years of work");
    // The new one gets a checkpoint.
    scene.ok(&format!("{force} --epochs 1"));
    assert!(!aside.exists());
    assert_eq!((scene.metrics("run").len(), scene.text("run/notes.txt").as_str()), (1, "years of work"));
    scene.ok("train --data ml --model fm --epochs 1 -q --run straight");
    assert_eq!(scene.metrics("run"), scene.metrics("straight"));
}

#[test]
fn compare_and_tune_begin_again_where_a_program_was_killed_before_its_first_checkpoint() {
    let scene = Scene::new();
    let compare = "compare --data ml --models lr,fm --seeds 1 --set train.epochs=1 -q -o";
    scene.ok(&format!("{compare} straight"));
    scene.ok(&format!("{compare} board"));
    let empty = |run: &str| {
        for entry in std::fs::read_dir(scene.path(run).join("checkpoints")).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for file in ["summary.json", "metrics.jsonl", "timings.jsonl"] {
            std::fs::remove_file(scene.path(run).join(file)).unwrap();
        }
    };
    empty("board/lr/seed-1");
    empty("board/fm/seed-1");
    std::fs::remove_file(scene.path("board/fm/seed-1/settings.toml")).unwrap();
    scene.ok(&format!("{compare} board"));
    for model in ["lr", "fm"] {
        assert_eq!(scene.metrics(&format!("board/{model}/seed-1")), scene.metrics(&format!("straight/{model}/seed-1")));
    }

    scene.write("space.toml", "[train]\nepochs = 1\nlr = { min = 0.001, max = 0.1, scale = \"log\" }\n");
    let tune = "tune space.toml --data ml --model fm --trials 1 -q --study";
    scene.ok(&format!("{tune} straight-study"));
    scene.ok(&format!("{tune} study"));
    empty("study/trial-1");
    std::fs::remove_file(scene.path("study/trials.jsonl")).unwrap();
    scene.ok(&format!("{tune} study"));
    assert_eq!(scene.metrics("study/trial-1"), scene.metrics("straight-study/trial-1"));
}
