//! Files that are replaced atomically.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// Writes a temporary file next to the target, syncs it, and renames it over the target. A crash or a full disk never
/// leaves a partial file: the old file remains until the new one is complete.
///
/// # Errors
/// [`Error::Io`]; the temporary file is removed.
pub fn write_atomically<P: AsRef<Path>>(
    path: P,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    replace_atomically(path, |temporary| {
        let mut file = BufWriter::new(temporary.try_clone()?);
        write(&mut file)?;
        file.flush()
    })
}

/// Like [`write_atomically`], for a writer that buffers by itself.
///
/// # Errors
/// Errors of `write`, or [`Error::Io`]; the temporary file is removed.
pub fn replace_atomically<P: AsRef<Path>, E: Into<WriteError>>(
    path: P,
    write: impl FnOnce(&mut File) -> std::result::Result<(), E>,
) -> Result<()> {
    let mut neighbour = Neighbour::of(path.as_ref())?;
    let written = write(&mut neighbour.file).map_err(Into::into).and_then(|()| Ok(neighbour.take_place()?));
    written.map_err(|error| match error {
        WriteError::Io(source) => Error::Io { action: "write", path: path.as_ref().to_owned(), source },
        WriteError::Other(error) => error,
    })
}

/// A file that is written incrementally, and appears only when it is complete.
///
/// ```
/// use std::io::Write;
///
/// use fm_core::atomic_file::AtomicFile;
///
/// let path = std::env::temp_dir().join(format!("an-atomic-file-{}", std::process::id()));
/// let file = AtomicFile::create(&path)?;
/// file.file().write_all(b"line")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"line");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    /// The path as given, for errors.
    path: PathBuf,
    neighbour: Neighbour,
}

impl AtomicFile {
    /// Creates a temporary file next to `path`. It is removed if dropped before [`AtomicFile::commit`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<AtomicFile> {
        let path = path.as_ref();
        Ok(AtomicFile { path: path.to_owned(), neighbour: Neighbour::of(path)? })
    }

    /// The temporary file, open for writing.
    pub fn file(&self) -> &File {
        &self.neighbour.file
    }

    /// Syncs the file and renames it to the path.
    ///
    /// # Errors
    /// [`Error::Io`]; the temporary file is removed.
    pub fn commit(self) -> Result<()> {
        self.neighbour.take_place().map_err(Error::io("write", self.path))
    }

    /// Renames the file to the path, and lets the system write it to the disk when it likes. For a file that can be made
    /// again, and whose readers notice damage: after a power cut, it may be incomplete.
    ///
    /// # Errors
    /// As [`AtomicFile::commit`].
    pub fn commit_without_sync(self) -> Result<()> {
        self.neighbour.rename().map_err(Error::io("write", self.path))
    }
}

/// A temporary file next to its target, removed on drop.
///
/// Its name cannot be guessed and it must not exist before, so that nobody can prepare a link there through which
/// another file would be overwritten.
#[derive(Debug)]
struct Neighbour {
    path: PathBuf,
    file: File,
    target: PathBuf,
}

impl Neighbour {
    fn of(path: &Path) -> Result<Neighbour> {
        let target = behind_links(path)?;
        remove_abandoned(&target);
        loop {
            let temporary = temporary_beside(&target);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&temporary) {
                Ok(file) => return Ok(Neighbour { path: temporary, file, target }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("write", path)(error)),
            }
        }
    }

    fn take_place(&self) -> std::io::Result<()> {
        self.file.sync_all()?;
        self.rename()?;
        // The rename itself must reach the disk.
        File::open(folder_of(&self.target))?.sync_all()
    }

    fn rename(&self) -> std::io::Result<()> {
        // The new file has the permissions of the old one.
        if let Ok(old) = std::fs::metadata(&self.target) {
            self.file.set_permissions(old.permissions())?;
        }
        std::fs::rename(&self.path, &self.target)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // Best effort: an earlier error is the one to report. After the rename, the file no longer exists.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Why a file was not written.
pub enum WriteError {
    /// An error of the file system.
    Io(std::io::Error),
    /// An error of the writer.
    Other(Error),
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> WriteError {
        WriteError::Io(error)
    }
}

impl From<Error> for WriteError {
    fn from(error: Error) -> WriteError {
        WriteError::Other(error)
    }
}

/// The file behind `path`. A link stays. Devices and pipes must not be replaced.
fn behind_links(path: &Path) -> Result<PathBuf> {
    let refused = |reason| Error::io("write", path)(std::io::Error::other(reason));
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => std::fs::canonicalize(path).map_err(Error::io("write", path)),
        Ok(found) if found.is_dir() => Err(refused("it is a folder")),
        Ok(_) => Err(refused("it is a device or a pipe, not a file")),
        // The file does not exist or is not accessible; creating it shows which. For a dangling link, create its
        // target.
        Err(_) => Ok(std::fs::read_link(path).map_or_else(|_| path.to_owned(), |link| folder_of(path).join(link))),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = beginning_of_temporaries(path);
    name.push(format!("{}.partial", random_digits()));
    path.with_file_name(name)
}

/// The number of digits of [`random_digits`].
const RANDOM_DIGITS: usize = 16;

/// 16 hexadecimal digits for the name of a temporary file or folder, which nobody can guess.
pub fn random_digits() -> String {
    // The standard library seeds its hash maps from the operating system.
    format!("{:0RANDOM_DIGITS$x}", RandomState::new().build_hasher().finish())
}

fn beginning_of_temporaries(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name
}

/// Removes temporary files of killed programs, a day after their last write: another program may be running in a
/// container whose processes are not visible here. Best effort: such files only waste space.
fn remove_abandoned(path: &Path) {
    let beginning = beginning_of_temporaries(path);
    for entry in std::fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let middle = name.as_encoded_bytes().strip_prefix(beginning.as_encoded_bytes());
        let digits = middle.and_then(|middle| middle.strip_suffix(b".partial"));
        let is_temporary = digits.is_some_and(|digits| {
            digits.len() == RANDOM_DIGITS && digits.iter().all(|digit| digit.is_ascii_hexdigit())
        });
        // Of the entry itself, if it is a link.
        let age = entry.metadata().and_then(|file| file.modified()).map(|at| at.elapsed().unwrap_or_default());
        if is_temporary && age.is_ok_and(|age| age > Duration::from_secs(24 * 60 * 60)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_target_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomically(&link, |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
        std::fs::remove_file(&file).unwrap();
        write_atomically(&link, |file| file.write_all(b"again")).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"again");
        assert!(link.is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        write_atomically(&file, |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn only_regular_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(folder.path(), |file| file.write_all(b"x")).unwrap_err().to_string();
        assert!(error.ends_with("it is a folder"), "{error}");
        let socket = folder.path().join("socket");
        #[cfg(unix)]
        {
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            let error = write_atomically(&socket, |file| file.write_all(b"x")).unwrap_err().to_string();
            assert!(error.ends_with("not a file"), "{error}");
        }
        assert!(std::fs::read_dir(folder.path()).unwrap().count() <= 1);
    }

    #[test]
    fn without_a_commit_the_old_file_remains_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (content, is_committed) in [("old", true), ("new", false), ("newer", true)] {
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            let file = AtomicFile::create(&path).unwrap();
            file.file().write_all(content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), before);
            if is_committed {
                file.commit().unwrap();
            } else {
                drop(file);
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), if is_committed { content } else { "old" });
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        assert!(AtomicFile::create(folder.path()).unwrap_err().to_string().ends_with("it is a folder"));
    }

    #[test]
    fn temporary_files_of_killed_programs_are_removed_after_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, age| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        let day = 25 * 60 * 60;
        for (name, age) in [
            (".file.0123456789abcdef.partial", day),
            (".file.1123456789abcdef.partial", 60),
            (".file.7.partial", day),
            (".files.0123456789abcdef.partial", day),
        ] {
            write(name, age);
        }
        write_atomically(folder.path().join("file"), |file| file.write_all(b"new")).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let expected = [".file.1123456789abcdef.partial", ".file.7.partial", ".files.0123456789abcdef.partial", "file"];
        assert_eq!(left, expected);
    }

    #[test]
    fn temporary_names_differ_and_do_not_tell_the_process() {
        let (a, b) = (temporary_beside(Path::new("file")), temporary_beside(Path::new("file")));
        assert_ne!(a, b);
        assert!(!a.to_string_lossy().contains(&format!(".{}.", std::process::id())));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_prepared_in_the_place_of_the_temporary_file_is_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("file"));
        std::fs::write(&victim, b"precious").unwrap();
        let file = AtomicFile::create(&path).unwrap();
        // Whoever sees the name replaces the file by a link: what was opened is not the link's target.
        std::fs::remove_file(&file.neighbour.path).unwrap();
        std::os::unix::fs::symlink(&victim, &file.neighbour.path).unwrap();
        file.file().write_all(b"scores").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert!(!path.exists());
    }

    #[test]
    fn a_failed_write_leaves_only_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"new and")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(error.unwrap_err().to_string().ends_with("disk full"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
