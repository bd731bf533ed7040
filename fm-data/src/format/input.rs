//! The bytes of a table: a file or a stream, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::standard_input;
use crate::error::{Error, Result};

/// The number of bytes that tell how a file is compressed, or that it is no text.
const SIGNATURE: usize = 8;

/// The start of files that are no text, with what to do.
const OTHERS: [(&[u8], &str); 9] = [
    (b"PAR1", "is a Parquet file: its name must end in .parquet"),
    (b"ARROW1", "is an Arrow IPC file: its name must end in .arrow, .feather or .ipc"),
    (b"PK\x03\x04", "is a zip archive or an Excel workbook: unpack it, or save it as CSV"),
    (b"\xD0\xCF\x11\xE0", "is an Excel workbook: save it as CSV"),
    (b"\xFD7zXZ", "is compressed with xz: unpack it, or compress it with gzip or zstd"),
    (b"BZh91AY", "is compressed with bzip2: unpack it, or compress it with gzip or zstd"),
    (b"BZh61AY", "is compressed with bzip2: unpack it, or compress it with gzip or zstd"),
    (b"\xFF\xFE", "is UTF-16: convert it to UTF-8, for example with iconv"),
    (b"\xFE\xFF", "is UTF-16: convert it to UTF-8, for example with iconv"),
];

/// Whether a text would begin as a file of another kind or with a byte-order mark.
pub(super) fn is_signature(start: &[u8]) -> bool {
    let others = OTHERS.iter().map(|(signature, _)| *signature);
    // The second byte of a compressed file's signature is no text.
    others.chain([&b"\xEF\xBB\xBF"[..]]).any(|signature| start.starts_with(signature))
}

/// A table to read.
pub struct Input {
    /// The file, or the name of the stream, for errors.
    path: PathBuf,
    source: Source,
}

enum Source {
    File(File),
    Stream(Box<dyn Read + Send>),
}

/// The text of a table.
pub(super) struct Text {
    /// The file, for errors.
    pub path: PathBuf,
    /// The text, unpacked.
    pub source: Box<dyn Read + Send>,
    /// The number of bytes read, before they are unpacked.
    pub bytes_read: Arc<AtomicU64>,
}

impl Input {
    /// Opens a file, or [standard input](standard_input) under its path.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<Input> {
        let file = match standard_input::is_standard_input(path) {
            true => standard_input::table()?.open()?,
            false => File::open(path).map_err(Error::io("read", path))?,
        };
        Ok(Input::of_file(file, path))
    }

    /// An open file.
    pub(super) fn of_file(file: File, path: impl AsRef<Path>) -> Input {
        Input { path: path.as_ref().to_owned(), source: Source::File(file) }
    }

    /// A stream. Errors call it `name`.
    pub fn stream(source: impl Read + Send + 'static, name: &str) -> Input {
        Input { path: name.into(), source: Source::Stream(Box::new(source)) }
    }

    /// Whether it is a file, which can be read twice.
    pub(super) fn is_file(&self) -> bool {
        matches!(&self.source, Source::File(file) if file.metadata().is_ok_and(|metadata| metadata.is_file()))
    }

    /// The file, with its path.
    ///
    /// # Errors
    /// [`Error::Data`] for a stream.
    pub(super) fn into_file(self) -> Result<(File, PathBuf)> {
        match self.source {
            Source::File(file) => Ok((file, self.path)),
            Source::Stream(_) => Err(Error::data(self.path, None, "is a stream, and this format needs a file")),
        }
    }

    /// The file twice, to be read one after the other.
    ///
    /// # Errors
    /// [`Error::Data`] with the reason `why` for a stream, which can be read only once; [`Error::Io`].
    pub(super) fn twice(self, why: &str) -> Result<(Input, Input)> {
        let is_file = match &self.source {
            Source::File(file) => file.metadata().is_ok_and(|metadata| metadata.is_file()),
            Source::Stream(_) => false,
        };
        if !is_file {
            return Err(Error::data(self.path, None, format!("is a stream, and {why}: save it as a file")));
        }
        let again = Input::open(&self.path)?;
        Ok((self, again))
    }

    /// The text. The content decides whether it is compressed, since the name may not say it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file that is recognised as no text.
    pub(super) fn into_text(self) -> Result<Text> {
        let Input { path, source } = self;
        let bytes_read = Arc::new(AtomicU64::new(0));
        let source: Box<dyn Read + Send> = match source {
            Source::File(file) => Box::new(file),
            Source::Stream(stream) => stream,
        };
        let mut counted = Counted { source, bytes_read: Arc::clone(&bytes_read) };
        let mut start = Vec::new();
        (&mut counted).take(SIGNATURE as u64).read_to_end(&mut start).map_err(Error::io("read", &path))?;
        if let Some((_, reason)) = OTHERS.iter().find(|(signature, _)| start.starts_with(signature)) {
            return Err(Error::data(path, None, *reason));
        }
        let (is_gzip, is_zstd) = (start.starts_with(b"\x1F\x8B"), start.starts_with(b"\x28\xB5\x2F\xFD"));
        let whole = Cursor::new(start).chain(counted);
        let source: Box<dyn Read + Send> = if is_gzip {
            Box::new(Gzip { parts: MultiGzDecoder::new(BufReader::with_capacity(1 << 16, whole)), has_begun: false })
        } else if is_zstd {
            Box::new(zstd::Decoder::new(whole).map_err(Error::io("unpack", &path))?)
        } else {
            Box::new(whole)
        };
        Ok(Text { path, source, bytes_read })
    }
}

/// Unpacks gzip, with an error that says what follows the compressed data.
struct Gzip<R> {
    parts: MultiGzDecoder<R>,
    /// Whether anything has been unpacked.
    has_begun: bool,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.parts.read(buffer).map_err(|error| match error.to_string().as_str() {
            "invalid gzip header" if self.has_begun => {
                let reason = "other bytes follow the compressed data: remove them or compress the file again";
                io::Error::new(error.kind(), reason)
            }
            _ => error,
        })?;
        self.has_begun |= read > 0;
        Ok(read)
    }
}

/// Counts the bytes that are read.
struct Counted {
    source: Box<dyn Read + Send>,
    bytes_read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn text(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let input = Input::stream(Cursor::new(bytes.to_vec()), "t.csv");
        let mut text = input.into_text().map_err(|error| error.to_string())?;
        let mut unpacked = Vec::new();
        text.source.read_to_end(&mut unpacked).map_err(|error| error.to_string())?;
        assert_eq!(text.bytes_read.load(Ordering::Relaxed), bytes.len() as u64);
        Ok(unpacked)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_text_is_recognised_by_its_content() {
        assert_eq!(text(b"a,b\n1,2\n").unwrap(), b"a,b\n1,2\n");
        assert_eq!(text(b"").unwrap(), b"");
        // Programs append to both kinds of files.
        assert_eq!(text(&[gzip(b"a,b\n"), gzip(b"1,2\n")].concat()).unwrap(), b"a,b\n1,2\n");
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        assert_eq!(text(&[zstd(b"a,b\n"), zstd(b"1,2\n")].concat()).unwrap(), b"a,b\n1,2\n");
    }

    #[test]
    fn damaged_and_other_files_are_errors() {
        let rows = b"a,b\n1,2\n".repeat(100);
        let mut cut = gzip(&rows);
        cut.truncate(cut.len() - 9);
        assert!(text(&cut).is_err());
        let followed = [gzip(&rows), b"and more than a header".to_vec()].concat();
        assert!(text(&followed).unwrap_err().contains("other bytes follow the compressed data"));
        let mut cut = zstd::encode_all(rows.as_slice(), 1).unwrap();
        cut.truncate(cut.len() - 5);
        assert!(text(&cut).is_err());
        assert!(text(b"PAR1....").unwrap_err().contains("its name must end in .parquet"));
        assert!(text(b"\xFF\xFEa\0").unwrap_err().contains("is UTF-16"));
        assert!(text(b"PK\x03\x04abcd").unwrap_err().contains("zip archive"));
    }
}
