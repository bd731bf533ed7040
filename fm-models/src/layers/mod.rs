//! The layers that models are made of, one file each.

mod dnn;
mod embedding;
mod field_pooling;
mod fm;
mod linear;

pub use dnn::{Dnn, DnnConfig};
pub use embedding::Embedding;
pub use field_pooling::FieldPooling;
pub use fm::FmInteraction;
pub use linear::Linear;
