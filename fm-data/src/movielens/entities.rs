//! Movies and users: rows of text with unique ids.

use std::collections::HashMap;
use std::path::Path;

use polars::prelude::*;

use super::text::{id_reason, parse_id, shown};
use crate::error::{Error, Result};

/// The columns of [`super::MovieLens::movies`].
pub(super) const MOVIE_COLUMNS: [&str; 4] = ["movie_id", "title", "year", "genres"];
/// The columns of [`super::MovieLens::users`].
pub(super) const USER_COLUMNS: [&str; 5] = ["user_id", "gender", "age", "occupation", "zip"];

/// The position of a row in its file, for error messages.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A line of a text file, from 1.
    Line(usize),
    /// A row of a Parquet file, from 1.
    Row(usize),
}

/// Collects the rows of one file.
pub(super) struct Entities<'a, const N: usize> {
    path: &'a Path,
    /// "movie" or "user".
    what: &'static str,
    columns: [StringChunkedBuilder; N],
    places: HashMap<String, Place>,
}

pub(super) type Movies<'a> = Entities<'a, 4>;
pub(super) type Users<'a> = Entities<'a, 5>;

impl<'a> Movies<'a> {
    pub(super) fn of(path: &'a Path) -> Movies<'a> {
        Entities::new(path, "movie", MOVIE_COLUMNS)
    }

    /// Adds a movie. `genres` is empty if it has none.
    pub(super) fn add(&mut self, place: Place, id: &str, title: &str, genres: &str) -> Result<()> {
        self.push(place, id, [present(title), year(title), present(genres)])
    }
}

impl<'a> Users<'a> {
    pub(super) fn of(path: &'a Path) -> Users<'a> {
        Entities::new(path, "user", USER_COLUMNS)
    }

    /// Adds a user. Keeps only the first three characters of the zip code, the region: nearly all full codes are
    /// different.
    pub(super) fn add(
        &mut self,
        place: Place,
        id: &str,
        gender: &str,
        age: &str,
        occupation: &str,
        zip: &str,
    ) -> Result<()> {
        let region = zip.char_indices().nth(3).map_or(zip, |(end, _)| &zip[..end]);
        self.push(place, id, [present(gender), present(age), present(occupation), present(region)])
    }
}

impl<'a, const N: usize> Entities<'a, N> {
    fn new(path: &'a Path, what: &'static str, names: [&str; N]) -> Entities<'a, N> {
        let columns = names.map(|name| StringChunkedBuilder::new(name.into(), 0));
        Entities { path, what, columns, places: HashMap::new() }
    }

    fn push<const M: usize>(&mut self, place: Place, id: &str, attributes: [Option<&str>; M]) -> Result<()> {
        const { assert!(M + 1 == N) };
        if parse_id(id.as_bytes()).is_none() {
            return Err(self.error(place, id_reason(self.what, id)));
        }
        if let Some(first) = self.places.insert(id.to_owned(), place) {
            let (Place::Line(first) | Place::Row(first)) = first;
            let unit = match place {
                Place::Line(_) => "line",
                Place::Row(_) => "row",
            };
            let reason = format!("{} id {} occurs twice, first on {unit} {first}: remove one", self.what, shown(id));
            return Err(self.error(place, reason));
        }
        let [ids, columns @ ..] = self.columns.as_mut_slice() else { return Ok(()) };
        ids.append_value(id);
        for (column, value) in columns.iter_mut().zip(attributes) {
            column.append_option(value);
        }
        Ok(())
    }

    pub(super) fn error(&self, place: Place, reason: String) -> Error {
        match place {
            Place::Line(line) => Error::data(self.path, line, reason),
            Place::Row(row) => Error::data(self.path, None, format!("row {row}: {reason}")),
        }
    }

    pub(super) fn finish(self) -> Result<DataFrame> {
        let height = self.places.len();
        if height == 0 {
            let reason = format!("the file has no {}: download the release again", self.what);
            return Err(Error::data(self.path, None, reason));
        }
        let columns = self.columns.into_iter().map(|column| column.finish().into_column()).collect();
        DataFrame::new(height, columns).map_err(|error| Error::data(self.path, None, error.to_string()))
    }
}

fn present(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}

/// The year at the end of a title: the last "(1995)" in it, or the first year of "(1975-1979)".
fn year(title: &str) -> Option<&str> {
    title.rsplit('(').find_map(|piece| {
        let (year, rest) = piece.split_at_checked(4)?;
        let ends = [')', '-', '–'].iter().any(|&end| rest.trim_start().starts_with(end));
        (ends && year.bytes().all(|byte| byte.is_ascii_digit())).then_some(year)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_is_the_last_one_in_parentheses() {
        assert_eq!(year("Toy Story (1995)"), Some("1995"));
        assert_eq!(year("Misérables, Les (1995) "), Some("1995"));
        assert_eq!(year("Land Before Time III, The (1995) (V)"), Some("1995"));
        assert_eq!(year("Fawlty Towers (1975-1979)"), Some("1975"));
        assert_eq!(year("Death Note (2006–2007)"), Some("2006"));
        assert_eq!(year("1984 (1956) (1984)"), Some("1984"));
        for without in ["unknown", "", "2001", "Babylon (5)", "(12345)", "(été)", "("] {
            assert_eq!(year(without), None, "{without}");
        }
    }

    #[test]
    fn missing_values_are_null_and_zip_codes_are_cut() {
        let path = Path::new("u.user");
        let mut users = Users::of(path);
        users.add(Place::Line(1), "1", "M", "24", "writer", "85711").unwrap();
        users.add(Place::Line(2), "2", "", " ", "", "é1").unwrap();
        let users = users.finish().unwrap();
        let column = |name: &str| users.column(name).unwrap().str().unwrap().iter().collect::<Vec<_>>();
        assert_eq!(column("zip"), [Some("857"), Some("é1")]);
        assert_eq!((column("gender")[1], column("age")[1], column("occupation")[1]), (None, None, None));
    }

    #[test]
    fn a_repeated_id_is_an_error_that_names_both_places() {
        let mut movies = Movies::of(Path::new("movies.dat"));
        movies.add(Place::Line(3), "7", "A (1990)", "").unwrap();
        let error = movies.add(Place::Line(9), "7", "B (1990)", "").unwrap_err();
        assert_eq!(error.to_string(), "movies.dat, line 9: movie id `7` occurs twice, first on line 3: remove one");
        let error = movies.add(Place::Row(4), "x", "B (1990)", "").unwrap_err();
        assert_eq!(error.to_string(), "movies.dat: row 4: movie id `x` is not a whole number of up to 64 bits");
    }
}
