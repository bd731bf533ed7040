//! Arrow IPC files, which are also called Feather version 2, read and written in chunks.

mod check;
mod chunks;

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

use arrow::io::ipc::write::{Compression, FileWriter, WriteOptions};
use polars::prelude::*;

use self::chunks::IpcChunks;
use super::input::Input;
use super::interface::{Format, ReadChunks, ReadOptions, WriteChunks};
use super::output::Output;
use crate::error::{Result, io_error};

/// Arrow IPC files.
pub const ARROW: Ipc = Ipc { extension: "arrow" };

/// The same under the name of pandas and R.
pub const FEATHER: Ipc = Ipc { extension: "feather" };

/// The same under the name of Polars.
pub const IPC: Ipc = Ipc { extension: "ipc" };

/// Text as other programs know it: `LargeUtf8`, not the newer views.
const FORM: CompatLevel = CompatLevel::oldest();

/// The file form of Arrow IPC.
pub struct Ipc {
    extension: &'static str,
}

impl Format for Ipc {
    fn extension(&self) -> &'static str {
        self.extension
    }

    fn is_text(&self) -> bool {
        false
    }

    fn read(&self, input: Input, options: &ReadOptions) -> Result<Box<dyn ReadChunks>> {
        let (file, path) = input.into_file()?;
        Ok(Box::new(IpcChunks::open(file, path, options)?))
    }

    fn write(&self, output: Output) -> Box<dyn WriteChunks> {
        Box::new(IpcWriting { output, writer: None })
    }
}

struct IpcWriting {
    output: Output,
    /// Created with the first chunk, which has the names and types of the columns.
    writer: Option<FileWriter<BufWriter<File>>>,
}

impl IpcWriting {
    fn write_batch(&mut self, table: &mut DataFrame) -> PolarsResult<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let file =
                    self.output.plain_file().ok_or_else(|| io::Error::other("Arrow IPC is written to files only"))?;
                let file = BufWriter::new(file.try_clone()?);
                let schema = Arc::new(table.schema().to_arrow(FORM));
                let options = WriteOptions { compression: Some(Compression::LZ4) };
                self.writer.insert(FileWriter::try_new(file, schema, None, options)?)
            }
        };
        table.rechunk_mut_par();
        for batch in table.iter_chunks(FORM, false) {
            writer.write(&batch, None)?;
        }
        Ok(())
    }
}

impl WriteChunks for IpcWriting {
    fn write(&mut self, table: &mut DataFrame) -> io::Result<()> {
        self.write_batch(table).map_err(io_error)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Output> {
        if let Some(writer) = &mut self.writer {
            writer.finish().map_err(io_error)?;
        }
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests;
