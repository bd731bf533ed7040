//! A table for each part.

use std::path::{Path, PathBuf};

use super::interface::{DeclaredTable, Division, Reader, Source};
use super::table::{DeclaredRows, declaration};
use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::format::parts;
use crate::format::standard_input::is_standard_input;
use crate::split::Parts;

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
    let tables = [Some(&train), valid.as_ref(), test.as_ref()].into_iter().flatten();
    if tables.filter(|table| is_standard_input(table)).count() > 1 {
        return Err(Error::Spec("only one of the tables can come from standard input".into()));
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
        // The tables may have different other columns.
        let mut all = DeclaredRows::new(declaration(config, &self.train)?, config, false, &self.data_dir);
        let mut origin = all.read(&self.train)?;
        let mut parts = Parts { train: (0..all.height()).collect(), ..Parts::default() };
        if parts.train.is_empty() {
            return Err(Error::data(&self.train, None, "has no rows to train on"));
        }
        for (path, rows) in [(&self.valid, &mut parts.valid), (&self.test, &mut parts.test)] {
            let Some(path) = path else { continue };
            let first = all.height();
            origin.append(all.read(path)?);
            *rows = (first..all.height()).collect();
        }
        // Timestamps of all tables are of one kind and in one unit.
        Ok(DeclaredTable { division: Division::Parts(parts), ..all.declared(origin)? })
    }
}
