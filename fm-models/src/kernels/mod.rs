//! Loops that replace slow operations of libtorch. Each has its forward and backward pass in one file, and a test that
//! compares it with the plain operations.

pub(crate) mod lookup;
pub(crate) mod online;
