//! Significance of the difference between two models.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The two-sided p-value of equal means of paired results: Student's t-test with Nadeau and Bengio's correction of the
/// variance for overlapping training sets, as in folds and random splits. `test_share` is n_test / n_train.
///
/// t = d̄ / √((1/n + n_test/n_train) s²), with n - 1 degrees of freedom, for the differences d of n pairs. Returns
/// `None` for fewer than two pairs, or if all differences are equal.
///
/// Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003, section 4,
/// <https://doi.org/10.1023/A:1024068626366>.
pub fn p_value(a: &[f64], b: &[f64], test_share: f64) -> Option<f64> {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let n = differences.len() as f64;
    if differences.len() < 2 {
        return None;
    }
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let t = mean / ((1.0 / n + test_share) * variance).sqrt();
    let distribution = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    t.is_finite().then(|| 2.0 * distribution.cdf(-t.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_overlap_it_is_the_paired_t_test() {
        // scipy.stats.ttest_rel([0.90, 0.91, 0.89, 0.92, 0.90], [0.92, 0.91, 0.92, 0.95, 0.91]).pvalue
        let (a, b) = ([0.90, 0.91, 0.89, 0.92, 0.90], [0.92, 0.91, 0.92, 0.95, 0.91]);
        assert!((p_value(&a, &b, 0.0).unwrap() - 0.036681989400440984).abs() < 1e-9);
        assert_eq!(p_value(&a, &b, 0.0), p_value(&b, &a, 0.0));
    }

    #[test]
    fn overlapping_training_rows_make_the_same_difference_less_certain() {
        // 2 * scipy.stats.t.sf(1.8 / sqrt((1 / 5 + 1 / 4) * 1.7), 4), for d = [1, 3, 0, 3, 2]
        let found = p_value(&[2.0, 5.0, 3.0, 7.0, 7.0], &[1.0, 2.0, 3.0, 4.0, 5.0], 0.25).unwrap();
        assert!((found - 0.10870095132492358).abs() < 1e-9, "{found}");
        assert!(found > p_value(&[2.0, 5.0, 3.0, 7.0, 7.0], &[1.0, 2.0, 3.0, 4.0, 5.0], 0.0).unwrap());
    }

    #[test]
    fn a_single_pair_or_equal_differences_say_nothing() {
        assert_eq!(p_value(&[1.0], &[2.0], 0.1), None);
        assert_eq!(p_value(&[1.0, 2.0], &[1.0, 2.0], 0.1), None);
    }
}
