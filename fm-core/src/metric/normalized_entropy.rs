//! Normalized entropy.

use super::{Scored, logloss};

/// logloss / H(p), of logits and labels 0 or 1: H(p) = -p ln p - (1 - p) ln(1 - p) is the logloss of always predicting p,
/// the share of positives among the same rows. So 1 is what this constant gets, and less is better, whatever p is. None
/// if one of the classes is missing.
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

/// H(p); none if one of the classes is missing, of which it would be 0.
pub(super) fn entropy(scored: &Scored<'_>) -> Option<f64> {
    let p = scored.mean(|_, label| label)?;
    (p > 0.0 && p < 1.0).then(|| -p * p.ln() - (1.0 - p) * (-p).ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_alone_has_none() {
        assert_eq!(normalized_entropy(&Scored::new(&[0.5, 0.1], &[1.0, 1.0])), None);
        assert_eq!(normalized_entropy(&Scored::new(&[0.5, 0.1], &[0.0, 0.0])), None);
        let weighted = Scored::new(&[0.5, 0.1, 0.2], &[1.0, 1.0, 0.0]).with_weights(Some(&[0.1, 0.2, 0.0]));
        assert_eq!(normalized_entropy(&weighted), None);
    }

    #[test]
    fn a_model_that_is_sure_and_right_gets_nothing_and_one_that_is_wrong_more_than_one() {
        assert!(normalized_entropy(&Scored::new(&[99.0, -99.0], &[1.0, 0.0])).unwrap() < 1e-9);
        assert!(normalized_entropy(&Scored::new(&[-1.0, 1.0], &[1.0, 0.0])).unwrap() > 1.0);
    }
}
