//! Dates and times of the Gregorian calendar, as numbers and as text.

mod instant;

use std::fmt;

pub use instant::{Instant, PARTS, fraction, instant, time};

/// Days of 400 years.
const DAYS_OF_ERA: i64 = 146_097;

/// The days from 1970-01-01 to a date; `None` if there is no such date. Years count back before year 1, to 0 and below.
pub fn day_number(year: i64, month: u32, day: u32) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        _ => return None,
    };
    if !(1..=days).contains(&day) {
        return None;
    }
    // Years from March to February end with the leap day.
    let year = if month < 3 { year - 1 } else { year };
    let months_after_march = i64::from((month + 9) % 12);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * months_after_march + 2) / 5 + i64::from(day) - 1;
    Some(era * DAYS_OF_ERA + year * 365 + year / 4 - year / 100 + day_of_year - 719_468)
}

/// The year, the month and the day of a day number.
pub fn civil(day_number: i64) -> (i64, i64, i64) {
    let days = day_number + 719_468;
    let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let months_after_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_after_march + 2) / 5 + 1;
    let month = (months_after_march + 2) % 12 + 1;
    (era * 400 + year + i64::from(month < 3), month, day)
}

/// The weekday of a day number: 0 is Monday.
pub fn weekday(day_number: i64) -> i64 {
    // 1 January 1970 was a Thursday, which is day 3 from Monday.
    (day_number.rem_euclid(7) + 3) % 7
}

/// A date as text, `2023-11-14`.
pub fn date(day_number: i64) -> impl fmt::Display {
    let (year, month, day) = civil(day_number);
    std::fmt::from_fn(move |f| write!(f, "{year:04}-{month:02}-{day:02}"))
}

/// Seconds of a day as text, `22:41:28`.
pub fn time_of_day(seconds: i64) -> impl fmt::Display {
    std::fmt::from_fn(move |f| write!(f, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60))
}

/// A part of a second. As text, it is its digits behind a point, without zeros at the end; empty if it is 0.
pub struct Fraction {
    /// The number of parts.
    pub numerator: i64,
    /// A power of 10.
    pub denominator: i64,
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.numerator == 0 {
            return Ok(());
        }
        let digits = format!("{:0width$}", self.numerator, width = self.denominator.ilog10() as usize);
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_dates_have_their_numbers() {
        for (text, number) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2000, 2, 29), 11_016),
            ((2023, 11, 14), 19_675),
            ((1, 1, 1), -719_162),
            ((9999, 12, 31), 2_932_896),
        ] {
            assert_eq!(day_number(text.0, text.1, text.2), Some(number));
            assert_eq!(date(number).to_string(), format!("{:04}-{:02}-{:02}", text.0, text.1, text.2));
        }
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2023, 13, 1), (2023, 0, 1), (2023, 4, 31), (2023, 1, 0)]
        {
            assert_eq!(day_number(year, month, day), None);
        }
        assert_eq!(time_of_day(81_688).to_string(), "22:41:28");
        let fraction = |numerator| Fraction { numerator, denominator: 1_000_000 }.to_string();
        assert_eq!([fraction(0), fraction(5), fraction(250_000)], ["", ".000005", ".25"]);
    }

    proptest! {
        #[test]
        fn a_day_has_the_number_that_its_text_has(number in -3_000_000_i64..3_000_000) {
            let text = date(number).to_string();
            let (rest, day) = text.rsplit_once('-').unwrap();
            let (year, month) = rest.rsplit_once('-').unwrap();
            let parsed = day_number(year.parse().unwrap(), month.parse().unwrap(), day.parse().unwrap());
            prop_assert_eq!(parsed, Some(number));
        }
    }
}
