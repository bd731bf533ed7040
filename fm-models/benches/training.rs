//! The training speed of each model on the CPU, and the loss that it reaches: `make bench`.
//!
//! The rows are drawn from a planted factorization machine, so that the best possible loss is known. A second part
//! compares training speeds on the same rows padded and ragged. In these rows, half of a history is padding on average.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::Instant;

use fm_core::metric::{Scored, logloss};
use fm_core::model::Options;
use fm_core::rows::Value;
use fm_core::seed::{Stream, seed_torch};
use fm_core::train::{EpochRecord, TrainConfig, Trainer};
use fm_core::{
    Batch, Field, FieldKind, Label, List, Padded, Records, Rows, Schema, Side, Task, TensorRows, Weighting, evaluate,
};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const TRAIN_ROWS: i64 = 200_000;
const TEST_ROWS: i64 = 50_000;
const FIELDS: i64 = 10;
const VALUES: i64 = 100;
const EPOCHS: usize = 5;

fn schema() -> Schema {
    // Half of the fields describe users and half items, as some models need.
    let field = |number: i64| {
        let vocabulary = (0..VALUES).map(|value| value.to_string()).collect();
        let side = if number < FIELDS / 2 { Side::User } else { Side::Item };
        Field::new(format!("field_{number}"), FieldKind::Categorical, side, vocabulary)
    };
    let label =
        Label { column: "y".into(), task: Task::Binary { threshold: 1.0 }, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 };
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
    // `-- histories` measures only these.
    if !std::env::args().any(|argument| argument == "histories") {
        all_models();
    }
    on_histories();
}

/// Trains each model on planted rows.
fn all_models() {
    tch::manual_seed(1);
    let schema = schema();
    let table = Tensor::randn([schema.num_ids(), 8], (Kind::Float, Device::Cpu)) * 0.3;
    let (train, _) = planted(&schema, TRAIN_ROWS, &table);
    let (test, log_odds) = planted(&schema, TEST_ROWS, &table);
    let best = logloss(&Scored::new(&log_odds, &test.labels())).unwrap();
    println!("{TRAIN_ROWS} rows of {FIELDS} fields, {EPOCHS} epochs; test logloss {best:.4} is the best possible\n");
    println!("{:<10}{:>14}{:>16}", "model", "rows/s", "test logloss");
    for entry in fm_models::MODELS.iter().filter(|entry| !entry.needs_history) {
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

/// Trains some models on the same rows padded and ragged.
fn on_histories() {
    println!("\nrows of 115 slots, of which 51 are active on average: rows/s of training alone\n");
    println!("{:<10}{:>14}{:>14}{:>10}", "model", "padded", "ragged", "ratio");
    for name in ["lr", "fm", "ffm", "nfm", "deepfm", "xdeepfm"] {
        let [padded, ragged] = [true, false].map(|padded| rate_on_histories(name, padded));
        println!("{name:<10}{padded:>14.0}{ragged:>14.0}{:>10.2}", ragged / padded);
    }
}

/// The training speed on [`histories`] in rows per second: the best of three epochs.
fn rate_on_histories(name: &str, padded: bool) -> f64 {
    let (schema, rows) = histories();
    seed_torch(1, Stream::Parameters);
    let store = VarStore::new(Device::Cpu);
    let model = fm_models::find(name).unwrap().build(&Options::new(), &store.root(), &schema).unwrap();
    let all: Vec<usize> = (0..rows.len()).collect();
    let Batch { features, labels, .. } = rows.batch(&all, Device::Cpu).unwrap();
    let Padded { ids, values, .. } = features.padded().unwrap();
    let of_tensors = TensorRows::new(&schema, ids, values, labels).unwrap();
    let train: &dyn Rows = if padded { &of_tensors } else { &rows };
    let few = Records::from_values(&schema, &[[Value::Missing; 9]], &[1.0]).unwrap();
    let config = TrainConfig { epochs: 4, batch_size: 1024, lr: 0.001, patience: 0, ..TrainConfig::default() };
    let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config).unwrap();
    let (mut began, mut seconds) = (Instant::now(), vec![]);
    let mut observer =
        |_: &EpochRecord| seconds.push(std::mem::replace(&mut began, Instant::now()).elapsed().as_secs_f64());
    trainer.fit(train, &few, &mut observer).unwrap();
    rows.len() as f64 / seconds[1..].iter().copied().fold(f64::INFINITY, f64::min)
}

/// Rows like those of MovieLens-100K: a user with up to 104 films seen before, and a film with up to 4 genres.
fn histories() -> (Schema, Records) {
    const USERS: usize = 943;
    const FILMS: usize = 1682;
    let several = |max_len, weighting| FieldKind::MultiValued(List::new("|", max_len, weighting));
    let names = |n: usize| (0..n).map(|value| value.to_string()).collect::<Vec<String>>();
    let field = |name: &str, side, n: usize| Field::new(name, FieldKind::Categorical, side, names(n));
    let fields = vec![
        field("user", Side::User, USERS),
        Field::new("history", several(104, Weighting::Sqrt), Side::User, names(FILMS)),
        field("age", Side::User, 7),
        field("job", Side::User, 21),
        field("hour", Side::Context, 24),
        field("day", Side::Context, 7),
        field("film", Side::Item, FILMS),
        Field::new("genres", several(4, Weighting::Mean), Side::Item, names(18)),
        field("year", Side::Item, 70),
    ];
    let schema = Schema::new(Label::fit("stars", Task::Regression, [1.0, 5.0]), fields).unwrap();
    let mut draws = (0u64..).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33);
    let mut below = |n: usize| draws.next().unwrap() as usize % n;
    let (mut lists, mut others, mut labels) = (vec![], vec![], vec![]);
    for _ in 0..20_000 {
        let (seen, genres) = (below(85), 1 + below(3));
        let seen: Vec<usize> = (0..seen).map(|_| below(FILMS)).collect();
        lists.push([seen, (0..genres).map(|_| below(18)).collect::<Vec<usize>>()]);
        others.push([below(USERS), below(7), below(21), below(24), below(7), below(FILMS), below(70)]);
        labels.push(1.0 + below(5) as f32);
    }
    let mut rows = vec![];
    for ([seen, genres], others) in lists.iter().zip(&others) {
        let [user, age, job, hour, day, film, year] = others.map(Value::Index);
        rows.push([user, Value::Indices(seen), age, job, hour, day, film, Value::Indices(genres), year]);
    }
    let rows = Records::from_values(&schema, &rows, &labels).unwrap();
    (schema, rows)
}
