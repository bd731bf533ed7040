//! Rows by the day, the month or the year of their times.

use std::collections::{BTreeMap, BTreeSet};

use fm_core::calendar::{date, instant};

/// Maximum number of periods: more days are grouped by month, and more months by year.
const MOST: usize = 62;
const SECONDS_OF_DAY: i64 = 86_400;

/// Rows by their time.
#[derive(Debug, PartialEq)]
pub struct Periods {
    /// `day`, `month` or `year`.
    pub unit: &'static str,
    /// The name of each period in order, such as `2026-01-31` or `2026-01`, with its rows.
    pub rows: Vec<(String, Vec<usize>)>,
    /// The rows without a time.
    pub missing: Vec<usize>,
}

impl Periods {
    /// The periods of times: dates, or numbers of seconds or parts of them since 1970. `None` if one of the texts is not a
    /// time with a date, or if there is none.
    pub fn of<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Option<Periods> {
        let (mut days, mut missing) = (vec![], vec![]);
        for (row, text) in texts.enumerate() {
            match text.map(instant) {
                None => missing.push(row),
                Some(Some((seconds, true))) => days.push((row, date(seconds.div_euclid(SECONDS_OF_DAY)).to_string())),
                Some(_) => return None,
            }
        }
        // A month is a day without "-31", and a year a month without "-12".
        let units = [("day", 0), ("month", "-31".len()), ("year", "-12-31".len())];
        let name = |day: &str, cut: usize| day[..day.len() - cut].to_owned();
        let count = |cut: usize| days.iter().map(|(_, day)| name(day, cut)).collect::<BTreeSet<_>>().len();
        let &(unit, cut) = units.iter().find(|(_, cut)| count(*cut) <= MOST).unwrap_or(&units[2]);
        let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        days.iter().for_each(|(row, day)| rows.entry(name(day, cut)).or_default().push(*row));
        (!rows.is_empty()).then(|| Periods { unit, rows: rows.into_iter().collect(), missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[impl AsRef<str>]) -> Option<Periods> {
        Periods::of(texts.iter().map(|text| Some(text.as_ref())))
    }

    #[test]
    fn rows_are_in_order_of_time_by_day_month_or_year() {
        let rows = vec![("2026-01-31".into(), vec![1]), ("2026-02-01".into(), vec![0, 2])];
        let found = of(&["2026-02-01T10:00:00", "1769817600", "2026-02-01"]);
        assert_eq!(found, Some(Periods { unit: "day", rows, missing: vec![] }));
        let days: Vec<String> = (0..100).map(|day| (1_769_817_600 + day * SECONDS_OF_DAY).to_string()).collect();
        let Periods { unit, rows, .. } = of(&days).unwrap();
        assert_eq!((unit, rows.len(), rows[0].0.as_str(), rows[1].1.len()), ("month", 5, "2026-01", 28));
        let month = |month: usize| format!("{}-{:02}-01", 2000 + month / 12, 1 + month % 12);
        let Periods { unit, rows, .. } = of(&(0..100).map(month).collect::<Vec<String>>()).unwrap();
        assert_eq!((unit, rows.len(), rows[8].0.as_str()), ("year", 9, "2008"));
    }

    #[test]
    fn what_is_no_time_has_no_periods() {
        assert_eq!(of(&["2026-02-01", "soon"]), None);
        assert_eq!(of(&["10:00:00"]), None);
        assert_eq!(Periods::of([None].into_iter()), None);
        let some = Periods::of([None, Some("2026-02-01")].into_iter()).unwrap();
        assert_eq!((some.missing, some.rows[0].1.clone()), (vec![0], vec![1]));
    }
}
