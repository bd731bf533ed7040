//! The factorization-machine family on libtorch: layers, models, and the registry that names them.
//!
//! A whole program, from rows of text to predictions:
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use fm_core::model::Options;
//! use fm_core::tch::nn::VarStore;
//! use fm_core::tch::{Device, Tensor};
//! use fm_core::train::{EpochRecord, TrainConfig, Trainer, predict};
//! use fm_core::{Encoder, Field, FieldKind, Label, Padded, Schema, Side, Task, TensorRows};
//!
//! // Schema: the fields of a row, and what is predicted.
//! let stars = [5.0, 1.0, 1.0, 5.0];
//! let label = Label::fit("stars", Task::Regression, stars);
//! let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
//! let film = Field::new("film", FieldKind::Categorical, Side::Item, vec!["Alien".into(), "Amélie".into()]);
//! let schema = Schema::new(label, vec![user, film])?;
//!
//! // Rows: neither a user nor a film says how a rating turns out, but the pair does.
//! let raw = [["ann", "Alien"], ["ann", "Amélie"], ["bob", "Alien"], ["bob", "Amélie"]].map(|row| row.map(Some));
//! let Padded { ids, values, .. } = Encoder::new(&schema).features(&raw)?.padded()?;
//! let rows = TensorRows::new(&schema, ids, values, Tensor::from_slice(&stars))?;
//!
//! // Model: any of `fm_models::MODELS`, with options by name.
//! let store = VarStore::new(Device::Cpu);
//! let options = Options::from_iter([("embedding_dim".to_owned(), 8.into()), ("init_std".to_owned(), 0.1.into())]);
//! let model = fm_models::find("fm")?.build(&options, &store.root(), &schema)?;
//!
//! // Training. These rows serve as validation rows, too.
//! let config = TrainConfig { epochs: 200, lr: 0.05, patience: 0, ..TrainConfig::default() };
//! let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
//! let mut report = |epoch: &EpochRecord| println!("epoch {}: {:?}", epoch.epoch, epoch.valid);
//! trainer.fit(&rows, &rows, &mut report, &AtomicBool::new(false))?;
//!
//! // Predictions.
//! let logits = predict(model.as_ref(), &rows, Device::Cpu)?;
//! for (logit, stars) in logits.into_iter().zip(stars) {
//!     assert!((schema.label().prediction(logit) - stars).abs() < 0.5);
//! }
//! # Ok::<(), fm_core::Error>(())
//! ```
//!
//! The folder `examples` has this with rows that are never trained on, a model of one's own, and the scoring of a
//! checkpoint.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod gibbs;
pub mod layers;
pub mod models;

pub use models::{MODELS, find};

// Rust code on the pages is compiled and run like the examples in the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/guide.md")]
#[doc = include_str!("../../docs/models.md")]
#[doc = include_str!("../../docs/serving.md")]
#[doc = include_str!("../../docs/rust.md")]
struct Pages;
