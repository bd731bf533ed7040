//! Trains a factorization machine on ids in memory: `cargo run --release -p fm-models --example train_fm`.
//!
//! Readers and books are of three kinds, and a reader likes the books of the same kind. No id says so by itself, and
//! the pairs that are validated on are never trained on: to know them is to have learnt the kinds.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use fm_core::model::Options;
use fm_core::seed::{Stream, seed_torch};
use fm_core::tch::nn::VarStore;
use fm_core::tch::{Device, Kind, Tensor};
use fm_core::train::{EpochRecord, TrainConfig, Trainer};
use fm_core::{Field, FieldKind, Label, Result, Schema, Side, Task, TensorRows, evaluate};

fn main() -> Result<()> {
    let names = |n: i64| (0..n).map(|number| number.to_string()).collect();
    let reader = Field::new("reader", FieldKind::Categorical, Side::User, names(30));
    let book = Field::new("book", FieldKind::Categorical, Side::Item, names(40));
    let label = Label::fit("liked", Task::Binary { threshold: 1.0 }, [1.0, 0.0, 0.0]);
    let schema = Schema::new(label, vec![reader, book])?;

    // The first id of a field stands for what is unknown; the known values follow it.
    let first = [schema.ids(0).start + 1, schema.ids(1).start + 1];
    let rows = |is_in: fn(i64) -> bool| {
        let pairs = (0..30 * 40).map(|pair| (pair / 40, pair % 40)).filter(|(r, b)| is_in((r * 7 + b * 3) % 5));
        let (ids, liked): (Vec<_>, Vec<_>) =
            pairs.map(|(r, b)| ([first[0] + r, first[1] + b], f32::from(r % 3 == b % 3))).unzip();
        let ids = Tensor::from_slice(&ids.concat()).view([-1, 2]); // [N, S]
        let values = ids.ones_like().to_kind(Kind::Float); // x = 1 in every slot
        TensorRows::new(&schema, ids, values, Tensor::from_slice(&liked))
    };
    let (train, valid) = (rows(|fifth| fifth > 0)?, rows(|fifth| fifth == 0)?);

    seed_torch(1, Stream::Parameters);
    let store = VarStore::new(Device::Cpu);
    let model = fm_models::find("fm")?.build(&Options::new(), &store.root(), &schema)?;
    let config = TrainConfig { epochs: 10, batch_size: 64, lr: 0.02, ..TrainConfig::default() };
    let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
    let mut report = |epoch: &EpochRecord| {
        let EpochRecord { epoch, train_loss, valid, .. } = epoch;
        println!("epoch {epoch:2}: loss {train_loss:.4}, AUC on unseen pairs {:.4}", valid["auc"]);
    };
    trainer.fit(&train, &valid, &mut report)?;

    assert!(evaluate(model.as_ref(), schema.label(), &valid, Device::Cpu)?["auc"] > 0.95);
    Ok(())
}

#[test]
fn the_example_runs() -> Result<()> {
    main()
}
