//! What can go wrong with data, each as one line that says what, where and what to do.

use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the library. `Display` is a single line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of fm-core: a schema, a shape, a file that could not be written.
    #[error(transparent)]
    Core(#[from] fm_core::Error),
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("{path}{}: {reason}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Data {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What was found and what was expected.
        reason: String,
    },
    /// A table lacks a column.
    #[error("there is no column `{name}`; {}", suggestion(name, there))]
    MissingColumn {
        /// The column asked for.
        name: String,
        /// The columns that there are.
        there: Vec<String>,
    },
    /// What was declared about a table contradicts itself, or the table.
    #[error("{0}")]
    Spec(String),
    /// The rows cannot be split as asked.
    #[error("cannot split the rows by `{split}`: {reason}")]
    Split {
        /// The split, as it is written on the command line.
        split: String,
        /// What stands against it, and what would do.
        reason: String,
    },
    /// A file could not be downloaded.
    #[error("cannot download {url}: {reason}")]
    Download {
        /// The file's address.
        url: String,
        /// What went wrong, and what to do.
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
    /// A release, a fold or a folder was asked for by a name that there is not.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    /// An [`Error::Io`] for `path`; use as `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { action, path, source }
    }

    /// An [`Error::Data`] of `path`.
    pub fn data(path: impl AsRef<Path>, line: impl Into<Option<usize>>, reason: impl Into<String>) -> Error {
        Error::Data { path: path.as_ref().to_owned(), line: line.into(), reason: reason.into() }
    }
}

/// "did you mean `item`? there are user, item": the near name, if one is near, and all names.
pub(crate) fn suggestion<S: AsRef<str>>(given: &str, known: &[S]) -> String {
    const SHOWN: usize = 30;
    let names = || known.iter().map(AsRef::as_ref);
    let near = fm_core::error::nearest(given, names()).map(|near| format!("did you mean `{near}`? "));
    let list: Vec<&str> = names().take(SHOWN).collect();
    let more = if known.len() > SHOWN { format!(" and {} more", known.len() - SHOWN) } else { String::new() };
    format!("{}there are: {}{more}", near.unwrap_or_default(), list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_data_shows_file_and_line() {
        let error = Error::data("ratings.csv", 17, "`abc` in column `rating` is not a number");
        assert_eq!(error.to_string(), "ratings.csv, line 17: `abc` in column `rating` is not a number");
        assert_eq!(Error::data("ratings.csv", None, "is empty").to_string(), "ratings.csv: is empty");
    }

    #[test]
    fn a_missing_column_names_the_near_one_and_lists_what_there_is() {
        let error = Error::MissingColumn { name: "itme".into(), there: vec!["user".into(), "item".into()] };
        let expected = "there is no column `itme`; did you mean `item`? there are: user, item";
        assert_eq!(error.to_string(), expected);
    }
}
