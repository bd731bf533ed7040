//! The codes of the categorical fields of a table.

use polars::prelude::*;

use crate::error::Result;
use crate::spec::{FieldSpec, FieldSpecKind, TableSpec};
use crate::table::{Codes, cells};
use crate::threads;

/// The codes of the categorical fields of a table by the names of the fields.
pub(crate) type CodedColumns = PlHashMap<String, Codes>;

/// The codes of all categorical fields.
///
/// # Errors
/// [`Error::MissingColumn`](crate::Error::MissingColumn).
pub(crate) fn categorical(table: &DataFrame, spec: &TableSpec) -> Result<CodedColumns> {
    let fields = spec.fields.iter().filter(|field| matches!(field.kind, FieldSpecKind::Categorical));
    let codes = |field: &FieldSpec| Ok((field.name.clone(), Codes::new(&cells(table, &field.name, field.column())?)));
    threads::map(fields, table.height() * spec.fields.len(), codes).into_iter().collect()
}
