//! Trains a factorization machine on ids in memory: `cargo run --release -p fm-models --example train_fm`.
//!
//! Readers and books are of three kinds, and a reader likes the books of the same kind. Training does not see the
//! validation pairs: to predict them, the model has to learn the kinds.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use fm_core::seed::{Stream, seed_torch};
use fm_core::tch::{Device, nn::VarStore};
use fm_core::train::{EpochRecord, TrainConfig, Trainer};
use fm_core::{Field, Label, ModelConfig, Records, Result, Schema, Side, Task, evaluate};
use fm_models::models::fm;

fn main() -> Result<()> {
    // Pairs of a reader and a book. A fifth of them are for validation.
    let pairs = (0..30).flat_map(|reader| (0..40).map(move |book| [reader, book]));
    let (train, valid): (Vec<_>, Vec<_>) = pairs.partition(|[reader, book]| (reader * 7 + book * 3) % 5 > 0);
    let liked = |pairs: &[[usize; 2]]| pairs.iter().map(|[reader, book]| f32::from(reader % 3 == book % 3)).collect();
    let (train_labels, valid_labels): (Vec<f32>, Vec<f32>) = (liked(&train), liked(&valid));

    let label = Label::fit("liked", Task::Binary { threshold: 1.0 }, train_labels.iter().copied());
    let fields = vec![Field::categorical("reader", Side::User, 30), Field::categorical("book", Side::Item, 40)];
    let schema = Schema::new(label, fields)?;
    let train = Records::from_indices(&schema, &train, &train_labels)?;
    let valid = Records::from_indices(&schema, &valid, &valid_labels)?;

    seed_torch(1, Stream::Parameters);
    let store = VarStore::new(Device::Cpu);
    let model = fm::Config::default().build(&store.root(), &schema)?;
    let config = TrainConfig { epochs: 10, batch_size: 64, lr: 0.02, ..TrainConfig::default() };
    let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
    let mut report = |epoch: &EpochRecord| {
        println!(
            "epoch {:2}: loss {:.4}, AUC of unseen pairs {:.4}",
            epoch.epoch, epoch.train_loss, epoch.valid["auc"]
        );
    };
    trainer.fit(&train, &valid, &mut report)?;

    assert!(evaluate(model.as_ref(), schema.label(), &valid, Device::Cpu)?["auc"] > 0.95);
    Ok(())
}

#[test]
fn the_example_runs() -> Result<()> {
    main()
}
