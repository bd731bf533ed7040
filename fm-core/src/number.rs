//! Numbers in rows: which texts are numbers, and the value x that a number gives its slot.
//!
//! Any finite float64 is a number. x stays within limits, since models multiply the values of slots with each other in float32:
//! beyond some 1e19, a product of two is infinite, and a difference of two such products is NaN.

use std::f64::consts::TAU;

/// The limit of the value of a numeric field: a number farther than this many standard deviations from the mean is clamped.
pub const MAX_DEVIATIONS: f64 = 100.0;

/// The limit of the value of a slot whose number the text of a list gives, as in `action:0.5`. Larger values are clamped.
pub const MAX_GIVEN: f64 = 1e6;

/// Numbers closer to 0 than this are 0: not all of them have a float64.
const LEAST: f64 = 1e-300;

/// The finite number in a text, with or without ASCII spaces around it.
///
/// ```
/// use fm_core::number::number;
///
/// assert_eq!([" 4.5e1\n", "1e300", "1e-310"].map(number), [Some(45.0), Some(1e300), Some(0.0)]);
/// assert_eq!(["", "n/a", "1,5", "inf", "NaN", "1e400"].map(number), [None; 6]);
/// ```
pub fn number(text: &str) -> Option<f64> {
    let number: f64 = text.trim_ascii().parse().ok()?;
    number.is_finite().then_some(if number.abs() < LEAST { 0.0 } else { number })
}

/// x of a number in a numeric field: (number - mean) / std in float64, clamped to [`MAX_DEVIATIONS`], and then rounded to float32.
///
/// ```
/// use fm_core::number::standardised;
///
/// assert_eq!(standardised(1_700_000_000_250.0, 1_700_000_000_000.0, 500.0), 0.5);
/// assert_eq!([1e30, -1e30].map(|number| standardised(number, 30.0, 10.0)), [100.0, -100.0]);
/// ```
pub fn standardised(number: f64, mean: f64, std: f64) -> f32 {
    Scale::standard(mean, std).x(number)
}

/// How the number of a dense field becomes x: (number - centre) / unit in float64, clamped to limits, and then rounded to
/// float32. A logarithm or a wave may come first.
///
/// ```
/// use fm_core::number::{Curve, Scale};
///
/// let log = Scale::log(0.0, 2.0);
/// assert_eq!([0.0, 19.0, -19.0].map(|number| log.x(number)), [0.0, 20f64.ln() as f32 / 2.0, -(20f64.ln() as f32) / 2.0]);
/// assert_eq!([0.0, 10.0, 15.0, 1e30].map(|number| Scale::min_max(10.0, 20.0).x(number)), [0.0, 0.0, 0.25, 1.0]);
/// assert_eq!([0.5, -1e30].map(|number| Scale::identity().x(number)), [0.5, -1e6]);
/// assert_eq!([6.0, 18.0, 30.0].map(|hour| Scale::wave(Curve::Sin, 24.0).x(hour)), [1.0, -1.0, 1.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// What takes the place of the number.
    pub curve: Curve,
    /// What is subtracted.
    pub centre: f64,
    /// What the difference is divided by.
    pub unit: f64,
    /// The smallest and the greatest x.
    pub limits: [f64; 2],
}

impl Scale {
    /// Standardised numbers.
    pub fn standard(mean: f64, std: f64) -> Scale {
        Scale { curve: Curve::Line, centre: mean, unit: std, limits: [-MAX_DEVIATIONS, MAX_DEVIATIONS] }
    }

    /// Standardised logarithms.
    pub fn log(mean: f64, std: f64) -> Scale {
        Scale { curve: Curve::Log, ..Scale::standard(mean, std) }
    }

    /// Numbers from `min` to `min + range` become x from 0 to 1.
    pub fn min_max(min: f64, range: f64) -> Scale {
        Scale { curve: Curve::Line, centre: min, unit: range, limits: [0.0, 1.0] }
    }

    /// Numbers as they are.
    pub fn identity() -> Scale {
        Scale { curve: Curve::Line, centre: 0.0, unit: 1.0, limits: [-MAX_GIVEN, MAX_GIVEN] }
    }

    /// The sine or the cosine of a number that repeats after `period`. No x is at a limit.
    pub fn wave(curve: Curve, period: f64) -> Scale {
        Scale { curve, centre: 0.0, unit: period, limits: [-2.0, 2.0] }
    }

    /// x of a finite number.
    #[inline]
    pub fn x(self, number: f64) -> f32 {
        let number = if self.curve == Curve::Log { log(number) } else { number };
        let x = (number - self.centre) / self.unit;
        // Beyond a million periods, a wave stays what it is.
        let angle = || TAU * x.clamp(-MAX_GIVEN, MAX_GIVEN);
        let x = match self.curve {
            Curve::Line | Curve::Log => x,
            Curve::Sin => angle().sin(),
            Curve::Cos => angle().cos(),
        };
        x.clamp(self.limits[0], self.limits[1]) as f32
    }

    /// |x| of numbers that are clamped. Infinite if the smallest and the greatest numbers of the training rows have the same
    /// x, too, so that it says nothing.
    pub fn limit(self) -> f32 {
        let [low, high] = self.limits;
        if low == -high { high as f32 } else { f32::INFINITY }
    }
}

/// The function of a number whose value is scaled, or that of a scaled number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// The number itself.
    Line,
    /// The logarithm of the number: [`log`].
    Log,
    /// The sine of 2π times the scaled number.
    Sin,
    /// The cosine of 2π times the scaled number.
    Cos,
}

/// sign(number) ln(1 + |number|): a logarithm of counts and prices, which may be 0 or negative.
pub fn log(number: f64) -> f64 {
    number.abs().ln_1p().copysign(number)
}

/// The bucket of a number: how many of the ascending edges it reaches.
///
/// ```
/// use fm_core::number::bucket;
///
/// assert_eq!([-1e300, 1.5, 2.0, 1e300].map(|number| bucket(number, &[1.0, 2.0])), [0, 1, 2, 2]);
/// ```
pub fn bucket(number: f64, edges: &[f64]) -> usize {
    edges.partition_point(|edge| *edge <= number)
}

/// x of a sum of numbers that a list gives for one value, clamped to [`MAX_GIVEN`] and rounded to float32.
pub(crate) fn given(sum: f64) -> f32 {
    sum.clamp(-MAX_GIVEN, MAX_GIVEN) as f32
}
