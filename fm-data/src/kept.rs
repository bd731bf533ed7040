//! What is kept on this machine: encoded rows, downloaded releases, and what interrupted commands have left.

use std::fs::{File, Metadata, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fm_core::atomic_file::random_digits;

use crate::cache::{ENTRY, UNLOCKED_AFTER, is_entry, is_unfinished, source_of_entry};
use crate::error::{Error, Result};
use crate::format::standard_input;
use crate::movielens::Release;

/// What something is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows that are encoded once for all runs on the same data.
    Encoded,
    /// What a command left that was interrupted.
    LeftOver,
    /// A MovieLens release.
    Release,
}

/// A file or a folder that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it is kept for.
    pub kind: Kind,
    /// Where its rows come from, or its name.
    pub source: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was last used or, of a release and of what is left over, written.
    pub used: SystemTime,
}

/// What became of something that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// A process uses it.
    InUse,
}

/// Everything that is kept, in the folder of data sets and in that of encoded rows: the last used first. Links are nobody's.
///
/// # Errors
/// [`Error::Io`] for a folder that exists and cannot be read.
pub fn kept(data_dir: &Path, cache_dir: &Path) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for path in files(cache_dir)? {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (kind, source) = match metadata.is_dir() {
            true if is_entry(&path) => (Kind::Encoded, source_of_entry(&path)),
            true if is_unfinished(&path) => (Kind::LeftOver, "unfinished encoded rows".to_owned()),
            false if metadata.is_file() && standard_input::is_left_over(&name) => {
                (Kind::LeftOver, "rows of standard input".to_owned())
            }
            _ => continue,
        };
        let entry = std::fs::symlink_metadata(path.join(ENTRY));
        let used = modified(entry.as_ref().unwrap_or(&metadata));
        kept.push(Kept { kind, source, bytes: size(&path, &metadata), used, path });
    }
    for release in Release::ALL {
        let path = data_dir.join(release.name());
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            let (source, bytes, used) = (release.name().to_owned(), size(&path, &metadata), modified(&metadata));
            kept.push(Kept { kind: Kind::Release, source, path, bytes, used });
        }
    }
    kept.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
    Ok(kept)
}

impl Kept {
    /// How long it has not been used.
    pub fn age(&self) -> Duration {
        self.used.elapsed().unwrap_or_default()
    }

    /// Removes it, unless a process uses it.
    ///
    /// It gets another name first, so that no process sees a part of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self) -> Result<Removal> {
        let failed = || Error::io("remove", &self.path);
        let metadata = match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Removal::Removed),
            metadata => metadata.map_err(failed())?,
        };
        if metadata.is_symlink() {
            return Err(Error::data(&self.path, None, "is a link now, which is not followed"));
        }
        let locked = match (self.kind, metadata.is_dir()) {
            (Kind::Encoded, _) => self.path.join(ENTRY),
            // Its process may not have locked it yet.
            (Kind::LeftOver, true) if self.age() < UNLOCKED_AFTER => return Ok(Removal::InUse),
            _ => self.path.clone(),
        };
        let lock = File::open(&locked).ok();
        if let Some(Err(TryLockError::WouldBlock)) = lock.as_ref().map(File::try_lock) {
            return Ok(Removal::InUse);
        }
        if metadata.is_file() {
            return std::fs::remove_file(&self.path).map_err(failed()).map(|()| Removal::Removed);
        }
        let aside = self.path.with_extension(format!("{}.partial", random_digits()));
        std::fs::rename(&self.path, &aside).map_err(failed())?;
        std::fs::remove_dir_all(&aside).map_err(failed())?;
        Ok(Removal::Removed)
    }
}

/// The paths in a folder; none if there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
        files => Ok(files.map_err(Error::io("read", folder))?.filter_map(|file| Some(file.ok()?.path())).collect()),
    }
}

fn modified(metadata: &Metadata) -> SystemTime {
    metadata.modified().unwrap_or(UNIX_EPOCH)
}

/// The size of a file, or of all files in a folder. Links are not followed.
fn size(path: &Path, metadata: &Metadata) -> u64 {
    if !metadata.is_dir() {
        return metadata.len();
    }
    let of = |path: PathBuf| std::fs::symlink_metadata(&path).map_or(0, |metadata| size(&path, &metadata));
    files(path).unwrap_or_default().into_iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let write = |name: &str, len: u64| {
            let path = cache.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap().set_len(len).unwrap();
        };
        write(&format!("{}/train.rows", "a".repeat(32)), 1000);
        write(&format!("{}/train.rows", "b".repeat(32)), 500);
        std::fs::write(cache.join("b".repeat(32)).join(ENTRY), "{\"key\":\"\",\"digests\":{},\"source\":\"t.csv\"}")
            .unwrap();
        write("c.123.partial/train.rows", 10);
        write("standard-input-7", 3);
        write("mine/train.rows", 1);
        std::fs::create_dir(folder.path().join("ml-1m")).unwrap();
        std::fs::write(folder.path().join("ml-1m/ratings.dat"), "12345").unwrap();
        std::fs::create_dir(folder.path().join("other")).unwrap();
        (folder, cache)
    }

    fn all(folder: &Path) -> Vec<Kept> {
        kept(folder, &folder.join("cache")).unwrap()
    }

    #[test]
    fn what_is_kept_is_listed_with_its_size_and_source() {
        let (folder, _) = folders();
        let mut found: Vec<_> = all(folder.path()).into_iter().map(|kept| (kept.source, kept.bytes)).collect();
        found.sort();
        let entry = std::fs::metadata(folder.path().join("cache").join("b".repeat(32)).join(ENTRY)).unwrap().len();
        let expected = [
            ("", 1000),
            ("ml-1m", 5),
            ("rows of standard input", 3),
            ("t.csv", 500 + entry),
            ("unfinished encoded rows", 10),
        ];
        assert_eq!(found, expected.map(|(source, bytes)| (source.to_owned(), bytes)));
        assert!(kept(&folder.path().join("none"), &folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn what_is_in_use_and_what_belongs_to_others_stays() {
        let (folder, cache) = folders();
        let used = File::open(cache.join("b".repeat(32)).join(ENTRY)).unwrap();
        used.lock_shared().unwrap();
        let removed = all(folder.path()).into_iter().filter(|kept| kept.remove().unwrap() == Removal::Removed).count();
        // The other entry, the rows of standard input and the release; nobody knows what a young unfinished one is for.
        assert_eq!(removed, 3);
        let left = || {
            let mut left: Vec<_> = files(&cache).unwrap().into_iter().map(|path| path.display().to_string()).collect();
            left.sort();
            left
        };
        assert_eq!(left().len(), 3, "{:?}", left());
        drop(used);
        File::open(cache.join("c.123.partial")).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert!(all(folder.path()).iter().all(|kept| kept.remove().unwrap() == Removal::Removed));
        assert_eq!(left(), [cache.join("mine").display().to_string()]);
        assert!(folder.path().join("other").is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        use std::os::unix::fs::symlink;
        let (folder, cache) = folders();
        let precious = folder.path().join("precious");
        std::fs::create_dir(&precious).unwrap();
        std::fs::write(precious.join("work"), "years").unwrap();
        for name in [cache.join("d".repeat(32)), cache.join("standard-input-8"), folder.path().join("ml-25m")] {
            symlink(&precious, name).unwrap();
        }
        symlink(&precious, cache.join("a".repeat(32)).join("link")).unwrap();
        let kept = all(folder.path());
        assert_eq!(kept.len(), 5);
        // A link that has taken the place of an entry.
        std::fs::rename(cache.join("b".repeat(32)), cache.join("aside")).unwrap();
        symlink(&precious, cache.join("b".repeat(32))).unwrap();
        let results: Vec<_> = kept.iter().map(|kept| kept.remove().map_err(|error| error.to_string())).collect();
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
        assert_eq!(std::fs::read_to_string(precious.join("work")).unwrap(), "years");
        assert!(!cache.join("a".repeat(32)).exists());
    }
}
