//! Root mean squared error.

/// √(1/N Σ (p - y)²) of `predictions` and `labels`, in the label's unit; none of an empty set.
///
/// # Panics
/// If there are not as many labels as predictions.
///
/// ```
/// assert_eq!(fm_core::metric::rmse(&[1.0, 5.0], &[4.0, 1.0]), Some(12.5f64.sqrt()));
/// ```
pub fn rmse(predictions: &[f32], labels: &[f32]) -> Option<f64> {
    super::mean(predictions, labels, |p, y| (p - y) * (p - y)).map(f64::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_root_of_the_mean_square() {
        assert_eq!(rmse(&[1.0, 5.0], &[4.0, 1.0]), Some(12.5f64.sqrt()));
        assert_eq!(rmse(&[], &[]), None);
    }
}
