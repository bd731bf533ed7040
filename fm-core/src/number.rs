//! Numbers in rows: which texts are numbers, and the value x that a number gives its slot.
//!
//! Any finite float64 is a number. x stays within limits, since models multiply the values of slots with each other in float32:
//! beyond some 1e19, a product of two is infinite, and a difference of two such products is NaN.

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
    ((number - mean) / std).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS) as f32
}

/// x of a sum of numbers that a list gives for one value, clamped to [`MAX_GIVEN`] and rounded to float32.
pub(crate) fn given(sum: f64) -> f32 {
    sum.clamp(-MAX_GIVEN, MAX_GIVEN) as f32
}
