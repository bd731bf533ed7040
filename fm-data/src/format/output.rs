//! Where a table is written to: a file, compressed or not, or standard output.

use std::fs::File;
use std::io::{self, IsTerminal, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use fm_core::atomic_file::AtomicFile;

/// How a text file is compressed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// The packing that a file's name ends in, and the name before.
    pub(super) fn of_name(name: &str) -> Option<(Packing, &str)> {
        let endings = [(Packing::Gzip, ".gz"), (Packing::Zstd, ".zst"), (Packing::Zstd, ".zstd")];
        endings.into_iter().find_map(|(packing, ending)| Some((packing, name.strip_suffix(ending)?)))
    }
}

/// What a table is written to.
pub struct Output {
    /// `None` for standard output.
    file: Option<AtomicFile>,
    sink: Sink,
}

enum Sink {
    Plain(File),
    Gzip(GzEncoder<File>),
    Zstd(zstd::Encoder<'static, File>),
    Stdout,
}

impl Output {
    /// Standard output.
    pub(super) fn stdout() -> Output {
        Output { file: None, sink: Sink::Stdout }
    }

    /// A file.
    ///
    /// # Errors
    /// The operating system's error.
    pub(super) fn file(file: AtomicFile, packing: Option<Packing>) -> io::Result<Output> {
        let writer = file.file().try_clone()?;
        let sink = match packing {
            None => Sink::Plain(writer),
            Some(Packing::Gzip) => Sink::Gzip(GzEncoder::new(writer, Compression::default())),
            Some(Packing::Zstd) => Sink::Zstd(zstd::Encoder::new(writer, 0)?),
        };
        Ok(Output { file: Some(file), sink })
    }

    /// The bare file, for a format that is not text; `None` for another output.
    pub(super) fn plain_file(&self) -> Option<&File> {
        if let Sink::Plain(file) = &self.sink { Some(file) } else { None }
    }

    /// Whether a person may see it at once.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.sink, Sink::Stdout) && io::stdout().is_terminal()
    }

    /// Ends the compression, and returns the file to commit; `None` for standard output.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn finish(self) -> io::Result<Option<AtomicFile>> {
        match self.sink {
            Sink::Gzip(encoder) => drop(encoder.finish()?),
            Sink::Zstd(encoder) => drop(encoder.finish()?),
            Sink::Plain(_) | Sink::Stdout => {}
        }
        Ok(self.file)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Plain(file) => file.write(bytes),
            Sink::Gzip(encoder) => encoder.write(bytes),
            Sink::Zstd(encoder) => encoder.write(bytes),
            Sink::Stdout => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain(file) => file.flush(),
            Sink::Gzip(encoder) => encoder.flush(),
            Sink::Zstd(encoder) => encoder.flush(),
            Sink::Stdout => io::stdout().flush(),
        }
    }
}
