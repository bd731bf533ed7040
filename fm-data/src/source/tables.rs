//! A table for each part.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::interface::{DeclaredTable, Division, Reader, Source};
use super::table::{declaration, declared};
use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::spec::TableSpec;
use crate::split::Parts;
use crate::table::{read_table, strings};

pub(super) const SOURCE: Source = Source { applies, open, terms: None };

fn applies(config: &DataConfig) -> bool {
    [&config.train, &config.valid, &config.test].iter().any(|table| table.is_some())
}

fn open(config: &DataConfig, _: &Path) -> Result<Box<dyn Reader>> {
    let DataConfig { data, train, valid, test, .. } = config.clone();
    let train = train.ok_or(Error::NoTrainingTable)?;
    if data.is_some() {
        return Err(Error::AmbiguousData);
    }
    Ok(Box::new(Tables { train, valid, test }))
}

struct Tables {
    train: PathBuf,
    valid: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl Reader for Tables {
    fn files(&self) -> Result<Vec<PathBuf>> {
        Ok([Some(&self.train), self.valid.as_ref(), self.test.as_ref()].into_iter().flatten().cloned().collect())
    }

    fn read(&self, config: &DataConfig) -> Result<DeclaredTable> {
        let spec = declaration(config, &self.train)?;
        let mut all = read_part(&self.train, &spec)?;
        let mut parts = Parts { train: (0..all.labels.len() as u32).collect(), ..Parts::default() };
        if parts.train.is_empty() {
            return Err(Error::data(&self.train, None, "has no rows to train on"));
        }
        for (path, rows) in [(&self.valid, &mut parts.valid), (&self.test, &mut parts.test)] {
            let Some(path) = path else { continue };
            let first = all.labels.len() as u32;
            append(&mut all, read_part(path, &spec)?)?;
            *rows = (first..all.labels.len() as u32).collect();
        }
        Ok(DeclaredTable { division: Division::Parts(parts), ..all })
    }
}

/// Reads the declared columns. Other columns may differ between files.
fn read_part(path: &Path, spec: &TableSpec) -> Result<DeclaredTable> {
    let table = read_table(path)?;
    let roles = [Some(&spec.label), spec.weight.as_ref(), spec.timestamp.as_ref(), spec.title.as_ref()];
    let mut names: Vec<&String> =
        spec.fields.iter().map(|field| &field.name).chain(roles.into_iter().flatten()).collect();
    names.sort();
    names.dedup();
    let columns = names.into_iter().map(|name| Ok(strings(&table, name)?.with_name(name.into()).into_column()));
    let columns: Vec<Column> = columns.collect::<Result<_>>()?;
    declared(path, DataFrame::new(table.height(), columns)?, spec.clone())
}

fn append(all: &mut DeclaredTable, part: DeclaredTable) -> Result<()> {
    all.frame.vstack_mut(&part.frame)?;
    all.labels.extend(part.labels);
    if let (Some(all), Some(part)) = (&mut all.weights, part.weights) {
        all.extend(part);
    }
    if let (Some(all), Some(part)) = (&mut all.timestamps, part.timestamps) {
        all.extend(part);
    }
    Ok(())
}
