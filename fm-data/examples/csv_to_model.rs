//! Trains a model on a CSV file and exports it: `cargo run --release -p fm-data --example csv_to_model`.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::path::Path;

use fm_core::ModelConfig;
use fm_core::evaluate;
use fm_core::script::{Bundle, BundleOptions, Scorer};
use fm_core::seed::{Stream, seed_torch};
use fm_core::tch::{Device, nn::VarStore};
use fm_core::train::{TrainConfig, Trainer};
use fm_data::{DataConfig, Prepared, TableSpec, TaskName};
use fm_models::models::fm;

/// The fields of the table. Its other columns are ignored.
const SCHEMA: &str = r#"
label = "stars"
user = "reader"
item = "book"

[[field]]
name = "reader"
kind = "categorical"
side = "user"

[[field]]
name = "book"
kind = "categorical"
side = "item"

[[field]]
name = "topics"
kind = "multi-valued"
separator = "|"
side = "item"
"#;

/// Readers give 5 stars to books of their own topic, and 1 star to others.
fn table() -> String {
    let topics = ["war|history", "love", "space|science"];
    let row = |reader: usize, book: usize| {
        let stars = if reader % 3 == book % 3 { 5 } else { 1 };
        format!("{},reader {reader},book {book},{},{stars}\n", reader * 40 + book, topics[book % 3])
    };
    let rows = (0..30).flat_map(|reader| (0..40).map(move |book| row(reader, book)));
    std::iter::once("number,reader,book,topics,stars\n".to_owned()).chain(rows).collect()
}

/// Trains and exports in `folder`; returns the scores of a book of the reader's topic, and of an unknown book of
/// another.
fn run(folder: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let (rows, declaration) = (folder.join("ratings.csv"), folder.join("schema.toml"));
    std::fs::write(&rows, table())?;
    std::fs::write(&declaration, SCHEMA)?;

    // Read, split, fit the vocabularies to the training rows, and encode. The next run finds the encoded rows in the
    // cache.
    let data = DataConfig {
        data: Some(rows.to_string_lossy().into_owned()),
        schema: Some(TableSpec::load(&declaration)?),
        task: TaskName::Binary,
        threshold: Some(4.0),
        split: "random:0.1:0.1".into(),
        ..DataConfig::default()
    };
    let Prepared { schema, train, valid, test, .. } = data.prepare(folder, &folder.join("cache"))?;

    seed_torch(1, Stream::Parameters);
    let store = VarStore::new(Device::Cpu);
    let model = fm::Config::default().build(&store.root(), &schema)?;
    let config = TrainConfig { epochs: 10, batch_size: 64, lr: 0.02, ..TrainConfig::default() };
    let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
    trainer.fit(&train, &valid, &mut ())?;
    println!("test: {:?}", evaluate(model.as_ref(), schema.label(), &test, Device::Cpu)?);

    // The file contains parameters, vocabularies and schema: it scores texts, here or in PyTorch.
    let file = folder.join("model.pt");
    Bundle::new(model.as_ref(), &store, &schema, &BundleOptions::default())?.save(&file, &[])?;
    let own = [("reader", "reader 4"), ("book", "book 7"), ("topics", "love")];
    let other = [("reader", "reader 4"), ("book", "a new book"), ("topics", "war|history")];
    let scores = Scorer::load(&file, Device::Cpu)?.score([own, other])?;
    println!("reader 4 likes book 7 with probability {:.3}, and a new book on war with {:.3}", scores[0], scores[1]);
    Ok(scores)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let scores = run(folder.path())?;
    assert!(scores[0] > 0.9 && scores[1] < 0.3, "{scores:?}");
    Ok(())
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
