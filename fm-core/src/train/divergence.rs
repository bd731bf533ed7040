//! Why training left the range of numbers.

use tch::{Kind, Tensor};

use super::Trainer;
use crate::error::Error;
use crate::rows::Batch;

/// Standardised numbers, counts and weights of rows lie far below.
const EXTREME_VALUE: f64 = 1e3;

impl Trainer<'_> {
    /// The error of a step whose loss or gradient, or of an epoch whose metric, is not finite; with what is likely behind it.
    pub(super) fn diverged(&self, what: &str, value: f64, step: usize, batches: &[Batch]) -> Error {
        let cause = match batches.iter().find_map(|batch| self.extreme_value(batch)) {
            Some((field, x)) => {
                format!(
                    "{field} holds {x:.3e} after standardising: look for extreme values there, or lower the learning rate"
                )
            }
            None => {
                let (name, size) = self.largest_parameter();
                let norm =
                    self.optimizer.gradient_norm().map(|norm| format!(", the last gradient had the norm {norm:.3e}"));
                format!(
                    "lower the learning rate, which was {}, or set clip_norm; `{name}` has grown to {size:.3e}{}",
                    self.optimizer.lr,
                    norm.unwrap_or_default()
                )
            }
        };
        Error::Diverged { what: what.into(), value, epoch: self.state.epoch + 1, step, cause }
    }

    /// The field and the value of the slot that holds a batch's most extreme value, if it is one.
    fn extreme_value(&self, batch: &Batch) -> Option<(String, f64)> {
        let values = batch.features.padded().ok()?.values;
        let sizes = values.abs();
        let size = sizes.max().double_value(&[]);
        if !size.is_nan() && size <= EXTREME_VALUE {
            return None;
        }
        let slots = *sizes.size().get(1)?;
        let place = sizes.argmax(None, false).int64_value(&[]);
        let (row, slot) = (place / slots, place % slots);
        let field = match self.fields.get(slot as usize) {
            Some(field) => format!("field `{field}`"),
            None => format!("slot {slot}"),
        };
        Some((field, values.double_value(&[row, slot])))
    }

    /// The parameter that holds the greatest number, or one that is not finite, and that number's size.
    fn largest_parameter(&self) -> (String, f64) {
        let size = |tensor: &Tensor| match tensor.numel() {
            0 => 0.0,
            _ => tensor.detach().to_kind(Kind::Double).abs().max().double_value(&[]),
        };
        let sizes = self.store.variables().into_iter().map(|(name, tensor)| (name, size(&tensor)));
        // NaN counts as the greatest; equal ones by name.
        sizes.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).unwrap_or_default()
    }
}
