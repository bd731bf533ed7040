//! Reads the movies and users of each form.

use std::borrow::Cow;
use std::path::Path;

use polars::prelude::*;

use super::entities::{Movies, Place, Users};
use super::ratings::check_csv_header;
use super::text::{decode, decode_utf8, read_bytes, shown, text_lines};
use crate::error::{Error, Result};
use crate::format::csv::records::{Cell, Dialect, Records};

/// The genres of ml-100k, for a folder without `u.genre`.
const GENRES: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

/// The text for a movie without genres in `movies.dat` and `movies.csv`.
const NO_GENRES: &str = "(no genres listed)";

/// The header of `movies.csv`.
const MOVIES_HEADER: [&str; 3] = ["movieId", "title", "genres"];

fn known_genres(genres: &str) -> &str {
    if genres.trim() == NO_GENRES { "" } else { genres }
}

/// `u.item`: id, title, two dates, an address, then a flag for each genre.
pub(super) fn u_item(folder: &Path) -> Result<DataFrame> {
    let genres = u_genre(&folder.join("u.genre"))?;
    let path = folder.join("u.item");
    let bytes = read_bytes(&path)?;
    let text = decode(&bytes);
    let mut movies = Movies::of(&path);
    for (line, text) in text_lines(&text) {
        let place = Place::Line(line);
        let fields: Vec<&str> = text.split('|').collect();
        if fields.len() != 5 + genres.len() {
            let reason = format!(
                "expected {} fields (5 and a flag for each of {} genres), found {}: the file may be cut off; download \
                 the release again",
                5 + genres.len(),
                genres.len(),
                fields.len()
            );
            return Err(movies.error(place, reason));
        }
        let flags = &fields[5..];
        if let Some(flag) = flags.iter().find(|flag| !["0", "1"].contains(flag)) {
            return Err(movies.error(place, format!("a genre's flag is {} instead of 0 or 1", shown(flag))));
        }
        movies.add(place, fields[0], fields[1], &flagged(&genres, flags.iter().map(|&flag| flag == "1")))?;
    }
    movies.finish()
}

/// The names of the genres whose flag is set.
pub(super) fn flagged<S: AsRef<str>>(genres: &[S], flags: impl Iterator<Item = bool>) -> String {
    let set = genres.iter().zip(flags).filter(|(_, flag)| *flag);
    set.map(|(genre, _)| genre.as_ref()).collect::<Vec<_>>().join("|")
}

/// `u.genre`: the name and the position of each genre.
fn u_genre(path: &Path) -> Result<Vec<Cow<'static, str>>> {
    if !path.is_file() {
        return Ok(GENRES.map(Cow::Borrowed).to_vec());
    }
    let bytes = read_bytes(path)?;
    let text = decode(&bytes);
    let mut genres = Vec::new();
    for (line, text) in text_lines(&text) {
        match text.split_once('|') {
            Some((name, position)) if position.parse() == Ok(genres.len()) => genres.push(Cow::Owned(name.to_owned())),
            _ => {
                let reason = format!("expected a name and `|{}`, found {}", genres.len(), shown(text));
                return Err(Error::data(path, line, reason));
            }
        }
    }
    Ok(genres)
}

/// `u.user`: id, age, gender, occupation, zip code.
pub(super) fn u_user(folder: &Path) -> Result<DataFrame> {
    users(&folder.join("u.user"), "|", |[id, age, gender, occupation, zip]| [id, gender, age, occupation, zip])
}

/// `users.dat`: id, gender, age, occupation, zip code.
pub(super) fn users_dat(folder: &Path) -> Result<DataFrame> {
    users(&folder.join("users.dat"), "::", |fields| fields)
}

/// Reads users; `order` puts a line's fields in the order id, gender, age, occupation, zip code.
fn users(path: &Path, separator: &str, order: impl Fn([&str; 5]) -> [&str; 5]) -> Result<DataFrame> {
    let bytes = read_bytes(path)?;
    let text = decode(&bytes);
    let mut users = Users::of(path);
    for (line, text) in text_lines(&text) {
        let place = Place::Line(line);
        let Ok(fields) = <[&str; 5]>::try_from(text.split(separator).collect::<Vec<_>>()) else {
            let reason = format!(
                "expected 5 fields, found {}: the file may be cut off; download the release again",
                shown(text)
            );
            return Err(users.error(place, reason));
        };
        let [id, gender, age, occupation, zip] = order(fields);
        users.add(place, id, gender, age, occupation, zip)?;
    }
    users.finish()
}

/// `movies.dat`: id, title, genres. A title may contain `::`.
pub(super) fn movies_dat(folder: &Path) -> Result<DataFrame> {
    let path = folder.join("movies.dat");
    let bytes = read_bytes(&path)?;
    let text = decode(&bytes);
    let mut movies = Movies::of(&path);
    for (line, text) in text_lines(&text) {
        let place = Place::Line(line);
        let parts = text.split_once("::").and_then(|(id, rest)| Some((id, rest.rsplit_once("::")?)));
        let Some((id, (title, genres))) = parts else {
            let reason = format!(
                "expected the 3 fields id, title and genres, found {}: the file may be cut off; download the release \
                 again",
                shown(text)
            );
            return Err(movies.error(place, reason));
        };
        movies.add(place, id, title, known_genres(genres))?;
    }
    movies.finish()
}

/// `movies.csv`: id, title, genres.
pub(super) fn movies_csv(folder: &Path) -> Result<DataFrame> {
    let path = folder.join("movies.csv");
    check_csv_header(&path, &MOVIES_HEADER)?;
    let bytes = read_bytes(&path)?;
    let text = decode_utf8(&path, &bytes)?;
    let mut movies = Movies::of(&path);
    let (mut records, mut cells) = (Records::new(text.as_bytes(), Dialect::COMMAS, 1), Vec::new());
    let mut is_header = true;
    loop {
        let cut_off = |reason: &str| format!("{reason}: the file may be cut off; download the release again");
        let line = match records.read(&mut cells) {
            Ok(None) => break,
            Ok(Some(line)) => line,
            Err((line, reason)) => return Err(Error::data(&path, line, cut_off(&reason))),
        };
        let is_blank = cells.len() == 1 && cells[0].is_empty();
        if std::mem::take(&mut is_header) || is_blank {
            continue;
        }
        let fields: Vec<Cow<str>> = cells.iter().map(|cell: &Cell| cell.text(text)).collect();
        match fields.as_slice() {
            [id, title, genres] => movies.add(Place::Line(line), id, title, known_genres(genres))?,
            fields => {
                let found = shown(fields.join(","));
                let reason = cut_off(&format!("expected the 3 columns movieId, title and genres, found {found}"));
                return Err(movies.error(Place::Line(line), reason));
            }
        }
    }
    movies.finish()
}
