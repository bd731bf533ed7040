//! Calibration after training: a map from a binary model's logits to log-odds that agree with how often the label is 1.
//!
//! The map is fitted on rows that the model was not trained on. It never decreases, so it keeps the order of rows.
//!
//! ```
//! use fm_core::calibration::Calibration;
//! use fm_core::metric::{Scored, logloss};
//! use fm_core::tch::Tensor;
//!
//! // The model is too sure: it says 95 % where three of four rows are positive.
//! let logits = [3.0, 3.0, 3.0, 3.0, -3.0, -3.0, -3.0, -3.0];
//! let labels = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
//! let calibration = Calibration::temperature(&Scored::new(&logits, &labels))?;
//! let calibrated = Vec::<f32>::try_from(calibration.map(fm_core::tch::Device::Cpu)?.apply(&Tensor::from_slice(&logits))?)?;
//! assert!((calibrated[0] - 3f32.ln()).abs() < 1e-5); // the log-odds of 75 %
//! assert!(logloss(&Scored::new(&calibrated, &labels)) < logloss(&Scored::new(&logits, &labels)));
//! # Ok::<(), fm_core::Error>(())
//! ```

mod calibrated;
mod isotonic;
mod platt;
mod temperature;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::metric::Scored;

pub use calibrated::Calibrated;

/// A map from logits to log-odds, with natural logarithms, that never decreases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum Calibration {
    /// z ↦ slope · z + intercept; see [`Calibration::platt`].
    Platt {
        /// More than 0.
        slope: f64,
        /// The log-odds of a logit of 0.
        intercept: f64,
    },
    /// z ↦ z / temperature; see [`Calibration::temperature`].
    Temperature {
        /// More than 0. Above 1, the model was too sure.
        temperature: f64,
    },
    /// z ↦ lowest + Σ rise · clamp((z − from) / (to − from), 0, 1); see [`Calibration::isotonic`].
    Isotonic {
        /// The log-odds of the smallest logits, with natural logarithms.
        lowest: f64,
        /// Where the log-odds rise, in ascending order.
        rises: Vec<Rise>,
    },
}

/// A part of the line in which it rises. It is flat between its rises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rise {
    /// The logit where the rise begins.
    pub from: f64,
    /// The logit where it ends.
    pub to: f64,
    /// By how much the log-odds rise.
    pub rise: f64,
}

impl Calibration {
    /// The name of the method.
    pub fn name(&self) -> &'static str {
        match self {
            Calibration::Platt { .. } => "platt",
            Calibration::Temperature { .. } => "temperature",
            Calibration::Isotonic { .. } => "isotonic",
        }
    }

    /// The map over tensors of a device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for numbers that are not finite, or a map that decreases.
    pub fn map(&self, device: Device) -> Result<Map> {
        let tensor = |numbers: &[f64]| Tensor::from_slice(numbers).to_kind(Kind::Float).to_device(device);
        let is_valid = |numbers: &[f64]| numbers.iter().all(|number| (*number as f32).is_finite());
        let map = match self {
            &Calibration::Platt { slope, intercept } => (slope > 0.0 && is_valid(&[slope, intercept]))
                .then(|| Map::line(tensor(&[slope]), tensor(&[intercept]))),
            &Calibration::Temperature { temperature } => (temperature > 0.0
                && is_valid(&[temperature, 1.0 / temperature]))
            .then(|| Map::line(tensor(&[1.0 / temperature]), tensor(&[0.0]))),
            Calibration::Isotonic { lowest, rises } => {
                let all = |of: fn(&Rise) -> f64| rises.iter().map(of).collect::<Vec<f64>>();
                let (from, slope, rise) = (all(|at| at.from), all(|at| 1.0 / (at.to - at.from)), all(|at| at.rise));
                let ascends = rises.windows(2).all(|pair| pair[0].to <= pair[1].from);
                let is_rise = rises.iter().all(|at| at.to > at.from && at.rise >= 0.0);
                (ascends && is_rise && is_valid(&[&[*lowest], &from[..], &slope, &rise].concat())).then(|| Map {
                    rises: Some([tensor(&from), tensor(&slope)]),
                    slope: tensor(&rise),
                    intercept: tensor(&[*lowest]),
                })
            }
        };
        map.ok_or_else(|| Error::Unsupported("a calibration has finite numbers and never decreases".into()))
    }
}

/// A [`Calibration`] as tensors.
#[derive(Debug)]
pub struct Map {
    /// `[K]` each: where the rises begin, and the reciprocals of their lengths.
    rises: Option<[Tensor; 2]>,
    /// `[1]` or `[K]`.
    slope: Tensor,
    /// `[1]`
    intercept: Tensor,
}

impl Map {
    fn line(slope: Tensor, intercept: Tensor) -> Map {
        Map { rises: None, slope, intercept }
    }

    /// The calibrated logits, of the same shape.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn apply(&self, logits: &Tensor) -> Result<Tensor> {
        let above_lowest = match &self.rises {
            None => logits.f_mul(&self.slope)?,
            Some([from, slope]) => {
                let parts = logits.f_unsqueeze(-1)?.f_sub(from)?.f_mul(slope)?.f_clamp(0.0, 1.0)?; // [..., K]
                parts.f_mul(&self.slope)?.f_sum_dim_intlist(&[-1i64][..], false, Kind::Float)?
            }
        };
        Ok(above_lowest.f_add(&self.intercept)?)
    }
}

/// The logit, the label and the weight of each row, of which both classes and several logits are needed. Weights have a
/// mean of 1, so that their unit does not matter.
fn rows(scored: &Scored<'_>) -> Result<Vec<(f64, f64, f64)>> {
    let mut rows: Vec<(f64, f64, f64)> = scored.rows().collect();
    let mean = rows.iter().map(|row| row.2).sum::<f64>() / rows.len() as f64;
    rows.iter_mut().for_each(|row| row.2 /= mean);
    if rows.iter().any(|(logit, ..)| !logit.is_finite()) {
        return Err(Error::Rows("scores that are not finite numbers cannot be calibrated".into()));
    }
    if !(rows.iter().any(|row| row.1 > 0.5) && rows.iter().any(|row| row.1 <= 0.5)) {
        return Err(Error::Rows("calibration needs rows of both classes".into()));
    }
    if rows.iter().all(|row| row.0 == rows[0].0) {
        return Err(not_increasing());
    }
    Ok(rows)
}

/// The error for rows in which the label does not become more likely with the score.
fn not_increasing() -> Error {
    Error::Rows(
        "the label is not more likely where the score is higher, so no calibration helps: train a better model".into(),
    )
}

/// 1 / (1 + e⁻ᶻ)
fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The log-odds of a probability.
fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_maps_are_refused() {
        let rise = |from, to, rise| Rise { from, to, rise };
        for invalid in [
            Calibration::Platt { slope: 0.0, intercept: 1.0 },
            Calibration::Platt { slope: 1.0, intercept: f64::NAN },
            Calibration::Temperature { temperature: -1.0 },
            Calibration::Temperature { temperature: 1e-300 },
            Calibration::Isotonic { lowest: f64::INFINITY, rises: vec![] },
            Calibration::Isotonic { lowest: 0.0, rises: vec![rise(1.0, 1.0, 1.0)] },
            Calibration::Isotonic { lowest: 0.0, rises: vec![rise(0.0, 1.0, -1.0)] },
            Calibration::Isotonic { lowest: 0.0, rises: vec![rise(0.0, 2.0, 1.0), rise(1.0, 3.0, 1.0)] },
        ] {
            assert!(invalid.map(Device::Cpu).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn a_map_has_a_text_that_reads_back() {
        let isotonic = Calibration::Isotonic { lowest: -2.5, rises: vec![Rise { from: -1.0, to: -0.5, rise: 0.25 }] };
        for calibration in [Calibration::Platt { slope: 0.1, intercept: -3.0 }, isotonic] {
            let text = serde_json::to_string(&calibration).unwrap();
            assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), calibration);
        }
    }

    #[test]
    fn rows_of_one_class_or_with_nan_cannot_be_calibrated() {
        for (scores, labels) in [([1.0, 2.0], [1.0, 1.0]), ([1.0, 2.0], [0.0, 0.0]), ([f32::NAN, 2.0], [0.0, 1.0])] {
            let scored = Scored::new(&scores, &labels);
            for fit in [Calibration::platt, Calibration::temperature, Calibration::isotonic] {
                assert!(matches!(fit(&scored), Err(Error::Rows(_))));
            }
        }
    }
}
