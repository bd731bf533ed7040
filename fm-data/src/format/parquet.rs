//! Parquet, read and written in chunks.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fm_core::atomic_file::AtomicFile;
use polars::prelude::*;
use polars_io::SerReader;
use polars_io::parquet::write::BatchedWriter;
use polars_io::prelude::{FileMetadata, ParallelStrategy, ParquetReader, ParquetWriter};

use super::interface::{ChunkSize, Format, ReadChunks, WriteChunks};
use super::text::text_of;
use crate::error::{Error, Result, first_line, io_error};

/// Maximum number of rows in a written row group.
const ROW_GROUP: usize = 1 << 18;

/// Apache Parquet.
pub struct Parquet;

impl Format for Parquet {
    fn extension(&self) -> &'static str {
        "parquet"
    }

    fn read(&self, path: &Path, size: ChunkSize) -> Result<Box<dyn ReadChunks>> {
        Ok(Box::new(ParquetChunks::open(path, size)?))
    }

    fn write(&self, file: AtomicFile) -> Box<dyn WriteChunks> {
        Box::new(ParquetWriting { file, writer: None })
    }

    fn line_of_row(&self, _: &Path, _: usize) -> Option<usize> {
        None
    }
}

/// The chunks of a Parquet file.
///
/// Only the pages with a chunk's rows are unpacked: a row group of any size takes no more memory than a chunk and the
/// dictionaries of its columns.
struct ParquetChunks {
    file: File,
    path: PathBuf,
    /// The length of the file.
    bytes: u64,
    metadata: Arc<FileMetadata>,
    rows_of_chunk: usize,
    rows_read: usize,
    is_first: bool,
}

impl ParquetChunks {
    /// Reads the metadata of the file.
    fn open(path: &Path, size: ChunkSize) -> Result<ParquetChunks> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let copy = file.try_clone().map_err(Error::io("read", path))?;
        let mut reader = ParquetReader::new(copy);
        let metadata = reader.get_metadata().map_err(|error| invalid(path, &error))?.clone();
        let schema = reader.schema().map_err(|error| invalid(path, &error))?;
        if let Some(column) = schema.iter_values().find(|column| is_left_out(&column.dtype)) {
            let reason = format!(
                "column `{}` has decimals, maps or structs, which cannot be read: remove it, or store it as text or as \
                 64-bit numbers",
                column.name
            );
            return Err(Error::data(path, None, reason));
        }
        let bytes: usize = metadata.row_groups.iter().map(|group| group.total_byte_size()).sum();
        let bytes_of_row = bytes / metadata.num_rows.max(1);
        let rows_of_chunk = size.rows.min(size.bytes / bytes_of_row.max(1)).max(1);
        let path = path.to_owned();
        Ok(ParquetChunks { file, path, bytes: length, metadata, rows_of_chunk, rows_read: 0, is_first: true })
    }

    fn read(&self, rows: usize) -> Result<DataFrame> {
        let invalid = |error: PolarsError| invalid(&self.path, &error);
        // Each reader maps the file again, which frees the pages read before.
        let file = self.file.try_clone().map_err(Error::io("read", &self.path))?;
        let mut reader = ParquetReader::new(file)
            .with_slice(Some((self.rows_read, rows)))
            // The other strategies visit the row groups before the slice, too.
            .read_parallel(ParallelStrategy::RowGroups);
        reader.set_metadata(self.metadata.clone());
        let table = reader.finish().map_err(invalid)?;
        if table.height() != rows {
            let reason = format!("not a readable Parquet file: {} rows instead of {rows}", table.height());
            return Err(Error::data(&self.path, None, reason));
        }
        let text = |column: &Column| text_of(column).map(IntoColumn::into_column);
        let columns: std::result::Result<_, String> = table.columns().iter().map(text).collect();
        DataFrame::new(rows, columns.map_err(|reason| Error::data(&self.path, None, reason))?).map_err(invalid)
    }
}

impl ReadChunks for ParquetChunks {
    fn next_chunk(&mut self) -> Result<Option<DataFrame>> {
        let rows = self.rows_of_chunk.min(self.metadata.num_rows - self.rows_read);
        if rows == 0 && !std::mem::take(&mut self.is_first) {
            return Ok(None);
        }
        self.is_first = false;
        let table = self.read(rows)?;
        self.rows_read += rows;
        Ok(Some(table))
    }

    fn bytes_read(&self) -> u64 {
        let share = self.rows_read as f64 / self.metadata.num_rows.max(1) as f64;
        (share * self.bytes as f64) as u64
    }
}

type RowGroupWriter = Box<BatchedWriter<BufWriter<File>>>;

struct ParquetWriting {
    file: AtomicFile,
    /// Created with the first chunk, which has the names and types of the columns.
    writer: Option<RowGroupWriter>,
}

impl ParquetWriting {
    fn write_row_groups(&mut self, table: &mut DataFrame) -> PolarsResult<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                // Buffered, because the header of a page is written byte by byte. The writer flushes at the end.
                let file = BufWriter::new(self.file.file().try_clone()?);
                self.writer.insert(Box::new(ParquetWriter::new(file).batched(table.schema())?))
            }
        };
        table.rechunk_mut_par();
        for start in (0..table.height()).step_by(ROW_GROUP) {
            writer.write_batch(&table.slice(start as i64, ROW_GROUP))?;
        }
        Ok(())
    }
}

impl WriteChunks for ParquetWriting {
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()> {
        self.write_row_groups(table).map_err(io_error)
    }

    fn finish(self: Box<Self>) -> io::Result<Option<AtomicFile>> {
        if let Some(writer) = self.writer {
            writer.finish().map_err(io_error)?;
        }
        Ok(Some(self.file))
    }
}

/// Whether Polars, with the features used here, would panic on a column of this type.
fn is_left_out(kind: &ArrowDataType) -> bool {
    use ArrowDataType::{Decimal, Decimal32, Decimal64, Decimal256, FixedSizeList, LargeList, List, Map, Struct};
    match kind {
        Decimal(..) | Decimal32(..) | Decimal64(..) | Decimal256(..) | Map(..) | Struct(_) => true,
        List(inner) | LargeList(inner) | FixedSizeList(inner, _) => is_left_out(&inner.dtype),
        _ => false,
    }
}

fn invalid(path: &Path, error: &PolarsError) -> Error {
    // The message for a type that this build of Polars does not support.
    let what = first_line(error);
    let left_out = what.starts_with("cannot create series from");
    let advice = if left_out { ": store the column as text, or as 32- or 64-bit numbers" } else { "" };
    Error::data(path, None, format!("not a readable Parquet file: {what}{advice}"))
}
