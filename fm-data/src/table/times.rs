//! Times of rows: numbers of any form, and dates and times in ISO 8601.

use fm_core::calendar::{Instant, PARTS, fraction, time};

use super::columns::is_not;
use super::compact::TextColumns;
use super::origin::Origin;
use crate::error::Result;

/// What a timestamp may be, for errors.
const FORMS: &str = "a number, a date or a time, such as 1700001688, 2023-11-14 or 2023-11-14T22:41:28.5+01:00";

/// A column of timestamps: all numbers, in any unit, or all dates and times in ISO 8601. A time without a zone counts as
/// UTC, and a time without a date as one of an equal day. Errors name the file in `origin`.
///
/// Only the order of the results has a meaning: whole numbers stay what they are, dates and times become seconds, and
/// all are multiplied by a power of 10 if some have a fraction.
///
/// # Errors
/// [`Error::MissingColumn`](crate::Error::MissingColumn), or [`Error::Data`](crate::Error::Data) with the line and the
/// text of the first cell that is not a timestamp, or not of the kind of those before.
pub fn timestamps(table: &impl TextColumns, name: &str, origin: &Origin) -> Result<Vec<i64>> {
    let cells = table.column(name)?;
    let mut moments = Vec::with_capacity(cells.len());
    let mut are_numbers = None;
    for (row, cell) in cells.iter().enumerate() {
        moments.push(moment(cell, name, &mut are_numbers).map_err(|reason| origin.error(row, &reason))?);
    }
    Ok(scaled(&moments))
}

/// What is wrong with a cell of timestamps; `None` if it is one. `are_numbers` says what the cells before are.
pub(super) fn fault_of_timestamp(cell: Option<&str>, name: &str, are_numbers: &mut Option<bool>) -> Option<String> {
    moment(cell, name, are_numbers).err()
}

/// The time in a cell, which must be of the kind of those before. The error says what is wrong with it.
fn moment(cell: Option<&str>, name: &str, are_numbers: &mut Option<bool>) -> Result<Instant, String> {
    let text = cell.unwrap_or_default().trim_ascii();
    let (moment, is_number) = match (number(text), time(text)) {
        (Some(moment), _) => (moment, true),
        (None, Some(moment)) => (moment, false),
        (None, None) => return Err(is_not(cell, name, FORMS)),
    };
    if *are_numbers.get_or_insert(is_number) != is_number {
        let (found, others) = if is_number { ("a number", "dates or times") } else { ("a date or time", "numbers") };
        return Err(format!("`{text}` in column `{name}` is {found}, but the cells before are {others}"));
    }
    Ok(moment)
}

/// Whether a text is a date or a time.
pub(crate) fn is_time(text: &str) -> bool {
    time(text).is_some()
}

/// The moments as numbers in the same order: in whole units if none has a fraction, and otherwise in thousandths,
/// millionths or billionths, as far as the fractions go and the numbers fit.
fn scaled(moments: &[Instant]) -> Vec<i64> {
    let is_exact = |scale: i64| moments.iter().all(|moment| moment.parts % (PARTS / scale) == 0);
    let fits = |scale: i64| moments.iter().all(|moment| at_scale(*moment, scale).is_some());
    let scales = [1, 1_000, 1_000_000, PARTS];
    let exact = scales.into_iter().position(is_exact).unwrap_or(scales.len() - 1);
    let scale = scales[..=exact].iter().rev().copied().find(|&scale| fits(scale)).unwrap_or(1);
    moments.iter().map(|&moment| at_scale(moment, scale).unwrap_or(moment.whole)).collect()
}

fn at_scale(moment: Instant, scale: i64) -> Option<i64> {
    moment.whole.checked_mul(scale)?.checked_add(moment.parts / (PARTS / scale))
}

/// A number in digits, with or without a fraction, or in scientific notation.
fn number(text: &str) -> Option<Instant> {
    if let Ok(whole) = text.parse() {
        return Some(Instant { whole, parts: 0 });
    }
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let is_negative = whole.starts_with('-');
    let is_decimal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if let Some(number) = whole.parse::<i64>().ok().filter(|_| is_decimal) {
        let parts = fraction(digits);
        return match is_negative && parts > 0 {
            true => Some(Instant { whole: number.checked_sub(1)?, parts: PARTS - parts }),
            false => Some(Instant { whole: number, parts }),
        };
    }
    let number = fm_core::number::number(text).filter(|number| number.abs() < 9e18)?;
    let whole = number.floor();
    Some(Instant { whole: whole as i64, parts: (((number - whole) * PARTS as f64) as i64).min(PARTS - 1) })
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;
    use proptest::prelude::*;

    use super::*;

    fn of(cells: &[&str]) -> Result<Vec<i64>, String> {
        let table = df!("ts" => cells).unwrap();
        timestamps(&table, "ts", &Origin::file("t.parquet")).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_of_any_form_are_timestamps() {
        assert_eq!(of(&["1700001688", " 5 ", "-1", "9223372036854775807"]), Ok(vec![1_700_001_688, 5, -1, i64::MAX]));
        assert_eq!(of(&["1700001688.0", "17e8", "+3"]), Ok(vec![1_700_001_688, 1_700_000_000, 3]));
        assert_eq!(of(&["1.5", "-1.25", "2"]), Ok(vec![1_500, -1_250, 2_000]));
        assert_eq!(of(&["1700001688.123456", "2"]), Ok(vec![1_700_001_688_123_456, 2_000_000]));
        assert_eq!(of(&["1.0000000001", "-0.5", "1.5e0"]), Ok(vec![1_000, -500, 1_500]));
        // Nanoseconds since 1970 leave no room for fractions.
        assert_eq!(
            of(&["1700001688000000000.5", "1700001688000000001"]),
            Ok(vec![1_700_001_688_000_000_000, 1_700_001_688_000_000_001])
        );
    }

    #[test]
    fn dates_and_times_are_seconds_since_1970() {
        let instant = 1_700_001_688;
        for text in [
            "2023-11-14T22:41:28",
            "2023-11-14 22:41:28",
            "2023-11-14t22:41:28z",
            "2023-11-14T22:41:28.000000Z",
            "2023-11-14 22:41:28,0 UTC",
            "2023-11-15T00:11:28+01:30",
            "2023-11-14T21:41:28-0100",
            "2023-11-14 23:41:28 +01",
            "20231114T224128Z",
            "2023-11-14T22:40:88",
        ] {
            let expected = if text.ends_with("88") { None } else { Some(Instant { whole: instant, parts: 0 }) };
            assert_eq!(time(text), expected, "{text}");
        }
        assert_eq!(of(&["2023-11-14", "1969-12-31"]), Ok(vec![1_699_920_000, -86_400]));
        assert_eq!(of(&["2023-11-14T22:41", "2023-11-13T24:00"]), Ok(vec![1_700_001_660, 1_699_920_000]));
        assert_eq!(of(&["22:41:28.25", "00:00"]), Ok(vec![81_688_250, 0]));
        assert_eq!(of(&["2016-12-31T23:59:60Z", "2017-01-01"]), Ok(vec![1_483_228_800, 1_483_228_800]));
    }

    #[test]
    fn other_texts_are_errors_with_their_place() {
        for text in [
            "",
            "soon",
            "2023-02-29",
            "2023-13-01",
            "2023-11-14T25:00",
            "2023-11-14T",
            "2023-11-14T22:41:28+1",
            "2023-1-4",
            "14.11.2023",
            "2023-11-14T22:41:28.Z",
            "2023-11-14T22:41:28 CET",
            "inf",
            "1e19",
            "2023-11-14T22",
            "2023-11",
            "é",
        ] {
            let error = of(&["2023-11-14", text]).unwrap_err();
            let found = if text.is_empty() { "an empty cell".into() } else { format!("`{text}`") };
            assert_eq!(error, format!("t.parquet: row 2: {found} in column `ts` is not {FORMS}"));
        }
        let error = of(&["5", "2023-11-14"]).unwrap_err();
        assert_eq!(
            error,
            "t.parquet: row 2: `2023-11-14` in column `ts` is a date or time, but the cells before are numbers"
        );
    }

    proptest! {
        #[test]
        fn the_order_of_numbers_is_kept(numbers in prop::collection::vec(-1e9..1e9, 2..10)) {
            let texts: Vec<String> = numbers.iter().map(|number: &f64| format!("{number:.3}")).collect();
            let times = of(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            for (a, b) in texts.iter().zip(&times).zip(texts.iter().zip(&times).skip(1)) {
                let parsed = |text: &str| text.parse::<f64>().unwrap();
                prop_assert_eq!(parsed(a.0).total_cmp(&parsed(b.0)), a.1.cmp(b.1));
            }
        }

        #[test]
        fn any_text_is_a_timestamp_or_an_error(text in "[0-9TZ:+. -]{0,30}|\\PC{0,12}") {
            let _ = of(&[&text]);
        }
    }
}
