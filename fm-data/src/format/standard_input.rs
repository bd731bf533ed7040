//! A table from standard input, under the path `-`. Its rows are read several times, so that it is written to a file first.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use fm_core::atomic_file::random_digits;
use xxhash_rust::xxh3::Xxh3;

use super::input::Input;
use super::interface::Format;
use super::sniff::{START, sniff};
use crate::error::{Error, Result, STANDARD_INPUT as PATH};

/// What the names of its files start with.
const PREFIX: &str = "standard-input-";

/// Whether a path stands for standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new(PATH)
}

/// The table of this process.
static TABLE: OnceLock<Spooled> = OnceLock::new();
static READING: Mutex<()> = Mutex::new(());
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Sets the folder of the file with the rows of standard input; by default that of temporary files. Call it before any table is
/// read.
pub fn set_folder(folder: PathBuf) {
    // Later calls have the same folder.
    let _ = FOLDER.set(folder);
}

/// Removes the file with the rows of standard input, if one is left: call it at the end of the process.
pub fn remove() {
    if let Some(path) = TABLE.get().and_then(|table| table.path.as_ref()) {
        let _ = std::fs::remove_file(path);
    }
}

/// The bytes of standard input.
pub(super) struct Spooled {
    /// Where it can be opened.
    place: PathBuf,
    /// The file, unless its name is already removed: then it ends with the process, whatever ends that.
    path: Option<PathBuf>,
    /// Keeps the file.
    _file: File,
    pub format: &'static dyn Format,
    /// Of the content.
    pub digest: String,
    /// The number of bytes.
    pub len: u64,
}

impl Spooled {
    /// Opens the file, at its start.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(&self) -> Result<File> {
        File::open(&self.place).map_err(Error::io("read", PATH))
    }
}

/// The table from standard input, which the first call reads.
///
/// # Errors
/// [`Error::Data`] if it is a terminal or empty; [`Error::Io`] if it cannot be kept.
pub(super) fn table() -> Result<&'static Spooled> {
    let _reading = READING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(table) = TABLE.get() {
        return Ok(table);
    }
    check_is_no_terminal()?;
    let folder = FOLDER.get().cloned().unwrap_or_else(std::env::temp_dir);
    let table = spool(io::stdin().lock(), &folder)?;
    Ok(TABLE.get_or_init(|| table))
}

/// A digest of the table, if the path is that of standard input.
///
/// # Errors
/// [`Error::Data`] if it is a terminal or empty; [`Error::Io`] if it cannot be kept.
pub fn digest(path: &Path) -> Result<Option<String>> {
    is_standard_input(path).then(|| Ok(table()?.digest.clone())).transpose()
}

/// The number of bytes of the table, if the path is that of standard input.
///
/// # Errors
/// [`Error::Data`] if it is a terminal or empty; [`Error::Io`] if it cannot be kept.
pub fn len(path: &Path) -> Result<Option<u64>> {
    is_standard_input(path).then(|| Ok(table()?.len)).transpose()
}

/// Fails if standard input is a terminal, which would wait for a person.
///
/// # Errors
/// [`Error::Data`].
pub fn check_is_no_terminal() -> Result<()> {
    match io::stdin().is_terminal() {
        true => Err(Error::data(PATH, None, "is a terminal: send a table to it, as in `< clicks.csv`")),
        false => Ok(()),
    }
}

/// Writes a source to a file in `folder`, a block at a time.
fn spool(mut source: impl Read, folder: &Path) -> Result<Spooled> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let path = folder.join(format!("{PREFIX}{}", random_digits()));
    let mut file = create(&path).map_err(Error::io("create", &path))?;
    let (place, path) = unnamed(&file, path);
    let mut removed_if_it_fails = RemovedUnlessKept(path);
    let (mut digest, mut block, mut len) = (Xxh3::new(), vec![0; 1 << 20], 0_u64);
    loop {
        let read = match source.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", PATH)(error)),
        };
        file.write_all(&block[..read]).map_err(Error::io("keep the rows of standard input in", folder))?;
        digest.update(&block[..read]);
        len += read as u64;
    }
    if len == 0 {
        return Err(Error::data(PATH, None, "is empty: send a table to it, as in `< clicks.csv`"));
    }
    let format = format_of(|| File::open(&place).map_err(Error::io("read", PATH)))?;
    let path = removed_if_it_fails.0.take();
    Ok(Spooled { place, path, _file: file, format, digest: format!("{:032x}", digest.digest128()), len })
}

/// The format of a file, which `open` opens.
fn format_of(open: impl Fn() -> Result<File>) -> Result<&'static dyn Format> {
    let start = |source: &mut dyn Read| {
        let mut start = vec![];
        source.take(START).read_to_end(&mut start).map_err(Error::io("read", PATH))?;
        Ok::<_, Error>(start)
    };
    let format = sniff(&start(&mut open()?)?);
    if !format.is_text() {
        return Ok(format);
    }
    // It may be compressed.
    let mut text = Input::of_file(open()?, PATH).into_text()?;
    Ok(sniff(&start(&mut text.source)?))
}

/// A file that is removed unless its path is taken.
struct RemovedUnlessKept(Option<PathBuf>);

impl Drop for RemovedUnlessKept {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A new file that only this user can read.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Where a file can be opened, and its path if it must be removed later. On Linux, an open file can be opened again after it has lost
/// its name, and it vanishes with its process.
#[cfg(target_os = "linux")]
fn unnamed(file: &File, path: PathBuf) -> (PathBuf, Option<PathBuf>) {
    use std::os::fd::AsRawFd;
    let place = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if File::open(&place).is_ok() && std::fs::remove_file(&path).is_ok() && File::open(&place).is_ok() {
        return (place, None);
    }
    (path.clone(), Some(path))
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &File, path: PathBuf) -> (PathBuf, Option<PathBuf>) {
    (path.clone(), Some(path))
}

/// Whether a file in the folder has rows of standard input.
pub fn is_left_over(name: &str) -> bool {
    name.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_kept_in_a_file_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"a,b\n1,2\n".repeat(300_000);
        let table = spool(&text[..], folder.path()).unwrap();
        assert_eq!(table.format.extension(), "csv");
        for _ in 0..2 {
            let mut read = vec![];
            table.open().unwrap().read_to_end(&mut read).unwrap();
            assert!(read == text);
        }
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files(), usize::from(!cfg!(target_os = "linux")));
        assert_eq!(table.digest, spool(&text[..], folder.path()).unwrap().digest);
        assert_ne!(table.digest, spool(&text[1..], folder.path()).unwrap().digest);
        let error = spool(&b""[..], folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("standard input: is empty"), "{error}");
    }
}
