//! The chunks of an Arrow IPC file.

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use arrow::array::Array;
use arrow::datatypes::ArrowDataType;
use arrow::io::ipc::read::{Dictionaries, FileMetadata, read_batch, read_file_dictionaries, read_file_metadata};
use fm_core::mapped_file::MappedFile;
use polars::prelude::*;

use super::super::arrow_columns::{ArrowColumn, choose};
use super::super::cells::texts;
use super::super::interface::{ChunkSize, ReadChunks, ReadOptions};
use super::super::quiet;
use super::check::{Batch, check};
use crate::error::{Error, Result};
use crate::threads;

/// What a damaged file is not.
const KIND: &str = "Arrow IPC";

/// The chunks of an Arrow IPC file.
///
/// One batch of rows is in memory, in the columns that are read. The library that unpacks it panics on some damaged
/// files, which is an error here.
pub(super) struct IpcChunks {
    file: File,
    path: PathBuf,
    /// The length of the file.
    bytes: u64,
    metadata: FileMetadata,
    /// The names of all columns.
    names: Vec<String>,
    columns: Vec<ArrowColumn>,
    /// The positions of the columns that are read, in their order in the file.
    projection: Vec<usize>,
    size: ChunkSize,
    batches: Vec<Batch>,
    dictionaries: Dictionaries,
    /// The columns of the current batch, in the order of `projection`.
    arrays: Vec<Box<dyn Array>>,
    /// The number of batches that have been read.
    batches_read: usize,
    /// The rows of the current batch, and how many of them are in earlier chunks.
    rows: usize,
    at: usize,
    /// The number of rows in earlier chunks.
    rows_read: usize,
    is_first: bool,
}

impl IpcChunks {
    /// Reads the metadata of the file, and its dictionaries.
    pub(super) fn open(file: File, path: PathBuf, options: &ReadOptions) -> Result<IpcChunks> {
        let bytes = MappedFile::of(&file, &path)?;
        let batches = sound(&path, || Ok(check(bytes.bytes())))?.map_err(|reason| damaged(&path, &reason))?;
        let mut cursor = Cursor::new(bytes.bytes());
        let metadata = sound(&path, || read_file_metadata(&mut cursor))?;
        let names: Vec<String> = metadata.schema.iter_names().map(|name| name.to_string()).collect();
        let field = |position: usize| metadata.schema.get_at_index(position).map(|(_, field)| field);
        let columns = choose(&options.columns, &names, field).map_err(|reason| Error::data(&path, None, reason))?;
        let mut projection: Vec<usize> = columns.iter().map(|column| column.position).collect();
        projection.sort_unstable();
        let has_dictionary = projection.iter().filter_map(|&at| field(at)).any(|field| has_dictionary(&field.dtype));
        let dictionaries = match has_dictionary {
            true => {
                sound(&path, || read_file_dictionaries(&mut cursor, &metadata, &mut Vec::new(), Default::default()))?
            }
            false => Dictionaries::default(),
        };
        Ok(IpcChunks {
            bytes: bytes.bytes().len() as u64,
            file,
            path,
            metadata,
            names,
            columns,
            projection,
            size: options.size,
            batches,
            dictionaries,
            arrays: Vec::new(),
            batches_read: 0,
            rows: 0,
            at: 0,
            rows_read: 0,
            is_first: true,
        })
    }

    /// Reads the next batch that has rows; `false` after the last one.
    fn next_batch(&mut self) -> Result<bool> {
        self.arrays.clear();
        while let Some(batch) = self.batches.get(self.batches_read) {
            let index = self.batches_read;
            self.batches_read += 1;
            (self.rows, self.at) = (batch.rows, 0);
            if batch.rows == 0 {
                continue;
            }
            if !self.projection.is_empty() {
                // The file is mapped again, which frees the pages read before.
                let bytes = MappedFile::of(&self.file, &self.path)?;
                let (metadata, dictionaries) = (&self.metadata, &self.dictionaries);
                let read = || {
                    read_batch(
                        &mut Cursor::new(bytes.bytes()),
                        dictionaries,
                        metadata,
                        Some(&self.projection),
                        None,
                        index,
                        false,
                        &mut Vec::new(),
                        &mut Vec::new(),
                        Default::default(),
                    )
                };
                let batch = sound(&self.path, read)?;
                if batch.len() != self.rows {
                    return Err(damaged(&self.path, &format!("{} rows instead of {}", batch.len(), self.rows)));
                }
                self.arrays = batch.into_arrays();
            }
            return Ok(true);
        }
        (self.rows, self.at) = (0, 0);
        Ok(false)
    }

    /// The next `rows` rows of the current batch.
    fn table(&self, rows: usize) -> Result<DataFrame> {
        let read = |column: &ArrowColumn| {
            let Some(array) = self.projection.binary_search(&column.position).ok().and_then(|at| self.arrays.get(at))
            else {
                return Ok(StringChunked::full_null(column.name.clone(), 0).into_column());
            };
            let text = sound(&self.path, || {
                Ok(texts(array.sliced(self.at, rows).as_ref(), &column.form, column.list.as_ref()))
            })?;
            let text = text.map_err(|(row, reason)| {
                let row = row.map_or_else(String::new, |row| format!("row {}: ", self.rows_read + row + 1));
                Error::data(&self.path, None, format!("{row}column `{}` {reason}", column.name))
            })?;
            Ok(StringChunked::with_chunk(column.name.clone(), text).into_column())
        };
        let columns = threads::map(&self.columns, rows * self.columns.len(), read)
            .into_iter()
            .collect::<Result<Vec<Column>>>()?;
        Ok(DataFrame::new(rows, columns)?)
    }
}

impl ReadChunks for IpcChunks {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn file(&self) -> &Path {
        &self.path
    }

    fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        if self.at == self.rows && !self.next_batch()? {
            return if std::mem::take(&mut self.is_first) { self.table(0).map(Some) } else { Ok(None) };
        }
        self.is_first = false;
        let bytes_of_row = self.batches.get(self.batches_read - 1).map_or(1, |batch| batch.bytes / batch.rows.max(1));
        let most = self.size.rows.min(self.size.bytes / bytes_of_row.max(1)).max(1);
        let rows = most.min(self.rows - self.at);
        let table = self.table(rows)?;
        self.at += rows;
        self.rows_read += rows;
        Ok(Some(table))
    }

    fn bytes_read(&self) -> u64 {
        let rows: usize = self.batches.iter().map(|batch| batch.rows).sum();
        let share = self.rows_read as f64 / rows.max(1) as f64;
        (share * self.bytes as f64) as u64
    }
}

fn has_dictionary(kind: &ArrowDataType) -> bool {
    match kind.to_storage() {
        ArrowDataType::Dictionary(..) => true,
        ArrowDataType::List(item) | ArrowDataType::LargeList(item) | ArrowDataType::FixedSizeList(item, _) => {
            has_dictionary(&item.dtype)
        }
        _ => false,
    }
}

/// Calls `read`. An error or a panic in it means that the file is damaged.
fn sound<T>(path: &Path, read: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    quiet::sound(path, KIND, read)
}

fn damaged(path: &Path, what: &str) -> Error {
    quiet::damaged(path, KIND, what)
}
