//! Scores rows with the best checkpoint of a run: `cargo run --release -p fm-models --example score_checkpoint -- RUN`,
//! where RUN is the folder of a run of `fm train`. Without an argument, the program trains a small run of its own.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use fm_core::tch::{Device, no_grad};
use fm_core::train::{TrainConfig, Trainer};
use fm_core::{Encoder, Field, FieldKind, Label, Records, Schema, Side, Task};
use fm_models::run::{NewRun, Run};

/// The predictions of a run's model for two rows: the most frequent value of every field, and only unknown values.
fn score(run: &Run) -> Result<Vec<f32>, Box<dyn Error>> {
    let trained = run.load(Device::Cpu)?;
    let schema = run.schema();
    let frequent: Vec<_> = schema.fields().iter().map(|field| field.vocabulary.first().map(String::as_str)).collect();
    let unknown = vec![None; schema.num_fields()];
    let features = Encoder::new(schema).features(&[frequent, unknown])?;
    let logits = Vec::<f32>::try_from(no_grad(|| trained.model.logits(&features, false))?)?;
    let label = schema.label();
    let predictions: Vec<f32> = logits.into_iter().map(|logit| label.prediction(logit)).collect();
    println!("{} of frequent values: {:.4}, of unknown ones: {:.4}", label.column, predictions[0], predictions[1]);
    assert!(predictions.iter().all(|prediction| prediction.is_finite()));
    Ok(predictions)
}

/// Trains a run on rows in which only the first user likes the first item, and nobody likes anything else.
fn train(folder: &Path) -> Result<Run, Box<dyn Error>> {
    let liked = [1.0, 0.0, 0.0, 0.0];
    let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
    let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["tea".into(), "gin".into()]);
    let schema = Schema::new(Label::fit("liked", Task::Binary { threshold: 1.0 }, liked), vec![user, item])?;
    let texts = [["ann", "tea"], ["ann", "gin"], ["bob", "tea"], ["bob", "gin"]].map(|row| row.map(Some));
    let rows = Records::from_texts(&schema, &texts, &liked)?;

    // The settings of `fm train` contain more than the model.
    let settings = "[model]\nname = \"fm\"\n\n[model.options]\nembedding_dim = 4\n";
    let new = NewRun { settings, schema: &schema, digests: &BTreeMap::new(), values: None };
    let built = new.model()?.build(&schema, Device::Cpu)?;
    let config = TrainConfig { epochs: 100, lr: 0.1, ..TrainConfig::default() };
    let mut trainer = Trainer::new(built.model.as_ref(), &built.store, schema.label(), config)?;
    let run = Run::create(folder, &new, |files| files.save_last(&trainer))?;
    trainer.fit(&rows, &rows, &mut ())?;
    run.files().save_last(&trainer)?;
    Ok(run)
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args_os().nth(1) {
        Some(folder) => score(&Run::open(Path::new(&folder))?).map(drop),
        None => score_a_run_of_its_own(),
    }
}

fn score_a_run_of_its_own() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run");
    train(&path)?;
    let predictions = score(&Run::open(&path)?)?;
    assert!(predictions[0] > 0.9, "ann likes tea: {predictions:?}");
    Ok(())
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    score_a_run_of_its_own()
}
