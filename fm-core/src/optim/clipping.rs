//! Gradients brought into a range.

use tch::Tensor;

use super::gradient::Slot;
use crate::error::{Error, Result};

/// What gradients are clipped to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clipping {
    norm: Option<f64>,
    value: Option<f64>,
}

impl Clipping {
    pub(super) fn new(norm: Option<f64>, value: Option<f64>) -> Result<Clipping> {
        for (name, bound) in [("clip_norm", norm), ("clip_value", value)] {
            if let Some(bound) = bound.filter(|bound| !(bound.is_finite() && *bound > 0.0)) {
                return Err(Error::Setting(format!("{name} is {bound}: it must be a number above 0, or left out")));
            }
        }
        Ok(Clipping { norm, value })
    }

    /// What a number of a gradient is at most.
    pub(super) fn value(&self) -> Option<f64> {
        self.value
    }

    /// The norm of all gradients. On the CPU it costs little beside the step; elsewhere it is taken where gradients are clipped
    /// by it.
    ///
    /// # Errors
    /// [`Error::Gradient`] if it is not finite, with the parameters at fault.
    pub(super) fn norm_of(&self, slots: &[Slot]) -> Result<Option<f64>> {
        let squares: Vec<f64> = if slots.iter().all(|slot| slot.is_fused) {
            slots.iter().map(Slot::sum_of_squares).collect::<Result<_>>()?
        } else if self.norm.is_some() {
            // One wait for the device, not one for each parameter.
            let squares: Vec<Tensor> = slots.iter().map(Slot::sum_of_squares_on_device).collect();
            Vec::try_from(Tensor::f_stack(&squares, 0)?)?
        } else {
            return Ok(None);
        };
        let at_fault: Vec<&Slot> =
            slots.iter().zip(&squares).filter(|(_, square)| !square.is_finite()).map(|(slot, _)| slot).collect();
        if let Some(first) = at_fault.first() {
            let others = at_fault.len() - 1;
            return Err(Error::Gradient { parameter: first.name.clone(), others });
        }
        Ok(Some(squares.iter().sum::<f64>().sqrt()))
    }

    /// What gradients of this norm are multiplied by; none if they stay as they are.
    pub(super) fn scale(&self, norm: Option<f64>) -> Option<f64> {
        let scale = self.norm? / (norm? + 1e-6);
        (scale < 1.0).then_some(scale)
    }
}

/// Σ f(x)² in float64, in eight sums at once.
pub(super) fn sum_of_squares(numbers: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let square = |x: f32| f64::from(f(x)).powi(2);
    let chunks = numbers.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|&x| square(x)).sum();
    let sums = chunks.fold([0.0; 8], |mut sums, chunk| {
        sums.iter_mut().zip(chunk).for_each(|(sum, &x)| *sum += square(x));
        sums
    });
    sums.iter().sum::<f64>() + rest
}
