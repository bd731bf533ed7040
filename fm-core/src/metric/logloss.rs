//! Logarithmic loss.

use super::Scored;

/// -Σ w (y ln σ(z) + (1 - y) ln(1 - σ(z))) / Σ w for logits z, labels y and weights w, with natural logarithms and
/// without clipping. `None` for an empty set.
///
/// ```
/// use fm_core::metric::{Scored, logloss};
///
/// assert_eq!(logloss(&Scored::new(&[0.0, 0.0], &[1.0, 0.0])), Some(2f64.ln())); // both probabilities are 1/2
/// ```
pub fn logloss(scored: &Scored<'_>) -> Option<f64> {
    scored.mean(|z, y| z.max(0.0) - z * y + (-z.abs()).exp().ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_finite_for_certain_predictions() {
        let p = 1.0 / (1.0 + (-0.3f32).exp());
        let expected = f64::from(-p.ln() - (1.0 - p).ln()) / 2.0;
        assert!((logloss(&Scored::new(&[0.3, 0.3], &[1.0, 0.0])).unwrap() - expected).abs() < 1e-6);
        assert_eq!(logloss(&Scored::new(&[200.0], &[0.0])), Some(200.0));
        assert_eq!(logloss(&Scored::new(&[], &[])), None);
    }
}
