//! Progressive validation beside a loop that predicts some rows and then trains on them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each test takes what it needs")]
mod rows;
mod variants;

use std::ops::ControlFlow;

use fm_core::loss::BinaryLoss;
use fm_core::metric::Metrics;
use fm_core::objective::Pointwise;
use fm_core::train::{EpochRecord, Observer, Progress, Progressive, TrainConfig, TrainState, Trainer, Update};
use fm_core::{Error, Label, Records, Schema, Task, evaluate, predict};
use rows::schema;
use tch::Device;
use variants::{Variant, alone, variants};

const N: usize = 203;

fn variant(name: &str) -> Variant {
    variants().find(|variant| variant.entry.name == name).unwrap().with("embedding_dim", 4).with("dropout", 0.5)
}

fn texts() -> Vec<[String; 5]> {
    let row = |row: usize| {
        let tags = ["0", "1|4", "2|3", ""][row * row % 4];
        [
            (row * 7 % 13).to_string(),
            (row * 5 % 9).to_string(),
            tags.into(),
            (20 + row % 30).to_string(),
            format!("s{}", row % 5),
        ]
    };
    (0..N).map(row).collect()
}

/// Some of the rows.
fn some(schema: &Schema, numbers: std::ops::Range<usize>) -> Records {
    let texts = texts();
    let texts: Vec<Vec<Option<&str>>> =
        texts[numbers.clone()].iter().map(|row| row.iter().map(|text| Some(text.as_str())).collect()).collect();
    let label = |row: usize| match schema.label().task {
        Task::Regression => 1.0 + (row * row % 5) as f32,
        _ => f32::from(u8::from(row * row % 7 < 3)),
    };
    let labels: Vec<f32> = numbers.map(label).collect();
    Records::from_texts(schema, &texts, &labels).unwrap()
}

fn config(update: Update, optimizer: &str, progressive: bool) -> TrainConfig {
    let (optimizer, lr) = (optimizer.parse().unwrap(), if update == Update::Online { 0.02 } else { 0.05 });
    TrainConfig { epochs: 1, batch_size: 16, lr, update, optimizer, progressive, ..TrainConfig::default() }
}

/// Collects the reports and the record, and stops after some steps.
#[derive(Default)]
struct Collector {
    reports: Vec<Progressive>,
    record: Option<EpochRecord>,
    stop: Option<usize>,
}

impl Observer for Collector {
    fn step(&mut self, progress: &Progress) -> ControlFlow<()> {
        if Some(progress.step) == self.stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn progressive(&mut self, results: &Progressive) {
        self.reports.push(results.clone());
    }

    fn epoch(&mut self, record: &EpochRecord, _: &Trainer<'_>) -> fm_core::Result<ControlFlow<()>> {
        self.record = Some(record.clone());
        Ok(ControlFlow::Continue(()))
    }
}

fn metrics_of(label: &Label, logits: &[f32], rows: &Records) -> Metrics {
    fm_core::metric::metrics_of_rows(label, logits, rows)
}

#[test]
fn it_is_the_loss_of_a_loop_that_predicts_each_batch_and_then_trains_on_it() {
    let _turn = alone();
    for task in [Task::Binary { threshold: 1.0 }, Task::Regression] {
        let schema = schema(task);
        for (name, update, optimizer, size) in [
            ("fm", Update::Batch, "adagrad", 16),
            ("ffm", Update::Batch, "sgd", 16),
            ("lr", Update::Batch, "ftrl", 16),
            ("fm", Update::Online, "adagrad", 1),
            ("ffm", Update::Online, "adagrad", 1),
            ("fm", Update::Online, "ftrl", 1),
        ] {
            let what = format!("{name} {update:?} {optimizer} {task:?}");
            let all = some(&schema, 0..N);
            let (store, model) = variant(name).build(&schema, 1, Device::Cpu);
            let mut trainer =
                Trainer::new(model.as_ref(), &store, schema.label(), config(update, optimizer, true)).unwrap();
            let mut collector = Collector::default();
            trainer.fit(&all, &some(&schema, 0..0), &mut collector).unwrap();
            let record = collector.record.unwrap();

            let (store, model) = variant(name).build(&schema, 1, Device::Cpu);
            let mut naive =
                Trainer::new(model.as_ref(), &store, schema.label(), config(update, optimizer, false)).unwrap();
            let mut logits = vec![];
            for first in (0..N).step_by(size) {
                let batch = some(&schema, first..N.min(first + size));
                logits.extend(predict(model.as_ref(), &batch, Device::Cpu).unwrap());
                naive.state = TrainState::default();
                naive.fit(&batch, &some(&schema, 0..0), &mut ()).unwrap();
            }
            let expected = metrics_of(schema.label(), &logits, &all);
            assert_eq!(record.progressive.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
            for (metric, expected) in &expected {
                let found = record.progressive[metric];
                assert!(
                    (found - expected).abs() < 1e-3 * expected.abs().max(0.1),
                    "{what} {metric}: {found} {expected}"
                );
            }
            let loss = if task == Task::Regression { "rmse" } else { "logloss" };
            // These models predict as they train. Predictions of a regression are clamped.
            if task != Task::Regression {
                let difference = (record.progressive[loss] - record.train_loss).abs();
                assert!(difference < 1e-4, "{what}: {difference}");
            }
            // It is not the loss after training.
            let after = evaluate(trainer.model, schema.label(), &all, Device::Cpu).unwrap();
            assert!((after[loss] - record.progressive[loss]).abs() > 1e-4, "{what}");
            if update == Update::Batch {
                assert_eq!(collector.reports.len(), 10, "{what}");
                let last = &collector.reports[9];
                assert_eq!((last.rows, last.of, &last.all), (N, N, &record.progressive));
                let before = collector.reports[8].rows;
                let expected = metrics_of(schema.label(), &logits[before..], &some(&schema, before..N));
                assert!((last.recent[loss] - expected[loss]).abs() < 1e-3, "{what}");
            }
        }
    }
}

#[test]
fn training_that_resumes_within_the_pass_has_the_same_result() {
    let _turn = alone();
    let schema = schema(Task::Binary { threshold: 1.0 });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let (all, none) = (some(&schema, 0..N), some(&schema, 0..0));
    let config = config(Update::Batch, "adam", true);
    let fit = |stop: Option<usize>, resume: bool| {
        let (store, model) = variant("deepfm").build(&schema, 1, Device::Cpu);
        let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config.clone()).unwrap();
        if resume {
            trainer.load(&file).unwrap();
        }
        let mut collector = Collector { stop, ..Collector::default() };
        trainer.fit(&all, &none, &mut collector).unwrap();
        trainer.save(&file).unwrap();
        (collector.record, collector.reports.last().cloned())
    };
    let expected = fit(None, false);
    assert!(expected.0.is_some());
    for stop in [1, 5, 12] {
        assert_eq!(fit(Some(stop), false).0, None);
        let (record, last) = fit(None, true);
        assert_eq!(record, expected.0, "stopped after {stop}");
        assert_eq!(last.map(|last| (last.rows, last.all)), expected.1.clone().map(|last| (last.rows, last.all)));
    }
}

#[test]
fn what_it_cannot_measure_is_an_error() {
    let _turn = alone();
    let schema = schema(Task::Regression);
    let error = |name: &str, config: TrainConfig| -> Error {
        let (store, model) = variant(name).build(&schema, 1, Device::Cpu);
        let objective = Pointwise::new(schema.label(), BinaryLoss::default()).unwrap();
        Trainer::with_objective(model.as_ref(), &store, Box::new(objective), config).map(|_| ()).unwrap_err()
    };
    let one = config(Update::Batch, "adam", true);
    let several = error("fm", TrainConfig { epochs: 3, ..one.clone() }).to_string();
    assert_eq!(several, "epochs is 3: it must be 1 with progressive validation, which makes one pass");
    let sampled = error("bayesian_fm", one).to_string();
    assert!(
        sampled.contains("progressive validation is not for a model that is sampled from its posterior"),
        "{sampled}"
    );
}
