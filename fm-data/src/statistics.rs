//! Mean, standard deviation and range of a numeric field, which extreme numbers do not decide, and what is odd about its
//! cells.

use std::fmt;
use std::ops::RangeInclusive;

use fm_core::FieldKind;
use fm_core::number::{MAX_DEVIATIONS, MAX_GIVEN, log, number};
use fm_core::schema::Transform;
use fm_core::terminal::shortened;

/// Numbers farther from the quartiles than this many interquartile ranges do not count.
const MAX_RANGES: f64 = 100.0;

/// A repeated number farther from all others than this many times their range looks like a code for missing values.
const CODE_RANGES: f64 = 3.0;

/// The quantiles that warnings show, and those that statistics use.
const SHARES: [f64; 5] = [0.01, 0.25, 0.5, 0.75, 0.99];

/// The statistics of some cells.
pub(crate) struct Statistics<'a> {
    /// The mean of the numbers that count.
    pub mean: f64,
    /// Their standard deviation; 1 if they are equal.
    pub std: f64,
    /// The smallest of them.
    pub min: f64,
    /// The difference between the greatest of them and the smallest; 1 if they are equal.
    pub range: f64,
    /// The numbers.
    numbers: Vec<f64>,
    /// The numbers at `SHARES` of their order.
    quantiles: [f64; SHARES.len()],
    /// Between which of the numbers, or of their logarithms, they count.
    counting: RangeInclusive<f64>,
    is_log: bool,
    /// Number of texts that are not numbers, and the first one.
    malformed: (usize, Option<&'a str>),
    /// A number that looks like a code for missing values, and how often it occurs.
    code: Option<(f64, usize)>,
}

impl<'a> Statistics<'a> {
    /// Those of some cells, or of their logarithms. None without a finite number.
    pub fn new(cells: impl Iterator<Item = &'a str>, is_log: bool) -> Option<Statistics<'a>> {
        let (mut numbers, mut malformed) = (vec![], (0, None));
        for text in cells.filter(|text| !text.trim().is_empty()) {
            match number(text) {
                Some(number) => numbers.push(number),
                None => malformed = (malformed.0 + 1, malformed.1.or(Some(text))),
            }
        }
        let quantiles_of_numbers = quantiles(&mut numbers.clone(), &SHARES)?;
        let logarithms: Option<Vec<f64>> = is_log.then(|| numbers.iter().copied().map(log).collect());
        let scaled = logarithms.as_ref().unwrap_or(&numbers);
        let quantiles = quantiles(&mut scaled.clone(), &SHARES)?;
        let [_, first, median, third, _] = quantiles;
        let reach = MAX_RANGES * typical_range(&quantiles, scaled);
        let counting = first - reach..=third + reach;
        let counted = || scaled.iter().copied().filter(|x| counting.contains(x));
        let (mean, std) = moments(counted(), median);
        let (min, max) = (counted().fold(f64::INFINITY, f64::min), counted().fold(f64::NEG_INFINITY, f64::max));
        let range = if max > min { (max - min).min(f64::MAX) } else { 1.0 };
        let code = code(scaled, |x| counting.contains(&x)).and_then(|(code, count)| {
            let at = scaled.iter().position(|&x| x == code)?;
            Some((numbers[at], count))
        });
        let quantiles = quantiles_of_numbers;
        Some(Statistics { mean, std, min, range, numbers, quantiles, counting, is_log, malformed, code })
    }

    /// The numbers.
    pub fn numbers(&self) -> Vec<f64> {
        self.numbers.clone()
    }

    /// How many numbers of a field of this kind do not count or are clamped, the first one, and what is done about them and what
    /// to do.
    fn extreme(&self, kind: &FieldKind) -> (usize, Option<f64>, String) {
        let is_outside = |x: f64| !self.counting.contains(&if self.is_log { log(x) } else { x });
        let scale = kind.scale();
        let is_clamped = |x: f64| scale.is_some_and(|scale| scale.x(x).abs() >= scale.limit());
        let is_extreme = |x: f64| match kind {
            FieldKind::Transformed(Transform::Identity) => is_clamped(x),
            FieldKind::Transformed(Transform::Sin { .. } | Transform::Cos { .. }) => false,
            _ => scale.is_some() && (is_outside(x) || is_clamped(x)),
        };
        let mut extremes = self.numbers.iter().copied().filter(|&x| is_extreme(x));
        let (count, first) = (extremes.clone().count(), extremes.next());
        let (done, instead) = match kind {
            FieldKind::Transformed(Transform::Identity) => {
                (format!("clamped to {MAX_GIVEN}"), ", or declare another transform")
            }
            FieldKind::Transformed(Transform::MinMax { .. }) => {
                ("left out of the range and clamped to it".into(), ", or declare transform = \"log\" or \"buckets\"")
            }
            _ => (
                format!("left out of the mean and clamped to {MAX_DEVIATIONS} standard deviations"),
                if self.is_log {
                    ", or declare transform = \"buckets\""
                } else {
                    ", or declare transform = \"log\" or \"buckets\""
                },
            ),
        };
        (count, first, format!("{done}: correct them, list them in null_values if they mean missing{instead}"))
    }

    /// What is odd about the training rows' cells in the field of this name and kind: a line each, with what to do.
    pub fn warnings(&self, field: &str, kind: &FieldKind) -> Vec<String> {
        let n = self.numbers.len();
        let [low, _, median, _, high] = self.quantiles.map(Number);
        let range = format!("1% are below {low}, half below {median}, 1% above {high}");
        let mut warnings = vec![];
        if let (count, Some(example)) = self.malformed {
            warnings.push(format!(
                "field `{field}`: {count} of {} values in the training rows are not numbers and count as missing, such as `{}`: \
                 write numbers as in 1234.5, or list what means missing in null_values",
                n + count,
                shortened(example, 40)
            ));
        }
        let (count, extreme, done) = self.extreme(kind);
        if let Some(example) = extreme {
            warnings.push(format!(
                "field `{field}`: {count} of {n} numbers in the training rows are extreme, such as {} ({range}); they are {done}",
                Number(example)
            ));
        }
        // In buckets, a code is a category.
        if let Some((code, count)) = self.code.filter(|(code, _)| extreme != Some(*code) && kind.is_dense()) {
            warnings.push(format!(
                "field `{field}`: {count} of {n} numbers in the training rows are {}, far from all others ({range}): if that means \
                 missing, list it in null_values",
                Number(code)
            ));
        }
        warnings
    }
}

/// The numbers at these shares of their order, which ascend. None without a number.
fn quantiles<const N: usize>(numbers: &mut [f64], shares: &[f64; N]) -> Option<[f64; N]> {
    let last = numbers.len().checked_sub(1)?;
    Some(shares.map(|share| {
        let at = (last as f64 * share).round() as usize;
        *numbers.select_nth_unstable_by(at, f64::total_cmp).1
    }))
}

/// The interquartile range. If it is 0, the range without the lowest and the highest 1 %; if that is 0, too, the interquartile
/// range of the numbers that differ from the median. Infinite if all of these are 0.
fn typical_range([low, first, median, third, high]: &[f64; SHARES.len()], numbers: &[f64]) -> f64 {
    let of_others = || {
        let mut others: Vec<f64> = numbers.iter().copied().filter(|number| number != median).collect();
        quantiles(&mut others, &[0.25, 0.75]).map_or(0.0, |[first, third]| third - first)
    };
    let is_positive = |range: &f64| *range > 0.0;
    let range = Some(third - first).filter(is_positive).or_else(|| Some(high - low).filter(is_positive));
    range.or_else(|| Some(of_others()).filter(is_positive)).unwrap_or(f64::INFINITY)
}

/// Mean and standard deviation; 1 for the latter if all numbers are equal. `centre` is a number among them.
fn moments(numbers: impl Iterator<Item = f64> + Clone, centre: f64) -> (f64, f64) {
    // A power of two near the greatest number: squares neither overflow nor vanish, and nothing is rounded. Differences from
    // the centre keep digits that a sum of large numbers loses.
    let largest = numbers.clone().map(f64::abs).fold(f64::MIN_POSITIVE, f64::max);
    let scale = f64::from_bits(largest.to_bits() >> 52 << 52);
    let differences = numbers.map(|x| x / scale - centre / scale);
    let n = differences.clone().count() as f64;
    let mean = differences.clone().sum::<f64>() / n;
    let std = (differences.clone().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt() * scale;
    let std = std.min(f64::MAX);
    // Rounding gives equal numbers a tiny deviation, which must not divide them.
    let is_constant = std == 0.0 || differences.clone().all(|x| x == 0.0);
    ((mean + centre / scale) * scale, if is_constant { 1.0 } else { std })
}

/// The lowest or the highest number, if it occurs repeatedly, is not 0, and is far from all others that count.
fn code(numbers: &[f64], counts: impl Fn(f64) -> bool) -> Option<(f64, usize)> {
    let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [lowest, highest].into_iter().find_map(|code| {
        let count = numbers.iter().filter(|&&x| x == code).count();
        let mut others: Vec<f64> = numbers.iter().copied().filter(|&x| x != code && counts(x)).collect();
        // A few different numbers may be a scale, such as 0, 1 and 10.
        let mut distinct = others.iter().take(1000).map(|x| x.to_bits()).collect::<Vec<_>>();
        distinct.sort_unstable();
        distinct.dedup();
        let [lowest, low, high, highest] = quantiles(&mut others, &[0.0, 0.01, 0.99, 1.0])?;
        let range = if high > low { high - low } else { highest - lowest };
        let nearest = others.iter().map(|x| (x - code).abs()).fold(f64::INFINITY, f64::min);
        let is_code = code != 0.0 && count > 1 && distinct.len() >= 5 && nearest >= CODE_RANGES * range;
        is_code.then_some((code, count))
    })
}

/// A number without an end of `.0`, and with an exponent if it is very large or small.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:?}", self.0);
        f.write_str(text.strip_suffix(".0").unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Mean, standard deviation and warnings of some cells.
    fn of(cells: impl IntoIterator<Item = impl ToString>) -> (f64, f64, Vec<String>) {
        let (mean, std, _, _, warnings) =
            with(cells, false, |found| FieldKind::Numeric { mean: found.mean, std: found.std });
        (mean, std, warnings)
    }

    /// Mean, standard deviation, minimum, range and warnings of some cells in a field of another kind.
    fn with(
        cells: impl IntoIterator<Item = impl ToString>,
        is_log: bool,
        kind: impl Fn(&Statistics<'_>) -> FieldKind,
    ) -> (f64, f64, f64, f64, Vec<String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.to_string()).collect();
        let found = Statistics::new(cells.iter().map(String::as_str), is_log).unwrap();
        (found.mean, found.std, found.min, found.range, found.warnings("price", &kind(&found)))
    }

    /// 0.0, 0.1, … 9.9, twice.
    fn prices() -> impl Iterator<Item = f64> {
        (0..200).map(|row| f64::from(row % 100) / 10.0)
    }

    #[test]
    fn one_extreme_number_changes_neither_mean_nor_deviation() {
        let (mean, std, none) = of(prices());
        assert!((mean - 4.95).abs() < 1e-12 && (std - 2.886607004772212).abs() < 1e-12, "{mean} {std}");
        assert_eq!(none, [""; 0]);
        for extreme in ["9.9e18", "-1e30", "1.7976931348623157e308", "100000"] {
            let cells = prices().map(|price| price.to_string()).chain([extreme.to_owned()]);
            let (found, found_std, warnings) = of(cells);
            assert!((found - mean).abs() < 1e-12 && (found_std - std).abs() < 1e-12, "{found} {found_std}");
            let [warning] = &warnings[..] else { panic!("{warnings:?}") };
            let start = "field `price`: 1 of 201 numbers in the training rows are extreme, such as ";
            assert!(warning.starts_with(start), "{warning}");
        }
        let [warning] = &of(prices().chain([9.9e18])).2[..] else { panic!("one warning") };
        assert!(warning.contains("such as 9.9e18 (1% are below 0.1, half below 5, 1% above 9.9);"), "{warning}");
    }

    #[test]
    fn numbers_that_are_mostly_one_constant_still_show_the_extreme() {
        // 60 % zeros: the range without 1 % at each end. 99.5 % zeros: the range of the others.
        for zeros in [400, 40_000] {
            let cells = || prices().map(|price| price + 1.0).chain((0..zeros).map(|_| 0.0));
            let (clean, with_one) = (of(cells()), of(cells().chain([1e30])));
            assert_eq!((clean.0, clean.1), (with_one.0, with_one.1));
            assert_eq!((clean.2.len(), with_one.2.len()), (0, 1), "{:?}", clean.2);
        }
        // Nothing tells which of two numbers is the extreme one.
        assert_eq!(of([0.0, 0.0, 0.0, 1.0]), (0.25, 0.1875f64.sqrt(), vec![]));
    }

    #[test]
    fn a_repeated_number_far_from_all_others_looks_like_a_code() {
        for code in ["-999", "999"] {
            let cells = prices().map(|price| (price * 10.0).to_string()).chain([code.to_owned(), code.to_owned()]);
            let (.., warnings) = of(cells);
            let [warning] = &warnings[..] else { panic!("{warnings:?}") };
            let start =
                format!("field `price`: 2 of 202 numbers in the training rows are {code}, far from all others (1%");
            assert!(warning.starts_with(&start), "{warning}");
        }
        // Zero often is a number, a few numbers may be a scale, and a long tail is no code.
        assert_eq!(of(prices().map(|price| price * 10.0 + 1000.0).chain([0.0; 9])).2, [""; 0]);
        assert_eq!(of([0, 1, 2, 10].repeat(30)).2, [""; 0]);
        assert_eq!(of((0..200).map(|n| (f64::from(n) / 30.0).exp()).chain([800.0; 2])).2, [""; 0]);
    }

    #[test]
    fn heavy_tails_have_no_extreme_logarithms() {
        // Prices from 1 to 10 times 2^0 to 2^39.
        let tail = || (0..400).map(|row| f64::from(1 + row % 10) * 2f64.powi(row / 10));
        let log = |found: &Statistics<'_>| FieldKind::Transformed(Transform::Log { mean: found.mean, std: found.std });
        let (mean, std, _, _, warnings) = with(tail(), true, log);
        let expected: Vec<f64> = tail().map(|price| (1.0 + price).ln()).collect();
        let expected_mean = expected.iter().sum::<f64>() / 400.0;
        let squares = expected.iter().map(|x| (x - expected_mean).powi(2)).sum::<f64>();
        assert!((mean - expected_mean).abs() < 1e-9 && (std - (squares / 400.0).sqrt()).abs() < 1e-9, "{mean} {std}");
        assert_eq!(warnings, [""; 0]);
        // The numbers themselves are shown.
        let cells = prices().map(|price| price + 1.0).chain([-1e300]);
        let [warning] = &with(cells, true, log).4[..] else { panic!("one warning") };
        assert!(warning.contains("such as -1e300 (1% are below 1, half below 5.9, 1% above 10.8)"), "{warning}");
        assert!(warning.ends_with("or declare transform = \"buckets\""), "{warning}");
    }

    #[test]
    fn the_range_is_that_of_the_numbers_that_count() {
        let min_max =
            |found: &Statistics<'_>| FieldKind::Transformed(Transform::MinMax { min: found.min, range: found.range });
        let (_, _, min, range, none) = with(prices().map(|price| price - 2.0), false, min_max);
        assert_eq!((min, range, none.len()), (-2.0, 9.9, 0));
        let (_, _, min, range, warnings) = with(prices().chain([1e30]), false, min_max);
        assert_eq!((min, range), (0.0, 9.9));
        assert!(warnings.len() == 1 && warnings[0].contains("left out of the range and clamped to it"), "{warnings:?}");
        assert_eq!(with([4.0, 4.0], false, min_max).3, 1.0);
        // Only what is clamped concerns a number that stays as it is, and nothing a bucket.
        let identity = |_: &Statistics<'_>| FieldKind::Transformed(Transform::Identity);
        assert_eq!(with(prices().chain([99_999.0]), false, identity).4, [""; 0]);
        let [warning] = &with(prices().chain([1e30]), false, identity).4[..] else { panic!("one warning") };
        assert!(warning.contains("such as 1e30") && warning.contains("they are clamped to 1000000: "), "{warning}");
        let buckets = |_: &Statistics<'_>| FieldKind::Transformed(Transform::Buckets { edges: vec![] });
        assert_eq!(with(prices().chain([1e30, -999.0, -999.0]), false, buckets).4, [""; 0]);
    }

    #[test]
    fn texts_that_are_not_numbers_are_counted() {
        let cells = prices().map(|price| price.to_string()).chain(["$3", "—", " ", "", "1,234.00"].map(str::to_owned));
        let (_, _, warnings) = of(cells);
        let start =
            "field `price`: 3 of 203 values in the training rows are not numbers and count as missing, such as `$3`: ";
        assert!(warnings.len() == 1 && warnings[0].starts_with(start), "{warnings:?}");
    }

    #[test]
    fn numbers_of_any_size_have_moments() {
        for scale in [1e-290, 1.0, 1e300] {
            let (mean, std, _) = of([1.0, 2.0, 3.0, 4.0].map(|x| format!("{:e}", x * scale)));
            assert!((mean / scale - 2.5).abs() < 1e-12 && (std / scale - 1.25f64.sqrt()).abs() < 1e-12, "{mean} {std}");
        }
        let (mean, std, _) = of(["1.7e308", "-1.7e308", "1.7e308", "-1.7e308"]);
        assert!(mean == 0.0 && std == 1.7e308, "{mean} {std}");
        // Milliseconds of a minute.
        let (mean, std, _) = of((0..60_000).map(|ms| 1_700_000_000_000u64 + ms));
        assert!((mean - 1_700_000_029_999.5).abs() < 1e-3 && (std - 17_320.508).abs() < 1e-2, "{mean} {std}");
    }

    proptest! {
        #[test]
        fn every_column_has_finite_statistics(cells in prop::collection::vec(any::<f64>(), 1..50)) {
            let texts: Vec<String> = cells.iter().map(|x| format!("{x:e}")).collect();
            for is_log in [false, true] {
                match Statistics::new(texts.iter().map(String::as_str), is_log) {
                    None => prop_assert!(cells.iter().all(|x| !x.is_finite())),
                    Some(Statistics { mean, std, min, range, .. }) => {
                        prop_assert!(mean.is_finite() && std.is_finite() && std > 0.0);
                        prop_assert!(min.is_finite() && range.is_finite() && range > 0.0);
                    }
                }
            }
        }
    }
}
