//! Models whose parameters are sampled from their posterior distribution instead of being fitted by gradient descent.

use std::ops::ControlFlow;

use tch::Tensor;

use crate::error::Result;
use crate::rows::Rows;

/// A Markov chain over the parameters of a model. [`Model::posterior_sampler`](crate::Model::posterior_sampler) returns
/// it for a model that is trained by sampling. In each epoch, a [`Trainer`](crate::train::Trainer) then runs a few
/// sweeps instead of gradient steps. It neither stops early nor warms up; it ignores the settings of steps, of the
/// penalty and of patience.
pub trait PosteriorSampler {
    /// The state of the chain by name: float32 tensors that are needed to resume the chain but not to score. The chain
    /// continues from these tensors and the parameters, and writes to all of them at the end of each epoch. A
    /// checkpoint has both.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Prepares sweeps over training rows.
    ///
    /// # Errors
    /// Errors of `rows`; [`Error::Shape`](crate::Error::Shape), [`Error::Rows`](crate::Error::Rows) or
    /// [`Error::Unsupported`](crate::Error::Unsupported) for rows that the model cannot be trained on.
    fn begin<'a>(&'a self, rows: &dyn Rows) -> Result<Box<dyn PosteriorSweeps + 'a>>;
}

/// The sweeps of a [`PosteriorSampler`] over its training rows.
pub trait PosteriorSweeps {
    /// Runs the sweeps of an epoch, counted from 1. Each sweep draws every parameter once, given the rows and all other
    /// parameters. The result depends only on the rows, the state, the parameters, `epoch` and `seed`, which differs
    /// between epochs.
    ///
    /// `progress` is called from time to time with the fraction of the epoch that is done and the mean loss over the
    /// rows, which is NaN until it is known. If it breaks, the epoch returns `None`, and neither the state nor the
    /// parameters have changed.
    ///
    /// Returns the mean loss over the rows before the last sweep.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if libtorch fails.
    fn advance(
        &mut self,
        epoch: usize,
        seed: u64,
        progress: &mut dyn FnMut(f64, f64) -> ControlFlow<()>,
    ) -> Result<Option<f64>>;
}
