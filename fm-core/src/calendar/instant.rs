//! Points in time in text: dates and times in ISO 8601, and numbers.

use super::day_number;
use crate::number::number;

/// The number of parts of a second, or of any other unit, that are told apart.
pub const PARTS: i64 = 1_000_000_000;

/// The seconds since 1970 of the first moment of year 0, and of the first one of year 10000.
const YEARS: std::ops::Range<f64> = -62_167_219_200.0..253_402_300_800.0;

/// A point in time, or a number that stands for one: `whole` units, and `parts` of [`PARTS`] of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// The whole units: of a date or a time, the seconds since 1970 in UTC.
    pub whole: i64,
    /// The parts of the next unit.
    pub parts: i64,
}

/// The whole seconds since 1970 of a text, and whether it has a date: a date, a time or both, as [`time`] reads them, or a
/// number of seconds since 1970; a number from 10¹¹ on is one of milliseconds, from 10¹⁴ on of microseconds, and from 10¹⁷ on of
/// nanoseconds. Eight digits that are a date are a date.
///
/// ```
/// use fm_core::calendar::instant;
///
/// for text in ["2023-11-14T22:41:28.5Z", "2023-11-15 00:11:28+01:30", "1700001688", "1700001688999", "1.7000016885e18"] {
///     assert_eq!(instant(text), Some((1_700_001_688, true)), "{text}");
/// }
/// assert_eq!((instant("20231114"), instant("00:01")), (Some((1_699_920_000, true)), Some((60, false))));
/// assert_eq!(["", "soon", "2023-02-29", "1e300"].map(instant), [None; 4]);
/// ```
pub fn instant(text: &str) -> Option<(i64, bool)> {
    let text = text.trim_ascii();
    if let Some(Instant { whole, .. }) = time(text) {
        return Some((whole, text.as_bytes().get(2) != Some(&b':')));
    }
    let number = number(text)?;
    let unit = match number.abs() {
        ..1e11 => 1.0,
        ..1e14 => 1e3,
        ..1e17 => 1e6,
        _ => 1e9,
    };
    let seconds = (number / unit).floor();
    YEARS.contains(&seconds).then_some((seconds as i64, true))
}

/// The parts in the digits behind a point; of other texts, anything.
pub fn fraction(digits: &str) -> i64 {
    let digits = digits.get(..9).unwrap_or(digits);
    digits.bytes().fold(0, |sum, digit| 10 * sum + i64::from(digit.wrapping_sub(b'0')))
        * 10_i64.pow(9 - digits.len() as u32)
}

/// A date, a time, or both, in the extended or the basic form of ISO 8601. A time without a zone counts as UTC, and a time without a
/// date as one of 1970-01-01.
pub fn time(text: &str) -> Option<Instant> {
    let mut rest = Digits { rest: text };
    let seconds_of_date = match rest.date() {
        Some(date) if rest.rest.is_empty() => return Some(Instant { whole: date, parts: 0 }),
        Some(date) => {
            rest.rest = rest.rest.strip_prefix(['T', 't', ' '])?;
            date
        }
        // Without colons, `2023-11` would be a time before UTC.
        None if text.as_bytes().get(2) == Some(&b':') => 0,
        None => return None,
    };
    let (seconds, parts) = rest.time_of_day()?;
    let offset = rest.offset()?;
    rest.rest.is_empty().then_some(Instant { whole: seconds_of_date + seconds - offset, parts })
}

/// Reads a text from its start.
#[derive(Clone, Copy)]
struct Digits<'a> {
    rest: &'a str,
}

impl Digits<'_> {
    /// The number in the next digits, of which there must be `len`.
    fn number(&mut self, len: usize) -> Option<i64> {
        let digits = self.rest.get(..len).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
        self.rest = &self.rest[len..];
        digits.parse().ok()
    }

    fn skip(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The seconds before a date. If there is none, nothing is read.
    fn date(&mut self) -> Option<i64> {
        let mut at = *self;
        let year = at.number(4)?;
        let has_hyphens = at.skip('-');
        let month = at.number(2)?;
        if has_hyphens && !at.skip('-') {
            return None;
        }
        let day = at.number(2)?;
        let days = day_number(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
        *self = at;
        Some(days * 86_400)
    }

    /// The seconds of a time of day, and the parts of the next second.
    fn time_of_day(&mut self) -> Option<(i64, i64)> {
        let hour = self.number(2)?;
        let has_colons = self.skip(':');
        let minute = self.number(2)?;
        let has_seconds = if has_colons { self.skip(':') } else { self.rest.starts_with(|c: char| c.is_ascii_digit()) };
        let second = if has_seconds { self.number(2)? } else { 0 };
        let mut parts = 0;
        if has_seconds && (self.skip('.') || self.skip(',')) {
            let len = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            parts = fraction(self.rest.get(..len).filter(|digits| !digits.is_empty())?);
            self.rest = &self.rest[len..];
        }
        // A leap second has the number 60, and 24:00 ends a day.
        let is_valid = hour < 24 && minute < 60 && second < 61 || (hour, minute, second, parts) == (24, 0, 0, 0);
        is_valid.then_some((3_600 * hour + 60 * minute + second, parts))
    }

    /// The offset of a zone from UTC in seconds, positive to the east; 0 without a zone.
    fn offset(&mut self) -> Option<i64> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.is_empty() {
            return Some(0);
        }
        if let Some(rest) = ["UTC", "GMT", "Z", "z"].iter().find_map(|utc| self.rest.strip_prefix(utc)) {
            self.rest = rest;
            return Some(0);
        }
        let sign = if self.skip('+') {
            1
        } else if self.skip('-') || self.skip('\u{2212}') {
            -1
        } else {
            return None;
        };
        let hours = self.number(2)?;
        let has_minutes = self.skip(':') || !self.rest.is_empty();
        let minutes = if has_minutes { self.number(2)? } else { 0 };
        (hours < 24 && minutes < 60).then_some(sign * (3_600 * hours + 60 * minutes))
    }
}
