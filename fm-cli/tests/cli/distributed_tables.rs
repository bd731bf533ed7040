//! Training by several processes that divide the tables among themselves. That each step is the same as with whole tables is tested
//! in `distributed`.
#![cfg(unix)]

use std::time::{Duration, Instant};

use crate::distributed::{LONG, assert_near, assert_same, fails, signal, start, stderr, train, wait, wait_for_epochs};
use crate::scene::{Scene, assert_holds};

#[test]
fn sharded_runs_resume_with_any_tables_and_any_number_of_processes() {
    let scene = Scene::new();
    train(&scene, 2, &format!("{LONG} --run straight"));
    let mut ranks = start(&scene, 2, |_| format!("{LONG} --run run --tables sharded"));
    wait_for_epochs(&scene, "run", &mut ranks);
    signal(&ranks[1], "-TERM");
    let outputs = wait(ranks);
    assert!(outputs.iter().all(|output| output.status.code() == Some(130)), "{outputs:?}");
    assert_holds(stderr(&outputs[0]).lines().last().unwrap(), &["interrupted in epoch", "`fm train --resume run`"]);
    assert_eq!(stderr(&outputs[1]), "");
    for copy in ["sharded", "replicated", "alone", "three"] {
        crate::scene::copy(&scene.path("run"), &scene.path(copy));
    }
    train(&scene, 2, "train --resume sharded --tables sharded");
    train(&scene, 2, "train --resume replicated --tables replicated");
    scene.ok("train --resume alone");
    train(&scene, 3, "train --resume three --tables sharded");
    assert_same(&scene, "sharded", "straight");
    assert_same(&scene, "replicated", "straight");
    for run in ["alone", "three"] {
        assert_eq!(scene.metrics(run).len(), 20);
        assert_near(&scene, run, "straight");
    }
    // A finished run is measured again.
    train(&scene, 2, "train --resume alone --tables sharded");
}

#[test]
fn the_last_checkpoint_is_left_when_a_process_that_has_a_part_of_the_tables_is_killed() {
    let scene = Scene::new();
    for killed in [0, 1] {
        let run = format!("killed-{killed}");
        let mut ranks = start(&scene, 2, |_| format!("{LONG} --run {run} --tables sharded"));
        wait_for_epochs(&scene, &run, &mut ranks);
        let began = Instant::now();
        signal(&ranks[killed], "-KILL");
        let outputs = wait(ranks);
        assert!(began.elapsed() < Duration::from_secs(10));
        let other = &outputs[1 - killed];
        assert_eq!(other.status.code(), Some(1));
        let message = stderr(other);
        let message = message.lines().last().unwrap();
        assert_holds(message, &[&format!("error: rank {} of 2 lost another process", 1 - killed)]);
        let resume = format!("resume from the last checkpoint with `fm train --resume {run}`");
        assert!(killed == 0 || message.ends_with(&resume), "{message}");
        train(&scene, 2, &format!("train --resume {run} --tables sharded"));
        assert_eq!(scene.metrics(&run).len(), 20);
    }
}

#[test]
fn what_sharded_tables_cannot_do_is_one_line() {
    let scene = Scene::new();
    scene.ok("train --data ml --model fm --epochs 1 --run earlier");
    let same = |line: &str, words: &[&str]| assert_holds(&fails(&scene, [line, line]), words);
    let sharded = "train --data ml --model fm --run run --quiet --tables sharded";
    same(&format!("{sharded} --init-from earlier"), &["cannot start from another run", "--tables replicated"]);
    same(&format!("{sharded} --optimizer sgd --lr 1e30"), &["became", "lower the learning rate"]);
    same("train --data ml --model bayesian_fm --run run --quiet --tables sharded", &["train in one process"]);
    let error = fails(&scene, [sharded, "train --data ml --model fm --run run --quiet"]);
    assert_eq!(
        error,
        "error: rank 1 and rank 0 have different `--tables`: start all processes with the same arguments"
    );
    scene.fails_with("train --data ml --model fm --tables sharded", &["--distributed"]);
    assert!(!scene.path("run").exists());
    // A file where the run's folder should be.
    scene.write("file", "");
    same(&sharded.replace("--run run", "--run file/run"), &["file/run"]);
}
