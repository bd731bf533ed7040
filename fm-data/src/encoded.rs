//! Encoded rows as they are made: in the files of a cache entry, or in memory.

use std::path::{Path, PathBuf};

use fm_core::rows::{RecordsBuilder, RecordsWriter};
use fm_core::{Records, Schema};

/// A set of encoded rows under construction.
pub(crate) struct EncodedRows {
    place: Place,
    /// `[F]`: the number of rows without a known value ([`Records::unknown_counts`]).
    unknown: Vec<usize>,
}

enum Place {
    File { path: PathBuf, writer: RecordsWriter },
    Memory { builder: RecordsBuilder, expected: usize },
}

impl EncodedRows {
    /// Starts a set of about `expected` rows, which are encoded with a schema and each have a weight or not. They go to a file,
    /// if there is a path.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`].
    pub fn new(
        schema: &Schema,
        has_weights: bool,
        expected: usize,
        path: Option<&Path>,
    ) -> fm_core::Result<EncodedRows> {
        let builder = || if has_weights { RecordsBuilder::weighted(schema) } else { RecordsBuilder::new(schema) };
        let place = match path {
            Some(path) => {
                Place::File { path: path.to_owned(), writer: RecordsWriter::create(path, schema, has_weights)? }
            }
            None => Place::Memory { builder: builder(), expected },
        };
        Ok(EncodedRows { place, unknown: vec![0; schema.num_fields()] })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`]; [`fm_core::Error::Shape`] for rows of another schema.
    pub fn append(&mut self, rows: &Records) -> fm_core::Result<()> {
        self.unknown.iter_mut().zip(rows.unknown_counts()).for_each(|(sum, count)| *sum += count);
        match &mut self.place {
            Place::File { writer, .. } => writer.append(rows),
            Place::Memory { builder, expected } => {
                if builder.is_empty() {
                    builder.reserve(*expected, rows);
                }
                builder.append(rows)
            }
        }
    }

    /// `[F]`: the share of the rows without a known value.
    pub fn unknown_shares(&self) -> Vec<f32> {
        let rows = match &self.place {
            Place::File { writer, .. } => writer.len(),
            Place::Memory { builder, .. } => builder.len(),
        };
        self.unknown.iter().map(|&unknown| unknown as f32 / rows.max(1) as f32).collect()
    }

    /// The rows, with the group of each of them. `schema` is the one that opens the file.
    ///
    /// # Errors
    /// [`fm_core::Error::Io`]; [`fm_core::Error::Shape`] for another number of groups.
    pub fn finish(self, schema: &Schema, groups: Option<Vec<i64>>) -> fm_core::Result<Records> {
        match self.place {
            Place::File { path, writer } => {
                writer.finish(schema, groups.as_deref())?;
                Records::open(path, schema)
            }
            Place::Memory { builder, .. } => match groups {
                Some(groups) => builder.finish().with_groups(Some(groups)),
                None => Ok(builder.finish()),
            },
        }
    }
}
