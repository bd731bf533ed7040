//! Models whose parameters are drawn from their posterior distribution, instead of following gradients.

use std::ops::ControlFlow;

use tch::Tensor;

use crate::batch::Rows;
use crate::error::Result;

/// What [`Model::sampler`](crate::Model::sampler) gives of a model that is trained by a Markov chain over its parameters. A
/// [`Trainer`](crate::train::Trainer) then makes a sweep in each epoch, and no gradient step.
pub trait Sampler {
    /// The state of the chain by name, float32 tensors that are no parameters: scoring does not need them, and going on does. A
    /// sweep begins at what they and the parameters hold, and writes to all of them when it is done: a checkpoint has both.
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
    /// Draws every parameter once, given the rows and all others. The result depends on the rows, the state, `number` and `seed`
    /// alone. `number` counts the sweeps from 1 and is what the chain has come to; `seed` is another one in each.
    ///
    /// `progress` is called every while with the part of the sweep that is done and the loss that the sweep will return, NaN as
    /// long as it is not known. When it breaks, the sweep ends with `None`, and neither the state nor the parameters are changed.
    ///
    /// Returns the mean loss over the rows, before the sweep.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) for what libtorch refuses.
    fn sweep(
        &mut self,
        number: usize,
        seed: u64,
        progress: &mut dyn FnMut(f64, f64) -> ControlFlow<()>,
    ) -> Result<Option<f64>>;
}
