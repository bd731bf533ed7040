//! How fast each model trains on the CPU, and what it learns meanwhile: `make bench`.
//!
//! The rows are drawn from a planted factorization machine, so that the best possible loss is known.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::Instant;

use fm_core::metric::{Scored, logloss};
use fm_core::model::Options;
use fm_core::seed::{Stream, seed_torch};
use fm_core::train::{TrainConfig, Trainer};
use fm_core::{Field, FieldKind, Label, Rows, Schema, Side, Task, TensorRows, evaluate};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const TRAIN_ROWS: i64 = 200_000;
const TEST_ROWS: i64 = 50_000;
const FIELDS: i64 = 10;
const VALUES: i64 = 100;
const EPOCHS: usize = 5;

fn schema() -> Schema {
    // Half of the fields are on either side, as models of users and items need it.
    let field = |number: i64| {
        let vocabulary = (0..VALUES).map(|value| value.to_string()).collect();
        let side = if number < FIELDS / 2 { Side::User } else { Side::Item };
        Field::new(format!("field_{number}"), FieldKind::Categorical, side, vocabulary)
    };
    let label = Label { column: "y".into(), task: Task::Binary { threshold: 1.0 }, min: 0.0, max: 1.0, mean: 0.5 };
    Schema::new(label, (0..FIELDS).map(field).collect()).unwrap()
}

/// Rows whose log-odds are those of a factorization machine, and these log-odds.
fn planted(schema: &Schema, rows: i64, table: &Tensor) -> (TensorRows, Vec<f32>) {
    let cpu = (Kind::Float, Device::Cpu);
    // Squaring makes small values frequent, as in real data.
    let values = (Tensor::rand([rows, FIELDS], cpu).square() * VALUES).floor().to_kind(Kind::Int64);
    let first_ids = Tensor::arange(FIELDS, (Kind::Int64, Device::Cpu)) * (VALUES + 1) + 1;
    let ids = values + first_ids;
    let vectors = Tensor::embedding(table, &ids, -1, false, false);
    let sum = vectors.sum_dim_intlist(1, false, Kind::Float);
    let pairs = sum.square().sum_dim_intlist(1, false, Kind::Float)
        - vectors.square().sum_dim_intlist(&[1i64, 2][..], false, Kind::Float);
    let logits = pairs * 0.5;
    let labels = Tensor::rand([rows], cpu).lt_tensor(&logits.sigmoid()).to_kind(Kind::Float);
    let ones = Tensor::ones([rows, FIELDS], cpu);
    (TensorRows::new(schema, ids, ones, labels).unwrap(), Vec::try_from(logits).unwrap())
}

fn main() {
    tch::set_num_threads(std::env::var("OMP_NUM_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1));
    tch::manual_seed(1);
    let schema = schema();
    let table = Tensor::randn([schema.num_ids(), 8], (Kind::Float, Device::Cpu)) * 0.3;
    let (train, _) = planted(&schema, TRAIN_ROWS, &table);
    let (test, log_odds) = planted(&schema, TEST_ROWS, &table);
    let best = logloss(&Scored::new(&log_odds, &test.labels())).unwrap();
    println!("{TRAIN_ROWS} rows of {FIELDS} fields, {EPOCHS} epochs; test logloss {best:.4} is the best possible\n");
    println!("{:<10}{:>14}{:>16}", "model", "rows/s", "test logloss");
    for entry in fm_models::MODELS {
        seed_torch(1, Stream::Parameters);
        let store = VarStore::new(Device::Cpu);
        let model = entry.build(&Options::new(), &store.root(), &schema).unwrap();
        let config = TrainConfig { epochs: EPOCHS, batch_size: 4096, lr: 0.01, patience: 0, ..TrainConfig::default() };
        let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config).unwrap();
        let began = Instant::now();
        trainer.fit(&train, &test, &mut ()).unwrap();
        let rate = (EPOCHS as i64 * TRAIN_ROWS) as f64 / began.elapsed().as_secs_f64();
        let loss = evaluate(model.as_ref(), schema.label(), &test, Device::Cpu).unwrap()["logloss"];
        println!("{:<10}{rate:>14.0}{loss:>16.4}", entry.name);
    }
}
