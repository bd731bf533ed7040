//! The factorization-machine family on libtorch: layers, models, and the registry that names them.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod layers;
pub mod models;

pub use models::{MODELS, find};
