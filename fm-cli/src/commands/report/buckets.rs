//! Buckets with about the same number of values.

/// At most `count` buckets with about the same number of values, in ascending order: the smallest and the largest value
/// of each. Equal values share a bucket.
pub fn buckets(values: impl IntoIterator<Item = f64>, count: usize) -> Vec<(f64, f64)> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let mut found: Vec<(f64, f64)> = vec![];
    let (mut done, mut last) = (0, None);
    for equal in values.chunk_by(|a, b| a == b) {
        // The position of the middle of the equal values among all values.
        let place = (2 * done + equal.len()) * count / (2 * values.len());
        match found.last_mut() {
            Some(bucket) if last == Some(place) => bucket.1 = equal[0],
            _ => found.push((equal[0], equal[0])),
        }
        (done, last) = (done + equal.len(), Some(place));
    }
    found
}

/// The index of the bucket of a value.
pub fn bucket_of(buckets: &[(f64, f64)], value: f64) -> Option<usize> {
    buckets.iter().position(|(low, high)| (*low..=*high).contains(&value))
}

/// A bucket as text.
pub fn range(low: f64, high: f64) -> String {
    match (short(low), short(high)) {
        (low, high) if low == high => low,
        (low, high) if low.starts_with('−') => format!("{low} to {high}"),
        (low, high) => format!("{low}–{high}"),
    }
}

/// A whole number as it is, any other number with three significant digits.
pub fn short(value: f64) -> String {
    let decimals = if value.fract() == 0.0 { 0.0 } else { 2.0 - value.abs().log10().floor() };
    let text = format!("{value:.*}", decimals.clamp(0.0, 9.0) as usize);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "−")
}

/// The quantile `q` of sorted values, interpolated linearly.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_even_and_never_separate_equal_values() {
        assert_eq!(buckets((1..=10).map(f64::from), 5), [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0), (9.0, 10.0)]);
        assert_eq!(buckets([1.0, 1.0, 1.0, 1.0, 2.0, 3.0], 3), [(1.0, 1.0), (2.0, 3.0)]);
        assert_eq!(buckets([1.0, 2.0, 2.0, 2.0, 2.0, 2.0], 2), [(1.0, 1.0), (2.0, 2.0)]);
        assert_eq!(buckets([5.0; 9], 5), [(5.0, 5.0)]);
        assert_eq!(buckets([], 5), []);
    }

    #[test]
    fn every_value_is_in_its_bucket() {
        let found = buckets([1.0, 2.0, 5.0, 9.0], 2);
        assert_eq!([1.0, 2.0, 5.0, 9.0].map(|value| bucket_of(&found, value)), [Some(0), Some(0), Some(1), Some(1)]);
        assert_eq!(bucket_of(&found, 3.0), None);
    }

    #[test]
    fn a_bucket_is_written_with_significant_digits() {
        let names = [(3.0, 3.0), (1.0, 123_456.0), (0.5, 3.5), (0.1f32.into(), 1.23456), (-20.25, 1199.6)];
        let expected = ["3", "1–123456", "0.5–3.5", "0.1–1.23", "−20.2 to 1200"];
        assert_eq!(names.map(|(low, high)| range(low, high)), expected);
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let found = [0.0, 0.25, 0.5, 0.9, 1.0].map(|q| quantile(&sorted, q).unwrap());
        for (found, expected) in found.into_iter().zip([1.0, 1.75, 3.0, 6.8, 8.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(quantile(&[], 0.5), None);
    }
}
