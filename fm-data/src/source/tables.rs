//! A table for each part.

use std::path::{Path, PathBuf};

use super::interface::{DeclaredTable, Division, Reader, Source};
use super::table::{declaration, declared, read_declared};
use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::format::parts;
use crate::split::Parts;
use crate::table::CompactBuilder;

pub(super) const SOURCE: Source = Source { applies, open, terms: None };

fn applies(config: &DataConfig) -> bool {
    [&config.train, &config.valid, &config.test].iter().any(|table| table.is_some())
}

fn open(config: &DataConfig, data_dir: &Path) -> Result<Box<dyn Reader>> {
    let DataConfig { data, train, valid, test, .. } = config.clone();
    let train = train.ok_or(Error::NoTrainingTable)?;
    if data.is_some() {
        return Err(Error::AmbiguousData);
    }
    Ok(Box::new(Tables { train, valid, test, data_dir: data_dir.to_owned() }))
}

struct Tables {
    train: PathBuf,
    valid: Option<PathBuf>,
    test: Option<PathBuf>,
    data_dir: PathBuf,
}

impl Reader for Tables {
    fn files(&self) -> Result<Vec<PathBuf>> {
        let tables = [Some(&self.train), self.valid.as_ref(), self.test.as_ref()].into_iter().flatten();
        Ok(tables.map(|table| parts::files(table)).collect::<Result<Vec<_>>>()?.concat())
    }

    fn read(&self, config: &DataConfig, _: bool) -> Result<DeclaredTable> {
        let spec = declaration(config, &self.train)?;
        // The tables may have different other columns.
        let mut all = CompactBuilder::new(&self.data_dir);
        let mut origin = read_declared(&self.train, &spec, false, &mut all)?;
        let mut parts = Parts { train: (0..all.height() as u32).collect(), ..Parts::default() };
        if parts.train.is_empty() {
            return Err(Error::data(&self.train, None, "has no rows to train on"));
        }
        for (path, rows) in [(&self.valid, &mut parts.valid), (&self.test, &mut parts.test)] {
            let Some(path) = path else { continue };
            let first = all.height() as u32;
            origin.append(read_declared(path, &spec, false, &mut all)?);
            *rows = (first..all.height() as u32).collect();
        }
        // Timestamps of all tables are of one kind and in one unit.
        Ok(DeclaredTable { division: Division::Parts(parts), ..declared(all.finish(), &origin, spec)? })
    }
}
