//! Temperature scaling.

use super::{Calibration, not_increasing, rows, sigmoid};
use crate::error::{Error, Result};
use crate::metric::Scored;

/// The range of the largest calibrated logit.
const RANGE: [f64; 2] = [1e-4, 1e3];

impl Calibration {
    /// Temperature scaling: logits are divided by the number that minimises the log loss. It corrects a model that is
    /// too sure, or not sure enough, but not one that is biased.
    ///
    /// Source: Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2,
    /// <https://arxiv.org/abs/1706.04599>.
    ///
    /// # Errors
    /// [`Error::Rows`] for rows of a single class, for scores that are not finite, if higher scores do not make the
    /// label more likely, or if the scores separate the classes.
    pub fn temperature(scored: &Scored<'_>) -> Result<Calibration> {
        let rows = rows(scored)?;
        // The loss is convex in the inverse β of the temperature; this is its derivative.
        let slope = |beta: f64| rows.iter().map(|(z, y, w)| w * z * (sigmoid(beta * z) - y)).sum::<f64>();
        let largest = rows.iter().map(|row| row.0.abs()).fold(0.0, f64::max);
        let [mut low, mut high] = RANGE.map(|logit| logit / largest);
        if slope(low) >= 0.0 {
            return Err(not_increasing());
        }
        if slope(high) <= 0.0 {
            return Err(Error::Rows("the scores separate the classes, so that no temperature is the best one".into()));
        }
        // Bisection on the scale of magnitudes, to the precision of float64.
        for _ in 0..100 {
            let middle = (low * high).sqrt();
            *(if slope(middle) < 0.0 { &mut low } else { &mut high }) = middle;
        }
        Ok(Calibration::Temperature { temperature: 1.0 / (low * high).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_temperature_of_the_least_log_loss() {
        let logits = [2.0, -1.0, 0.5, 3.0, -2.0, 1.5];
        let (labels, weights) = ([1.0, 0.0, 0.0, 1.0, 1.0, 0.0], [1.0, 2.0, 0.5, 3.0, 1.0, 1.0]);
        let scored = Scored::new(&logits, &labels).with_weights(Some(&weights));
        let Calibration::Temperature { temperature } = Calibration::temperature(&scored).unwrap() else { panic!() };
        let loss = |temperature: f64| -> f64 {
            let rows = logits.iter().zip(labels).zip(weights);
            rows.map(|((z, y), w)| {
                let p = sigmoid(f64::from(*z) / temperature);
                -f64::from(w) * if y > 0.5 { p.ln() } else { (1.0 - p).ln() }
            })
            .sum()
        };
        for other in [0.99, 1.01] {
            assert!(loss(temperature) < loss(other * temperature));
        }
    }

    #[test]
    fn separated_and_reversed_classes_have_no_temperature() {
        let of =
            |logits: [f32; 2]| Calibration::temperature(&Scored::new(&logits, &[0.0, 1.0])).unwrap_err().to_string();
        assert!(of([-1.0, 1.0]).contains("separate"));
        assert!(of([1.0, -1.0]).contains("not more likely"));
        assert!(of([0.0, 0.0]).contains("not more likely"));
        let small = Calibration::temperature(&Scored::new(&[1e-5, -1e-5, 1e-5], &[1.0, 0.0, 0.0])).unwrap();
        assert!(matches!(small, Calibration::Temperature { temperature } if temperature < 1e-3), "{small:?}");
    }
}
