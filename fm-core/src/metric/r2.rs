//! The coefficient of determination.

use super::Scored;

/// 1 - Σ w (p - y)² / Σ w (y - ȳ)² for predictions p, labels y with mean ȳ, and weights w: the share of the labels'
/// variance that the predictions explain. Always predicting ȳ has the value 0; worse predictions are negative. `None`
/// if all labels are equal.
///
/// Source: Wright, Correlation and causation, Journal of Agricultural Research 20, 1921.
///
/// ```
/// use fm_core::metric::{Scored, r2};
///
/// assert_eq!(r2(&Scored::new(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0])), Some(1.0 - 1.0 / 2.0));
/// assert_eq!(r2(&Scored::new(&[1.0, 2.0], &[3.0, 3.0])), None);
/// ```
pub fn r2(scored: &Scored<'_>) -> Option<f64> {
    let mut labels = scored.rows().map(|(_, label, _)| label);
    let first = labels.next()?;
    // Compare labels, because rounding can make their variance slightly positive.
    if labels.all(|label| label == first) {
        return None;
    }
    let mean = scored.mean(|_, label| label)?;
    let residual = scored.mean(|prediction, label| (prediction - label).powi(2))?;
    let variance = scored.mean(|_, label| (label - mean).powi(2))?;
    Some(1.0 - residual / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_undefined_for_equal_labels() {
        // The computed mean of thirds is not exactly 1/3.
        assert_eq!(r2(&Scored::new(&[0.0; 7], &[1.0 / 3.0; 7])), None);
        assert_eq!(r2(&Scored::new(&[1.0], &[2.0])), None);
        assert_eq!(r2(&Scored::new(&[], &[])), None);
        let weighted = Scored::new(&[1.0, 2.0, 3.0], &[2.0, 2.0, 5.0]).with_weights(Some(&[1.0, 1.0, 0.0]));
        assert_eq!(r2(&weighted), None);
    }

    #[test]
    fn the_mean_has_0_and_worse_predictions_are_negative() {
        assert_eq!(r2(&Scored::new(&[2.0; 3], &[1.0, 2.0, 3.0])), Some(0.0));
        assert_eq!(r2(&Scored::new(&[3.0, 2.0, 1.0], &[1.0, 2.0, 3.0])), Some(-3.0));
    }
}
