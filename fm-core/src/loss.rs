//! Losses of logits, as means over the batch.

use tch::{Kind, Reduction, Tensor};

use crate::error::{Error, Result};
use crate::schema::{Label, Task};

/// The loss that a task is trained with.
///
/// - regression: (ŷ - y)²
/// - binary: the logistic loss, -p y' ln σ(ŷ) - (1 - y') ln(1 - σ(ŷ)), in natural logarithms, computed from the logit without
///   overflow; y' = (1 - ε) y + ε/2 is the smoothed label, and p the weight of positives
///
/// ```
/// use fm_core::Task;
/// use fm_core::loss::Loss;
/// use fm_core::tch::Tensor;
///
/// let (logits, labels) = (Tensor::from_slice(&[1f32, 4.0]), Tensor::from_slice(&[3f32, 3.0]));
/// let squared = Loss::new(Task::Regression);
/// assert_eq!(squared.mean(&logits, &labels, None)?.double_value(&[]), 2.5); // (4 + 1) / 2
/// let weights = Tensor::from_slice(&[3f32, 1.0]);
/// assert_eq!(squared.mean(&logits, &labels, Some(&weights))?.double_value(&[]), 3.25); // (3 · 4 + 1) / 4
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// What is predicted.
    pub task: Task,
    /// ε, for a binary task: Szegedy et al., CVPR 2016, section 7, <https://arxiv.org/abs/1512.00567>.
    pub label_smoothing: f64,
    /// p, for a binary task: how many times a positive row counts.
    pub positive_weight: f64,
}

impl Loss {
    /// The plain loss of a task.
    pub fn new(task: Task) -> Loss {
        Loss { task, label_smoothing: 0.0, positive_weight: 1.0 }
    }

    /// A scalar, the mean over `logits` `[B]` and `labels` `[B]`; with `weights` `[B]`, Σ w ℓ / Σ w. It is 0 where all weights
    /// are.
    ///
    /// # Errors
    /// [`Error::Shape`] for labels or weights of another shape than the logits, or no row: there is no mean of nothing;
    /// [`Error::Setting`] for a ranking, whose losses are those of [`ranking`](crate::ranking).
    pub fn mean(&self, logits: &Tensor, labels: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
        let (found, expected) = (labels.size(), logits.size());
        if expected.len() != 1 || found != expected || expected[0] == 0 {
            return Err(Error::shape(
                "loss",
                "logits and labels of shape [B], B ≥ 1",
                format!("{expected:?} and {found:?}"),
            ));
        }
        let Some(weights) = weights else { return self.reduced(logits, labels, Reduction::Mean) };
        if weights.size() != expected {
            return Err(Error::shape(
                "loss",
                format!("weights of shape {expected:?}"),
                format!("{:?}", weights.size()),
            ));
        }
        Ok(weighted_mean(&self.reduced(logits, labels, Reduction::None)?, weights))
    }

    fn reduced(&self, logits: &Tensor, labels: &Tensor, reduction: Reduction) -> Result<Tensor> {
        Ok(match self.task {
            Task::Regression => logits.mse_loss(labels, reduction),
            Task::Binary { .. } => {
                let smoothed = (self.label_smoothing > 0.0)
                    .then(|| labels * (1.0 - self.label_smoothing) + self.label_smoothing / 2.0);
                let positive = (self.positive_weight != 1.0)
                    .then(|| Tensor::from(self.positive_weight as f32).to_device(logits.device()));
                let labels = smoothed.as_ref().unwrap_or(labels);
                logits.binary_cross_entropy_with_logits::<Tensor>(labels, None, positive, reduction)
            }
            Task::Ranking { .. } => {
                let reason = "a ranking's loss compares items, as `ranking::Objective` does: a row alone has none";
                return Err(Error::Setting(reason.into()));
            }
        })
    }

    /// The constant logit of the least loss over the training rows, which `label` sums up:
    /// [`Label::prior_logit`] of the smoothed mean, and ln p above it.
    pub fn prior_logit(&self, label: &Label) -> f32 {
        match self.task {
            Task::Regression | Task::Ranking { .. } => label.prior_logit(),
            Task::Binary { .. } => {
                let (smoothing, mean) = (self.label_smoothing as f32, label.mean);
                let smoothed = Label { mean: mean * (1.0 - smoothing) + smoothing / 2.0, ..label.clone() };
                smoothed.prior_logit() + self.positive_weight.ln() as f32
            }
        }
    }
}

/// Σ w ℓ / Σ w of losses `[B]` and weights `[B]`; 0 where all weights are.
pub(crate) fn weighted_mean(losses: &Tensor, weights: &Tensor) -> Tensor {
    let sum = weights.sum(Kind::Float).clamp_min(f64::from(f32::MIN_POSITIVE));
    (losses * weights).sum(Kind::Float) / sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    const BINARY: Task = Task::Binary { threshold: 1.0 };

    fn logistic(logit: f64, label: f64, positive_weight: f64) -> f64 {
        positive_weight * label * (1.0 + (-logit).exp()).ln() + (1.0 - label) * (1.0 + logit.exp()).ln()
    }

    fn value(loss: Loss, logits: &[f32], labels: &[f32], weights: Option<&[f32]>) -> f64 {
        let weights = weights.map(Tensor::from_slice);
        let mean = loss.mean(&Tensor::from_slice(logits), &Tensor::from_slice(labels), weights.as_ref());
        mean.unwrap().double_value(&[])
    }

    #[test]
    fn losses_equal_their_formulas_also_far_out() {
        let squared = value(Loss::new(Task::Regression), &[0.5, -90.0], &[1.0, 1.0], None);
        assert!((squared - (0.25 + 8281.0) / 2.0).abs() < 1e-3);
        let plain = value(Loss::new(BINARY), &[0.5, -90.0], &[1.0, 1.0], None);
        assert!((plain - ((1.0 + (-0.5f64).exp()).ln() + 90.0) / 2.0).abs() < 1e-5);
    }

    #[test]
    fn smoothing_moves_labels_towards_a_half_and_positives_count_so_many_times() {
        let loss = Loss { label_smoothing: 0.2, positive_weight: 3.0, ..Loss::new(BINARY) };
        let found = value(loss, &[0.5, -2.0], &[1.0, 0.0], None);
        let expected = (logistic(0.5, 0.9, 3.0) + logistic(-2.0, 0.1, 3.0)) / 2.0;
        assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
    }

    #[test]
    fn a_weighted_mean_divides_by_the_sum_of_the_weights() {
        for task in [Task::Regression, BINARY] {
            let (loss, logits, labels) = (Loss::new(task), [0.5, -2.0, 1.5], [1.0, 0.0, 0.0]);
            let twice = value(loss, &[0.5, 0.5, -2.0], &[1.0, 1.0, 0.0], None);
            let found = value(loss, &logits, &labels, Some(&[2.0, 1.0, 0.0]));
            assert!((found - twice).abs() < 1e-6, "{found} and {twice}");
            assert!((value(loss, &logits, &labels, Some(&[0.5, 0.25, 0.0])) - found).abs() < 1e-6);
        }
    }

    #[test]
    fn rows_that_all_weigh_nothing_have_no_loss_and_no_gradient() {
        let logits = Tensor::from_slice(&[0.5f32, -2.0]).set_requires_grad(true);
        let zero = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let loss = Loss::new(BINARY).mean(&logits, &zero, Some(&zero)).unwrap();
        loss.backward();
        assert_eq!((loss.double_value(&[]), Vec::<f32>::try_from(logits.grad()).unwrap()), (0.0, vec![0.0, 0.0]));
    }

    #[test]
    fn no_constant_has_a_lower_loss_than_the_prior_logit() {
        let labels = [1.0, 0.0, 0.0, 0.0, 1.0];
        let label = Label::fit("y", BINARY, labels);
        for (label_smoothing, positive_weight) in [(0.0, 1.0), (0.1, 1.0), (0.0, 4.0), (0.3, 0.5)] {
            let loss = Loss { label_smoothing, positive_weight, ..Loss::new(BINARY) };
            let at = |shift: f32| value(loss, &[loss.prior_logit(&label) + shift; 5], &labels, None);
            assert!(at(0.0) < at(0.05) && at(0.0) < at(-0.05), "{loss:?}");
        }
        assert_eq!(Loss::new(BINARY).prior_logit(&label), label.prior_logit());
    }

    #[test]
    fn a_loss_of_no_row_or_of_other_rows_is_an_error() {
        let of = |n: i64| Tensor::zeros([n], (Kind::Float, Device::Cpu));
        let fails = |logits, labels, weights: Option<i64>| {
            let weights = weights.map(of);
            Loss::new(Task::Regression).mean(&of(logits), &of(labels), weights.as_ref()).unwrap_err().to_string()
        };
        assert_eq!(fails(0, 0, None), "loss: expected logits and labels of shape [B], B ≥ 1, found [0] and [0]");
        assert!(fails(2, 3, None).contains("[2] and [3]"));
        assert!(fails(2, 2, Some(3)).contains("weights of shape [2], found [3]"));
    }
}
