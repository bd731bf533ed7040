//! What models, data and programs share: the schema of a row, batches, losses, metrics, optimisers, the training loop,
//! checkpoints and the exported file.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod atomic_file;
pub mod baseline;
pub mod batch;
mod bridge;
pub mod device;
pub mod encoder;
pub mod error;
pub mod loss;
pub mod mapped_file;
pub mod metric;
pub mod model;
pub mod optim;
pub mod schema;
pub mod script;
pub mod seed;
pub mod summary;
pub mod train;

pub use batch::{Batch, Features, Rows, TensorRows};
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use model::{Model, ModelConfig, ModelEntry};
pub use schema::{Field, FieldKind, Label, Schema, Side, Task, Weighting};
