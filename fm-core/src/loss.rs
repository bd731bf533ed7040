//! Losses of single rows, averaged over a batch.

use tch::{Kind, Reduction, Tensor};

use crate::error::{Error, Result};
use crate::schema::{Label, Task};

/// The loss of a single row.
///
/// - squared error: (ŷ - y)²
/// - logistic loss: -p y' ln σ(ŷ) - (1 - y') ln(1 - σ(ŷ)), in natural logarithms, computed from the logit without overflow;
///   y' = (1 - ε) y + ε/2 is the smoothed label, and p the weight of positive rows
/// - focal loss: the logistic loss with its first part times (1 - σ(ŷ))^γ and its second part times σ(ŷ)^γ, so that rows
///   count less the better they are predicted
///
/// ```
/// use fm_core::loss::Loss;
/// use fm_core::tch::Tensor;
///
/// let (logits, labels) = (Tensor::from_slice(&[1f32, 4.0]), Tensor::from_slice(&[3f32, 3.0]));
/// assert_eq!(Loss::Squared.mean(&logits, &labels, None)?.double_value(&[]), 2.5); // (4 + 1) / 2
/// let weights = Tensor::from_slice(&[3f32, 1.0]);
/// assert_eq!(Loss::Squared.mean(&logits, &labels, Some(&weights))?.double_value(&[]), 3.25); // (3 · 4 + 1) / 4
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// The squared error, for a regression.
    Squared,
    /// The logistic loss, for a binary task.
    Logistic {
        /// ε: Szegedy et al., CVPR 2016, section 7, <https://arxiv.org/abs/1512.00567>.
        label_smoothing: f64,
        /// p, the weight of positive rows.
        positive_weight: f64,
        /// γ, 0 for the logistic loss: Lin et al., Focal loss for dense object detection, ICCV 2017, section 3,
        /// <https://arxiv.org/abs/1708.02002>.
        focal_gamma: f64,
    },
}

/// The settings of the loss of a binary task. The default is the logistic loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinaryLoss {
    /// ε, the smoothing of labels.
    pub label_smoothing: f64,
    /// p, the weight of positive rows.
    pub positive_weight: f64,
    /// γ of the focal loss.
    pub focal_gamma: f64,
    /// The share of the [loss of pairs](pairwise).
    pub pairwise_share: f64,
}

impl Default for BinaryLoss {
    fn default() -> BinaryLoss {
        BinaryLoss { label_smoothing: 0.0, positive_weight: 1.0, focal_gamma: 0.0, pairwise_share: 0.0 }
    }
}

impl BinaryLoss {
    /// Checks the settings, which only binary tasks can have.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Unsupported`] for a task that is not binary.
    pub(crate) fn check(&self, is_binary: bool) -> Result<()> {
        let BinaryLoss { label_smoothing, positive_weight, focal_gamma, pairwise_share } = *self;
        if !(0.0..1.0).contains(&label_smoothing) {
            return Err(Error::out_of_range("label_smoothing", label_smoothing, "at least 0 and below 1"));
        }
        if !positive_weight.is_finite() || positive_weight <= 0.0 {
            return Err(Error::out_of_range("positive_weight", positive_weight, "a number above 0"));
        }
        if !(0.0..=10.0).contains(&focal_gamma) {
            return Err(Error::out_of_range("focal_gamma", focal_gamma, "from 0 to 10"));
        }
        if !(0.0..1.0).contains(&pairwise_share) {
            return Err(Error::out_of_range("pairwise_share", pairwise_share, "at least 0 and below 1"));
        }
        if !is_binary && *self != BinaryLoss::default() {
            return Err(Error::Unsupported(format!("{} are for binary tasks: leave them out", BinaryLoss::SETTINGS)));
        }
        Ok(())
    }

    /// Their names, for errors.
    pub(crate) const SETTINGS: &str = "label_smoothing, positive_weight, focal_gamma and pairwise_share";
}

impl Loss {
    /// The logistic loss without label smoothing and with equal weights.
    pub const LOGISTIC: Loss = Loss::Logistic { label_smoothing: 0.0, positive_weight: 1.0, focal_gamma: 0.0 };

    /// The loss of the rows of a task, without the loss of pairs.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for settings out of range; [`Error::Unsupported`] for settings other than the default in a
    /// regression, and for a ranking, whose losses compare items: see [`objective::Ranking`](crate::objective::Ranking).
    pub fn new(task: Task, settings: BinaryLoss) -> Result<Loss> {
        settings.check(matches!(task, Task::Binary { .. }))?;
        let BinaryLoss { label_smoothing, positive_weight, focal_gamma, pairwise_share: _ } = settings;
        match task {
            Task::Regression => Ok(Loss::Squared),
            Task::Binary { .. } => Ok(Loss::Logistic { label_smoothing, positive_weight, focal_gamma }),
            Task::Ranking { .. } => {
                let reason = "the loss of a ranking compares items: train it with the objective `Ranking`";
                Err(Error::Unsupported(reason.into()))
            }
        }
    }

    /// The mean over `logits` `[B]` and `labels` `[B]`, a scalar; with `weights` `[B]`, Σ w ℓ / Σ w, which is 0 if all
    /// weights are 0.
    ///
    /// # Errors
    /// [`Error::Shape`] if labels or weights do not have the shape of the logits, or for no rows.
    pub fn mean(&self, logits: &Tensor, labels: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
        let (found, expected) = (labels.size(), logits.size());
        if expected.len() != 1 || found != expected || expected[0] == 0 {
            return Err(Error::shape(
                "loss",
                "logits and labels of shape [B], B ≥ 1",
                format!("{expected:?} and {found:?}"),
            ));
        }
        let Some(weights) = weights else { return Ok(self.reduced(logits, labels, Reduction::Mean)) };
        if weights.size() != expected {
            return Err(Error::shape(
                "loss",
                format!("weights of shape {expected:?}"),
                format!("{:?}", weights.size()),
            ));
        }
        Ok(weighted_mean(&self.reduced(logits, labels, Reduction::None), weights))
    }

    fn reduced(&self, logits: &Tensor, labels: &Tensor, reduction: Reduction) -> Tensor {
        match *self {
            Loss::Squared => logits.mse_loss(labels, reduction),
            Loss::Logistic { label_smoothing, positive_weight, focal_gamma } => {
                let smoothed =
                    (label_smoothing > 0.0).then(|| labels * (1.0 - label_smoothing) + label_smoothing / 2.0);
                let labels = smoothed.as_ref().unwrap_or(labels);
                if focal_gamma > 0.0 {
                    let losses = focal(logits, labels, positive_weight, focal_gamma);
                    return if reduction == Reduction::Mean { losses.mean(Kind::Float) } else { losses };
                }
                let positive =
                    (positive_weight != 1.0).then(|| Tensor::from(positive_weight as f32).to_device(logits.device()));
                logits.binary_cross_entropy_with_logits::<Tensor>(labels, None, positive, reduction)
            }
        }
    }

    /// The constant logit with the lowest loss over the training rows that `label` summarises: [`Label::prior_logit`]
    /// of the smoothed mean, plus ln p; for a focal loss, the root of its slope.
    pub fn prior_logit(&self, label: &Label) -> f32 {
        match *self {
            Loss::Squared => label.prior_logit(),
            Loss::Logistic { focal_gamma: 0.0, label_smoothing, positive_weight } => {
                let (smoothing, mean) = (label_smoothing as f32, label.mean);
                let smoothed = Label { mean: mean * (1.0 - smoothing) + smoothing / 2.0, ..label.clone() };
                smoothed.prior_logit() + positive_weight.ln() as f32
            }
            Loss::Logistic { .. } => {
                // The slope is linear in the label, so that of the mean label is the mean slope.
                let slope = |logit: f32| RowLoss::new(*self, 1.0).slope(logit, label.mean);
                let (mut low, mut high) = (-30.0, 30.0);
                for _ in 0..40 {
                    let middle: f32 = (low + high) / 2.0;
                    *(if slope(middle) > 0.0 { &mut high } else { &mut low }) = middle;
                }
                low
            }
        }
    }
}

/// The focal losses `[B]`.
fn focal(logits: &Tensor, labels: &Tensor, positive_weight: f64, gamma: f64) -> Tensor {
    // -ln σ(ŷ) and -ln(1 - σ(ŷ)), whose exponentials are the factors.
    let (positive, negative) = (-logits.log_sigmoid(), -(-logits).log_sigmoid());
    let of_positive = (&negative * -gamma).exp() * &positive * positive_weight;
    let of_negative = (positive * -gamma).exp() * negative;
    labels * of_positive + (1.0 - labels) * of_negative
}

/// The mean of -ln σ(ŷ_i - ŷ_j) over the pairs of a positive row i and a negative row j of a batch, each with the product of
/// their weights; 0 if there are none. Added to the loss of rows, it makes the gradients of negative rows larger where
/// positives are rare.
///
/// # Shapes
/// logits, labels (0 or 1) and weights `[B]` → a scalar
///
/// Source: Lin et al., Understanding the ranking loss for recommendation with sparse user feedback, KDD 2024, section 3,
/// <https://arxiv.org/abs/2403.14144>; the loss of pairs is that of RankNet: Burges et al., Learning to rank using
/// gradient descent, ICML 2005.
///
/// ```
/// use fm_core::loss::pairwise;
/// use fm_core::tch::Tensor;
///
/// let (logits, labels) = (Tensor::from_slice(&[2f32, 1.0, 5.0]), Tensor::from_slice(&[1f32, 0.0, 1.0]));
/// let expected = ((1.0 + (-1f64).exp()).ln() + (1.0 + (-4f64).exp()).ln()) / 2.0;
/// assert!((pairwise(&logits, &labels, None).double_value(&[]) - expected).abs() < 1e-6);
/// ```
pub fn pairwise(logits: &Tensor, labels: &Tensor, weights: Option<&Tensor>) -> Tensor {
    let weighted = |rows: Tensor| weights.map_or_else(|| rows.shallow_clone(), |weights| &rows * weights);
    let of_pairs = weighted(labels.shallow_clone()).unsqueeze(1) * weighted(1.0 - labels).unsqueeze(0);
    let losses = -(logits.unsqueeze(1) - logits.unsqueeze(0)).log_sigmoid();
    weighted_mean(&losses, &of_pairs)
}

/// The loss of one row as a function of its logit, for kernels that need no graph.
///
/// ```
/// use fm_core::loss::{Loss, RowLoss};
///
/// let loss = RowLoss::new(Loss::Squared, 1.0);
/// assert_eq!(loss.values(&[3.0, 0.0], &[1.0, 0.0]), [4.0, 0.0]); // (3 - 1)²
/// assert_eq!(loss.slope(3.0, 1.0), 4.0); // 2 (3 - 1)
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RowLoss {
    loss: Loss,
    /// What a label is divided by.
    scale: f32,
    /// ε, p and γ.
    smoothing: f32,
    positive_weight: f32,
    gamma: f32,
}

impl RowLoss {
    /// The loss of labels in units of `scale`.
    pub fn new(loss: Loss, scale: f32) -> RowLoss {
        let [smoothing, positive_weight, gamma] = match loss {
            Loss::Squared => [0.0, 1.0, 0.0],
            Loss::Logistic { label_smoothing, positive_weight, focal_gamma } => {
                [label_smoothing, positive_weight, focal_gamma].map(|setting| setting as f32)
            }
        };
        RowLoss { loss, scale, smoothing, positive_weight, gamma }
    }

    /// The losses of N rows.
    #[inline(always)]
    pub fn values<const N: usize>(self, logits: &[f32; N], labels: &[f32; N]) -> [f32; N] {
        let mut losses = [0.0; N];
        if self.loss == Loss::Squared {
            for row in 0..N {
                let error = logits[row] - labels[row] / self.scale;
                losses[row] = error * error;
            }
            return losses;
        }
        for row in 0..N {
            let (logit, [positive, negative]) = (logits[row], self.parts(labels[row]));
            let [of_positive, of_negative] = logistic_losses(logit);
            losses[row] = if self.gamma == 0.0 {
                positive * of_positive + negative * of_negative
            } else {
                let [p, n] = self.focal_factors([of_positive, of_negative]);
                positive * p * of_positive + negative * n * of_negative
            };
        }
        losses
    }

    /// The derivative of the loss of a row in its logit.
    #[inline(always)]
    pub fn slope(self, logit: f32, label: f32) -> f32 {
        if self.loss == Loss::Squared {
            return 2.0 * (logit - label / self.scale);
        }
        let [positive, negative] = self.parts(label);
        let score = 1.0 / (1.0 + exp(-logit));
        if self.gamma == 0.0 {
            return (positive + negative) * score - positive;
        }
        let losses = logistic_losses(logit);
        let ([p, n], [of_positive, of_negative]) = (self.focal_factors(losses), losses);
        let against = 1.0 - score;
        negative * n * (score + self.gamma * against * of_negative)
            - positive * p * (against + self.gamma * score * of_positive)
    }

    /// (1 - σ(ŷ))^γ and σ(ŷ)^γ, from -ln σ(ŷ) and -ln(1 - σ(ŷ)).
    #[inline(always)]
    fn focal_factors(self, [of_positive, of_negative]: [f32; 2]) -> [f32; 2] {
        [exp(-self.gamma * of_negative), exp(-self.gamma * of_positive)]
    }

    /// The factors p y' and 1 - y' of the parts of the logistic loss.
    #[inline(always)]
    fn parts(self, label: f32) -> [f32; 2] {
        let y = label * (1.0 - self.smoothing) + self.smoothing / 2.0;
        [self.positive_weight * y, 1.0 - y]
    }
}

/// -ln σ(ŷ) and -ln(1 - σ(ŷ)).
#[inline(always)]
fn logistic_losses(logit: f32) -> [f32; 2] {
    // e^-|ŷ| does not overflow, and both follow from ln(1 + e^-|ŷ|).
    let rest = ln_1p(exp(-logit.abs()));
    [rest + (-logit).max(0.0), rest + logit.max(0.0)]
}

/// eˣ with a relative error below 2·10⁻⁷; x is clamped to ±87. It is 2ⁿ times the series of e^(f ln 2), where
/// x = (n + f) ln 2 and |f| ≤ 1/2. libm's takes a call.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 87.0);
    // The sum with this number has no place for fractions.
    let shift = 12_582_912.0;
    let n = (x * std::f32::consts::LOG2_E + shift) - shift;
    // ln 2 in two parts, so that the difference is exact.
    let f = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    // In pairs of terms, few of which wait for each other.
    let square = f * f;
    let first = (1.0 + f) + square * (0.5 + f * (1.0 / 6.0));
    let last = (1.0 / 24.0 + f * (1.0 / 120.0)) + square * (1.0 / 720.0 + f * (1.0 / 5040.0));
    (first + square * square * last) * f32::from_bits(((n as i32 + 127) << 23).cast_unsigned())
}

/// ln(1 + x) for 0 ≤ x ≤ 1, to rounding: 2 artanh(x / (2 + x)) by its series. libm's takes several times as long.
#[inline(always)]
fn ln_1p(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let square = s * s;
    let mut sum = 0.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / odd;
    }
    2.0 * s * sum
}

/// Σ w ℓ / Σ w of losses and weights of one shape; 0 if all weights are 0.
pub(crate) fn weighted_mean(losses: &Tensor, weights: &Tensor) -> Tensor {
    // In float64, in which neither very large nor very small weights change a mean.
    let weights = weights.to_kind(Kind::Double);
    let sum = weights.sum(Kind::Double).clamp_min(f64::MIN_POSITIVE);
    ((losses.to_kind(Kind::Double) * weights).sum(Kind::Double) / sum).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn logistic(logit: f64, label: f64, positive_weight: f64) -> f64 {
        positive_weight * label * (1.0 + (-logit).exp()).ln() + (1.0 - label) * (1.0 + logit.exp()).ln()
    }

    fn value(loss: Loss, logits: &[f32], labels: &[f32], weights: Option<&[f32]>) -> f64 {
        let weights = weights.map(Tensor::from_slice);
        let mean = loss.mean(&Tensor::from_slice(logits), &Tensor::from_slice(labels), weights.as_ref());
        mean.unwrap().double_value(&[])
    }

    fn of(label_smoothing: f64, positive_weight: f64, focal_gamma: f64) -> Loss {
        Loss::Logistic { label_smoothing, positive_weight, focal_gamma }
    }

    #[test]
    fn a_focal_loss_weights_each_part_by_its_error() {
        let found = value(of(0.0, 3.0, 2.0), &[0.5, -2.0], &[1.0, 0.0], None);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let expected =
            (3.0 * -(sigmoid(0.5).ln()) * sigmoid(-0.5).powi(2) + -(sigmoid(2.0).ln()) * sigmoid(-2.0).powi(2)) / 2.0;
        assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
    }

    #[test]
    fn pairs_have_the_product_of_their_weights_and_may_be_absent() {
        let tensor = |numbers: &[f32]| Tensor::from_slice(numbers);
        let (logits, labels, weights) = ([0.5f32, -2.0, 1.5, 90.0], [1.0f32, 0.0, 0.0, 1.0], [2.0f32, 1.0, 0.5, 3.0]);
        let (mut sum, mut total) = (0.0, 0.0);
        for i in [0, 3] {
            for j in [1, 2] {
                let weight = f64::from(weights[i] * weights[j]);
                sum += weight * f64::from(logits[j] - logits[i]).exp().ln_1p();
                total += weight;
            }
        }
        let found = pairwise(&tensor(&logits), &tensor(&labels), Some(&tensor(&weights))).double_value(&[]);
        assert!((found - sum / total).abs() < 1e-6, "{found}");
        assert_eq!(pairwise(&tensor(&logits), &tensor(&[1.0; 4]), None).double_value(&[]), 0.0);
    }

    #[test]
    fn losses_equal_their_formulas_even_for_extreme_logits() {
        let squared = value(Loss::Squared, &[0.5, -90.0], &[1.0, 1.0], None);
        assert!((squared - (0.25 + 8281.0) / 2.0).abs() < 1e-3);
        let plain = value(Loss::LOGISTIC, &[0.5, -90.0], &[1.0, 1.0], None);
        assert!((plain - ((1.0 + (-0.5f64).exp()).ln() + 90.0) / 2.0).abs() < 1e-5);
    }

    #[test]
    fn the_loss_of_a_row_and_its_slope_are_those_of_a_batch_of_one_row() {
        for loss in [Loss::Squared, Loss::LOGISTIC, of(0.2, 3.0, 0.0), of(0.0, 1.0, 2.0), of(0.2, 3.0, 0.5)] {
            for (logit, label) in [(0.0, 1.0), (0.5, 0.0), (-2.0, 1.0), (7.0, 1.0), (90.0, 0.0), (-90.0, 0.0f32)] {
                let logits = Tensor::from_slice(&[logit]).set_requires_grad(true);
                let mean = loss.mean(&logits, &Tensor::from_slice(&[label / 2.0]), None).unwrap();
                mean.backward();
                let expected = (mean.double_value(&[]), logits.grad().double_value(&[0]));
                let scale = if loss == Loss::Squared { 2.0 } else { 1.0 };
                let label = if loss == Loss::Squared { label } else { label / 2.0 };
                let of_row = RowLoss::new(loss, scale);
                let ([value], slope) = (of_row.values(&[logit], &[label]), of_row.slope(logit, label));
                let close =
                    |found: f32, expected: f64| (f64::from(found) - expected).abs() < 1e-6 + 3e-7 * expected.abs();
                assert!(close(value, expected.0) && close(slope, expected.1), "{loss:?} at {logit}: {value} {slope}");
            }
        }
    }

    #[test]
    fn the_exponential_has_a_relative_error_below_2e_7() {
        for step in -8700..=8700 {
            let x = step as f32 / 100.0;
            let (found, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / exact - 1.0).abs() < 2e-7, "{x}: {found}, expected {exact}");
        }
        assert_eq!((exp(f32::NEG_INFINITY), exp(f32::INFINITY)), (exp(-87.0), exp(87.0)));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn smoothing_moves_labels_towards_one_half_and_positives_have_their_weight() {
        let loss = of(0.2, 3.0, 0.0);
        let found = value(loss, &[0.5, -2.0], &[1.0, 0.0], None);
        let expected = (logistic(0.5, 0.9, 3.0) + logistic(-2.0, 0.1, 3.0)) / 2.0;
        assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
    }

    #[test]
    fn a_weighted_mean_divides_by_the_sum_of_the_weights() {
        for loss in [Loss::Squared, Loss::LOGISTIC] {
            let (logits, labels) = ([0.5, -2.0, 1.5], [1.0, 0.0, 0.0]);
            let twice = value(loss, &[0.5, 0.5, -2.0], &[1.0, 1.0, 0.0], None);
            let found = value(loss, &logits, &labels, Some(&[2.0, 1.0, 0.0]));
            assert!((found - twice).abs() < 1e-6, "{found} and {twice}");
            for scale in [0.25, 1e37, 1e-38] {
                let weights = [2.0 * scale, scale, 0.0];
                assert!((value(loss, &logits, &labels, Some(&weights)) - found).abs() < 1e-6, "{scale}");
            }
        }
    }

    #[test]
    fn rows_of_weight_zero_have_no_loss_and_no_gradient() {
        let logits = Tensor::from_slice(&[0.5f32, -2.0]).set_requires_grad(true);
        let zero = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let loss = Loss::LOGISTIC.mean(&logits, &zero, Some(&zero)).unwrap();
        loss.backward();
        assert_eq!((loss.double_value(&[]), Vec::<f32>::try_from(logits.grad()).unwrap()), (0.0, vec![0.0, 0.0]));
    }

    #[test]
    fn no_constant_has_a_lower_loss_than_the_prior_logit() {
        let labels = [1.0, 0.0, 0.0, 0.0, 1.0];
        let label = Label::fit("y", Task::Binary { threshold: 1.0 }, labels);
        let losses = [of(0.1, 1.0, 0.0), of(0.0, 4.0, 0.0), of(0.3, 0.5, 0.0), of(0.0, 1.0, 2.0), of(0.1, 3.0, 4.0)];
        for loss in [Loss::LOGISTIC].into_iter().chain(losses) {
            let at = |shift: f32| value(loss, &[loss.prior_logit(&label) + shift; 5], &labels, None);
            assert!(at(0.0) < at(0.05) && at(0.0) < at(-0.05), "{loss:?}");
        }
        assert_eq!(Loss::LOGISTIC.prior_logit(&label), label.prior_logit());
    }

    #[test]
    fn a_loss_without_rows_or_of_other_shapes_is_an_error() {
        let of = |n: i64| Tensor::zeros([n], (Kind::Float, Device::Cpu));
        let fails = |logits, labels, weights: Option<i64>| {
            let weights = weights.map(of);
            Loss::Squared.mean(&of(logits), &of(labels), weights.as_ref()).unwrap_err().to_string()
        };
        assert_eq!(fails(0, 0, None), "loss: expected logits and labels of shape [B], B ≥ 1, found [0] and [0]");
        assert!(fails(2, 3, None).contains("[2] and [3]"));
        assert!(fails(2, 2, Some(3)).contains("weights of shape [2], found [3]"));
    }
}
