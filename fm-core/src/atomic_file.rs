//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a file through a temporary neighbour that is synced and renamed over it, so that neither a crash nor a full
/// disk leaves half a file, and the old one stays until the new one is whole.
///
/// # Errors
/// [`Error::Io`]; the temporary file is removed.
pub fn write_atomically<P: AsRef<Path>>(
    path: P,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    replace_atomically(path, |temporary| {
        let mut file = BufWriter::new(File::create(temporary)?);
        write(&mut file)?;
        file.flush()
    })
}

/// As [`write_atomically`], for a writer that takes the path of the temporary file.
///
/// # Errors
/// What `write` returns, or [`Error::Io`]; the temporary file is removed.
pub fn replace_atomically<P: AsRef<Path>, E: Into<WriteError>>(
    path: P,
    write: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> Result<()> {
    let path = path.as_ref();
    let temporary = temporary_beside(path);
    let result = write(&temporary).map_err(Into::into).and_then(|()| {
        File::open(&temporary)?.sync_all()?;
        std::fs::rename(&temporary, path)?;
        // The rename itself must reach the disk.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Ok(())
    });
    result.map_err(|error| {
        // Best effort: the error that brought us here is the one to report.
        let _ = std::fs::remove_file(&temporary);
        match error {
            WriteError::Io(source) => Error::Io { action: "write", path: path.to_owned(), source },
            WriteError::Other(error) => error,
        }
    })
}

/// Why a file was not written.
pub enum WriteError {
    /// The file system's reason.
    Io(std::io::Error),
    /// The writer's own.
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

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
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
