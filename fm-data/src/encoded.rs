//! Encoded rows as they are made: in a file or in memory.

use std::path::Path;

use fm_core::rows::{RecordsBuilder, RecordsWriter};
use fm_core::{Records, Schema};

/// A set of encoded rows under construction.
pub(crate) struct EncodedRows {
    rows: GrowingRows,
    /// `[F]`: the number of rows without a known value ([`Records::unknown_counts`]); `None` if they are not counted.
    unknown: Option<Vec<usize>>,
}

enum GrowingRows {
    File(RecordsWriter),
    Memory { builder: RecordsBuilder, expected: usize },
}

/// Where encoded rows go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    Memory,
    /// A file with this path.
    File(&'a Path),
    /// A temporary file in this folder, which disappears when the rows are dropped. If it cannot be made, memory.
    Folder(&'a Path),
}

impl EncodedRows {
    /// Starts a set of about `expected` rows, which are encoded with a schema and each have a weight or not.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`].
    pub fn new(schema: &Schema, has_weights: bool, expected: usize, place: Place<'_>) -> fm_core::Result<EncodedRows> {
        let file = match place {
            Place::Memory => None,
            Place::File(path) => Some(RecordsWriter::create(path, schema, has_weights)?),
            Place::Folder(folder) => RecordsWriter::nameless(folder, schema, has_weights).ok(),
        };
        let in_memory = || GrowingRows::Memory { builder: rows_builder(schema, has_weights), expected };
        Ok(EncodedRows { rows: file.map_or_else(in_memory, GrowingRows::File), unknown: None })
    }

    /// The same set, which counts the rows without a known value.
    pub fn counting_unknown(self, schema: &Schema) -> EncodedRows {
        EncodedRows { unknown: Some(vec![0; schema.num_fields()]), ..self }
    }

    /// Whether rows without a known value are counted.
    pub fn counts_unknown(&self) -> bool {
        self.unknown.is_some()
    }

    /// Appends rows, with their [`Records::unknown_counts`] if they are counted.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`]; [`fm_core::Error::Shape`] for rows of another schema.
    pub fn append(&mut self, rows: &Records, unknown: Option<&[usize]>) -> fm_core::Result<()> {
        let sums = self.unknown.iter_mut().flatten();
        sums.zip(unknown.into_iter().flatten()).for_each(|(sum, count)| *sum += count);
        match &mut self.rows {
            GrowingRows::File(writer) => writer.append(rows),
            GrowingRows::Memory { builder, expected } => {
                if builder.is_empty() {
                    builder.reserve(*expected, rows);
                }
                builder.append(rows)
            }
        }
    }

    /// `[F]`: the share of the rows without a known value; empty if they are not counted.
    pub fn unknown_shares(&self) -> Vec<f32> {
        let rows = match &self.rows {
            GrowingRows::File(writer) => writer.len(),
            GrowingRows::Memory { builder, .. } => builder.len(),
        };
        self.unknown.iter().flatten().map(|&unknown| unknown as f32 / rows.max(1) as f32).collect()
    }

    /// The rows, with the group of each of them. `schema` is the one that opens the file.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`]; [`fm_core::Error::Shape`] for another number of groups.
    pub fn finish(self, schema: &Schema, groups: Option<Vec<i64>>) -> fm_core::Result<Records> {
        match self.rows {
            GrowingRows::File(writer) => writer.finish(schema, groups.as_deref()),
            GrowingRows::Memory { builder, .. } => match groups {
                Some(groups) => builder.finish().with_groups(Some(groups)),
                None => Ok(builder.finish()),
            },
        }
    }
}

/// A builder of rows that each have a weight or not.
pub(crate) fn rows_builder(schema: &Schema, has_weights: bool) -> RecordsBuilder {
    if has_weights { RecordsBuilder::weighted(schema) } else { RecordsBuilder::new(schema) }
}
