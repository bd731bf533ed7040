//! The official folds of ml-100k.

use std::collections::HashMap;
use std::path::Path;

use polars::prelude::*;

use super::MovieLens;
use super::form;
use super::ratings::Rating;
use super::text::{lines, read_bytes};
use crate::error::{Error, Result};

/// The names of the folds: five with disjoint test sets, and two whose test sets have ten ratings per user.
pub const FOLDS: [&str; 7] = ["u1", "u2", "u3", "u4", "u5", "ua", "ub"];

/// The number of ratings of ml-100k, and of the test set of each of u1 to u5.
const RATINGS: usize = 100_000;
const FOLD: usize = RATINGS / 5;

/// The rows of `data.ratings` in the training part and in the test part of an official fold of ml-100k, both ascending.
///
/// `<name>.base` and `<name>.test` in the folder define the parts. Without these files, `u1` to `u5` are derived as in
/// GroupLens' script `mku.sh`: the test sets are consecutive blocks of 20,000 lines of `u.data`.
///
/// # Errors
/// [`Error::Unknown`] for an unknown name; [`Error::MissingFold`] if both files are missing and the fold cannot be
/// derived; [`Error::Data`] if `data` is not ml-100k, one file is missing, or the files and the ratings differ in their
/// pairs of user and movie.
pub fn official_fold(folder: &Path, data: &MovieLens, name: &str) -> Result<(Vec<u32>, Vec<u32>)> {
    let Some(number) = FOLDS.iter().position(|fold| *fold == name) else {
        let known = FOLDS.map(str::to_owned).to_vec();
        return Err(Error::Unknown { what: "fold of ml-100k", name: name.to_owned(), known });
    };
    let (folder, _) = form::find(folder)?;
    let (base, test) = (folder.join(format!("{name}.base")), folder.join(format!("{name}.test")));
    match (base.is_file(), test.is_file()) {
        (true, true) => from_files(&folder, data, &base, &test),
        (true, false) | (false, true) => {
            let missing = if test.is_file() { &base } else { &test };
            Err(Error::data(
                missing,
                None,
                "the file is missing, but the other file of the fold exists: download ml-100k again",
            ))
        }
        (false, false) if number < 5 => from_order(&folder, data, number),
        (false, false) => Err(Error::MissingFold { fold: name.to_owned(), folder }),
    }
}

fn from_order(folder: &Path, data: &MovieLens, number: usize) -> Result<(Vec<u32>, Vec<u32>)> {
    if data.ratings.height() != RATINGS {
        let reason = format!(
            "the official folds divide the {RATINGS} ratings of ml-100k, but there are {} ratings: choose another split",
            data.ratings.height()
        );
        return Err(Error::data(folder, None, reason));
    }
    let test = number * FOLD..(number + 1) * FOLD;
    Ok(partition(|row| test.contains(&row), RATINGS))
}

fn from_files(folder: &Path, data: &MovieLens, base: &Path, test: &Path) -> Result<(Vec<u32>, Vec<u32>)> {
    let column = |name: &str| -> Result<Vec<&str>> {
        let column = data.ratings.column(name).and_then(Column::str);
        Ok(column.map_err(|error| Error::data(folder, None, error.to_string()))?.iter().flatten().collect())
    };
    let pairs: Vec<(&str, &str)> = column("user_id")?.into_iter().zip(column("movie_id")?).collect();
    let rows: HashMap<(&str, &str), usize> = pairs.iter().zip(0..).map(|(&pair, row)| (pair, row)).collect();
    if rows.len() != data.ratings.height() {
        return Err(Error::data(
            folder,
            None,
            "a user rated a movie twice, so the files of the folds cannot be matched with the ratings",
        ));
    }
    let mut is_test = vec![None; data.ratings.height()];
    for (path, in_test) in [(base, false), (test, true)] {
        let bytes = read_bytes(path)?;
        for (line, text) in lines(&bytes) {
            let fault = |reason: String| Error::data(path, line, reason);
            let Rating { user, movie, .. } = Rating::parse(text, b"\t").map_err(fault)?;
            let row = rows.get(&(user, movie)).ok_or_else(|| {
                fault(format!("user {user} has no rating of movie {movie} in u.data: the files must be of one release"))
            })?;
            if is_test[*row].replace(in_test).is_some() {
                return Err(fault(format!("user {user}'s rating of movie {movie} is in the fold twice")));
            }
        }
    }
    if let Some(row) = is_test.iter().position(Option::is_none) {
        let (user, movie) = pairs[row];
        let reason = format!("user {user}'s rating of movie {movie} (row {}) is in neither part of the fold", row + 1);
        return Err(Error::data(test, None, reason));
    }
    Ok(partition(|row| is_test[row] == Some(true), is_test.len()))
}

/// The rows of the training part and of the test part.
fn partition(is_test: impl Fn(usize) -> bool, rows: usize) -> (Vec<u32>, Vec<u32>) {
    let (test, training) = (0..rows).partition::<Vec<_>, _>(|&row| is_test(row));
    let narrow = |rows: Vec<usize>| rows.into_iter().map(|row| row as u32).collect();
    (narrow(training), narrow(test))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the ratings of the given pairs in `u.data`, and with other files.
    fn folder(pairs: &[(usize, usize)], files: &[(&str, &str)]) -> (tempfile::TempDir, MovieLens) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("u.data", &pairs.iter().map(|(user, movie)| format!("{user}\t{movie}\t3\t9\n")).collect::<String>());
        write("u.item", &format!("1|A (1990)|||{}\n", "|0".repeat(19)));
        write("u.user", "1|20|F|artist|12345\n");
        for (name, text) in files {
            write(name, text);
        }
        let data = super::super::read(folder.path()).unwrap();
        (folder, data)
    }

    fn message(folder: &tempfile::TempDir, data: &MovieLens, name: &str) -> String {
        official_fold(folder.path(), data, name).unwrap_err().to_string()
    }

    #[test]
    fn without_files_the_test_sets_are_blocks_in_file_order() {
        let pairs: Vec<_> = (0..RATINGS).map(|row| (row / 100 + 1, row % 100 + 1)).collect();
        let (folder, data) = folder(&pairs, &[]);
        for (number, name) in ["u1", "u2", "u3", "u4", "u5"].into_iter().enumerate() {
            let (training, test) = official_fold(folder.path(), &data, name).unwrap();
            let first = (number * 20_000) as u32;
            assert_eq!(test, (first..first + 20_000).collect::<Vec<_>>());
            assert_eq!(training, (0..first).chain(first + 20_000..100_000).collect::<Vec<_>>());
        }
        assert!(
            message(&folder, &data, "ua").contains("ua.base and ua.test are missing, and only u1 to u5 can be derived")
        );
    }

    #[test]
    fn existing_files_take_precedence() {
        let files = [("ua.base", "1\t2\t3\t9\n2\t1\t3\t9\n"), ("ua.test", "1\t1\t3\t9\n")];
        let (folder, data) = folder(&[(1, 2), (1, 1), (2, 1)], &files);
        assert_eq!(official_fold(folder.path(), &data, "ua").unwrap(), (vec![0, 2], vec![1]));
    }

    #[test]
    fn files_that_do_not_match_the_ratings_are_errors() {
        let refused = |base: &str, test: &str| {
            let (folder, data) = folder(&[(1, 2), (1, 1)], &[("u1.base", base), ("u1.test", test)]);
            message(&folder, &data, "u1")
        };
        let (one, two) = ("1\t2\t3\t9\n", "1\t1\t3\t9\n");
        assert!(refused(one, "1\t7\t3\t9\n").contains("u1.test, line 1: user 1 has no rating of movie 7"));
        assert!(refused(one, &format!("{two}{one}")).contains("u1.test, line 2: user 1's rating of movie 2 is in the"));
        assert!(refused(one, one).contains("is in the fold twice"));
        assert!(refused(two, "1\t2\t3").contains("u1.test, line 1: expected the 4 fields"));
        let (missing, data) = folder(&[(1, 2), (1, 1), (3, 3)], &[("u1.base", one), ("u1.test", two)]);
        assert!(message(&missing, &data, "u1").contains("user 3's rating of movie 3 (row 3) is in neither part"));
    }

    #[test]
    fn a_missing_file_a_wrong_size_and_an_unknown_name_are_errors() {
        let (folder, data) = folder(&[(1, 2)], &[("u1.test", "1\t2\t3\t9\n")]);
        assert!(message(&folder, &data, "u1").contains("u1.base: the file is missing"));
        assert!(message(&folder, &data, "u2").contains("100000 ratings of ml-100k, but there are 1 ratings"));
        assert_eq!(
            message(&folder, &data, "u6"),
            "there is no fold of ml-100k `u6`; available: u1, u2, u3, u4, u5, ua, ub"
        );
    }
}
