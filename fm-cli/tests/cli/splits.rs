//! The ways to split the rows.

use serde_json::Value;

use crate::data::{RATINGS, USERS};
use crate::scene::Scene;

#[test]
fn every_split_trains_and_has_the_rows_that_it_promises() {
    let scene = Scene::new();
    let expected = [
        ("random", Some((300, 300))),
        ("random:0.2:0.1", Some((600, 300))),
        ("leave-last-out", Some((USERS, USERS))),
        ("time", Some((300, 300))),
        ("time:0.05:0.15", Some((150, 450))),
        ("fold:u1", Some((240, 600))),
        ("kfold:5:0", Some((240, 600))),
        ("kfold:5:4", Some((240, 600))),
        ("kfold:5:4:0.5", Some((1200, 600))),
    ];
    for (number, (split, rows)) in expected.into_iter().enumerate() {
        scene.ok(&format!("train --data ml --model fm --epochs 1 --split {split} --run run{number}"));
        let found = scene.summary(&format!("run{number}"))["rows"].clone();
        let count = |part: &str| found[part].as_u64().unwrap() as usize;
        assert_eq!(Some((count("valid"), count("test"))), rows, "{split}");
        assert_eq!(count("train") + count("valid") + count("test"), RATINGS, "{split}");
    }
}

#[test]
fn a_split_by_time_tests_what_comes_last() {
    let scene = Scene::new();
    scene.ok("train --data ml --model lr --epochs 1 --split time --run run");
    let span = |part: &str| {
        scene.ok(&format!("evaluate run --part {part} --output {part}.csv"));
        let times: Vec<i64> =
            scene.column(&format!("{part}.csv"), "timestamp").iter().map(|time| time.parse().unwrap()).collect();
        (*times.iter().min().unwrap(), *times.iter().max().unwrap())
    };
    let (train, valid, test) = (span("train"), span("valid"), span("test"));
    assert!(train.1 < valid.0 && valid.1 < test.0, "{train:?} {valid:?} {test:?}");
}

#[test]
fn the_fold_of_the_files_tests_the_rows_of_the_file() {
    let scene = Scene::new();
    scene.ok("train --data ml --model lr --epochs 1 --split fold:u1 --run run");
    scene.ok("evaluate run --output scored.csv");
    let pairs: Vec<(String, String)> =
        scene.column("scored.csv", "user_id").into_iter().zip(scene.column("scored.csv", "movie_id")).collect();
    let file = scene.text("ml/u1.test");
    let expected = file.lines().map(|line| {
        let mut cells = line.split('\t').map(str::to_owned);
        (cells.next().unwrap(), cells.next().unwrap())
    });
    assert_eq!(pairs, expected.collect::<Vec<_>>());
}

#[test]
fn the_blocks_of_a_k_fold_are_looked_at_with_inspect() {
    let scene = Scene::new();
    for block in 0..5 {
        let inspection: Value = scene.ok_json(&format!("data inspect ml --split kfold:5:{block} --json"));
        assert_eq!(inspection["rows"]["test"], Value::from(600));
    }
}
