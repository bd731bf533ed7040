//! Training by several processes that divide the tables among themselves. That each step is the same as with whole
//! tables is tested in `distributed`.
#![cfg(unix)]

use std::time::Duration;

use crate::distributed::{
    LONG, assert_near, assert_same, fails, interrupt_in_third_epoch, last_words_after_a_kill, start, train, wait,
};
use crate::hashed;
use crate::scene::{Scene, assert_holds, copy as copy_run};

#[test]
fn sharded_runs_resume_with_any_tables_and_any_number_of_processes() {
    let scene = Scene::new();
    train(&scene, 2, &format!("{LONG} --run straight"));
    interrupt_in_third_epoch(&scene, &format!("{LONG} --run run --tables sharded"));
    for copy in ["sharded", "replicated", "alone", "three-sharded", "three-replicated"] {
        copy_run(&scene.path("run"), &scene.path(copy));
    }
    for (run, size) in [("sharded", 2), ("replicated", 2), ("three-sharded", 3), ("three-replicated", 3)] {
        let tables = run.rsplit('-').next().unwrap();
        train(&scene, size, &format!("train --resume {run} --tables {tables}"));
    }
    assert_same(&scene, "sharded", "straight");
    assert_same(&scene, "replicated", "straight");
    assert_same(&scene, "three-sharded", "three-replicated");
    scene.ok("train --resume alone");
    assert_eq!(scene.metrics("alone").len(), 20);
    // A finished run is measured again.
    let measured = scene.summary("alone");
    train(&scene, 2, "train --resume alone --tables sharded");
    assert_eq!(scene.summary("alone"), measured);
}

#[test]
fn a_run_that_one_process_began_goes_on_with_sharded_tables() {
    let scene = Scene::new();
    let line =
        "train --data ml --model fm --optimizer adagrad --batch-size 300 --l2 0.1 --set train.checkpoint_steps=2";
    scene.ok(&format!("{line} --epochs 2 --run alone"));
    scene.ok(&format!("{line} --epochs 2 --run run"));
    // As if it had ended after the first epoch.
    let checkpoints = scene.path("run/checkpoints");
    let of_step = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse::<u64>().ok()
    };
    let earlier = std::fs::read_dir(&checkpoints).unwrap().map(|entry| entry.unwrap().path());
    let first = earlier.filter(|path| of_step(path).is_some()).min_by_key(|path| of_step(path)).unwrap();
    std::fs::rename(first, checkpoints.join("last.safetensors")).unwrap();
    train(&scene, 3, "train --resume run --tables sharded");
    assert_near(&scene, "run", "alone");
}

/// The most private memory that rank 0 of two has while it trains, in bytes.
#[cfg(target_os = "linux")]
fn memory(scene: &Scene, line: &str) -> u64 {
    let mut ranks = start(scene, 2, |_| line);
    let status = format!("/proc/{}/status", ranks[0].id());
    let mut most = 0;
    while ranks[0].try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let of_process = text.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        most = most.max(of_process.and_then(|number| number.parse().ok()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(wait(ranks).iter().all(|rank| rank.status.success()));
    1024 * most
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_has_memory_for_its_part_of_the_tables_only() {
    let scene = Scene::new();
    let buckets = 250_000;
    scene.write("schema.toml", hashed::schema(&[("reader", buckets)]));
    let line = "train --data books.csv --schema schema.toml --model fm --embedding-dim 64 --optimizer adagrad --epochs 1 \
                --force --run run";
    // Vectors, weights and their state.
    let tables = 2 * 4 * (64 + 1) * buckets as u64;
    let [replicated, sharded] =
        ["replicated", "sharded"].map(|tables| memory(&scene, &format!("{line} --tables {tables}")));
    assert!(replicated > tables && sharded + 2 * tables / 5 < replicated, "{sharded} and {replicated} bytes");
}

#[test]
fn the_last_checkpoint_is_left_when_a_process_that_has_a_part_of_the_tables_is_killed() {
    let scene = Scene::new();
    for killed in [0, 1] {
        let run = format!("killed-{killed}");
        let line = format!("{LONG} --run {run} --tables sharded");
        let (message, elapsed) = last_words_after_a_kill(&scene, &run, killed, &line);
        assert!(elapsed < Duration::from_secs(10));
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
