use std::collections::BTreeMap;
use std::ops::ControlFlow;

use fm_core::model::Options;
use fm_core::train::{Ending, Observer, Progress, TrainConfig, Trainer, Update};
use fm_core::{Error, Field, FieldKind, Label, List, Records, Schema, Side, Task, Weighting};
use serde_json::json;
use tch::Device;
use tch::nn::VarStore;

use super::*;
use crate::oracle::Draw;

/// A schema with every kind of field in which a row has no id twice, and rows with unknown, missing and repeated values.
fn world(task: Task, n: usize) -> (Schema, Records) {
    let mut draw = Draw(1);
    let values = |n: usize| (0..n).map(|value| value.to_string()).collect();
    let list = |weighting| FieldKind::MultiValued(List::new("|", 3, weighting));
    let fields = vec![
        Field::new("user", FieldKind::Categorical, Side::User, values(6)),
        Field::new("film", FieldKind::Categorical, Side::Item, values(4)),
        Field::new("genres", list(Weighting::Mean), Side::Item, values(4)),
        Field::new("tags", list(Weighting::Given), Side::Item, values(4)),
        Field::new("badge", FieldKind::MultiValued(List::new("|", 1, Weighting::Sum)), Side::Item, values(2)),
        Field::new("price", FieldKind::Numeric { mean: 0.5, std: 2.0 }, Side::Context, vec![]),
        Field::new("note", FieldKind::MultiValued(List::new("|", 1, Weighting::Sum)), Side::Context, values(2)),
    ];
    let mut texts = vec![];
    for _ in 0..n {
        let (one, two) = (draw.below(4), draw.below(5));
        let row = [
            Some(draw.below(7).to_string()),
            (draw.below(9) > 0).then(|| draw.below(4).to_string()),
            Some(format!("{one}|{two}|{one}")),
            (draw.below(3) > 0).then(|| format!("{one}:0.5|{two}")),
            (draw.below(2) > 0).then(|| draw.below(2).to_string()),
            (draw.below(5) > 0).then(|| draw.number().to_string()),
            (draw.below(2) > 0).then(|| draw.below(2).to_string()),
        ];
        texts.push(row);
    }
    let labels: Vec<f32> = (0..n).map(|_| draw.below(2) as f32).collect();
    let label = Label::fit("y", task, labels.iter().copied());
    let schema = Schema::new(label, fields).unwrap();
    let texts: Vec<Vec<Option<&str>>> = texts.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
    let rows = Records::from_texts(&schema, &texts, &labels).unwrap();
    (schema, rows)
}

fn parameters(store: &VarStore) -> BTreeMap<String, Vec<f32>> {
    let numbers = |tensor: Tensor| Vec::try_from(tensor.detach().flatten(0, -1)).unwrap();
    store.variables().into_iter().map(|(name, tensor)| (name, numbers(tensor))).collect()
}

/// A model of this name whose parameters are the same each time, however many tests use libtorch's generator.
fn model(name: &str, k: usize, schema: &Schema) -> (VarStore, Box<dyn fm_core::Model>) {
    let store = VarStore::new(Device::Cpu);
    let options = match name {
        "lr" => Options::new(),
        _ => Options::from_iter([("embedding_dim".to_owned(), json!(k))]),
    };
    let model = crate::find(name).unwrap().build(&options, &store.root(), schema).unwrap();
    let mut draw = Draw(2);
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    for tensor in variables.into_values() {
        let numbers: Vec<f32> = (0..tensor.numel()).map(|_| draw.number() as f32 / 5.0).collect();
        tch::no_grad(|| tensor.shallow_clone().copy_(&Tensor::from_slice(&numbers).view(tensor.size().as_slice())));
    }
    (store, model)
}

fn config(update: Update, optimizer: OptimizerConfig, l2: f64) -> TrainConfig {
    TrainConfig { update, optimizer, l2, lr: 0.02, batch_size: 1, epochs: 2, patience: 0, ..TrainConfig::default() }
}

fn optimizers() -> [OptimizerConfig; 4] {
    let adagrad = OptimizerConfig::Adagrad { epsilon: 1e-7, initial: Some(0.5) };
    // The default ε of Adam lets rounding errors of tiny gradients grow to whole steps.
    let adam = OptimizerConfig::Adam { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-3 };
    [OptimizerConfig::Sgd { momentum: 0.0 }, adagrad, adam, OptimizerConfig::Ftrl { beta: 1.0, l1: 0.01 }]
}

#[test]
fn online_updates_are_those_of_batches_of_one_row() {
    for task in [Task::Regression, Task::Binary { threshold: 1.0 }] {
        let (schema, rows) = world(task, 60);
        for optimizer in optimizers() {
            for (name, k, l2) in [
                ("lr", 0, 0.0),
                ("fm", 3, 0.0),
                ("fm", 8, 0.01),
                ("fm", 20, 0.01),
                ("ffm", 3, 0.0),
                ("ffm", 4, 0.01),
                ("ffm", 12, 0.01),
            ] {
                let trained = |update| {
                    let (store, model) = model(name, k, &schema);
                    let config = config(update, optimizer, l2);
                    let mut trainer = Trainer::new(&*model, &store, schema.label(), config).unwrap();
                    let mut losses = vec![];
                    let mut observer = |record: &fm_core::train::EpochRecord| losses.push(record.train_loss);
                    assert_eq!(trainer.fit(&rows, &rows, &mut observer).unwrap(), Ending::Finished);
                    let state = trainer.learner().state().into_iter();
                    let numbers = |tensor: Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
                    let state: BTreeMap<_, _> = state.map(|(name, tensor)| (name, numbers(tensor))).collect();
                    (parameters(&store), state, losses)
                };
                let (found, expected) = (trained(Update::Online), trained(Update::Batch));
                let same = |found: &BTreeMap<String, Vec<f32>>, expected: &BTreeMap<String, Vec<f32>>| {
                    assert!(found.keys().eq(expected.keys()), "{:?} {:?}", found.keys(), expected.keys());
                    for (parameter, expected) in expected {
                        assert_eq!(found[parameter].len(), expected.len(), "{parameter}");
                        for (found, expected) in found[parameter].iter().zip(expected) {
                            let close = (found - expected).abs() < 2e-5 * (1.0 + expected.abs());
                            assert!(close, "{name} {k} {optimizer:?} {parameter}: {found}, expected {expected}");
                        }
                    }
                };
                same(&found.0, &expected.0);
                same(&found.1, &expected.1);
                assert!(found.2.iter().zip(&expected.2).all(|(a, b)| (a - b).abs() < 1e-5), "{name} {optimizer:?}");
            }
        }
    }
}

#[test]
fn the_weight_of_a_row_scales_its_gradient_and_its_penalty() {
    let (schema, rows) = world(Task::Regression, 1);
    let change = |rows: &Records, lr: f64| {
        let (store, model) = model("fm", 4, &schema);
        let before = parameters(&store);
        let sgd = OptimizerConfig::Sgd { momentum: 0.0 };
        let config = TrainConfig { lr, epochs: 1, ..config(Update::Online, sgd, 0.1) };
        let mut trainer = Trainer::new(&*model, &store, schema.label(), config).unwrap();
        trainer.fit(rows, rows, &mut ()).unwrap();
        let of =
            |name: &str| parameters(&store)[name].iter().zip(&before[name]).map(|(a, b)| a - b).collect::<Vec<f32>>();
        (of("linear.weight"), of("embedding.weight"))
    };
    let expected = change(&rows, 0.03);
    let found = change(&rows.with_weights(Some(&[3.0])).unwrap(), 0.01);
    let all = |(weights, vectors): (Vec<f32>, Vec<f32>)| [weights, vectors].concat();
    let (found, expected) = (all(found), all(expected));
    assert!(expected.iter().any(|number| number.abs() > 1e-3));
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
}

/// The loss, the parameters and the state of a kernel after training on rows.
fn trained_by<T: Tables>(mut tables: T, train: impl FnOnce(&mut T) -> LossSum) -> Vec<f32> {
    tables.all_mut().into_iter().try_for_each(Table::read).unwrap();
    let LossSum { loss, weight } = train(&mut tables);
    let numbers = tables.all().into_iter().flat_map(|table| table.numbers().to_vec());
    numbers.chain([(loss / weight) as f32]).collect()
}

#[test]
fn results_do_not_depend_on_the_instructions_of_the_processor_beyond_rounding() {
    let (schema, rows) = world(Task::Binary { threshold: 1.0 }, 200);
    let numbers: Vec<usize> = (0..200).rev().collect();
    let loss = RowLoss::new(fm_core::loss::Loss::LOGISTIC, 1.0);
    let pass = Pass { loss, lr: 0.05, l2: 0.01, done: 0, threads: 1 };
    let rule = Rule::AdaGrad { epsilon: 1e-7, initial: 0.5 };
    let job = Job { rows: &rows, numbers: &numbers, pass, logits: &[], rule: AdaGrad { lr: 0.05, epsilon: 1e-7 } };
    let mut draw = Draw(3);
    let mut draws = |width: usize| {
        let numbers: Vec<f32> = (0..schema.num_ids() as usize * width).map(|_| draw.number() as f32 / 3.0).collect();
        Tensor::from_slice(&numbers).view([-1, width as i64])
    };
    let bias = Tensor::from_slice(&[0.5f32]);
    let (weights, vectors, fours, eights) = (draws(1), draws(8), draws(7 * 4), draws(7 * 8));
    let same = |name: &str, found: &[f32], expected: &[f32]| {
        assert!(found.len() == expected.len() && found.iter().all(|number| number.is_finite()), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{name}: {found}, expected {expected}");
        }
    };

    let fm = || FmTables::new(rule, ("b", &bias), ("w", &weights), Some(("v", &vectors))).unwrap();
    let best = trained_by(fm(), |tables| train_part(tables.formula::<1>(), job));
    same("fm", &best, &trained_by(fm(), |tables| train_with::<Portable, _, _>(tables.formula::<1>(), job)));

    let lists = [false, false, true, true, true, false, true];
    let ffm = |vectors| FfmTables::new(rule, ("b", &bias), ("w", &weights), ("v", vectors), &lists).unwrap();
    let best = trained_by(ffm(&fours), |tables| train_part(tables.formula::<4>(), job));
    same("4", &best, &trained_by(ffm(&fours), |tables| train_with::<Portable, _, _>(tables.formula::<4>(), job)));
    let best = trained_by(ffm(&eights), |tables| train_part(tables.formula::<8>(), job));
    same("8", &best, &trained_by(ffm(&eights), |tables| train_with::<Portable, _, _>(tables.formula::<8>(), job)));
    same("any", &best, &trained_by(ffm(&eights), |tables| train_part(tables.formula::<0>(), job)));
}

#[test]
fn adagrad_may_start_at_zero_without_epsilon() {
    let (schema, rows) = world(Task::Binary { threshold: 1.0 }, 50);
    let adagrad = OptimizerConfig::Adagrad { epsilon: 0.0, initial: Some(0.0) };
    for name in ["lr", "fm", "ffm"] {
        let (store, model) = model(name, 3, &schema);
        let mut trainer = Trainer::new(&*model, &store, schema.label(), config(Update::Online, adagrad, 0.0)).unwrap();
        trainer.fit(&rows, &rows, &mut ()).unwrap();
        assert!(parameters(&store).values().flatten().all(|number| number.is_finite()), "{name}");
    }
}

#[test]
fn several_threads_train_on_every_row_once() {
    let (schema, rows) = world(Task::Binary { threshold: 1.0 }, 20_000);
    let numbers: Vec<usize> = (0..20_000).collect();
    for name in ["lr", "fm", "ffm"] {
        let trained = |threads| {
            let (store, model) = model(name, 4, &schema);
            let mut kernel = model.online().unwrap().kernel(optimizers()[1]).unwrap();
            kernel.read().unwrap();
            let loss = RowLoss::new(fm_core::loss::Loss::Squared, 1.0);
            let sum = kernel.train(&rows, &numbers, Pass { loss, lr: 0.02, l2: 0.0, done: 0, threads }, &[]).unwrap();
            kernel.write().unwrap();
            (sum, parameters(&store))
        };
        let ((one, of_one), (two, of_two)) = (trained(1), trained(3));
        assert_eq!(two.weight, 20_000.0);
        assert!((two.loss / one.loss - 1.0).abs() < 0.02, "{name}: {} and {}", two.loss, one.loss);
        for (parameter, numbers) in of_one {
            let far = numbers.iter().zip(&of_two[&parameter]).filter(|(a, b)| (*a - *b).abs() > 0.1).count();
            assert!(far <= numbers.len() / 20, "{name}, {parameter}: {far} of {}", numbers.len());
        }
    }
}

/// Stops training in the second step of the second epoch.
struct Stop;

impl Observer for Stop {
    fn step(&mut self, progress: &Progress) -> ControlFlow<()> {
        if (progress.epoch, progress.step) == (2, 2) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn training_that_resumes_within_an_epoch_ends_with_the_same_parameters() {
    tch::set_num_threads(1);
    let (schema, rows) = world(Task::Binary { threshold: 1.0 }, 140_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    for optimizer in optimizers() {
        let config = || config(Update::Online, optimizer, 0.001);
        let (whole, of_whole) = model("fm", 8, &schema);
        Trainer::new(&*of_whole, &whole, schema.label(), config()).unwrap().fit(&rows, &rows, &mut ()).unwrap();

        let (first, of_first) = model("fm", 8, &schema);
        let mut trainer = Trainer::new(&*of_first, &first, schema.label(), config()).unwrap();
        assert_eq!(trainer.fit(&rows, &rows, &mut Stop).unwrap(), Ending::Interrupted);
        assert_eq!((trainer.state.epoch, trainer.state.step), (1, 2));
        trainer.save(&path).unwrap();
        let (second, of_second) = model("fm", 8, &schema);
        let mut trainer = Trainer::new(&*of_second, &second, schema.label(), config()).unwrap();
        trainer.load(&path).unwrap();
        assert_eq!(trainer.fit(&rows, &rows, &mut ()).unwrap(), Ending::Finished);
        assert_eq!(parameters(&second), parameters(&whole), "{optimizer:?}");
    }
}

#[test]
fn what_online_updates_cannot_do_is_an_error() {
    let (schema, rows) = world(Task::Regression, 4);
    let sgd = OptimizerConfig::Sgd { momentum: 0.0 };
    let error = |name: &str, k: usize, config: TrainConfig| {
        let (store, model) = model(name, k, &schema);
        let trainer = Trainer::new(&*model, &store, schema.label(), config);
        trainer.map(|_| ()).unwrap_err().to_string()
    };
    let online = |optimizer| config(Update::Online, optimizer, 0.0);
    assert!(error("fm", 300, online(sgd)).contains("vectors of up to 256 numbers, not 300"));
    assert!(error("nfm", 4, online(sgd)).contains("no kernel for online updates"));
    assert!(error("fm", 4, online(OptimizerConfig::Sgd { momentum: 0.9 })).contains("sgd without momentum"));
    let clipped = TrainConfig { clip_norm: Some(1.0), ..online(sgd) };
    assert!(error("fm", 4, clipped).contains("do not support clip_norm"));

    let (store, model) = model("fm", 4, &schema);
    let wild = TrainConfig { lr: 1e9, ..online(sgd) };
    let diverged = Trainer::new(&*model, &store, schema.label(), wild).unwrap().fit(&rows, &rows, &mut ());
    assert!(matches!(diverged, Err(Error::Diverged { .. })), "{diverged:?}");
}
