//! Folders and patterns of tables: the parts of one table, in the order of their names. The name of a folder in it
//! gives a column, as in `year=2024`, which the files need not have.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::interface::{Format, ReadChunks, ReadOptions};
use super::standard_input::is_standard_input;
use super::{Input, csv, pattern, sparse};
use crate::error::{Error, Result};

/// The files of a table: the file itself, or the parts in a folder or of a pattern.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] for a folder or a pattern without parts, or with parts of several formats.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if is_standard_input(path) {
        return Ok(vec![path.to_owned()]);
    }
    let is_pattern = pattern::is_pattern(path);
    let parts = match is_pattern {
        true => matches(path)?,
        false if path.is_dir() => parts(path)?,
        false => return Ok(vec![path.to_owned()]),
    };
    let what = if is_pattern { "pattern" } else { "folder" };
    let Some((format, _)) = parts.first() else {
        let all = super::extensions(is_part);
        let reason = match is_pattern {
            true => format!("the pattern matches no {all} files, nor folders with them"),
            false => format!("the folder has no {all} files, nor folders with them named as in `year=2024`"),
        };
        return Err(Error::data(path, None, reason));
    };
    if let Some((other, _)) = parts.iter().find(|(other, _)| other != format) {
        let reason = format!("the {what} has .{format} and .{other} files: the parts of a table have one format");
        return Err(Error::data(path, None, reason));
    }
    Ok(parts.into_iter().map(|(_, part)| part).collect())
}

/// The tables of a pattern: the files that match, and those in the folders that match.
fn matches(path: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    // A pattern such as `*.txt` means these files.
    let own = super::of(path).map(Format::extension).ok();
    let mut parts = Vec::new();
    for found in pattern::matches(path)? {
        if found.is_dir() {
            parts.extend(self::parts(&found)?);
        } else if let Ok(format) = super::of(&found)
            && (is_part(format) || own == Some(format.extension()))
            && !is_hidden(&found.file_name().unwrap_or_default().to_string_lossy())
        {
            parts.push((format.extension(), found));
        }
    }
    parts.sort_by(|(_, a), (_, b)| a.cmp(b));
    parts.dedup();
    Ok(parts)
}

/// Whether other programs leave files without a table under such a name.
fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// Whether a path is a folder with parts of a table.
pub fn is_folder_of_parts(path: &Path) -> bool {
    !is_standard_input(path) && path.is_dir() && parts(path).is_ok_and(|parts| !parts.is_empty())
}

/// The tables in a folder and in its folders named as in `year=2024`, in the order of their names, each with the extension
/// of its format.
fn parts(folder: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if is_hidden(&name) {
            continue;
        }
        // Links to folders, which may lead back, are not followed.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if value_in(&name).is_some() {
                parts.extend(self::parts(&path)?);
            }
            continue;
        }
        let Ok(format) = super::of(&path) else { continue };
        if is_part(format) && path.is_file() {
            parts.push((format.extension(), path));
        }
    }
    parts.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(parts)
}

/// Whether the files of a format are parts of a table. A `.txt` may be anything.
fn is_part(format: &dyn Format) -> bool {
    format.extension() != csv::TXT.extension()
}

/// The column and the value that the name of a folder gives, as Hive and Spark write them: `year=2024`. `None` in the
/// value is a missing one.
fn value_in(folder: &str) -> Option<(String, Option<String>)> {
    let (column, value) = folder.split_once('=').filter(|(column, _)| !column.is_empty())?;
    let value = Some(unescaped(value)).filter(|value| value != "__HIVE_DEFAULT_PARTITION__");
    Some((unescaped(column), value))
}

/// A text in which characters are written as in `%3A`.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((16 * high + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Opens the table in these files of `path`, which is the file itself, a folder or a pattern.
///
/// # Errors
/// Those of [`Format::read`], and [`Error::Data`] if not all files have the columns of the first.
pub fn read(path: &Path, files: Vec<PathBuf>, options: &ReadOptions) -> Result<Box<dyn ReadChunks>> {
    let Some(first) = files.first() else { return Err(Error::NoData) };
    let options = &sparse::with_fields_of_all(&files, options)?;
    let folder = if pattern::is_pattern(path) { pattern::fixed_part(path) } else { path.to_owned() };
    let (current, given) = (open(first, options)?, given(&folder, first));
    if files.len() == 1 && given.is_empty() {
        return Ok(current);
    }
    let names = all_names(current.names(), &given);
    let options = options.clone();
    Ok(Box::new(Parts { folder, files, options, names, current, given, at: 0, columns: None, bytes_read: 0 }))
}

fn open(path: &Path, options: &ReadOptions) -> Result<Box<dyn ReadChunks>> {
    super::of(path)?.read(Input::open(path)?, options)
}

/// The columns that the names of the folders between `folder` and a file give, with their value.
fn given(folder: &Path, file: &Path) -> Vec<(String, Option<String>)> {
    let between = file.strip_prefix(folder).ok().and_then(Path::parent);
    between.into_iter().flat_map(Path::iter).filter_map(|name| value_in(&name.to_string_lossy())).collect()
}

/// The columns of a file, and those given that it does not have itself.
fn all_names(own: &[String], given: &[(String, Option<String>)]) -> Vec<String> {
    let given = given.iter().map(|(name, _)| name).filter(|name| !own.contains(name));
    own.iter().chain(given).cloned().collect()
}

/// The chunks of one part after the other.
struct Parts {
    folder: PathBuf,
    files: Vec<PathBuf>,
    options: ReadOptions,
    /// The names of the columns of the first part.
    names: Vec<String>,
    current: Box<dyn ReadChunks>,
    /// The columns of the current part that the names of its folders give.
    given: Vec<(String, Option<String>)>,
    /// The position of the current part.
    at: usize,
    /// The columns of the chunks, in their order.
    columns: Option<Vec<String>>,
    /// The bytes of the parts before the current one.
    bytes_read: u64,
}

impl Parts {
    fn open_next(&mut self) -> Result<()> {
        self.bytes_read += self.current.bytes_read();
        self.at += 1;
        let path = &self.files[self.at];
        self.current = open(path, &self.options)?;
        self.given = given(&self.folder, path);
        let all = all_names(self.current.names(), &self.given);
        let (there, first) = (names(&all), names(&self.names));
        let lacks = |one: &HashSet<&str>, other: &HashSet<&str>| {
            let wanted = one.difference(other).filter(|name| self.options.columns.has(name));
            wanted.map(|name| name.to_string()).min()
        };
        let first_file = self.files[0].display();
        let reason = match (lacks(&first, &there), lacks(&there, &first)) {
            (Some(name), _) => format!("has no column `{name}`, which {first_file} has"),
            (None, Some(name)) => format!("has a column `{name}`, which {first_file} does not have"),
            (None, None) => return Ok(()),
        };
        Err(Error::data(path, None, format!("{reason}: the parts of a table have the same columns")))
    }

    /// A chunk of the current part, with the given columns.
    fn with_given(&self, mut chunk: DataFrame) -> Result<DataFrame> {
        let own = self.current.names();
        for (name, value) in self.given.iter().filter(|(name, _)| self.options.columns.has(name) && !own.contains(name))
        {
            let (name, height) = (name.as_str().into(), chunk.height());
            let column = match value {
                Some(value) => StringChunked::full(name, value, height),
                None => StringChunked::full_null(name, height),
            };
            chunk.with_column(column.into_column())?;
        }
        Ok(chunk)
    }
}

fn names(names: &[String]) -> HashSet<&str> {
    names.iter().map(String::as_str).collect()
}

impl ReadChunks for Parts {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn file(&self) -> &Path {
        self.current.file()
    }

    fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        loop {
            if let Some(chunk) = self.current.next_chunk()? {
                let chunk = self.with_given(chunk)?;
                let Some(columns) = &self.columns else {
                    self.columns = Some(chunk.get_column_names().iter().map(|name| name.to_string()).collect());
                    return Ok(Some(chunk));
                };
                return Ok(Some(chunk.select(columns)?));
            }
            if self.at + 1 == self.files.len() {
                return Ok(None);
            }
            self.open_next()?;
        }
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read + self.current.bytes_read()
    }

    fn line_after(&mut self, _: usize) -> Option<usize> {
        // A row's file is known before its line is looked for.
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::selection::{Needed, Selection};
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    /// The names of all columns, and the rows that are read.
    fn table(folder: &Path, columns: Selection) -> Result<(String, Vec<String>)> {
        let options = ReadOptions { columns, ..ReadOptions::default() };
        let mut chunks = read(folder, files(folder)?, &options)?;
        let mut rows = vec![];
        while let Some(chunk) = chunks.next_chunk()? {
            let cells = |column: &Column, row| column.str().unwrap().get(row).unwrap_or("-").to_owned();
            let row = |row| chunk.columns().iter().map(|column| cells(column, row)).collect::<Vec<_>>().join(",");
            rows.extend((0..chunk.height()).map(row));
        }
        Ok((chunks.names().join(","), rows))
    }

    fn error(folder: &Path, columns: Selection) -> String {
        table(folder, columns).unwrap_err().to_string()
    }

    #[test]
    fn the_names_of_folders_give_columns() {
        let folder = folder(&[
            ("year=2023/month=12/b.csv", "a\n3\n"),
            ("year=2023/month=12/a.csv", "a\n1\n2\n"),
            ("year=2024/month=1/a.csv", "a\n4\n"),
            ("year=__HIVE_DEFAULT_PARTITION__/month=a%2Fb%/a.csv", "a\n5\n"),
            ("year=2024/month=1/_SUCCESS.csv", ""),
            ("other/a.csv", "b\n6\n"),
        ]);
        let rows = ["1,2023,12", "2,2023,12", "3,2023,12", "4,2024,1", "5,-,a/b%"].map(String::from).to_vec();
        assert_eq!(table(folder.path(), Selection::default()).unwrap(), ("a,year,month".into(), rows));
        let needed = Selection { needed: vec![Needed::one("month")], others: false };
        assert_eq!(table(folder.path(), needed).unwrap().1, ["12", "12", "12", "1", "a/b%"]);
        let needed = Selection { needed: vec![Needed::one("a")], others: false };
        assert_eq!(table(folder.path(), needed).unwrap().1, ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn a_column_of_the_file_comes_before_that_of_its_folder() {
        let folder = folder(&[("day=1/a.csv", "day,a\n01,x\n"), ("day=2/a.csv", "a,day\ny,02\n")]);
        let rows = ["01,x", "02,y"].map(String::from).to_vec();
        assert_eq!(table(folder.path(), Selection::default()).unwrap(), ("day,a".into(), rows));
    }

    #[test]
    fn the_matches_of_a_pattern_are_the_parts_of_a_table() {
        let folder = folder(&[
            ("year=2023/b.csv", "a\n3\n"),
            ("year=2023/a.csv", "a\n1\n2\n"),
            ("year=2023/_a.csv", ""),
            ("year=2023/a.csv.md5", ""),
            ("year=2024/a.csv", "a\n4\n"),
            ("year=2024/deep/c.csv", "a\n5\n"),
            ("day.txt", "a\n6\n"),
            ("none.log", ""),
        ]);
        let rows = |pattern: &str| {
            table(&folder.path().join(pattern), Selection::default()).map(|(names, rows)| (names, rows.concat()))
        };
        for pattern in ["year=*/*.csv", "year=*", "./year=202[34]/?.csv", "year=*/*"] {
            let is_deep = pattern == "year=*/*";
            // A folder that matches is read, too: its name gives no column here.
            let expected = if is_deep { "1,20232,20233,20234,20245,2024" } else { "1,20232,20233,20234,2024" };
            assert_eq!(rows(pattern).unwrap(), ("a,year".into(), expected.into()), "{pattern}");
        }
        // Only what is below the fixed part of the pattern gives columns, as in a folder.
        assert_eq!(rows("year=2023/*.csv").unwrap(), ("a".into(), "123".into()));
        assert_eq!(rows("**/c.csv").unwrap(), ("a,year".into(), "5,2024".into()));
        assert_eq!(rows("*.txt").unwrap(), ("a".into(), "6".into()));
        let fails = |pattern: &str| rows(pattern).unwrap_err().to_string();
        assert!(fails("none*").contains("none*: the pattern matches no .csv, .tsv, "), "{}", fails("none*"));
        assert!(fails("[").contains("is a malformed pattern"), "{}", fails("["));
    }

    #[test]
    fn all_parts_have_the_same_columns() {
        let unlike = folder(&[("day=1/a.csv", "a\nx\n"), ("day=2/hour=3/a.csv", "a\ny\n")]);
        assert!(error(unlike.path(), Selection::default()).contains("has a column `hour`, which"));
        let needed = Selection { needed: vec![Needed::one("a")], others: false };
        assert_eq!(table(unlike.path(), needed).unwrap().1, ["x", "y"]);
        let above = folder(&[("a.csv", "a\nx\n"), ("day=2/a.csv", "a\ny\n")]);
        assert!(error(above.path(), Selection::default()).contains("has a column `day`, which"));
        let none = folder(&[("2024/a.csv", "a\nx\n"), ("=1/a.csv", "a\nx\n")]);
        assert!(error(none.path(), Selection::default()).contains("nor folders with them named as in `year=2024`"));
    }
}
