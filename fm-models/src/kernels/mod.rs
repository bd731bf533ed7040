//! Loops that replace operations of libtorch where these are slow, each with its forward and backward pass in one file and a test
//! that holds it to the plain operations.

pub(crate) mod lookup;
