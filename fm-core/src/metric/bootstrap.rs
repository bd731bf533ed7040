//! How much a metric varies between samples of rows.

use rand::RngExt;

use crate::seed::{Stream, generator};

/// Number of resamples: those that have [`UNITS`] together, but at least [`LEAST`] and at most [`MOST`].
const MOST: usize = 400;
const LEAST: usize = 50;
const UNITS: usize = 4_000_000;

/// The standard errors of statistics of `n` units, such as rows or users: the standard deviation of each statistic over
/// resamples of the units with replacement. About 95% of the intervals of 1.96 standard errors around a metric contain the
/// metric of the population. Of more than 80,000 units, a resample has as many, and the errors are scaled by the root of the
/// share. `statistics` gets the units of a resample, of which some occur several times; resamples for
/// which a statistic is undefined do not count. The same units always give the same errors. `None` if fewer than half of the
/// resamples count.
///
/// Source: Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 1979,
/// <https://doi.org/10.1214/aos/1176344552>.
///
/// ```
/// use fm_core::metric::standard_errors;
///
/// let losses: Vec<f64> = (0..1000).map(|row| f64::from(row % 10)).collect();
/// let mean = |rows: &[usize]| Some([rows.iter().map(|&row| losses[row]).sum::<f64>() / 1000.0]);
/// let [error] = standard_errors(1000, mean).unwrap();
/// assert!((error - (8.25f64 / 1000.0).sqrt()).abs() < 0.01); // the standard deviation over the root of the number
/// ```
pub fn standard_errors<const N: usize>(
    n: usize,
    mut statistics: impl FnMut(&[usize]) -> Option<[f64; N]>,
) -> Option<[f64; N]> {
    if n == 0 {
        return None;
    }
    let m = n.min(UNITS / LEAST);
    let resamples = (UNITS / m).clamp(LEAST, MOST);
    let scale = (m as f64 / n as f64).sqrt();
    let mut random = generator(0, Stream::Resamples);
    let mut units = vec![0; m];
    let (mut count, mut means, mut squares) = (0usize, [0.0; N], [0.0; N]);
    for _ in 0..resamples {
        units.iter_mut().for_each(|unit| *unit = random.random_range(0..n));
        let Some(values) = statistics(&units) else { continue };
        count += 1;
        for ((mean, square), value) in means.iter_mut().zip(&mut squares).zip(values) {
            let difference = value - *mean;
            *mean += difference / count as f64;
            *square += difference * (value - *mean);
        }
    }
    (2 * count >= resamples && count > 1).then(|| squares.map(|square| scale * (square / (count - 1) as f64).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Scored, auc};

    #[test]
    fn the_error_of_an_auc_is_that_of_its_formula() {
        // Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 1982, for scores with exponential
        // distributions: the positive rows' scores are a times as large, and the AUC is a / (1 + a).
        let (n, a) = (2000, 3.0f64);
        let score = |row: usize| {
            let u = ((row / 2) as f64 + 0.5) / (n / 2) as f64;
            (-u.ln() * if row % 2 == 1 { a } else { 1.0 }) as f32
        };
        let scores: Vec<f32> = (0..n).map(score).collect();
        let labels: Vec<f32> = (0..n).map(|row| (row % 2) as f32).collect();
        let of = |rows: &[usize]| {
            let pick = |all: &[f32]| rows.iter().map(|&row| all[row]).collect::<Vec<f32>>();
            Some([auc(&Scored::new(&pick(&scores), &pick(&labels)))?])
        };
        let [error] = standard_errors(n, of).unwrap();
        let (auc, half) = (a / (1.0 + a), (n / 2) as f64);
        let (q1, q2) = (auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc));
        let (positive, negative) = (q1 - auc * auc, q2 - auc * auc);
        let expected = ((auc * (1.0 - auc) + (half - 1.0) * (positive + negative)) / (half * half)).sqrt();
        assert!((error / expected - 1.0).abs() < 0.15, "{error} {expected}");
    }

    #[test]
    fn many_units_are_resampled_in_part() {
        let n = 320_000;
        let mut most = 0;
        let mean = |rows: &[usize]| {
            most = most.max(rows.len());
            Some([rows.iter().map(|&row| (row % 10) as f64).sum::<f64>() / rows.len() as f64])
        };
        let [error] = standard_errors(n, mean).unwrap();
        let expected = (8.25 / n as f64).sqrt();
        assert!((error / expected - 1.0).abs() < 0.3 && most == 80_000, "{error} {expected} {most}");
    }

    #[test]
    fn statistics_that_are_mostly_undefined_have_no_errors() {
        assert!(standard_errors(0, |_| Some([1.0])).is_none());
        assert!(standard_errors(9, |_| None::<[f64; 1]>).is_none());
        let mut calls = 0;
        let rarely = |_: &[usize]| {
            calls += 1;
            (calls % 3 == 0).then_some([1.0])
        };
        assert!(standard_errors(9, rarely).is_none());
        assert_eq!(standard_errors(9, |_| Some([1.0, 2.0])), Some([0.0, 0.0]));
    }
}
