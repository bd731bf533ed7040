//! The factorization-machine family on libtorch: layers, models, and the registry that names them.
//!
//! A complete program, from rows of text to predictions:
//!
//! ```
//! use fm_core::tch::{Device, nn::VarStore};
//! use fm_core::train::{EpochRecord, TrainConfig, Trainer};
//! use fm_core::{Field, FieldKind, Label, ModelConfig, Records, Schema, Side, Task, predict};
//! use fm_models::layers::EmbeddingConfig;
//! use fm_models::models::fm;
//!
//! // Schema: the fields of a row, and the label.
//! let stars = [5.0, 1.0, 1.0, 5.0];
//! let label = Label::fit("stars", Task::Regression, stars);
//! let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
//! let film = Field::new("film", FieldKind::Categorical, Side::Item, vec!["Alien".into(), "Amélie".into()]);
//! let schema = Schema::new(label, vec![user, film])?;
//!
//! // Rows: the pair of user and film decides a rating, neither of them alone.
//! let texts = [["ann", "Alien"], ["ann", "Amélie"], ["bob", "Alien"], ["bob", "Amélie"]].map(|row| row.map(Some));
//! let rows = Records::from_texts(&schema, &texts, &stars)?;
//!
//! // Model: any module of `fm_models::models`.
//! let store = VarStore::new(Device::Cpu);
//! let embedding = EmbeddingConfig { embedding_dim: 8, init_std: 0.1 };
//! let model = fm::Config { embedding }.build(&store.root(), &schema)?;
//!
//! // Training. The same rows validate here.
//! let config = TrainConfig { epochs: 200, lr: 0.05, patience: 0, ..TrainConfig::default() };
//! let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
//! let mut report = |epoch: &EpochRecord| println!("epoch {}: {:?}", epoch.epoch, epoch.valid);
//! trainer.fit(&rows, &rows, &mut report)?;
//!
//! // Predictions.
//! let logits = predict(model.as_ref(), &rows, Device::Cpu)?;
//! for (logit, stars) in logits.into_iter().zip(stars) {
//!     assert!((schema.label().prediction(logit) - stars).abs() < 0.5);
//! }
//! # Ok::<(), fm_core::Error>(())
//! ```
//!
//! The folder `examples` has the same with held-out rows, a custom model, and the scoring of a checkpoint.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod gibbs;
mod kernels;
pub mod layers;
pub mod models;
#[cfg(test)]
mod oracle;
pub mod run;

pub use models::{MODELS, find};
pub use run::Run;

// The Rust code on these pages is compiled and run like the examples in the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/guide.md")]
#[doc = include_str!("../../docs/models.md")]
#[doc = include_str!("../../docs/serving.md")]
#[doc = include_str!("../../docs/rust.md")]
struct Pages;
