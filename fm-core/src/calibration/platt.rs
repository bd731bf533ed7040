//! Platt scaling.

use super::{Calibration, log_odds, not_increasing, rows, sigmoid};
use crate::error::Result;
use crate::metric::Scored;

/// Maximum number of Newton steps; a few are enough.
const STEPS: usize = 100;

impl Calibration {
    /// Platt scaling: a logistic regression of the label on the logit, whose targets are (N₊ + 1) / (N₊ + 2) and
    /// 1 / (N₋ + 2) instead of 1 and 0, so that it is finite even if the scores separate the classes.
    ///
    /// Source: Platt, Probabilistic outputs for support vector machines, 1999, with the algorithm of Lin, Lin and Weng,
    /// A note on Platt's probabilistic outputs for support vector machines, 2007,
    /// <https://doi.org/10.1007/s10994-007-5018-6>.
    ///
    /// # Errors
    /// [`Error::Rows`](crate::Error::Rows) for rows of a single class, for scores that are not finite, or if higher
    /// scores do not make the label more likely.
    pub fn platt(scored: &Scored<'_>) -> Result<Calibration> {
        let rows = rows(scored)?;
        let weight_of = |is_of: fn(f64) -> bool| -> f64 {
            rows.iter().filter(|(_, label, _)| is_of(*label)).map(|(_, _, weight)| weight).sum()
        };
        let (positives, negatives) = (weight_of(|label| label > 0.5), weight_of(|label| label <= 0.5));
        let target = |label: f64| match label > 0.5 {
            true => (positives + 1.0) / (positives + 2.0),
            false => 1.0 / (negatives + 2.0),
        };
        let loss = |slope: f64, intercept: f64| -> f64 {
            let of_row = |&(z, y, w): &(f64, f64, f64)| {
                let logit = slope * z + intercept;
                w * (logit.max(0.0) - logit * target(y) + (-logit.abs()).exp().ln_1p())
            };
            rows.iter().map(of_row).sum()
        };
        let (mut slope, mut intercept) = (0.0, log_odds((positives + 1.0) / (positives + negatives + 2.0)));
        let mut current = loss(slope, intercept);
        for _ in 0..STEPS {
            // Gradient and Hessian, which a small number on its diagonal keeps regular.
            let (mut by_slope, mut by_intercept) = (0.0, 0.0);
            let (mut slopes, mut both, mut intercepts) = (1e-12, 0.0, 1e-12);
            for &(z, y, w) in &rows {
                let p = sigmoid(slope * z + intercept);
                let (error, curvature) = (w * (p - target(y)), w * p * (1.0 - p));
                by_slope += error * z;
                by_intercept += error;
                slopes += curvature * z * z;
                both += curvature * z;
                intercepts += curvature;
            }
            let determinant = slopes * intercepts - both * both;
            let step_slope = (both * by_intercept - intercepts * by_slope) / determinant;
            let step_intercept = (both * by_slope - slopes * by_intercept) / determinant;
            // The step is halved until the loss decreases.
            let shorter = (0..40).map(|halvings| 0.5f64.powi(halvings)).find_map(|scale| {
                let (slope, intercept) = (slope + scale * step_slope, intercept + scale * step_intercept);
                let next = loss(slope, intercept);
                (next < current).then_some((slope, intercept, next))
            });
            // Rounding is all that is left.
            let Some(shorter) = shorter else { break };
            (slope, intercept, current) = shorter;
        }
        if slope <= 0.0 { Err(not_increasing()) } else { Ok(Calibration::Platt { slope, intercept }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_scikit_learn() {
        let (scores, labels) = rows_of_scikit_learn();
        let found = Calibration::platt(&Scored::new(&scores, &labels)).unwrap();
        let Calibration::Platt { slope, intercept } = found else { panic!() };
        let [expected_slope, expected_intercept] = [0.4600626418, -0.9638634913];
        assert!(
            (slope - expected_slope).abs() < 1e-6 && (intercept - expected_intercept).abs() < 1e-6,
            "{slope} {intercept}"
        );
    }

    /// Rows that a program in any language can make: 200 logits, of which every third or so is positive.
    fn rows_of_scikit_learn() -> (Vec<f32>, Vec<f32>) {
        let scores: Vec<f32> = (0..200u32).map(|row| (row * 37 % 200) as f32 / 25.0 - 4.0).collect();
        let is_positive = |(row, score): (usize, &f32)| {
            f32::from((row * 53 % 100) as f32 / 100.0 < 1.0 / (1.0 + (1.0 - score / 2.0).exp()))
        };
        let labels = scores.iter().enumerate().map(is_positive).collect();
        (scores, labels)
    }

    #[test]
    fn a_row_of_weight_two_counts_like_two_and_the_unit_of_weights_does_not_matter() {
        let (scores, labels) = rows_of_scikit_learn();
        let slope = |scores: &[f32], labels: &[f32], weights: Option<&[f32]>| -> f64 {
            let scored = Scored::new(scores, labels).with_weights(weights);
            let Calibration::Platt { slope, .. } = Calibration::platt(&scored).unwrap() else { panic!() };
            slope
        };
        let whole = slope(&scores, &labels, None);
        for unit in [1e-4, 1.0, 1e3] {
            assert!((slope(&scores, &labels, Some(&vec![unit; scores.len()])) - whole).abs() < 1e-6, "{unit}");
        }
        let weights: Vec<f32> = (0..scores.len()).map(|row| if row < 50 { 2.0 } else { 1.0 }).collect();
        let twice = |all: &[f32]| [&all[..50], all].concat();
        let repeated = slope(&twice(&scores), &twice(&labels), None);
        // The targets depend slightly on the number of rows.
        assert!((slope(&scores, &labels, Some(&weights)) - repeated).abs() < 1e-2);
    }

    #[test]
    fn separated_classes_have_a_finite_slope_and_reversed_ones_none() {
        let of = |logits: [f32; 2]| Calibration::platt(&Scored::new(&logits, &[0.0, 1.0]));
        assert!(matches!(of([-1.0, 1.0]), Ok(Calibration::Platt { slope, .. }) if slope > 0.0 && slope < 10.0));
        for logits in [[1.0, -1.0], [2.0, 2.0]] {
            assert!(of(logits).unwrap_err().to_string().contains("not more likely"));
        }
    }
}
