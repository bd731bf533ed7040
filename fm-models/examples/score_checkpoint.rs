//! Scores rows with the best checkpoint of a run: `cargo run --release -p fm-models --example score_checkpoint -- RUN`,
//! where RUN is a folder that `fm train` has made. Without an argument the program makes a small one itself.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use fm_core::model::Options;
use fm_core::tch::nn::VarStore;
use fm_core::tch::{Device, Tensor, no_grad};
use fm_core::train::{RunDir, TrainConfig, Trainer, checkpoint};
use fm_core::{Encoder, Field, FieldKind, Label, Padded, Schema, Side, Task, TensorRows};
use serde::Deserialize;

/// What of a run's `settings.toml` says how its model was built.
#[derive(Deserialize)]
struct Settings {
    model: ModelSettings,
}

#[derive(Deserialize)]
struct ModelSettings {
    name: String,
    options: Options,
}

/// The predictions of a run's model for two rows: the most frequent value of every field, and nothing known at all.
fn score(run: &RunDir) -> Result<Vec<f32>, Box<dyn Error>> {
    // The model is built as it was for training, and takes over the parameters.
    let Settings { model } = toml::from_str(&std::fs::read_to_string(run.settings())?)?;
    let schema = Schema::load(run.schema())?;
    let store = VarStore::new(Device::Cpu);
    let model = fm_models::find(&model.name)?.build(&model.options, &store.root(), &schema)?;
    checkpoint::load(&run.checkpoint(), &store, None)?;

    let frequent: Vec<_> = schema.fields().iter().map(|field| field.vocabulary.first().map(String::as_str)).collect();
    let unknown = vec![None; schema.num_fields()];
    let features = Encoder::new(&schema).features(&[frequent, unknown])?;
    let logits = Vec::<f32>::try_from(no_grad(|| model.logits(&features, false))?)?;
    let label = schema.label();
    let predictions: Vec<f32> = logits.into_iter().map(|logit| label.prediction(logit)).collect();
    println!("{} of frequent values: {:.4}, of unknown ones: {:.4}", label.column, predictions[0], predictions[1]);
    assert!(predictions.iter().all(|prediction| prediction.is_finite()));
    Ok(predictions)
}

/// The settings of a run that [`make_run`] makes; those of `fm train` say more.
const SETTINGS: &str = "[model]\nname = \"fm\"\n\n[model.options]\nembedding_dim = 4\n";

/// Makes a run of which the first user likes the first item, and nobody likes anything else.
fn make_run(path: &Path) -> Result<RunDir, Box<dyn Error>> {
    let liked = [1.0, 0.0, 0.0, 0.0];
    let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
    let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["tea".into(), "gin".into()]);
    let schema = Schema::new(Label::fit("liked", Task::Binary { threshold: 1.0 }, liked), vec![user, item])?;
    let raw = [["ann", "tea"], ["ann", "gin"], ["bob", "tea"], ["bob", "gin"]].map(|row| row.map(Some));
    let Padded { ids, values, .. } = Encoder::new(&schema).features(&raw)?.padded()?;
    let rows = TensorRows::new(&schema, ids, values, Tensor::from_slice(&liked))?;

    let run = RunDir::create(path)?;
    schema.save(run.schema())?;
    std::fs::write(run.settings(), SETTINGS)?;
    let Settings { model } = toml::from_str(SETTINGS)?;
    let store = VarStore::new(Device::Cpu);
    let model = fm_models::find(&model.name)?.build(&model.options, &store.root(), &schema)?;
    let config = TrainConfig { epochs: 100, lr: 0.1, ..TrainConfig::default() };
    let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
    trainer.fit(&rows, &rows, &mut (), &AtomicBool::new(false))?;
    trainer.save(run.last())?;
    Ok(run)
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args_os().nth(1) {
        Some(path) => score(&RunDir::open(PathBuf::from(path))?).map(|_| ()),
        None => score_a_run_of_its_own(),
    }
}

fn score_a_run_of_its_own() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let predictions = score(&make_run(&folder.path().join("run"))?)?;
    assert!(predictions[0] > 0.9, "ann likes tea: {predictions:?}");
    Ok(())
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    score_a_run_of_its_own()
}
