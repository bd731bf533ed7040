//! Warm starts of every registered model: parameters and the state of the optimiser from an earlier run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each test takes what it needs")]
mod rows;
mod variants;

use std::collections::BTreeMap;
use std::path::Path;

use fm_core::optim::OptimizerConfig;
use fm_core::train::{TrainConfig, TrainState, Trainer, Update, checkpoint};
use fm_core::{Model, Records, Schema, Task};
use rows::{disturb, schema, schema_with};
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};
use variants::{Variant, alone, variants};

fn config(update: Update, optimizer: &str) -> TrainConfig {
    let optimizer: OptimizerConfig = optimizer.parse().unwrap();
    let (epochs, lr) = if update == Update::Online { (1, 0.002) } else { (2, 0.01) };
    TrainConfig {
        epochs,
        batch_size: 16,
        lr,
        l2: 0.01,
        patience: 0,
        seed: 3,
        update,
        optimizer,
        ..TrainConfig::default()
    }
}

fn parameters(store: &VarStore) -> BTreeMap<String, Vec<f32>> {
    let flat = |tensor: Tensor| Vec::try_from(tensor.detach().flatten(0, -1)).unwrap();
    store.variables().into_iter().map(|(name, tensor)| (name, flat(tensor))).collect()
}

/// The schema of more data: the values come in another order, with others between them.
fn grown(known: &Schema) -> Schema {
    let grown = known.fields().iter().cloned().map(|mut field| {
        field.vocabulary.reverse();
        if !field.vocabulary.is_empty() {
            field.vocabulary.insert(2, "new".into());
        }
        field
    });
    Schema::new(known.label().clone(), grown.collect()).unwrap()
}

/// The rows of a day. No value is new.
fn day(schema: &Schema, day: usize) -> Records {
    let texts: Vec<[String; 6]> = (0..100)
        .map(|row| row * (1 + day) + day)
        .map(|row| {
            let tags = ["0", "1|4", "2|3", "4"][row % 4];
            [
                (row % 12).to_string(),
                (row * 5 % 9).to_string(),
                tags.into(),
                (20 + row % 30).to_string(),
                format!("s{row}"),
                ["3", "8|1", "0|7|5", ""][row % 4].into(),
            ]
        })
        .collect();
    let texts: Vec<Vec<Option<&str>>> =
        texts.iter().map(|row| row[..schema.num_fields()].iter().map(|text| Some(text.as_str())).collect()).collect();
    let labels: Vec<f32> = (0..100).map(|row| 1.0 + (row * row % (4 + day)) as f32).collect();
    Records::from_texts(schema, &texts, &labels).unwrap()
}

fn no_rows(schema: &Schema) -> Records {
    let no_texts: [Vec<Option<&str>>; 0] = [];
    Records::from_texts(schema, &no_texts, &[]).unwrap()
}

/// Trains a new model on the first day, writes a checkpoint, and calls `then` with the trainer and the model.
fn after_first_day(
    variant: &Variant,
    schema: &Schema,
    config: &TrainConfig,
    file: &Path,
    then: &mut dyn FnMut(&mut Trainer<'_>, &VarStore),
) {
    let (store, model) = variant.build(schema, 1, Device::Cpu);
    let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config.clone()).unwrap();
    trainer.fit(&day(schema, 1), &no_rows(schema), &mut ()).unwrap();
    trainer.save(file).unwrap();
    then(&mut trainer, &store);
}

/// Whether a variant has gradients.
fn is_trained_by_steps(variant: &Variant) -> bool {
    variant
        .build(&schema_with(variant.entry.needs_history, Task::Regression), 1, Device::Cpu)
        .1
        .posterior_sampler()
        .is_none()
}

#[test]
fn a_warm_start_scores_as_the_run_that_it_starts_from_and_leaves_new_values_as_they_are() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("best.safetensors");
    for variant in variants() {
        let known = schema_with(variant.entry.needs_history, Task::Regression);
        let grown = grown(&known);
        let (store, model) = variant.build(&known, 1, Device::Cpu);
        disturb(&store);
        checkpoint::save(&file, &store, &TrainState::default()).unwrap();
        let score = |model: &dyn Model, schema| no_grad(|| model.logits(&rows::features(schema, 40), false)).unwrap();
        let expected = score(model.as_ref(), &known);

        let (store, model) = variant.build(&grown, 2, Device::Cpu);
        let before = parameters(&store);
        let mut trainer = Trainer::new(model.as_ref(), &store, grown.label(), config(Update::Batch, "adam")).unwrap();
        if model.posterior_sampler().is_some() {
            // Its draws do not begin at the parameters.
            assert!(trainer.start_from(&grown, &file, &known, None).is_err(), "{variant}");
            continue;
        }
        let taken = trainer.start_from(&grown, &file, &known, None).unwrap();
        let counts: Vec<(usize, usize)> = taken.values.iter().map(|values| (values.taken, values.all)).collect();
        // A history shares the values of the item.
        assert_eq!(
            (&counts[..5], taken.fresh),
            (&[(12, 13), (9, 10), (5, 6), (1, 1), (6, 6)][..], vec![]),
            "{variant}"
        );
        assert!(score(model.as_ref(), &grown).equal(&expected), "{variant}");
        for (name, now) in parameters(&store).iter().filter(|(name, _)| name.ends_with("embedding.weight")) {
            let width = store.variables()[name].size()[1] as usize;
            let row = |table: &[f32], id: i64| table[id as usize * width..][..width].to_vec();
            // SASRec's table begins with the items.
            let has_all = now.len() == grown.num_ids() as usize * width;
            let new = if has_all || variant.entry.name != "sasrec" { grown.ids(1).start } else { 0 } + 3;
            assert_eq!(row(now, new), row(&before[name], new), "{variant} {name}");
            assert_ne!(row(now, new + 1), row(&before[name], new + 1), "{variant} {name}");
        }
    }
}

/// Checks that a second day after a warm start with the kept state ends like a second day of the same training.
fn check_second_day(variant: &Variant, config: &TrainConfig) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let known = schema_with(variant.entry.needs_history, Task::Regression);
    let mut continued = BTreeMap::new();
    let mut expected = None;
    let what = format!("{variant}, {:?} {:?}", config.update, config.optimizer);
    after_first_day(variant, &known, config, &file, &mut |trainer, store| {
        trainer.state = TrainState::default();
        trainer.fit(&day(&known, 2), &no_rows(&known), &mut ()).unwrap();
        continued = parameters(store);
        expected = Some(no_grad(|| trainer.model.logits(&rows::features(&known, 40), false)).unwrap());
    });
    let second = |schema: &Schema, keep: Option<f64>| {
        let (store, model) = variant.build(schema, 2, Device::Cpu);
        let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config.clone()).unwrap();
        trainer.start_from(schema, &file, &known, keep).unwrap();
        trainer.fit(&day(schema, 2), &no_rows(schema), &mut ()).unwrap();
        let logits = no_grad(|| model.logits(&rows::features(schema, 40), false)).unwrap();
        (parameters(&store), logits)
    };
    assert!(second(&known, Some(1.0)).0 == continued, "{what}");
    // The rows of the state follow their values.
    let (_, logits) = second(&grown(&known), Some(1.0));
    let expected = expected.unwrap();
    let difference = (&logits - &expected).abs().max().double_value(&[]);
    assert!(difference < 1e-5, "{what}: {difference}");
    if config.optimizer.name() != "sgd" {
        for keep in [None, Some(0.5)] {
            assert!(second(&known, keep).0 != continued, "{what}: {keep:?}");
        }
    }
}

#[test]
fn a_second_day_with_the_kept_state_equals_training_that_went_on() {
    let _turn = alone();
    for variant in variants().filter(is_trained_by_steps) {
        check_second_day(&variant, &config(Update::Batch, "adam"));
    }
    for optimizer in ["sgd", "adagrad", "rmsprop", "adamw", "ftrl"] {
        check_second_day(
            &variants().find(|variant| variant.entry.name == "deepfm").unwrap(),
            &config(Update::Batch, optimizer),
        );
    }
}

#[test]
fn a_second_day_of_online_updates_with_the_kept_state_equals_training_that_went_on() {
    let _turn = alone();
    for (name, optimizer) in
        [("lr", "adagrad"), ("fm", "adagrad"), ("ffm", "adagrad"), ("fm", "adam"), ("fm", "ftrl"), ("fm", "sgd")]
    {
        check_second_day(
            &variants().find(|variant| variant.entry.name == name).unwrap(),
            &config(Update::Online, optimizer),
        );
    }
}

#[test]
fn a_state_that_is_missing_or_of_another_optimizer_is_an_error() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("last.safetensors");
    let known = schema(Task::Regression);
    let variant = variants().find(|variant| variant.entry.name == "fm").unwrap();
    let error = |config: &TrainConfig, keep: f64| {
        let (store, model) = variant.build(&known, 2, Device::Cpu);
        let mut trainer = Trainer::new(model.as_ref(), &store, known.label(), config.clone()).unwrap();
        let before = parameters(&store);
        let error = trainer.start_from(&known, &file, &known, Some(keep)).unwrap_err().to_string();
        assert!(parameters(&store) == before);
        error.replace(&file.display().to_string(), "FILE")
    };
    after_first_day(&variant, &known, &config(Update::Batch, "adam"), &file, &mut |_, _| {});
    assert_eq!(
        error(&config(Update::Online, "adagrad"), 1.0),
        "cannot warm-start: FILE has the state of batch updates by adam, but the new run has online updates by adagrad: use \
         the same, or start with a fresh state"
    );
    for share in [0.0, 1.5, f64::NAN] {
        let error = error(&config(Update::Batch, "adam"), share);
        assert!(error.contains("it must be a number above 0 and at most 1"), "{error}");
    }
    let (store, _model) = variant.build(&known, 1, Device::Cpu);
    checkpoint::save(&file, &store, &TrainState::default()).unwrap();
    let expected = "cannot warm-start: FILE has no state of an optimiser: start with a fresh state";
    assert_eq!(error(&config(Update::Batch, "adam"), 1.0), expected);
}
