//! `fm train --tensorboard`.

#[path = "../../src/tensorboard/messages.rs"]
mod messages;

use std::collections::BTreeMap;

use prost::Message;

use crate::scene::{LR_ON_ML, Scene};
use messages::{Event, Value};

/// The event files of a run, in the order of their names.
fn files(scene: &Scene, run: &str) -> Vec<Vec<Event>> {
    let entries = std::fs::read_dir(scene.path(run)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.display().to_string().contains("tfevents")).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        let (mut rest, mut events) = (&bytes[..], vec![]);
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            events.push(Event::decode(&rest[12..12 + length]).unwrap());
            rest = &rest[12 + length + 4..];
        }
        events
    };
    paths.iter().map(read).collect()
}

/// The curves as TensorBoard draws them: a file that starts at a step replaces earlier points from that step on.
fn curves(files: &[Vec<Event>]) -> BTreeMap<String, Vec<(i64, f32)>> {
    let mut curves: BTreeMap<String, Vec<(i64, f32)>> = BTreeMap::new();
    for events in files {
        assert_eq!(events[0].file_version.as_deref(), Some("brain.Event:2"));
        assert!(events.is_sorted_by(|a, b| a.wall_time <= b.wall_time) && events[0].wall_time > 1.6e9);
        for event in events {
            if event.session_log.as_ref().is_some_and(|session| session.status == 1) {
                curves.values_mut().for_each(|curve| curve.retain(|(step, _)| *step < event.step));
            }
            for Value { tag, simple_value } in event.summary.iter().flat_map(|summary| &summary.value) {
                curves.entry(tag.clone()).or_default().push((event.step, simple_value.unwrap()));
            }
        }
    }
    curves
}

/// The curves according to the metrics of the run.
fn expected(scene: &Scene, run: &str) -> BTreeMap<String, Vec<(i64, f32)>> {
    let mut curves: BTreeMap<String, Vec<(i64, f32)>> = BTreeMap::new();
    for epoch in scene.metrics(run) {
        let mut add = |tag: String, value: &serde_json::Value| {
            let point = (epoch["epoch"].as_i64().unwrap(), value.as_f64().unwrap() as f32);
            curves.entry(tag).or_default().push(point);
        };
        add("loss/train".into(), &epoch["train_loss"]);
        add("learning_rate".into(), &epoch["learning_rate"]);
        for (name, value) in epoch["valid"].as_object().unwrap() {
            add(format!("valid/{name}"), value);
        }
    }
    curves
}

#[test]
fn event_files_hold_the_metrics_of_each_epoch() {
    let scene = Scene::new();
    scene.ok("train --data ml --model lr --epochs 3 --task binary --run run --tensorboard");
    let files = files(&scene, "run");
    assert_eq!(files.len(), 1);
    assert_eq!(curves(&files), expected(&scene, "run"));
    assert_eq!(curves(&files)["valid/auc"].len(), 3);
}

#[test]
fn event_files_need_the_flag_and_a_finished_run_is_written_once() {
    let scene = Scene::after(&[LR_ON_ML]);
    assert!(files(&scene, "run").is_empty());
    for _ in 0..2 {
        scene.ok("train --resume run --tensorboard");
        let files = files(&scene, "run");
        assert_eq!(files.len(), 1);
        assert_eq!(curves(&files), expected(&scene, "run"));
    }
}

#[test]
fn a_resumed_run_repeats_no_epoch() {
    let scene = Scene::new();
    scene.ok("train --data ml --model lr --epochs 4 --patience 0 --run run --tensorboard");
    // As if the program had been killed between the events of the second epoch and its checkpoint.
    scene.ok("train --data ml --model lr --epochs 1 --patience 0 --run early");
    let two: String = scene.text("run/metrics.jsonl").lines().take(2).map(|line| format!("{line}\n")).collect();
    scene.write("run/metrics.jsonl", two);
    scene.write("run/checkpoints/last.safetensors", scene.bytes("early/checkpoints/last.safetensors"));
    scene.ok("train --resume run");
    let files = files(&scene, "run");
    assert_eq!(files.len(), 2);
    assert_eq!(curves(&files), expected(&scene, "run"));
    assert_eq!(curves(&files)["loss/train"].iter().map(|point| point.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
}
