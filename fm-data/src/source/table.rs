//! One table to split.

use std::path::{Path, PathBuf};

use super::interface::{DeclaredTable, Division, Reader, Source};
use crate::config::{DataConfig, TaskName};
use crate::declare;
use crate::error::{Error, Result};
use crate::format::standard_input::is_standard_input;
use crate::format::{self, BadRows, OnBadRow, parts, pattern};
use crate::movielens;
use crate::spec::TableSpec;
use crate::table::{CompactBuilder, Origin, RowCheck, labels, read_columns, timestamps, weights};

pub(super) const SOURCE: Source = Source { applies, open, terms: None };

fn applies(config: &DataConfig) -> bool {
    config.data.as_deref().map(Path::new).is_some_and(|path| match path.is_dir() {
        _ if is_standard_input(path) => true,
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
        let mut rows = DeclaredRows::new(declaration(config, &self.path)?, config, others, &self.data_dir);
        let origin = rows.read(&self.path)?;
        rows.declared(origin)
    }
}

/// The rows of tables with one declaration.
pub(super) struct DeclaredRows {
    spec: TableSpec,
    others: bool,
    on_bad_row: OnBadRow,
    check: RowCheck,
    rows: CompactBuilder,
}

impl DeclaredRows {
    /// No rows yet, with the declared columns, and the others if they are asked for.
    pub fn new(spec: TableSpec, config: &DataConfig, others: bool, data_dir: &Path) -> DeclaredRows {
        // With a threshold, a label is any number.
        let are_binary = config.task == TaskName::Binary && config.threshold.is_none();
        let check =
            RowCheck::of_labels(&spec.label, are_binary).with(spec.weight.as_deref(), spec.timestamp.as_deref());
        DeclaredRows { spec, others, on_bad_row: config.on_bad_row, check, rows: CompactBuilder::new(data_dir) }
    }

    /// Adds the rows of a table. Returns its files.
    pub fn read(&mut self, path: &Path) -> Result<Origin> {
        let DeclaredRows { spec, others, on_bad_row, check, rows } = self;
        let (mut options, bad_rows) = (spec.read_options(), BadRows::new(*on_bad_row));
        options.columns.others = *others;
        options.bad_rows = bad_rows.clone();
        read_columns(path, options, &mut |chunk, origin| {
            let chunk = spec.decimal.with_points(&chunk, spec.columns_of_numbers())?;
            let first = origin.rows() - chunk.height();
            let chunk = check.apply(chunk, first, origin, &bad_rows)?;
            rows.push(&chunk)?;
            Ok(chunk.height())
        })
    }

    /// The number of rows so far.
    pub fn height(&self) -> u32 {
        self.rows.height() as u32
    }

    /// The table whose columns have the declared roles. Each field has a column of its name.
    pub fn declared(self, origin: Origin) -> Result<DeclaredTable> {
        let DeclaredRows { spec, rows, .. } = self;
        let rows = rows.finish();
        Ok(DeclaredTable {
            labels: labels(&rows, &spec.label, &origin).map_err(Error::of_row)?,
            weights: spec
                .weight
                .as_ref()
                .map(|name| weights(&rows, name, &origin))
                .transpose()
                .map_err(Error::of_row)?,
            timestamps: spec
                .timestamp
                .as_ref()
                .map(|name| timestamps(&rows, name, &origin))
                .transpose()
                .map_err(Error::of_row)?,
            division: Division::Undivided,
            items: None,
            least_positive: None,
            rows: spec.with_fields(rows)?,
            spec,
            origin,
        })
    }
}

/// The declaration of a table's fields.
pub(super) fn declaration(config: &DataConfig, table: &Path) -> Result<TableSpec> {
    Ok(declare::of_table(config, table)?.spec)
}
