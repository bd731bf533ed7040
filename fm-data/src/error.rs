//! Errors about data. Each is one line with what is wrong, where, and what was expected.

use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::PolarsError;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The path of standard input.
pub(crate) const STANDARD_INPUT: &str = "-";

/// A path in words.
pub fn shown(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    if path == Path::new(STANDARD_INPUT) { "standard input".into() } else { path.to_owned() }
}

/// An error of the library. `Display` is a single line that states facts; advice on how to use a program is up to the
/// program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of fm-core: a schema, a shape, a file that could not be written.
    #[error(transparent)]
    Core(#[from] fm_core::Error),
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The action that failed: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The content of a file is not as expected.
    #[error("{path}{}: {reason}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Data {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What was found and what was expected.
        reason: String,
    },
    /// A row of a table that cannot be read. Such rows can be [skipped](crate::OnBadRow).
    #[error(transparent)]
    BadRow(Box<Error>),
    /// The settings name no data.
    #[error("no data is given")]
    NoData,
    /// The settings name validation or test rows, but no training rows.
    #[error("there is a validation or test table, but no training table")]
    NoTrainingTable,
    /// The settings name rows in two ways.
    #[error("one data set to split and tables for its parts are both given")]
    AmbiguousData,
    /// A new location of one data set, for rows in tables of their own.
    #[error("these rows are in a table for each part, which one data set cannot stand for")]
    InTables,
    /// A new location of a table for a part, for rows in one data set.
    #[error("these rows are in one data set, not in a table for each part")]
    InOneDataSet,
    /// A table without a declaration, and without a column that is named like a label.
    #[error("{table} has no column with a usual name for a label, such as label, click or rating, but {}", there.join(", "))]
    NoLabel {
        /// The table.
        table: PathBuf,
        /// The columns of the table.
        there: Vec<String>,
    },
    /// The name of a data set is neither a release nor a folder.
    #[error("there is no folder {name} and no MovieLens release of that name; {}", suggestion(name, known))]
    UnknownData {
        /// The given name.
        name: String,
        /// The names of the releases.
        known: Vec<String>,
    },
    /// A MovieLens release that has not been downloaded.
    #[error("{release} is not in {folder}")]
    MissingRelease {
        /// The name of the release.
        release: &'static str,
        /// The folder for data.
        folder: PathBuf,
    },
    /// The files of an official fold are missing, and it cannot be derived.
    #[error("{folder}: {fold}.base and {fold}.test are missing, and only u1 to u5 can be derived without their files")]
    MissingFold {
        /// The name of the fold.
        fold: String,
        /// The folder of the release.
        folder: PathBuf,
    },
    /// The platform has no folder for data.
    #[error("the platform has no folder for data, and {variable} is not set")]
    NoDataFolder {
        /// The environment variable that can set it.
        variable: &'static str,
    },
    /// An unknown name.
    #[error("there is no {what} `{name}`; {}", suggestion(name, known))]
    Unknown {
        /// The kind of name: "field", "MovieLens release".
        what: &'static str,
        /// The given name.
        name: String,
        /// The known names.
        known: Vec<String>,
    },
    /// A table lacks a column.
    #[error("there is no column `{name}`; {}", suggestion(name, there))]
    MissingColumn {
        /// The missing column.
        name: String,
        /// The columns of the table.
        there: Vec<String>,
    },
    /// The declaration of a table contradicts itself or the table.
    #[error("{0}")]
    Spec(String),
    /// The declaration does not say which fields are the user and the item.
    #[error("{purpose} needs to know {}", if *user { "who the user and the item are, but the table does not declare both" } else { "what the item is, but the table does not declare it" })]
    NoRole {
        /// The purpose that needs to know them, such as "a ranking".
        purpose: &'static str,
        /// Whether it needs to know the user, too.
        user: bool,
    },
    /// A regression with a threshold.
    #[error("a regression predicts the label itself and has no threshold")]
    UnusedThreshold,
    /// A binary task without a threshold, whose labels are not 0 and 1.
    #[error("{row}, so a binary task needs the smallest positive label")]
    MissingThreshold {
        /// The first row with another label.
        row: Box<Error>,
    },
    /// The rows cannot be split in this way.
    #[error("cannot split the rows by `{split}`: {reason}")]
    Split {
        /// The split in its text form.
        split: String,
        /// The reason, and a split that is possible.
        reason: String,
    },
    /// A file could not be downloaded.
    #[error("cannot download {url}: {reason}")]
    Download {
        /// The file's address.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// An archive could not be unpacked.
    #[error("cannot unpack {path}: {reason}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Polars failed in an operation on whole tables.
    #[error("the table cannot be processed: {0}")]
    Table(String),
}

impl Error {
    /// An [`Error::Io`] for `path`; use as `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = shown(path);
        move |source| Error::Io { action, path, source }
    }

    /// The same error about data as one of a single row, which could be skipped.
    pub(crate) fn of_row(self) -> Error {
        match self {
            Error::Data { .. } => Error::BadRow(Box::new(self)),
            error => error,
        }
    }

    /// An [`Error::Data`] of `path`.
    pub fn data(path: impl AsRef<Path>, line: impl Into<Option<usize>>, reason: impl Into<String>) -> Error {
        Error::Data { path: shown(path), line: line.into(), reason: reason.into() }
    }
}

impl From<PolarsError> for Error {
    fn from(error: PolarsError) -> Error {
        Error::Table(first_line(&error))
    }
}

/// The first line of a Polars error. Further lines give advice on options of Polars.
pub(crate) fn first_line(error: &PolarsError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or("unknown error").to_owned()
}

/// The operating system's error behind a Polars error, if there is one. Its kind reveals a closed pipe.
pub(crate) fn io_error(error: PolarsError) -> io::Error {
    match error {
        PolarsError::IO { error, .. } => io::Error::new(error.kind(), error),
        error => io::Error::other(error),
    }
}

/// "did you mean `item`? available: user, item": the closest name, if one is close, and all names.
pub(crate) fn suggestion<S: AsRef<str>>(given: &str, known: &[S]) -> String {
    const SHOWN: usize = 30;
    let names = || known.iter().map(AsRef::as_ref);
    let near = fm_core::error::nearest(given, names()).map(|near| format!("did you mean `{near}`? "));
    let list: Vec<&str> = names().take(SHOWN).collect();
    let more = if known.len() > SHOWN { format!(" and {} more", known.len() - SHOWN) } else { String::new() };
    format!("{}available: {}{more}", near.unwrap_or_default(), list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_data_names_file_and_line() {
        let error = Error::data("ratings.csv", 17, "`abc` in column `rating` is not a number");
        assert_eq!(error.to_string(), "ratings.csv, line 17: `abc` in column `rating` is not a number");
        assert_eq!(Error::data("ratings.csv", None, "is empty").to_string(), "ratings.csv: is empty");
    }

    #[test]
    fn a_missing_column_names_the_closest_one_and_all_others() {
        let error = Error::MissingColumn { name: "itme".into(), there: vec!["user".into(), "item".into()] };
        let expected = "there is no column `itme`; did you mean `item`? available: user, item";
        assert_eq!(error.to_string(), expected);
    }
}
