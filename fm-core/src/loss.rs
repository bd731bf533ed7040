//! Losses of logits, as means over the batch.

use tch::{Reduction, Tensor};

use crate::error::{Error, Result};
use crate::schema::Task;

/// The loss that a task is trained with: a scalar, the mean over `logits` `[B]` and `labels` `[B]`.
///
/// - regression: (ŷ - y)²
/// - binary: the logistic loss, -y ln σ(ŷ) - (1 - y) ln(1 - σ(ŷ)), in natural logarithms, computed from the logit without
///   overflow
///
/// # Errors
/// [`Error::Shape`] for labels of another shape than the logits, or no row: there is no mean of nothing.
pub fn loss(task: Task, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (found, expected) = (labels.size(), logits.size());
    if expected.len() != 1 || found != expected || expected[0] == 0 {
        return Err(Error::shape(
            "loss",
            "logits and labels of shape [B], B ≥ 1",
            format!("{expected:?} and {found:?}"),
        ));
    }
    Ok(match task {
        Task::Regression => logits.mse_loss(labels, Reduction::Mean),
        Task::Binary { .. } => logits.binary_cross_entropy_with_logits::<Tensor>(labels, None, None, Reduction::Mean),
        Task::Ranking { .. } => return Err(Error::Setting("the loss of a ranking compares items, not rows".into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_equal_their_formulas_also_far_out() {
        let (logits, labels) = (Tensor::from_slice(&[0.5f32, -90.0]), Tensor::from_slice(&[1f32, 1.0]));
        let squared = loss(Task::Regression, &logits, &labels).unwrap().double_value(&[]);
        assert!((squared - (0.25 + 8281.0) / 2.0).abs() < 1e-3);
        let logistic = loss(Task::Binary { threshold: 1.0 }, &logits, &labels).unwrap().double_value(&[]);
        assert!((logistic - ((1.0 + (-0.5f64).exp()).ln() + 90.0) / 2.0).abs() < 1e-5);
    }

    #[test]
    fn a_loss_of_no_row_or_of_other_rows_is_an_error() {
        let of = |n: i64| Tensor::zeros([n], (tch::Kind::Float, tch::Device::Cpu));
        let fails = |logits, labels| loss(Task::Regression, &of(logits), &of(labels)).unwrap_err().to_string();
        assert_eq!(fails(0, 0), "loss: expected logits and labels of shape [B], B ≥ 1, found [0] and [0]");
        assert!(fails(2, 3).contains("[2] and [3]"));
    }
}
