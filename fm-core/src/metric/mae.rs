//! Mean absolute error.

use super::Scored;

/// Σ w |p - y| / Σ w for predictions p, labels y and weights w, in the label's unit. `None` for an empty set.
///
/// ```
/// use fm_core::metric::{Scored, mae};
///
/// assert_eq!(mae(&Scored::new(&[1.0, 5.0], &[4.0, 1.0])), Some(3.5));
/// ```
pub fn mae(scored: &Scored<'_>) -> Option<f64> {
    scored.mean(|p, y| (p - y).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_absolute_error() {
        assert_eq!(mae(&Scored::new(&[1.0, 5.0], &[4.0, 1.0])), Some(3.5));
        assert_eq!(mae(&Scored::new(&[], &[])), None);
    }
}
