//! Calibration of probabilities.

use super::Scored;

/// The number of bins of [`ece`], as in Guo et al., so that results are comparable.
const BINS: usize = 15;

/// Rows with similar predicted probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CalibrationBin {
    /// The mean predicted probability.
    pub prediction: f64,
    /// The share of positives.
    pub positives: f64,
    /// The weight of the rows, or their number if they have no weights.
    pub weight: f64,
}

/// The reliability diagram of logits and labels 0 or 1: the mean prediction and the share of positives in `bins`
/// intervals ((m-1)/M, m/M] of the probability, in ascending order. A probability of 0 belongs to the first interval;
/// intervals without a row are omitted. For a calibrated model, both values are equal in each bin.
///
/// Source: Niculescu-Mizil and Caruana, Predicting good probabilities with supervised learning, 2005,
/// <https://doi.org/10.1145/1102351.1102430>.
///
/// # Panics
/// If `bins` is 0.
///
/// ```
/// use fm_core::metric::{Scored, calibration_curve};
///
/// let logit = (0.8f32 / 0.2).ln();
/// let curve = calibration_curve(&Scored::new(&[logit, logit, 0.0], &[1.0, 0.0, 0.0]), 10);
/// assert_eq!((curve.len(), curve[0].prediction, curve[0].positives), (2, 0.5, 0.0));
/// assert!((curve[1].prediction - 0.8).abs() < 1e-7 && curve[1].positives == 0.5 && curve[1].weight == 2.0);
/// ```
pub fn calibration_curve(scored: &Scored<'_>, bins: usize) -> Vec<CalibrationBin> {
    assert!(bins > 0, "at least one bin");
    let mut sums = vec![CalibrationBin::default(); bins];
    for (logit, label, weight) in scored.rows() {
        let probability = 1.0 / (1.0 + (-logit).exp());
        let bin = ((probability * bins as f64).ceil() as usize).clamp(1, bins) - 1;
        sums[bin].prediction += weight * probability;
        sums[bin].positives += weight * label;
        sums[bin].weight += weight;
    }
    let means = sums.into_iter().filter(|sum| sum.weight > 0.0);
    let mean = |CalibrationBin { prediction, positives, weight }| CalibrationBin {
        prediction: prediction / weight,
        positives: positives / weight,
        weight,
    };
    means.map(mean).collect()
}

/// Expected calibration error: Σ_m w_m |p_m - y_m| / Σ_m w_m over 15 bins of equal width of the predicted probability,
/// with the mean prediction p_m, the share of positives y_m and the weight w_m of [`calibration_curve`]. Scores are
/// logits; labels are 0 or 1. `None` for an empty set. A model that always predicts the share of positives has 0: the
/// metric does not measure how well a model separates the classes.
///
/// Source: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015,
/// <https://doi.org/10.1609/aaai.v29i1.9602>; the bins are those of Guo et al., On calibration of modern neural networks,
/// ICML 2017, <https://arxiv.org/abs/1706.04599>.
///
/// ```
/// use fm_core::metric::{Scored, ece};
///
/// assert_eq!(ece(&Scored::new(&[0.0; 4], &[1.0, 1.0, 1.0, 0.0])), Some(0.25)); // predicted 1/2, observed 3/4
/// ```
pub fn ece(scored: &Scored<'_>) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for CalibrationBin { prediction, positives, weight } in calibration_curve(scored, BINS) {
        sum += weight * (prediction - positives).abs();
        weights += weight;
    }
    (weights > 0.0).then(|| sum / weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_0_and_1_are_in_the_outer_bins() {
        let curve = calibration_curve(&Scored::new(&[-1e30, 1e30], &[0.0, 1.0]), 4);
        let bin = |probability| CalibrationBin { prediction: probability, positives: probability, weight: 1.0 };
        assert_eq!(curve, [bin(0.0), bin(1.0)]);
    }

    #[test]
    fn a_boundary_belongs_to_the_lower_bin() {
        // With two bins, 1/2 is in the first.
        let curve = calibration_curve(&Scored::new(&[0.0, 1.0, -1.0], &[1.0, 1.0, 0.0]), 2);
        assert_eq!((curve[0].weight, curve[1].weight), (2.0, 1.0));
    }

    #[test]
    fn it_is_undefined_for_no_rows_and_the_absolute_error_for_one() {
        assert_eq!(ece(&Scored::new(&[], &[])), None);
        assert_eq!(ece(&Scored::new(&[0.0], &[1.0])), Some(0.5));
        assert!(ece(&Scored::new(&[f32::NAN, 0.0], &[1.0, 1.0])).unwrap().is_nan());
    }
}
