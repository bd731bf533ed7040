//! Patterns of paths, such as `parts/day-*.csv`.

use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::error::{Error, Result};

/// As in a shell, a `*` is within one name, and names that start with a point must be given.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether a path is a pattern: it has `*`, `?` or `[`, and nothing there has this name.
pub fn is_pattern(path: &Path) -> bool {
    has_wildcard(path) && std::fs::symlink_metadata(path).is_err()
}

fn has_wildcard(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?', '[']))
}

/// The files and folders that match a pattern, in the order of their names.
///
/// # Errors
/// [`Error::Data`] for a malformed pattern; [`Error::Io`] for a folder that cannot be read.
pub(super) fn matches(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = normal(pattern);
    let malformed = |reason: &str| Error::data(pattern, None, format!("is a malformed pattern: {reason}"));
    let text = text.to_str().ok_or_else(|| malformed("it is not UTF-8"))?;
    let paths = glob::glob_with(text, OPTIONS).map_err(|error| malformed(error.msg))?;
    let mut paths = paths
        .map(|path| {
            path.map_err(|error| {
                let path = error.path().to_owned();
                Error::io("read", path)(error.into())
            })
        })
        .collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// The folders before the first name with a wildcard.
pub(super) fn fixed_part(pattern: &Path) -> PathBuf {
    let name = |name: &std::ffi::OsStr| match name.to_str() {
        Some(text) if has_wildcard(Path::new(text)) => literal(text),
        _ => Some(PathBuf::from(name)),
    };
    normal(pattern).iter().map_while(name).collect()
}

/// The name of which a part of a pattern is the escaped form.
fn literal(name: &str) -> Option<PathBuf> {
    let plain = ["[", "]", "*", "?"].iter().fold(name.to_owned(), |plain, c| plain.replace(&format!("[{c}]"), c));
    (Pattern::escape(&plain) == name).then(|| plain.into())
}

/// A path without `.`, as matches are.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// A path or a pattern that is relative to a folder, whose name is no pattern.
pub fn within(folder: &Path, path: &Path) -> PathBuf {
    let joined = folder.join(path);
    if path.is_absolute() || !has_wildcard(path) || !is_pattern(&joined) {
        return joined;
    }
    let folder = folder.to_str().map_or_else(|| folder.to_owned(), |folder| Pattern::escape(folder).into());
    folder.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_path_with_wildcards_that_does_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a*.csv", "a?.csv", "[ab].csv"] {
            assert!(is_pattern(&path(name)), "{name}");
            std::fs::write(path(name), "").unwrap();
            assert!(!is_pattern(&path(name)), "{name}");
        }
        assert!(!is_pattern(&path("a.csv")));
    }

    #[test]
    fn matches_are_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["b/day-2.csv", "a/day-10.csv", "a/day-1.csv", "a/.day-3.csv", "a/c/day-4.csv", "a/day.txt"] {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), "").unwrap();
        }
        let of = |pattern: &str| -> Vec<String> {
            let names = matches(&path(pattern)).unwrap().into_iter();
            names.map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(of("a/day-*.csv"), ["a/day-1.csv", "a/day-10.csv"]);
        assert_eq!(of("./?/day-[12].csv"), ["a/day-1.csv", "b/day-2.csv"]);
        assert_eq!(of("**/day-*.csv"), ["a/c/day-4.csv", "a/day-1.csv", "a/day-10.csv", "b/day-2.csv"]);
        assert_eq!(of("*/none"), [""; 0]);
        assert!(matches(&path("a/[")).unwrap_err().to_string().contains("is a malformed pattern"));
    }

    #[test]
    fn the_folder_of_a_relative_pattern_is_no_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("[1] *");
        std::fs::create_dir(&odd).unwrap();
        std::fs::write(odd.join("a.csv"), "").unwrap();
        assert_eq!(matches(&within(&odd, Path::new("*.csv"))).unwrap(), [odd.join("a.csv")]);
        assert_eq!(fixed_part(&within(&odd, Path::new("b/*.csv"))), odd.join("b"));
        assert_eq!(within(&odd, Path::new("a.csv")), odd.join("a.csv"));
        assert_eq!(within(&odd, Path::new("/x/*.csv")), Path::new("/x/*.csv"));
        assert_eq!(fixed_part(Path::new("./a/b/year=*/c/*.csv")), Path::new("a/b"));
        assert_eq!(fixed_part(Path::new("*.csv")), Path::new(""));
    }
}
