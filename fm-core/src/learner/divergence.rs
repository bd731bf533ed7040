//! Finds numbers that grew too large when training diverged.

use tch::nn::VarStore;
use tch::{Kind, Tensor};

use crate::rows::Batch;

/// Standardised numbers, counts and weights of rows are far smaller.
const EXTREME_VALUE: f64 = 50.0;

/// The likely cause of a divergence and what to do, if a batch holds an extreme value.
pub(crate) fn extreme_cause(batch: &Batch, fields: &[String]) -> Option<String> {
    let (field, x) = extreme_value(batch, fields)?;
    Some(format!(
        "{field} contains {x:.3e} after standardising: look for extreme values there, or lower the learning rate"
    ))
}

/// The most extreme value of a batch with its field, if it is extreme.
fn extreme_value(batch: &Batch, fields: &[String]) -> Option<(String, f64)> {
    let values = batch.features.padded().ok()?.values;
    let sizes = values.abs();
    let size = sizes.max().double_value(&[]);
    if !size.is_nan() && size <= EXTREME_VALUE {
        return None;
    }
    let slots = *sizes.size().get(1)?;
    let place = sizes.argmax(None, false).int64_value(&[]);
    let (row, slot) = (place / slots, place % slots);
    let field = match fields.get(slot as usize) {
        Some(field) => format!("field `{field}`"),
        None => format!("slot {slot}"),
    };
    Some((field, values.double_value(&[row, slot])))
}

/// The parameter with the number of largest magnitude, and that magnitude. NaN is larger than any number. The first
/// name wins a tie.
pub(super) fn largest_parameter(store: &VarStore) -> (String, f64) {
    let size = |tensor: &Tensor| match tensor.numel() {
        0 => 0.0,
        _ => tensor.detach().to_kind(Kind::Double).abs().max().double_value(&[]),
    };
    let sizes = store.variables().into_iter().map(|(name, tensor)| (name, size(&tensor)));
    sizes.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).unwrap_or_default()
}
