//! Root mean squared error.

use super::Scored;

/// √(Σ w (p - y)² / Σ w) for predictions p, labels y and weights w, in the label's unit. `None` for an empty set.
///
/// ```
/// use fm_core::metric::{Scored, rmse};
///
/// assert_eq!(rmse(&Scored::new(&[1.0, 5.0], &[4.0, 1.0])), Some(12.5f64.sqrt()));
/// ```
pub fn rmse(scored: &Scored<'_>) -> Option<f64> {
    scored.mean(|p, y| (p - y) * (p - y)).map(f64::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_root_of_the_mean_squared_error() {
        assert_eq!(rmse(&Scored::new(&[1.0, 5.0], &[4.0, 1.0])), Some(12.5f64.sqrt()));
        assert_eq!(rmse(&Scored::new(&[], &[])), None);
    }
}
