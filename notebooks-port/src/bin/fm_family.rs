//! The notebook on the factorization-machine family, section by section.
//!
//! Run it with `cargo run --release -p notebooks-port --bin fm_family`.
#![allow(clippy::print_stdout, reason = "a notebook shows its results")]

use anyhow::{Result, ensure};
use fm_core::model::Options;
use fm_core::summary::Summary;
use fm_core::{Features, Field, FieldKind, Label, Schema, Side, Task};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

fn main() -> Result<()> {
    println!("# Factorization Machines\n\n## Vanilla FM\n");
    vanilla_fm()
}

/// The two fields of the notebook's `test_model()`: a user and an item of 100 ids each, the first of which stands for
/// unknown values here.
fn test_schema() -> Result<Schema> {
    let field = |name: &str, side| Field {
        name: name.into(),
        kind: FieldKind::Categorical,
        side,
        vocabulary: (1..100).map(|id| id.to_string()).collect(),
    };
    let label = Label { column: "y".into(), task: Task::Binary { threshold: 1.0 }, min: 0.0, max: 1.0, mean: 0.5 };
    Ok(Schema::new(label, vec![field("user_id", Side::User), field("item_id", Side::Item)])?)
}

/// `FM(features, k=8).summary()`, and the formula on a batch.
fn vanilla_fm() -> Result<()> {
    let schema = test_schema()?;
    tch::manual_seed(1);
    let store = VarStore::new(Device::Cpu);
    let options = Options::from_iter([("embedding_dim".into(), 8.into()), ("init_std".into(), 0.05.into())]);
    let model = fm_models::find("fm")?.build(&options, &store.root(), &schema)?;
    let summary = Summary::new("fm", model.as_ref(), &store);
    println!("{summary}");
    // Keras prints 1,801: a bias, and for each of 200 ids a weight and 8 latent numbers.
    ensure!(summary.trainable == 1801 && summary.fixed == 0, "the summary counts {} parameters", summary.total());

    // User 3 with item 42, and user 97 with item 1: the ids of items follow those of users.
    let ids = Tensor::from_slice(&[3i64, 142, 97, 101]).view([2, 2]);
    let values = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
    let features = Features::new(&schema, ids.shallow_clone(), values)?;
    let logits = no_grad(|| model.logits(&features, false))?;
    println!("logits {logits}\nprobabilities {}", logits.sigmoid());
    // With two fields there is one pair: ŷ = w₀ + w_u + w_i + ⟨v_u, v_i⟩, and the first-order weights start at 0.
    let latent = &store.variables()["embedding.weight"];
    let vectors = |slot| latent.index_select(0, &ids.select(1, slot));
    let pairs = no_grad(|| (vectors(0) * vectors(1)).sum_dim_intlist(1, false, Kind::Float));
    ensure!(logits.allclose(&pairs, 0.0, 1e-7, false), "the logits {logits} are not the inner products {pairs}");
    Ok(())
}
