//! Unpacks zip archives without trusting their content.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use crate::download::no_space_or_io;
use crate::error::{Error, Result};

/// The file type bits of a Unix mode, and their value for a symbolic link.
const S_IFMT: u32 = 0o170_000;
const S_IFLNK: u32 = 0o120_000;

/// Unpacks `archive` into the new folder `folder`. It unpacks into a hidden folder next to it and renames that at the
/// end, so `folder` is complete or absent. It may exist before if it is empty.
///
/// # Errors
/// [`Error::Archive`] if the archive is damaged, contains a symbolic link or an entry outside the folder, or unpacks to
/// more than `max_size` bytes; [`Error::Io`] if a file cannot be written.
pub fn unpack(archive: &Path, folder: &Path, max_size: u64) -> Result<()> {
    let temporary = temporary_beside(folder);
    let result = remove_if_there(&temporary).and_then(|()| {
        write_entries(archive, &temporary, max_size)?;
        std::fs::rename(&temporary, folder).map_err(Error::io("create", folder))
    });
    if result.is_err() {
        // Best effort: the first error is the one to report.
        let _ = remove_if_there(&temporary);
    }
    result
}

fn write_entries(path: &Path, target: &Path, max_size: u64) -> Result<()> {
    let invalid = |reason: String| Error::Archive { path: path.to_owned(), reason };
    let damaged = |error: ZipError| invalid(format!("not a zip archive, or a damaged one ({error})"));
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(damaged)?;
    std::fs::create_dir_all(target).map_err(Error::io("create", target))?;
    let mut room = max_size;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(damaged)?;
        let name = entry.name().to_owned();
        let destination = match entry.enclosed_name() {
            Some(inside) => target.join(inside),
            None => return Err(invalid(format!("its entry `{name}` is outside the folder"))),
        };
        if entry.unix_mode().is_some_and(|mode| mode & S_IFMT == S_IFLNK) {
            return Err(invalid(format!("its entry `{name}` is a symbolic link")));
        }
        if entry.is_dir() {
            std::fs::create_dir_all(&destination).map_err(Error::io("create", &destination))?;
            continue;
        }
        if let Some(parent) = destination.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        }
        let too_large =
            || invalid(format!("it contains more than {max_size} bytes (at `{name}`), the maximum size of a release"));
        if entry.size() > room {
            return Err(too_large());
        }
        room = match write_entry(&mut entry, &destination, room) {
            Ok(written) => room - written,
            Err(EntryError::TooLarge) => return Err(too_large()),
            Err(EntryError::Read(error)) => return Err(invalid(format!("its entry `{name}` is damaged ({error})"))),
            Err(EntryError::Write(error)) => return Err(error),
        };
    }
    Ok(())
}

enum EntryError {
    /// The entry exceeds the remaining size, whatever size it declares.
    TooLarge,
    Read(io::Error),
    Write(Error),
}

/// Writes an entry, and returns its size, at most `room`.
fn write_entry(entry: &mut ZipFile<'_>, destination: &Path, room: u64) -> Result<u64, EntryError> {
    let failed = |error| EntryError::Write(no_space_or_io(error, destination));
    // A repeated name is an error.
    let mut file = File::create_new(destination).map_err(failed)?;
    let mut buffer = vec![0; 1 << 16];
    let mut written = 0;
    loop {
        let n = entry.read(&mut buffer).map_err(EntryError::Read)?;
        if n == 0 {
            file.sync_all().map_err(failed)?;
            return Ok(written);
        }
        written += n as u64;
        if written > room {
            return Err(EntryError::TooLarge);
        }
        file.write_all(&buffer[..n]).map_err(failed)?;
    }
}

/// A name that depends only on the folder, so that a later call finds and removes the files of a killed process.
fn temporary_beside(folder: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(folder.file_name().unwrap_or_default());
    name.push(".unpacking");
    folder.with_file_name(name)
}

fn remove_if_there(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use zip::ZipWriter;
    use zip::write::FileOptions;

    /// A zip archive of the entries, in memory.
    pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, content) in entries {
            writer.start_file(*name, FileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// Unpacks, and returns the result, the folder's parent, and the folder.
    fn unpacked(archive: &[u8], max_size: u64) -> (Result<()>, tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("archive.zip");
        std::fs::write(&path, archive).unwrap();
        let folder = parent.path().join("ml-1m");
        (unpack(&path, &folder, max_size), parent, folder)
    }

    /// The error of unpacking. Checks that only the archive is left.
    fn refused(archive: &[u8], max_size: u64) -> String {
        let (result, parent, _) = unpacked(archive, max_size);
        let left: Vec<_> = std::fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["archive.zip"]);
        result.unwrap_err().to_string()
    }

    #[test]
    fn files_are_unpacked_into_their_folders() {
        let bytes = archive(&[("ml-1m/README", b"read me"), ("ml-1m/deep/er/x", b""), ("top", b"t")]);
        let (result, parent, folder) = unpacked(&bytes, 8);
        result.unwrap();
        assert_eq!(std::fs::read(folder.join("ml-1m/README")).unwrap(), b"read me");
        assert!(folder.join("ml-1m/deep/er/x").is_file() && folder.join("top").is_file());
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_files_of_a_killed_process_are_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let (path, folder) = (parent.path().join("archive.zip"), parent.path().join("ml-1m"));
        std::fs::write(&path, archive(&[("a", b"new")])).unwrap();
        std::fs::create_dir(temporary_beside(&folder)).unwrap();
        std::fs::write(temporary_beside(&folder).join("a"), "half").unwrap();
        unpack(&path, &folder, 100).unwrap();
        assert_eq!(std::fs::read(folder.join("a")).unwrap(), b"new");
        assert!(!temporary_beside(&folder).exists());
    }

    #[test]
    fn an_entry_outside_the_folder_is_an_error_with_its_name() {
        for name in ["../evil", "ok/../../evil", "/tmp/evil"] {
            let message = refused(&archive(&[("fine", b"x"), (name, b"x")]), 100);
            assert!(message.ends_with(&format!("its entry `{name}` is outside the folder")), "{message}");
        }
    }

    #[test]
    fn a_symbolic_link_is_an_error() {
        let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
        writer.add_symlink("link", "/etc/passwd", FileOptions::default()).unwrap();
        let message = refused(&writer.finish().unwrap().into_inner(), 100);
        assert!(message.ends_with("its entry `link` is a symbolic link"), "{message}");
    }

    #[test]
    fn more_than_the_limit_is_an_error_whatever_the_declared_sizes() {
        let honest = archive(&[("a", &[0; 60]), ("b", &[0; 41])]);
        assert!(refused(&honest, 100).contains("more than 100 bytes (at `b`)"));
        assert!(unpacked(&honest, 101).0.is_ok());

        // The declared size of the one entry, in the central directory: 24 bytes after its signature.
        let mut lying = archive(&[("a", &[0; 5000])]);
        let directory = lying.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        lying[directory + 24..directory + 28].copy_from_slice(&1u32.to_le_bytes());
        assert!(refused(&lying, 100).contains("more than 100 bytes (at `a`)"));
    }

    #[test]
    fn a_truncated_or_damaged_archive_is_an_error() {
        let bytes = archive(&[("a", b"some text to store in the archive")]);
        assert!(refused(&bytes[..bytes.len() / 2], 100).contains("damaged"));
        assert!(refused(b"", 100).contains("not a zip archive"));
        assert!(refused(b"<html>not found</html>", 100).contains("not a zip archive"));
        let mut flipped = bytes.clone();
        flipped[31] ^= 0x55;
        assert!(refused(&flipped, 100).contains("damaged"));
    }

    #[test]
    fn a_repeated_name_is_an_error() {
        // The writer rejects repeated names, so one of two names of the same length is overwritten.
        let mut bytes = archive(&[("aa", b"1"), ("bb", b"2")]);
        for at in 0..bytes.len() - 1 {
            if &bytes[at..at + 2] == b"bb" {
                bytes[at..at + 2].copy_from_slice(b"aa");
            }
        }
        assert!(refused(&bytes, 100).contains("cannot write"));
    }

    #[test]
    fn a_folder_with_content_is_not_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let (path, folder) = (parent.path().join("archive.zip"), parent.path().join("ml-1m"));
        std::fs::write(&path, archive(&[("a", b"new")])).unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("mine"), "mine").unwrap();
        assert!(unpack(&path, &folder, 100).unwrap_err().to_string().contains("cannot create"));
        assert!(folder.join("mine").is_file());
    }
}
