//! Joins ratings with the attributes of their movie, user and time.

use std::collections::HashMap;

use fm_core::calendar;
use polars::prelude::*;

use super::MovieLens;
use crate::error::{Error, Result};

/// Hours and weekdays as text.
const NUMBERS: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20",
    "21", "22", "23",
];

pub(super) fn join(data: &MovieLens) -> Result<DataFrame> {
    let frame = || -> PolarsResult<DataFrame> {
        let mut columns = data.ratings.columns().to_vec();
        columns.extend(matching(&data.ratings, &data.movies, "movie_id")?);
        if let Some(users) = &data.users {
            columns.extend(matching(&data.ratings, users, "user_id")?);
        }
        columns.extend(moment(data.ratings.column("timestamp")?.i64()?));
        DataFrame::new(data.ratings.height(), columns)
    };
    frame().map_err(Error::from)
}

/// For each rating, the other columns of the row of `table` with the same `key`; null if there is no such row.
fn matching(ratings: &DataFrame, table: &DataFrame, key: &str) -> PolarsResult<Vec<Column>> {
    let keys = table.column(key)?.str()?;
    let rows: HashMap<&str, IdxSize> = keys.iter().zip(0..).filter_map(|(key, row)| Some((key?, row))).collect();
    let wanted = ratings.column(key)?.str()?;
    let rows: IdxCa = wanted.iter().map(|key| rows.get(key?).copied()).collect();
    Ok(table.drop(key)?.take(&rows)?.into_columns())
}

/// The hour and the weekday in UTC; "0" is Monday. Empty if all timestamps are equal.
fn moment(timestamps: &Int64Chunked) -> Vec<Column> {
    if timestamps.min() == timestamps.max() {
        return Vec::new();
    }
    let column = |name: &str, number: fn(i64) -> i64| {
        let mut texts = StringChunkedBuilder::new(name.into(), timestamps.len());
        for timestamp in timestamps.iter() {
            texts.append_option(timestamp.map(|timestamp| NUMBERS[number(timestamp) as usize]));
        }
        texts.finish().into_column()
    };
    vec![column("hour", hour), column("weekday", weekday)]
}

fn hour(timestamp: i64) -> i64 {
    timestamp.rem_euclid(86_400) / 3_600
}

fn weekday(timestamp: i64) -> i64 {
    calendar::weekday(timestamp.div_euclid(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_weekdays_are_those_of_utc() {
        // 2000-12-31 22:12:40, a Sunday; 1969-12-31 23:59:59, a Wednesday; 1970-01-05 00:00:00, a Monday.
        assert_eq!((hour(978_300_760), weekday(978_300_760)), (22, 6));
        assert_eq!((hour(-1), weekday(-1)), (23, 2));
        assert_eq!((hour(345_600), weekday(345_600)), (0, 0));
        for extreme in [i64::MIN, i64::MAX] {
            assert!((0..24).contains(&hour(extreme)) && (0..7).contains(&weekday(extreme)));
        }
    }
}
