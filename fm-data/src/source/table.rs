//! One table to split.

use std::path::{Path, PathBuf};

use super::interface::{DeclaredTable, Division, Reader, Source};
use crate::config::DataConfig;
use crate::declare;
use crate::error::Result;
use crate::format::{self, parts, pattern};
use crate::movielens;
use crate::spec::TableSpec;
use crate::table::{CompactBuilder, CompactTable, Origin, labels, read_columns, timestamps, weights};

pub(super) const SOURCE: Source = Source { applies, open, terms: None };

fn applies(config: &DataConfig) -> bool {
    config.data.as_deref().map(Path::new).is_some_and(|path| match path.is_dir() {
        true => parts::is_folder_of_parts(path) && !movielens::is_release(path),
        false => path.is_file() || pattern::is_pattern(path) || format::of(path).is_ok(),
    })
}

fn open(config: &DataConfig, data_dir: &Path) -> Result<Box<dyn Reader>> {
    let path = config.data.clone().unwrap_or_default().into();
    Ok(Box::new(Table { path, data_dir: data_dir.to_owned() }))
}

struct Table {
    path: PathBuf,
    data_dir: PathBuf,
}

impl Reader for Table {
    fn files(&self) -> Result<Vec<PathBuf>> {
        parts::files(&self.path)
    }

    fn read(&self, config: &DataConfig, others: bool) -> Result<DeclaredTable> {
        let spec = declaration(config, &self.path)?;
        let mut rows = CompactBuilder::new(&self.data_dir);
        let origin = read_declared(&self.path, &spec, others, &mut rows)?;
        declared(rows.finish(), &origin, spec)
    }
}

/// Reads the declared columns of a table, and the others if they are asked for. Returns its files.
pub(super) fn read_declared(path: &Path, spec: &TableSpec, others: bool, to: &mut CompactBuilder) -> Result<Origin> {
    let mut options = spec.read_options();
    options.columns.others = others;
    read_columns(path, options, &mut |chunk| to.push(&spec.decimal.with_points(&chunk, spec.columns_of_numbers())?))
}

/// A table whose columns have the roles declared in `spec`. Each field has a column of its name.
pub(super) fn declared(rows: CompactTable, origin: &Origin, spec: TableSpec) -> Result<DeclaredTable> {
    Ok(DeclaredTable {
        labels: labels(&rows, &spec.label, origin)?,
        weights: spec.weight.as_ref().map(|name| weights(&rows, name, origin)).transpose()?,
        timestamps: spec.timestamp.as_ref().map(|name| timestamps(&rows, name, origin)).transpose()?,
        division: Division::Undivided,
        items: None,
        least_positive: None,
        rows: spec.with_fields(rows)?,
        spec,
    })
}

/// The declaration of a table's fields.
pub(super) fn declaration(config: &DataConfig, table: &Path) -> Result<TableSpec> {
    Ok(declare::of_table(config, table)?.spec)
}
