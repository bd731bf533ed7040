//! The core that models, data and programs share: the schema of a row, batches, losses, metrics, optimisers, the
//! training loop, checkpoints and the exported file.
//!
//! A complete program with its own model; the crate `fm_models` has the models of the literature:
//!
//! ```
//! use fm_core::model::Layer;
//! use fm_core::tch::nn::{Init, VarStore};
//! use fm_core::tch::{Device, Kind, Tensor};
//! use fm_core::train::{EpochRecord, TrainConfig, Trainer};
//! use fm_core::{Features, Field, FieldKind, Label, Model, Padded, Records, Schema, Side, Task, predict};
//!
//! /// ŷ = w₀ + Σ_s w_{id_s} x_s
//! struct Lr {
//!     bias: Tensor,
//!     weight: Tensor,
//! }
//!
//! impl Model for Lr {
//!     fn logits(&self, features: &Features, train: bool) -> fm_core::Result<Tensor> {
//!         let Padded { ids, values, .. } = features.padded()?;
//!         let weights = Tensor::f_embedding(&self.weight, &ids, -1, false, train)?.squeeze_dim(-1);
//!         Ok((weights * values).sum_dim_intlist(1, false, Kind::Float) + &self.bias)
//!     }
//!
//!     fn bias(&self) -> &Tensor {
//!         &self.bias
//!     }
//!
//!     fn layers(&self) -> Vec<Layer> {
//!         vec![Layer::new("bias", "Bias", &[]), Layer::new("weight", "Linear", &[])]
//!     }
//! }
//!
//! // The fields of a row: an ad is shown to a user, who clicks or does not.
//! let clicks = [1.0, 0.0, 1.0, 0.0];
//! let label = Label::fit("click", Task::Binary { threshold: 1.0 }, clicks);
//! let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
//! let ad = Field::new("ad", FieldKind::Categorical, Side::Item, vec!["shoes".into(), "hats".into()]);
//! let schema = Schema::new(label, vec![user, ad])?;
//!
//! // Rows: text becomes ids and values.
//! let shown = [["ann", "shoes"], ["bob", "shoes"], ["ann", "hats"], ["bob", "hats"]].map(|row| row.map(Some));
//! let rows = Records::from_texts(&schema, &shown, &clicks)?;
//!
//! // Training. The same rows validate here.
//! let store = VarStore::new(Device::Cpu);
//! let weight = store.root().var("weight", &[schema.num_ids(), 1], Init::Const(0.0));
//! let model = Lr { bias: store.root().var("bias", &[1], Init::Const(0.0)), weight };
//! let config = TrainConfig { epochs: 100, lr: 0.1, ..TrainConfig::default() };
//! let mut trainer = Trainer::new(&model, &store, schema.label(), config)?;
//! let mut report = |epoch: &EpochRecord| println!("epoch {}: {:?}", epoch.epoch, epoch.valid);
//! trainer.fit(&rows, &rows, &mut report)?;
//!
//! // Predictions are probabilities, because the task is binary.
//! let logits = predict(&model, &rows, Device::Cpu)?;
//! let clicked: Vec<f32> = logits.iter().map(|&logit| schema.label().prediction(logit)).collect();
//! assert!(clicked[0] > 0.9 && clicked[1] < 0.1);
//! # Ok::<(), fm_core::Error>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod atomic_file;
pub mod autograd;
pub mod baseline;
mod bridge;
pub mod calendar;
pub mod calibration;
mod candidates;
pub mod device;
pub mod drift;
pub mod elements;
pub mod encoder;
pub mod error;
pub mod explain;
pub mod farmhash;
pub mod features;
pub mod folder_lock;
pub mod group;
pub mod hangup;
pub mod inner_product;
pub mod large_pages;
pub mod learner;
pub mod loss;
pub mod mapped_file;
pub mod metric;
pub mod model;
pub mod number;
pub mod objective;
pub mod online;
pub mod onnx;
pub mod optim;
pub mod posterior;
pub mod predict;
pub mod prefetch;
pub mod ranking;
pub mod rows;
pub mod schema;
pub mod script;
pub mod seed;
pub mod shards;
pub mod summary;
pub mod terminal;
pub mod train;

pub use encoder::Encoder;
pub use error::{Error, Result};
pub use features::{Features, Padded, Ragged};
pub use inner_product::{Half, InnerProduct};
pub use model::{Model, ModelConfig, ModelEntry};
pub use predict::{Score, evaluate, predict};
pub use rows::{Batch, Records, Rows, TensorRows};
pub use schema::{Field, FieldKind, Keep, Label, List, Schema, Side, Task, Weighting};
/// The crate whose `JsonSchema` options derive to document themselves, in the version that [`ModelEntry::new`]
/// requires.
pub use schemars;
/// The bindings to libtorch, in the version of this library's tensors.
pub use tch;
