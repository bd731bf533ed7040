//! Splits into training, validation and test rows.

use fm_core::Rows;
use fm_data::{DataConfig, Prepared};
use serde_json::Value;

use crate::data::{RATINGS, USERS};
use crate::scene::Scene;

#[test]
fn every_split_has_the_rows_that_it_promises() {
    let scene = Scene::new();
    let expected = [
        ("random", (300, 300)),
        ("random:0.2:0.1", (600, 300)),
        ("leave-last-out", (USERS, USERS)),
        ("time", (300, 300)),
        ("time:0.05:0.15", (150, 450)),
        ("fold:u1", (240, 600)),
        ("kfold:5:0", (240, 600)),
        ("kfold:5:4", (240, 600)),
        ("kfold:5:4:0.5", (1200, 600)),
    ];
    for (split, rows) in expected {
        let data = Some(scene.path("ml").to_str().unwrap().to_owned());
        let config = DataConfig { data, split: split.into(), ..DataConfig::default() };
        let Prepared { train, valid, test, .. } =
            config.prepare(&scene.path("data"), &scene.path("data/cache")).unwrap();
        assert_eq!((valid.len(), test.len()), rows, "{split}");
        assert_eq!(train.len() + valid.len() + test.len(), RATINGS, "{split}");
    }
}

#[test]
fn a_split_by_time_tests_the_latest_rows() {
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
fn an_official_fold_tests_the_rows_of_its_file() {
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
fn inspect_counts_the_rows_of_a_fold() {
    let scene = Scene::new();
    let inspection: Value = scene.ok_json("data inspect ml --split kfold:5:3 --json");
    assert_eq!(inspection["rows"]["test"], Value::from(600));
}
