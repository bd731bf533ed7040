//! Clipping of gradients by value and by norm.

use tch::Tensor;

use super::change::Change;
use super::parameter::Parameter;
use crate::error::{Error, Result};

/// The bounds of gradients.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clipping {
    norm: Option<f64>,
    value: Option<f64>,
}

impl Clipping {
    pub(super) fn new(norm: Option<f64>, value: Option<f64>) -> Result<Clipping> {
        for (name, bound) in [("clip_norm", norm), ("clip_value", value)] {
            if let Some(bound) = bound.filter(|bound| !(bound.is_finite() && *bound > 0.0)) {
                return Err(Error::out_of_range(name, bound, "a number above 0, or left out"));
            }
        }
        Ok(Clipping { norm, value })
    }

    /// The maximum magnitude of each number.
    pub(super) fn value(&self) -> Option<f64> {
        self.value
    }

    /// The norm of all gradients. On the CPU it costs little compared with the step. On other devices it is computed
    /// only for clipping.
    ///
    /// # Errors
    /// [`Error::Gradient`] if it is not finite.
    pub(super) fn norm_of(&self, changes: &[(&mut Parameter, Change)]) -> Result<Option<f64>> {
        let squares: Vec<f64> = if changes.iter().all(|(parameter, _)| parameter.is_fused) {
            let square = |(parameter, change): &(&mut Parameter, Change)| change.sum_of_squares(&parameter.tensor);
            changes.iter().map(square).collect::<Result<_>>()?
        } else if self.norm.is_some() {
            // Synchronise with the device once, not once per parameter.
            let square =
                |(parameter, change): &(&mut Parameter, Change)| change.sum_of_squares_on_device(&parameter.tensor);
            let squares = changes.iter().map(square).collect::<Result<Vec<Tensor>>>()?;
            Vec::try_from(Tensor::f_stack(&squares, 0)?)?
        } else {
            return Ok(None);
        };
        let names = changes.iter().map(|(parameter, _)| &parameter.name);
        let mut not_finite = names.zip(&squares).filter(|(_, square)| !square.is_finite()).map(|(name, _)| name);
        if let Some(first) = not_finite.next() {
            return Err(Error::Gradient { parameter: first.clone(), others: not_finite.count() });
        }
        Ok(Some(squares.iter().sum::<f64>().sqrt()))
    }

    /// The factor to scale gradients of this norm by; `None` if they are within the bound.
    pub(super) fn scale(&self, norm: Option<f64>) -> Option<f64> {
        let scale = self.norm? / (norm? + 1e-6);
        (scale < 1.0).then_some(scale)
    }
}
