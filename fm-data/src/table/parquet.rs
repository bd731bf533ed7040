//! Parquet, some rows at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::reader::ChunkSize;
use super::{first_line, text_of};
use crate::error::{Error, Result};

/// The chunks of a Parquet file.
///
/// Of each row group, the pages that hold a chunk's rows are unpacked, and the others are passed over: a row group of
/// any size takes no more memory than a chunk, and its columns' dictionaries.
pub struct ParquetChunks {
    file: File,
    path: PathBuf,
    metadata: FileMetadataRef,
    rows_of_chunk: usize,
    rows_read: usize,
    is_first: bool,
}

impl ParquetChunks {
    /// Reads the file's description.
    pub fn open(path: &Path, size: ChunkSize) -> Result<ParquetChunks> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let copy = file.try_clone().map_err(Error::io("read", path))?;
        let mut reader = ParquetReader::new(copy);
        let metadata = reader.get_metadata().map_err(|error| invalid(path, &error))?.clone();
        let schema = reader.schema().map_err(|error| invalid(path, &error))?;
        if let Some(column) = schema.iter_values().find(|column| is_left_out(&column.dtype)) {
            let reason = format!(
                "column `{}` holds decimals, maps or structs, which cannot be read: leave it out, or keep it as text or as \
                 64-bit numbers",
                column.name
            );
            return Err(Error::data(path, None, reason));
        }
        let bytes: usize = metadata.row_groups.iter().map(|group| group.total_byte_size()).sum();
        let bytes_of_row = bytes / metadata.num_rows.max(1);
        let rows_of_chunk = size.rows.min(size.bytes / bytes_of_row.max(1)).max(1);
        Ok(ParquetChunks { file, path: path.to_owned(), metadata, rows_of_chunk, rows_read: 0, is_first: true })
    }

    /// The part of the rows that have been read, from 0 to 1.
    pub fn part_read(&self) -> f64 {
        self.rows_read as f64 / self.metadata.num_rows.max(1) as f64
    }

    /// The next rows; `None` after the last. A table without rows is one chunk without rows.
    pub fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        let rows = self.rows_of_chunk.min(self.metadata.num_rows - self.rows_read);
        if rows == 0 && !std::mem::take(&mut self.is_first) {
            return Ok(None);
        }
        self.is_first = false;
        let table = self.read(rows)?;
        self.rows_read += rows;
        Ok(Some(table))
    }

    fn read(&self, rows: usize) -> Result<DataFrame> {
        let invalid = |error: PolarsError| invalid(&self.path, &error);
        // Each reader maps the file anew: pages that were read before take no memory any more.
        let file = self.file.try_clone().map_err(Error::io("read", &self.path))?;
        let mut reader = ParquetReader::new(file)
            .with_slice(Some((self.rows_read, rows)))
            // The other strategies visit the row groups before the slice, too.
            .read_parallel(ParallelStrategy::RowGroups);
        reader.set_metadata(self.metadata.clone());
        let table = reader.finish().map_err(invalid)?;
        if table.height() != rows {
            let reason = format!("no readable Parquet: {} rows where there should be {rows}", table.height());
            return Err(Error::data(&self.path, None, reason));
        }
        let text = |column: &Column| text_of(column).map(IntoColumn::into_column);
        let columns: std::result::Result<_, String> = table.columns().iter().map(text).collect();
        DataFrame::new(rows, columns.map_err(|reason| Error::data(&self.path, None, reason))?).map_err(invalid)
    }
}

/// Whether Polars, as it is built here, would panic over a column of this type.
fn is_left_out(kind: &ArrowDataType) -> bool {
    use ArrowDataType::{Decimal, Decimal32, Decimal64, Decimal256, FixedSizeList, LargeList, List, Map, Struct};
    match kind {
        Decimal(..) | Decimal32(..) | Decimal64(..) | Decimal256(..) | Map(..) | Struct(_) => true,
        List(inner) | LargeList(inner) | FixedSizeList(inner, _) => is_left_out(&inner.dtype),
        _ => false,
    }
}

fn invalid(path: &Path, error: &PolarsError) -> Error {
    // The types that this build of Polars leaves out.
    let what = first_line(error);
    let left_out = what.starts_with("cannot create series from");
    let advice = if left_out { ": keep the column as text, or as 32- or 64-bit numbers" } else { "" };
    Error::data(path, None, format!("no readable Parquet: {what}{advice}"))
}
