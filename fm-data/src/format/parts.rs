//! Folders of tables: the parts of one table, in the order of their names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

use super::interface::{Format, ReadChunks, ReadOptions};
use super::{Input, csv};
use crate::error::{Error, Result};

/// The files of a table: the file itself, or the parts in a folder.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] for a folder without parts, or with parts of several formats.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let parts = parts(path)?;
    let Some((format, _)) = parts.first() else {
        return Err(Error::data(path, None, "the folder has no .csv, .tsv or .parquet files"));
    };
    if let Some((other, _)) = parts.iter().find(|(other, _)| other != format) {
        let reason = format!("the folder has .{format} and .{other} files: the parts of a table have one format");
        return Err(Error::data(path, None, reason));
    }
    Ok(parts.into_iter().map(|(_, part)| part).collect())
}

/// Whether a path is a folder with parts of a table.
pub fn is_folder_of_parts(path: &Path) -> bool {
    path.is_dir() && parts(path).is_ok_and(|parts| !parts.is_empty())
}

/// The tables in a folder, in the order of their names, each with the extension of its format. Other programs leave
/// files without a table whose names start with `.` or `_`. A `.txt` may be anything.
fn parts(folder: &Path) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
        let Ok(format) = super::of(&path) else { continue };
        if !is_hidden && format.extension() != csv::TXT.extension() && path.is_file() {
            parts.push((format.extension(), path));
        }
    }
    parts.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(parts)
}

/// Opens the table in these files.
///
/// # Errors
/// Those of [`Format::read`], and [`Error::Data`] if not all files have the columns of the first.
pub fn read(files: Vec<PathBuf>, options: &ReadOptions) -> Result<Box<dyn ReadChunks>> {
    let open = |path: &Path| super::of(path)?.read(Input::open(path)?, options);
    match files.as_slice() {
        [file] => open(file),
        [first, ..] => {
            let current = open(first)?;
            let (names, options) = (current.names().to_vec(), options.clone());
            Ok(Box::new(Parts { files, options, names, current, at: 0, columns: None, bytes_read: 0 }))
        }
        [] => Err(Error::NoData),
    }
}

/// The chunks of one part after the other.
struct Parts {
    files: Vec<PathBuf>,
    options: ReadOptions,
    /// The names of the columns of the first part.
    names: Vec<String>,
    current: Box<dyn ReadChunks>,
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
        self.current = super::of(path)?.read(Input::open(path)?, &self.options)?;
        let (there, first) = (names(self.current.names()), names(&self.names));
        let wanted = |name: &&&str| {
            self.options.columns.others || self.options.columns.needed.iter().any(|needed| needed.name == **name)
        };
        let lacks = |one: &HashSet<&str>, other: &HashSet<&str>| {
            let mut lacking: Vec<String> = one.difference(other).filter(wanted).map(|name| name.to_string()).collect();
            lacking.sort();
            lacking.into_iter().next()
        };
        let first_file = self.files[0].display();
        let reason = match (lacks(&first, &there), lacks(&there, &first)) {
            (Some(name), _) => format!("has no column `{name}`, which {first_file} has"),
            (None, Some(name)) => format!("has a column `{name}`, which {first_file} does not have"),
            (None, None) => return Ok(()),
        };
        Err(Error::data(path, None, format!("{reason}: the parts of a table have the same columns")))
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
