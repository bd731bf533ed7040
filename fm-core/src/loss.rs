//! Losses of logits, as means over the batch.

use tch::{Reduction, Tensor};

use crate::schema::Task;

/// The loss that a task is trained with: a scalar, the mean over `logits` `[B]` and `labels` `[B]`.
///
/// - regression: (ŷ - y)²
/// - binary: the logistic loss, -y ln σ(ŷ) - (1 - y) ln(1 - σ(ŷ)), computed from the logit without overflow
pub fn loss(task: Task, logits: &Tensor, labels: &Tensor) -> Tensor {
    match task {
        Task::Regression => logits.mse_loss(labels, Reduction::Mean),
        Task::Binary { .. } => logits.binary_cross_entropy_with_logits::<Tensor>(labels, None, None, Reduction::Mean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_equal_their_formulas_also_far_out() {
        let (logits, labels) = (Tensor::from_slice(&[0.5f32, -90.0]), Tensor::from_slice(&[1f32, 1.0]));
        let squared = loss(Task::Regression, &logits, &labels).double_value(&[]);
        assert!((squared - (0.25 + 8281.0) / 2.0).abs() < 1e-3);
        let logistic = loss(Task::Binary { threshold: 1.0 }, &logits, &labels).double_value(&[]);
        assert!((logistic - ((1.0 + (-0.5f64).exp()).ln() + 90.0) / 2.0).abs() < 1e-5);
    }
}
