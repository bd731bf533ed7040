//! Clipping of gradients by value and by norm.

use tch::Tensor;

use super::change::Change;
use super::parameter::Parameter;
use crate::error::{Error, Result};
use crate::group::Group;

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

    /// The norm of all gradients. On the CPU it costs little compared with the step. On other devices, and with tables
    /// that are divided among the processes of a group, it is computed only for clipping.
    ///
    /// # Errors
    /// [`Error::Gradient`] if it is not finite; those of [`Group::begin_step`].
    pub(super) fn norm_of(&self, changes: &[(&mut Parameter, Change)], group: Option<&Group>) -> Result<Option<f64>> {
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
        let Some(group) = group else { return Ok(Some(squares.iter().sum::<f64>().sqrt())) };
        if self.norm.is_none() {
            return Ok(None);
        }
        // All processes have the gradients of whole parameters, and each has those of its own rows.
        let is_own = |(parameter, _): &(&mut Parameter, Change)| parameter.compact.is_some();
        let sum = |own: bool| -> f64 {
            changes.iter().zip(&squares).filter(|(change, _)| is_own(change) == own).map(|(_, square)| square).sum()
        };
        let all = group.begin_step(&[sum(true).to_bits() as i64])?;
        let of_tables: f64 = all.iter().map(|numbers| f64::from_bits(numbers[0] as u64)).sum();
        Ok(Some((of_tables + sum(false)).sqrt()))
    }

    /// The factor to scale gradients of this norm by; `None` if they are within the bound.
    pub(super) fn scale(&self, norm: Option<f64>) -> Option<f64> {
        let scale = self.norm? / (norm? + 1e-6);
        (scale < 1.0).then_some(scale)
    }
}
