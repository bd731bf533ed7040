//! Parquet, read and written in chunks.

mod chunks;
mod metadata_types;
mod nesting;

use std::fs::File;
use std::io::{self, BufWriter};

use polars::prelude::*;
use polars_io::parquet::write::BatchedWriter;
use polars_io::prelude::ParquetWriter;

use self::chunks::ParquetChunks;
use super::input::Input;
use super::interface::{Format, ReadChunks, ReadOptions, WriteChunks};
use super::output::Output;
use crate::error::{Result, io_error};

/// Maximum number of rows in a written row group.
const ROW_GROUP: usize = 1 << 18;

/// Apache Parquet.
pub struct Parquet;

impl Format for Parquet {
    fn extension(&self) -> &'static str {
        "parquet"
    }

    fn is_text(&self) -> bool {
        false
    }

    fn read(&self, input: Input, options: &ReadOptions) -> Result<Box<dyn ReadChunks>> {
        let (file, path) = input.into_file()?;
        Ok(Box::new(ParquetChunks::open(file, path, options)?))
    }

    fn write(&self, output: Output) -> Box<dyn WriteChunks> {
        Box::new(ParquetWriting { output, writer: None })
    }
}

type RowGroupWriter = Box<BatchedWriter<BufWriter<File>>>;

struct ParquetWriting {
    output: Output,
    /// Created with the first chunk, which has the names and types of the columns.
    writer: Option<RowGroupWriter>,
}

impl ParquetWriting {
    fn write_row_groups(&mut self, table: &mut DataFrame) -> PolarsResult<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let file =
                    self.output.plain_file().ok_or_else(|| io::Error::other("Parquet is written to files only"))?;
                // Buffered, because the header of a page is written byte by byte. The writer flushes at the end.
                let file = BufWriter::new(file.try_clone()?);
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

    fn finish(self: Box<Self>) -> io::Result<Output> {
        if let Some(writer) = self.writer {
            writer.finish().map_err(io_error)?;
        }
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests;
