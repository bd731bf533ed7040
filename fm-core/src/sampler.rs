//! Models whose parameters are drawn from their posterior distribution, instead of following gradients.

use std::ops::ControlFlow;

use tch::Tensor;

use crate::error::Result;
use crate::rows::Rows;

/// What [`Model::sampler`](crate::Model::sampler) gives of a model that is trained by a Markov chain over its parameters. A
/// [`Trainer`](crate::train::Trainer) then lets the chain go on for a few sweeps in each epoch, instead of making gradient steps.
/// It neither stops early nor warms up: settings of steps, of the penalty and of patience have no meaning.
pub trait Sampler {
    /// The state of the chain by name, float32 tensors that are no parameters: going on needs them, and scoring does not. The chain
    /// goes on from what they and the parameters hold, and writes to all of them at the end of each epoch: a checkpoint has both.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Brings the training rows into the form that sweeps take.
    ///
    /// # Errors
    /// What the rows return; [`Error::Shape`](crate::Error::Shape) or [`Error::Setting`](crate::Error::Setting) for rows that the
    /// model cannot be trained on.
    fn begin<'a>(&'a self, rows: &dyn Rows) -> Result<Box<dyn Sweeps + 'a>>;
}

/// Sweeps over the same training rows.
pub trait Sweeps {
    /// Makes the sweeps of an epoch, counted from 1: each draws every parameter once, given the rows and all others. What comes out
    /// depends on the rows, the state, the parameters, `epoch` and `seed` alone; the seed is another one in each epoch.
    ///
    /// `progress` is called every while with the part of the epoch that is done and the mean loss over the rows, NaN as long as it
    /// is not known. When it breaks, the epoch ends with `None`, and neither the state nor the parameters are changed.
    ///
    /// Returns the mean loss over the rows before the last sweep.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) for what libtorch refuses.
    fn advance(
        &mut self,
        epoch: usize,
        seed: u64,
        progress: &mut dyn FnMut(f64, f64) -> ControlFlow<()>,
    ) -> Result<Option<f64>>;
}
