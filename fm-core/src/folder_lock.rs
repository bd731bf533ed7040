//! Locks of folders that one process at a time may write to.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A folder that this process alone writes to, until the lock is dropped.
///
/// The lock is one of the operating system (`flock`), on the file `lock` in the folder, which tells who holds it. It
/// ends with its process, whatever ends that. It binds only programs that ask for it: reading needs none.
///
/// ```
/// use fm_core::folder_lock::FolderLock;
///
/// let folder = tempfile::tempdir().unwrap();
/// let lock = FolderLock::acquire(folder.path())?;
/// let error = FolderLock::acquire(folder.path()).unwrap_err().to_string();
/// assert!(error.contains(&format!("is in use by process {}", std::process::id())));
/// drop(lock);
/// FolderLock::acquire(folder.path())?;
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    file: File,
}

/// How much of the file is read for a message.
const MAX_HOLDER: u64 = 200;

impl FolderLock {
    /// The name of the file.
    pub const FILE: &str = "lock";

    /// Locks a folder, which must exist. Does not wait.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process, or another lock of this one, holds it; [`Error::Io`].
    pub fn acquire(folder: impl AsRef<Path>) -> Result<FolderLock> {
        let folder = folder.as_ref();
        let path = folder.join(FolderLock::FILE);
        loop {
            let mut file = open(&path).map_err(Error::io("lock", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::InUse { path: folder.to_owned(), holder: holder(&mut file) });
                }
                // Some file systems have no locks. Training there is as safe as it was without.
                Err(TryLockError::Error(error)) => {
                    tracing::warn!("{} cannot be locked: let no other process write there: {error}", folder.display());
                }
            }
            // The holder before may have removed the file after it was opened here: then this lock excludes nobody.
            if is_at(&file, &path) {
                // Only for the message of others.
                let _ = file.set_len(0).and_then(|()| file.write_all(this_process().as_bytes()));
                return Ok(FolderLock { path, file });
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The folder may have moved, and another may have its place.
        if is_at(&self.file, &self.path) {
            // Best effort: a file that is left locks nothing.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens the file, or creates it; never through a link, which could lead to another file.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NOFOLLOW);
    }
    options.open(path)
}

/// Whether an open file is the one at a path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |data: std::fs::Metadata| (data.dev(), data.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => place(open) == place(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

fn this_process() -> String {
    let process = std::process::id();
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(machine) => format!("process {process} on {}", machine.trim()),
        Err(_) => format!("process {process}"),
    }
}

/// Who holds a lock, as its file tells.
fn holder(file: &mut File) -> String {
    let mut bytes = vec![];
    let read = file.take(MAX_HOLDER).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    match read {
        Ok(length) if length > 0 && !text.chars().any(char::is_control) => text.into_owned(),
        _ => "another process".into(),
    }
}

/// Whether a folder cannot be locked because nothing can be written there: then no lock is needed.
pub fn is_read_only(error: &Error) -> bool {
    let is_refusal = |kind| matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
    matches!(error, Error::Io { action: "lock", source, .. } if is_refusal(source.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lock_excludes_another_until_it_is_dropped_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        // What a killed process has left locks nothing.
        std::fs::write(folder.path().join("lock"), "process 1 on mars, long ago").unwrap();
        let lock = FolderLock::acquire(folder.path()).unwrap();
        let error = FolderLock::acquire(folder.path()).unwrap_err();
        let own = format!("is in use by process {}", std::process::id());
        assert!(matches!(error, Error::InUse { .. }) && error.to_string().contains(&own), "{error}");
        drop(lock);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        FolderLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn of_many_at_once_one_holds_the_lock_at_any_time() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let (inside, entered) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(_lock) = FolderLock::acquire(folder.path()) {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                            entered.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!(entered.load(Ordering::SeqCst) >= 8);
    }

    #[test]
    fn a_folder_that_moves_takes_its_lock_along() {
        let parent = tempfile::tempdir().unwrap();
        let (here, there) = (parent.path().join("here"), parent.path().join("there"));
        std::fs::create_dir(&here).unwrap();
        let lock = FolderLock::acquire(&here).unwrap();
        std::fs::rename(&here, &there).unwrap();
        std::fs::create_dir(&here).unwrap();
        let other = FolderLock::acquire(&here).unwrap();
        assert!(matches!(FolderLock::acquire(&there), Err(Error::InUse { .. })));
        drop(lock);
        assert!(here.join("lock").exists(), "the lock of another folder is not removed");
        drop(other);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_the_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "years of work").unwrap();
        std::os::unix::fs::symlink(&precious, folder.path().join("lock")).unwrap();
        assert!(matches!(FolderLock::acquire(folder.path()), Err(Error::Io { .. })));
        assert_eq!(std::fs::read_to_string(precious).unwrap(), "years of work");
    }
}
