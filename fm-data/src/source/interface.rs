//! What a source provides: a reader, and what the reader returns.

use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;

use crate::config::DataConfig;
use crate::error::Result;
use crate::spec::TableSpec;
use crate::split::Parts;

/// A kind of source.
pub(super) struct Source {
    /// Whether the settings name rows of this kind. Only consulted where no source before it in the list applies.
    pub applies: fn(&DataConfig) -> bool,
    /// Finds the rows, given the folder of downloaded data.
    pub open: fn(&DataConfig, &Path) -> Result<Box<dyn Reader>>,
    /// The terms of use, where they are known.
    pub terms: Option<&'static str>,
}

/// Reads the rows of one source.
pub trait Reader {
    /// All files that decide what the rows are: if one changes, the rows may change.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if a folder cannot be listed.
    fn files(&self) -> Result<Vec<PathBuf>>;

    /// Reads all rows, and declares what they are.
    ///
    /// # Errors
    /// An invalid file, or settings that this source cannot fulfil.
    fn read(&self, config: &DataConfig) -> Result<DeclaredTable>;
}

/// All rows of a source, and everything that the rest of the crate needs to know about them.
#[derive(Debug)]
pub struct DeclaredTable {
    /// A column of text for each declared field and role. Fields that [follow from other
    /// rows](crate::spec::FieldOrigin) have no column yet.
    pub frame: DataFrame,
    /// The fields and roles.
    pub spec: TableSpec,
    /// `[N]`: the label of each row, before any threshold.
    pub labels: Vec<f32>,
    /// `[N]`: the time of each row, if rows have times.
    pub timestamps: Option<Vec<i64>>,
    /// `[N]`: the weight of each row, if rows have weights.
    pub weights: Option<Vec<f32>>,
    /// Which rows train, validate and test, as far as the source decides it.
    pub division: Division,
    /// The list of all items, with a column for each of their own fields. `None` if the rows are all that is known: the last
    /// row of each item then describes it.
    pub items: Option<DataFrame>,
    /// The least label that is positive in a binary task, unless the settings name a threshold.
    pub least_positive: Option<f32>,
}

/// How a source divides its rows.
#[derive(Debug)]
pub enum Division {
    /// Not at all: the settings' split does.
    Undivided,
    /// By the official fold that the settings name.
    Fold {
        /// The rows that train and validate, ascending.
        train: Vec<u32>,
        /// The rows that test, ascending.
        test: Vec<u32>,
    },
    /// Into all three parts.
    Parts(Parts),
}
