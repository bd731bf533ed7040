//! Normalized entropy.

use super::{Scored, logloss};

/// logloss / H(p) for logits and labels 0 or 1. H(p) = -p ln p - (1 - p) ln(1 - p) is the logloss of always predicting
/// p, the share of positives in the same rows. This constant prediction has the value 1 for any p, and lower is better.
/// `None` if a class is missing.
///
/// Source: He et al., Practical lessons from predicting clicks on ads at Facebook, ADKDD 2014, section 2,
/// <https://doi.org/10.1145/2648584.2648589>.
///
/// ```
/// use fm_core::metric::{Scored, normalized_entropy};
///
/// let always = (0.25f32 / 0.75).ln();
/// let value = normalized_entropy(&Scored::new(&[always; 4], &[0.0, 1.0, 0.0, 0.0]));
/// assert!((value.unwrap() - 1.0).abs() < 1e-7);
/// ```
pub fn normalized_entropy(scored: &Scored<'_>) -> Option<f64> {
    Some(logloss(scored)? / entropy(scored)?)
}

/// H(p). `None` if a class is missing and H(p) would be 0.
pub(super) fn entropy(scored: &Scored<'_>) -> Option<f64> {
    let p = scored.mean(|_, label| label)?;
    (p > 0.0 && p < 1.0).then(|| -p * p.ln() - (1.0 - p) * (-p).ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_class_has_no_normalized_entropy() {
        assert_eq!(normalized_entropy(&Scored::new(&[0.5, 0.1], &[1.0, 1.0])), None);
        assert_eq!(normalized_entropy(&Scored::new(&[0.5, 0.1], &[0.0, 0.0])), None);
        let weighted = Scored::new(&[0.5, 0.1, 0.2], &[1.0, 1.0, 0.0]).with_weights(Some(&[0.1, 0.2, 0.0]));
        assert_eq!(normalized_entropy(&weighted), None);
    }

    #[test]
    fn certain_predictions_have_0_if_right_and_more_than_1_if_wrong() {
        assert!(normalized_entropy(&Scored::new(&[99.0, -99.0], &[1.0, 0.0])).unwrap() < 1e-9);
        assert!(normalized_entropy(&Scored::new(&[-1.0, 1.0], &[1.0, 0.0])).unwrap() > 1.0);
    }
}
