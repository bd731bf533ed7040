//! One table to split.

use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

use super::interface::{DeclaredTable, Division, Reader, Source};
use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::format;
use crate::spec::TableSpec;
use crate::table::{integers, numbers, read_table, weights};

pub(super) const SOURCE: Source = Source { applies, open, terms: None };

fn applies(config: &DataConfig) -> bool {
    config
        .data
        .as_deref()
        .map(Path::new)
        .is_some_and(|path| path.is_file() || (format::of(path).is_ok() && !path.is_dir()))
}

fn open(config: &DataConfig, _: &Path) -> Result<Box<dyn Reader>> {
    Ok(Box::new(Table(config.data.clone().unwrap_or_default().into())))
}

struct Table(PathBuf);

impl Reader for Table {
    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok(vec![self.0.clone()])
    }

    fn read(&self, config: &DataConfig) -> Result<DeclaredTable> {
        let spec = declaration(config, &self.0)?;
        let frame = read_table(&self.0)?;
        declared(&self.0, frame, spec)
    }
}

/// A table whose columns have the roles declared in `spec`. `path` is its file, for errors.
pub(super) fn declared(path: &Path, frame: DataFrame, spec: TableSpec) -> Result<DeclaredTable> {
    Ok(DeclaredTable {
        labels: numbers(&frame, &spec.label, path)?,
        weights: spec.weight.as_ref().map(|name| weights(&frame, name, path)).transpose()?,
        timestamps: spec.timestamp.as_ref().map(|name| integers(&frame, name, path)).transpose()?,
        division: Division::Undivided,
        items: None,
        least_positive: None,
        frame,
        spec,
    })
}

/// The declaration of a table's fields.
pub(super) fn declaration(config: &DataConfig, table: &Path) -> Result<TableSpec> {
    config.schema.clone().ok_or_else(|| Error::NoSchema { table: table.to_owned() })
}
