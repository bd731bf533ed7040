//! Joins ratings with the attributes of their movie, user and time.

use std::collections::HashMap;

use fm_core::calendar;
use polars::prelude::*;

use crate::error::Result;

/// Hours and weekdays as text.
const NUMBERS: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20",
    "21", "22", "23",
];

/// The columns of a rating's time.
pub(super) const MOMENT: [&str; 2] = ["hour", "weekday"];

/// Joins the ratings of a release with what it says about their movies and users, and with their hour and weekday.
pub(super) struct Join<'a> {
    movies: Attributes<'a>,
    users: Option<Attributes<'a>>,
}

impl<'a> Join<'a> {
    pub fn new(movies: &'a DataFrame, users: Option<&'a DataFrame>) -> Result<Join<'a>> {
        Ok(Join {
            movies: Attributes::new(movies, "movie_id")?,
            users: users.map(|users| Attributes::new(users, "user_id")).transpose()?,
        })
    }

    /// The ratings with the columns that are joined.
    pub fn rows(&self, ratings: &DataFrame) -> Result<DataFrame> {
        let mut columns = ratings.columns().to_vec();
        columns.extend(self.movies.of(ratings)?);
        if let Some(users) = &self.users {
            columns.extend(users.of(ratings)?);
        }
        columns.extend(moment(ratings.column("timestamp")?.i64()?));
        Ok(DataFrame::new(ratings.height(), columns)?)
    }
}

/// A table of movies or users.
struct Attributes<'a> {
    key: &'static str,
    /// The other columns.
    others: DataFrame,
    /// The row of each key.
    rows: HashMap<&'a str, IdxSize>,
}

impl<'a> Attributes<'a> {
    fn new(table: &'a DataFrame, key: &'static str) -> Result<Attributes<'a>> {
        let keys = table.column(key)?.str()?;
        let rows = keys.iter().zip(0..).filter_map(|(key, row)| Some((key?, row))).collect();
        Ok(Attributes { key, others: table.drop(key)?, rows })
    }

    /// For each rating, the columns of the row with the same key; null if there is no such row.
    fn of(&self, ratings: &DataFrame) -> Result<Vec<Column>> {
        let wanted = ratings.column(self.key)?.str()?;
        let rows: IdxCa = wanted.iter().map(|key| self.rows.get(key?).copied()).collect();
        Ok(self.others.take(&rows)?.into_columns())
    }
}

/// The hour and the weekday in UTC; "0" is Monday.
fn moment(timestamps: &Int64Chunked) -> [Column; 2] {
    let column = |name: &str, number: fn(i64) -> i64| {
        let mut texts = StringChunkedBuilder::new(name.into(), timestamps.len());
        for timestamp in timestamps.iter() {
            texts.append_option(timestamp.map(|timestamp| NUMBERS[number(timestamp) as usize]));
        }
        texts.finish().into_column()
    };
    let [of_hour, of_weekday] = MOMENT;
    [column(of_hour, hour), column(of_weekday, weekday)]
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
