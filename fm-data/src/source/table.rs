//! One table to split.

use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

use super::interface::{DeclaredTable, Division, Reader, Source};
use crate::config::DataConfig;
use crate::declare;
use crate::error::Result;
use crate::format::{self, parts, pattern};
use crate::movielens;
use crate::spec::TableSpec;
use crate::table::{Origin, labels, read_columns, timestamps, weights};

pub(super) const SOURCE: Source = Source { applies, open, terms: None };

fn applies(config: &DataConfig) -> bool {
    config.data.as_deref().map(Path::new).is_some_and(|path| match path.is_dir() {
        true => parts::is_folder_of_parts(path) && !movielens::is_release(path),
        false => path.is_file() || pattern::is_pattern(path) || format::of(path).is_ok(),
    })
}

fn open(config: &DataConfig, _: &Path) -> Result<Box<dyn Reader>> {
    Ok(Box::new(Table(config.data.clone().unwrap_or_default().into())))
}

struct Table(PathBuf);

impl Reader for Table {
    fn files(&self) -> Result<Vec<PathBuf>> {
        parts::files(&self.0)
    }

    fn read(&self, config: &DataConfig, others: bool) -> Result<DeclaredTable> {
        let spec = declaration(config, &self.0)?;
        let (frame, origin) = read_declared(&self.0, &spec, others)?;
        declared(frame, &origin, spec)
    }
}

/// The declared columns of a table, and the others if they are asked for, with its files.
pub(super) fn read_declared(path: &Path, spec: &TableSpec, others: bool) -> Result<(DataFrame, Origin)> {
    let mut options = spec.read_options();
    options.columns.others = others;
    let (frame, origin) = read_columns(path, options)?;
    Ok((spec.decimal.with_points(&frame, spec.columns_of_numbers())?, origin))
}

/// A table whose columns have the roles declared in `spec`.
pub(super) fn declared(frame: DataFrame, origin: &Origin, spec: TableSpec) -> Result<DeclaredTable> {
    Ok(DeclaredTable {
        labels: labels(&frame, &spec.label, origin)?,
        weights: spec.weight.as_ref().map(|name| weights(&frame, name, origin)).transpose()?,
        timestamps: spec.timestamp.as_ref().map(|name| timestamps(&frame, name, origin)).transpose()?,
        division: Division::Undivided,
        items: None,
        least_positive: None,
        frame,
        spec,
    })
}

/// The declaration of a table's fields.
pub(super) fn declaration(config: &DataConfig, table: &Path) -> Result<TableSpec> {
    Ok(declare::of_table(config, table)?.spec)
}
