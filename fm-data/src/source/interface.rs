//! The interface of a source: its reader, and the table that the reader returns.

use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

use crate::config::DataConfig;
use crate::error::Result;
use crate::spec::TableSpec;
use crate::split::Parts;
use crate::table::{CompactTable, Origin};

/// A kind of source.
pub(super) struct Source {
    /// Whether the settings name rows of this kind. Only called if no earlier source in the list applies.
    pub applies: fn(&DataConfig) -> bool,
    /// Finds the rows, given the folder of downloaded data.
    pub open: fn(&DataConfig, &Path) -> Result<Box<dyn Reader>>,
    /// The terms of use, if known.
    pub terms: Option<&'static str>,
}

/// Reads the rows of one source.
pub trait Reader {
    /// All files that the rows depend on.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if a folder cannot be listed.
    fn files(&self) -> Result<Vec<PathBuf>>;

    /// Reads all rows and declares their fields. `others` asks for the columns that are not declared, too, as far as they
    /// have a text form.
    ///
    /// # Errors
    /// An invalid file, or settings that this source does not support.
    fn read(&self, config: &DataConfig, others: bool) -> Result<DeclaredTable>;
}

/// All rows of a source, with everything that the rest of the crate needs to know about them.
#[derive(Debug)]
pub struct DeclaredTable {
    /// A column of text for each declared field and role. Fields [derived from other rows](crate::spec::FieldOrigin)
    /// have no column yet.
    pub rows: CompactTable,
    /// The fields and roles.
    pub spec: TableSpec,
    /// `[N]`: the label of each row, before any threshold.
    pub labels: Vec<f32>,
    /// `[N]`: the time of each row, if rows have times.
    pub timestamps: Option<Vec<i64>>,
    /// `[N]`: the weight of each row, if rows have weights.
    pub weights: Option<Vec<f32>>,
    /// Which rows train, validate and test, if the source decides it.
    pub division: Division,
    /// The list of all items, with one column per field of the items. If `None`, the latest row of each item
    /// describes it.
    pub items: Option<DataFrame>,
    /// The smallest positive label of a binary task, unless the settings give a threshold.
    pub least_positive: Option<f32>,
    /// The files and lines of the rows, and those that were left out.
    pub origin: Origin,
}

/// How a source divides its rows.
#[derive(Debug)]
pub enum Division {
    /// Not at all: the split in the settings divides them.
    Undivided,
    /// By the official fold named in the settings.
    Fold {
        /// The training and validation rows, ascending.
        train: Vec<u32>,
        /// The test rows, ascending.
        test: Vec<u32>,
    },
    /// Into all three parts.
    Parts(Parts),
}
