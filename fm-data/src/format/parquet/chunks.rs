//! The chunks of a Parquet file.

use std::collections::HashSet;
use std::fs::File;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow::array::Utf8ViewArray;
use arrow::datatypes::{ArrowSchema, TimeUnit};
use fm_core::mapped_file::MappedFile;
use polars::prelude::*;
use polars_buffer::Buffer;
use polars_parquet::read::schema::{
    SchemaInferenceOptions, infer_schema_with_options, parquet_to_arrow_schema_with_options,
};
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, Filter, PageReader, PrimitiveLogicalType, RowGroupMetadata,
    column_iter_to_arrays, read_metadata,
};
use polars_parquet::write::CompressedPage;

use super::super::arrow_columns::{ArrowColumn, choose};
use super::super::cells::{Form, texts};
use super::super::interface::{ReadChunks, ReadOptions};
use super::super::quiet;
use super::nesting;
use crate::error::{Error, Result};
use crate::threads;

/// What a damaged file is not.
const KIND: &str = "Parquet";

/// The chunks of a Parquet file.
///
/// Only the pages with a chunk's rows are unpacked: a row group of any size takes no more memory than a chunk and the
/// dictionaries of its columns. The library that decodes pages panics on some damaged files, which is an error here.
pub(super) struct ParquetChunks {
    file: File,
    path: PathBuf,
    /// The length of the file.
    bytes: u64,
    metadata: FileMetadata,
    /// The names of all columns.
    names: Vec<String>,
    columns: Vec<ArrowColumn>,
    /// The total number of rows.
    rows: usize,
    rows_of_chunk: usize,
    rows_read: usize,
    is_first: bool,
}

impl ParquetChunks {
    /// Reads the metadata of the file.
    pub(super) fn open(file: File, path: PathBuf, options: &ReadOptions) -> Result<ParquetChunks> {
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        let bytes = mapped(&file, &path)?;
        nesting::check(&bytes).map_err(|reason| damaged(&path, &reason))?;
        let (metadata, types) = sound(&path, || {
            let metadata = read_metadata(&mut Cursor::new(bytes))?;
            let types = types(&metadata);
            Ok((metadata, types))
        })?;
        let names: Vec<String> = metadata.schema().fields().iter().map(|field| field.name().to_owned()).collect();
        let field = |position: usize| types.get(names[position].as_str());
        let columns = choose(&options.columns, &names, field).map_err(|reason| Error::data(&path, None, reason))?;
        let uuids = uuids(&metadata);
        let with_uuid = |column: ArrowColumn| {
            let is_uuid = column.form.is_uuid || uuids.contains(column.field.name.as_str());
            ArrowColumn { form: Form { is_uuid, ..column.form }, ..column }
        };
        let columns: Vec<ArrowColumn> = columns.into_iter().map(with_uuid).collect();
        let rows = metadata.row_groups.iter().try_fold(0_usize, |sum, group| sum.checked_add(group.num_rows()));
        let rows = rows.ok_or_else(|| damaged(&path, "too many rows"))?;
        let size = options.size;
        let rows_of_chunk = size.rows.min(size.bytes / bytes_of_row(&metadata, &columns, rows)).max(1);
        Ok(ParquetChunks {
            file,
            path,
            bytes: length,
            metadata,
            names,
            columns,
            rows,
            rows_of_chunk,
            rows_read: 0,
            is_first: true,
        })
    }

    /// The next `rows` rows.
    fn read(&self, rows: usize) -> Result<DataFrame> {
        // The file is mapped again, which frees the pages read before.
        let bytes = mapped(&self.file, &self.path)?;
        let read = |column: &ArrowColumn| {
            let of_rows = self.rows_read..self.rows_read + rows;
            let text = sound(&self.path, || column.read(&bytes, &self.metadata, of_rows))?;
            let text = text.map_err(|(row, reason)| {
                let row = row.map_or_else(String::new, |row| format!("row {}: ", self.rows_read + row + 1));
                Error::data(&self.path, None, format!("{row}column `{}` {reason}", column.name))
            })?;
            if text.len() != rows {
                return Err(damaged(&self.path, &format!("{} rows instead of {rows}", text.len())));
            }
            Ok(text.into_column())
        };
        let columns = threads::map(&self.columns, rows * self.columns.len(), read)
            .into_iter()
            .collect::<Result<Vec<Column>>>()?;
        Ok(DataFrame::new(rows, columns)?)
    }
}

impl ArrowColumn {
    /// The texts of some rows. The inner error is about a value in one of them, which counts from the first of these rows.
    fn read(
        &self,
        bytes: &Buffer<u8>,
        metadata: &FileMetadata,
        rows: Range<usize>,
    ) -> PolarsResult<Result<StringChunked, (Option<usize>, String)>> {
        let mut all: Vec<Utf8ViewArray> = Vec::new();
        let (mut start, mut read) = (0, 0);
        for group in &metadata.row_groups {
            let end = start + group.num_rows();
            let inside = rows.start.max(start)..rows.end.min(end);
            if !inside.is_empty() {
                for array in self.arrays(bytes, group, inside.start - start..inside.end - start)? {
                    match texts(array.as_ref(), &self.form, self.list.as_ref()) {
                        Ok(texts) => all.push(texts),
                        Err((row, reason)) => return Ok(Err((row.map(|row| read + row), reason))),
                    }
                    read += array.len();
                }
            }
            start = end;
        }
        Ok(Ok(match all.is_empty() {
            true => StringChunked::full_null(self.name.clone(), 0),
            false => StringChunked::from_chunk_iter(self.name.clone(), all).rechunk().into_owned(),
        }))
    }

    /// The values of some rows of a row group.
    fn arrays(
        &self,
        bytes: &Buffer<u8>,
        group: &RowGroupMetadata,
        rows: Range<usize>,
    ) -> PolarsResult<Vec<Box<dyn arrow::array::Array>>> {
        let parts: Vec<&ColumnChunkMetadata> =
            group.columns_under_root_iter(&self.field.name).into_iter().flatten().collect();
        if parts.is_empty() {
            return Ok(vec![arrow::array::new_null_array(self.field.dtype.clone(), rows.len())]);
        }
        let (mut pages, mut types) = (Vec::new(), Vec::new());
        for part in parts {
            let Range { start, end } = part.byte_range();
            let range = start as usize..end as usize;
            if bytes.get(range.clone()).is_none() {
                polars_bail!(ComputeError: "the column `{}` lies beyond the end of the file", self.field.name);
            }
            let reader = || PageReader::new(Cursor::new(bytes.clone().sliced(range.clone())), part, vec![], usize::MAX);
            if rows.start == 0 {
                check_pages(reader())?;
            }
            let reader = reader();
            pages.push(BasicDecompressor::new(reader, vec![]));
            types.push(&part.descriptor().descriptor.primitive_type);
        }
        let filter = Some(Filter::new_ranged(rows.start, rows.end));
        Ok(column_iter_to_arrays(pages, types, self.field.clone(), filter)?.0)
    }
}

/// Checks the number of values of each page. The library reserves memory for that many values. It reads a negative
/// number as a huge one, and the failed allocation would end the process.
fn check_pages(pages: PageReader) -> PolarsResult<()> {
    for page in pages {
        if matches!(page?, CompressedPage::Data(page) if page.num_values() > i32::MAX as usize) {
            polars_bail!(ComputeError: "a page has a negative number of values");
        }
    }
    Ok(())
}

impl ReadChunks for ParquetChunks {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn file(&self) -> &Path {
        &self.path
    }

    fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        let rows = self.rows_of_chunk.min(self.rows - self.rows_read);
        if rows == 0 && !std::mem::take(&mut self.is_first) {
            return Ok(None);
        }
        self.is_first = false;
        let table = self.read(rows)?;
        self.rows_read += rows;
        Ok(Some(table))
    }

    fn bytes_read(&self) -> u64 {
        let share = self.rows_read as f64 / self.rows.max(1) as f64;
        (share * self.bytes as f64) as u64
    }
}

fn mapped(file: &File, path: &Path) -> Result<Buffer<u8>> {
    Ok(Buffer::from_owner(MappedFile::of(file, path)?))
}

/// The types of the columns. Of two columns of one name, neither has one.
fn types(metadata: &FileMetadata) -> ArrowSchema {
    // Nanoseconds, the default, cover only the years 1678 to 2262.
    let options = || Some(SchemaInferenceOptions { int96_coerce_to_timeunit: TimeUnit::Microsecond });
    infer_schema_with_options(metadata, &options()).unwrap_or_else(|_| {
        let fields = metadata.schema().fields();
        let mut counts = PlHashMap::<&str, usize>::new();
        fields.iter().for_each(|field| *counts.entry(field.name()).or_default() += 1);
        let unique = fields.iter().filter(|field| counts[field.name()] == 1).cloned();
        parquet_to_arrow_schema_with_options(&unique.collect::<Vec<_>>(), &options())
    })
}

/// The columns whose values are identifiers of 16 bytes.
fn uuids(metadata: &FileMetadata) -> HashSet<&str> {
    let columns = metadata.schema().columns().iter();
    let uuids =
        columns.filter(|column| column.descriptor.primitive_type.logical_type == Some(PrimitiveLogicalType::Uuid));
    uuids.filter_map(|column| column.path_in_schema.first()).map(|name| name.as_str()).collect()
}

/// The average number of bytes of the read columns in a row, at least 1.
fn bytes_of_row(metadata: &FileMetadata, columns: &[ArrowColumn], rows: usize) -> usize {
    let of_group = |group: &RowGroupMetadata| -> u64 {
        let parts = columns.iter().filter_map(|column| group.columns_under_root_iter(&column.field.name)).flatten();
        parts.map(|part| u64::try_from(part.uncompressed_size()).unwrap_or_default()).fold(0, u64::saturating_add)
    };
    let bytes = metadata.row_groups.iter().map(of_group).fold(0, u64::saturating_add);
    usize::try_from(bytes / rows.max(1) as u64).unwrap_or(usize::MAX).max(1)
}

/// Calls `read`. An error or a panic in it means that the file is damaged.
fn sound<T>(path: &Path, read: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    quiet::sound(path, KIND, read)
}

fn damaged(path: &Path, what: &str) -> Error {
    quiet::damaged(path, KIND, what)
}
