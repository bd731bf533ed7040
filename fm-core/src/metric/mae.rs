//! Mean absolute error.

/// 1/N Σ |p - y| of `predictions` and `labels`, in the label's unit; none of an empty set.
///
/// # Panics
/// If there are not as many labels as predictions.
///
/// ```
/// assert_eq!(fm_core::metric::mae(&[1.0, 5.0], &[4.0, 1.0]), Some(3.5));
/// ```
pub fn mae(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    super::mean(predictions, labels, |p, y| (p - y).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_distance() {
        assert_eq!(mae(&[1.0, 5.0], &[4.0, 1.0]), Some(3.5));
        assert_eq!(mae(&[], &[]), None);
    }
}
