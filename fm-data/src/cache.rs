//! A cache of encoded data: runs with the same files, declaration, split and seed encode their data once.
//!
//! An entry is a folder `CACHE/KEY/` with `schema.json`, `train.rows`, `valid.rows`, `test.rows` and `warnings.json`; for a
//! ranking also `items.rows`, `pairs.json`, `train.pairs`, `valid.pairs` and `test.pairs`; and `entry.json`, which has the
//! key and a digest of the content of each of them. It is built next to its final place and then renamed, so an entry is
//! always complete, even if several processes build it at once.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fm_core::atomic_file::{random_digits, write_atomically};
use fm_core::rows::ROWS_FORMAT;
use fm_core::{Records, Rows, Schema};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Result, shown};
use crate::format::standard_input;
use crate::ranking::RankingData;

/// The file with the warnings and notes, which every training on the rows repeats.
const WARNINGS: &str = "warnings.json";

/// The file with the rows of a part in the folder of an entry.
pub(crate) fn rows_file(folder: &Path, part: &str) -> PathBuf {
    folder.join(part).with_extension("rows")
}

/// Everything that the encoded data depends on.
#[derive(Clone, Copy, Debug)]
pub struct CacheKey<'a, S> {
    /// The input files. Their paths, lengths and times count, and which file is there (device and inode).
    pub inputs: &'a [PathBuf],
    /// The settings of the data: fields, split, seed, task.
    pub settings: &'a S,
}

impl<S: Serialize> CacheKey<'_, S> {
    /// The name of the entry: 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Io`] if an input cannot be read.
    pub fn digest(&self) -> Result<String> {
        let version = (ENTRY_FORMAT, ROWS_FORMAT, fm_core::schema::SCHEMA_FORMAT, env!("CARGO_PKG_VERSION"));
        let inputs = self.inputs.iter().map(|path| identity(path)).collect::<Result<Vec<_>>>()?;
        let json = serde_json::to_vec(&(version, inputs, self.settings))
            .map_err(|error| Error::Spec(format!("the data settings cannot be written as JSON: {error}")))?;
        Ok(Md5::digest(json).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What tells a file: if it is the same, the file counts as unchanged.
#[derive(Debug, Serialize)]
struct FileIdentity {
    path: PathBuf,
    len: u64,
    /// Programs such as `cp -p`, `tar` and `touch` set it to an earlier time.
    modified: u128,
    /// Device, inode and the time of the last change of the file or of what is said of it, in seconds and nanoseconds.
    /// The system sets that time, and no program can.
    place: Option<(u64, u64, i64, i64)>,
}

fn identity(path: &Path) -> Result<FileIdentity> {
    if let (Some(digest), Some(len)) = (standard_input::digest(path)?, standard_input::len(path)?) {
        return Ok(FileIdentity { path: digest.into(), len, modified: 0, place: None });
    }
    let whole = std::fs::canonicalize(path).map_err(Error::io("read", path))?;
    let metadata = std::fs::metadata(&whole).map_err(Error::io("read", path))?;
    let modified = metadata.modified().map_err(Error::io("read", path))?;
    let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Ok(FileIdentity { path: whole, len: metadata.len(), modified, place: place(&metadata) })
}

#[cfg(unix)]
fn place(metadata: &Metadata) -> Option<(u64, u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn place(_: &Metadata) -> Option<(u64, u64, i64, i64)> {
    None
}

/// `entry.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct EntryFile {
    key: String,
    /// Digests of schema, rows, pairs and warnings, by name.
    digests: BTreeMap<String, String>,
    /// The files that the rows come from, for people.
    #[serde(default)]
    source: String,
}

pub(crate) const ENTRY: &str = "entry.json";

/// The version of the files of an entry that are not rows or schemas.
const ENTRY_FORMAT: u32 = 2;

/// Encoded data, ready to train on.
#[derive(Debug)]
pub struct Prepared {
    /// The fields and vocabularies.
    pub schema: Schema,
    /// The training rows.
    pub train: Records,
    /// The validation rows, which choose the best epoch.
    pub valid: Records,
    /// The test rows, which measure the final model.
    pub test: Records,
    /// The additional data of a ranking; `None` for other tasks.
    pub ranking: Option<RankingData>,
    /// What is odd about the training rows ([`Fitted`](crate::fit::Fitted)).
    pub warnings: Vec<String>,
    /// What was decided about the rows because the settings do not ([`RawData::notes`](crate::RawData::notes)).
    pub notes: Vec<String>,
    /// Shows that the entry of the cache is in use.
    #[expect(dead_code, reason = "it only has to be held")]
    pub(crate) lock: Option<File>,
}

impl Prepared {
    /// Opens an entry of the cache, and checks that it is the one of `key` and holds what was written.
    fn open(folder: &Path, key: &str) -> fm_core::Result<Prepared> {
        let path = folder.join(ENTRY);
        let text = std::fs::read_to_string(&path).map_err(fm_core::Error::io("read", &path))?;
        let lock = in_use(&path);
        let entry: EntryFile = serde_json::from_str(&text)
            .map_err(|error| fm_core::Error::format("cache entry", &path, error.to_string()))?;
        let prepared = Prepared { lock, ..Prepared::read(folder)? };
        let expected = prepared.entry(key);
        if (entry.key, entry.digests) != (expected.key, expected.digests) {
            return Err(fm_core::Error::format("cache entry", folder, "its content is not what was written"));
        }
        Ok(prepared)
    }

    fn entry(&self, key: &str) -> EntryFile {
        let schema = ("schema", format!("{:032x}", xxh3_128(self.schema.to_json().as_bytes())));
        let rows = [("train", &self.train), ("valid", &self.valid), ("test", &self.test)];
        let rows = rows.map(|(part, rows)| (part, rows.digest()));
        let ranking = self.ranking.iter().map(|ranking| ("ranking", ranking.digest()));
        let warnings = ("warnings", format!("{:032x}", xxh3_128(self.warnings.join("\n").as_bytes())));
        let digests =
            rows.into_iter().chain([schema, warnings]).chain(ranking).map(|(name, digest)| (name.to_owned(), digest));
        EntryFile { key: key.to_owned(), digests: digests.collect(), source: String::new() }
    }

    fn read(folder: &Path) -> fm_core::Result<Prepared> {
        let schema = Schema::load(folder.join(Schema::FILE))?;
        let rows = |part: &str| Records::open(rows_file(folder, part), &schema);
        let (train, valid, test) = (rows("train")?, rows("valid")?, rows("test")?);
        let is_ranking = schema.label().task.is_ranking();
        let ranking = is_ranking.then(|| RankingData::open(folder, &schema)).transpose()?;
        if ranking.as_ref().is_some_and(|ranking| !ranking.is_of([train.len(), valid.len(), test.len()])) {
            return Err(fm_core::Error::format("cache entry", folder, "its pairs do not match its rows"));
        }
        let path = folder.join(WARNINGS);
        let text = std::fs::read_to_string(&path).map_err(fm_core::Error::io("read", &path))?;
        let (warnings, notes) =
            serde_json::from_str(&text).map_err(fm_core::Error::json("the warnings of a cache entry"))?;
        Ok(Prepared { schema, train, valid, test, ranking, warnings, notes, lock: None })
    }

    /// Writes the files of an entry. Rows that are already in a file of the folder stay there.
    fn save(&self, folder: &Path, key: &str, source: String) -> fm_core::Result<()> {
        let entry = EntryFile { source, ..self.entry(key) };
        write_atomically(folder.join(ENTRY), |file| Ok(serde_json::to_writer_pretty(file, &entry)?))?;
        self.schema.save(folder.join(Schema::FILE))?;
        for (part, rows) in [("train", &self.train), ("valid", &self.valid), ("test", &self.test)] {
            let path = rows_file(folder, part);
            if !path.exists() {
                rows.save(path, &self.schema)?;
            }
        }
        let path = folder.join(WARNINGS);
        let text = serde_json::to_string(&(&self.warnings, &self.notes))
            .map_err(fm_core::Error::json("the warnings of a cache entry"))?;
        std::fs::write(&path, text).map_err(fm_core::Error::io("write", &path))?;
        self.ranking.as_ref().map_or(Ok(()), |ranking| ranking.save(folder, &self.schema))
    }
}

/// Opens the cache entry for `key`, or builds it if it is missing or damaged. `build` writes rows to their
/// files, such as `train.rows`, in the folder that it is given. If the cache cannot be written, it builds the rows in memory.
///
/// # Errors
/// Returns the error of `build`. If the cache cannot be written, it only warns.
pub fn prepare(
    key: &CacheKey<'_, impl Serialize>,
    cache: impl AsRef<Path>,
    build: impl Fn(Option<&Path>) -> Result<Prepared>,
) -> Result<Prepared> {
    let cache = cache.as_ref();
    let digest = key.digest()?;
    let entry = cache.join(&digest);
    match Prepared::open(&entry, &digest) {
        Ok(prepared) => return Ok(prepared),
        Err(error) if entry.exists() => tracing::warn!("the cache entry is damaged and will be rebuilt: {error}"),
        Err(_) => {}
    }
    let failed = |error: &Error| tracing::warn!("the encoded rows cannot be cached for the next run: {error}");
    let written = std::fs::create_dir_all(cache).map_err(Error::io("create", cache));
    // What a killed process left takes space.
    prune(cache);
    let written = written.and_then(|()| Temporary::new(&entry)).inspect_err(failed).ok();
    let built = match (&written, build(written.as_ref().map(|written| &*written.path))) {
        (Some(_), Err(error)) if is_of_writing(&error) => {
            failed(&error);
            return build(None);
        }
        (_, built) => built?,
    };
    if key.digest()? != digest {
        tracing::warn!("the data was written to while it was read: run the command again once that has ended");
        return Ok(built);
    }
    let Some(written) = written else { return Ok(built) };
    let lock = match built.save(&written.path, &digest, source_of(key.inputs)) {
        // Mapped files stay, whatever another process does to the entry.
        Ok(()) => {
            publish(&written, &entry);
            in_use(&entry.join(ENTRY))
        }
        Err(error) => {
            failed(&error.into());
            None
        }
    };
    prune(cache);
    Ok(Prepared { lock, ..built })
}

/// The files in words: the file, or the folder of several and their number.
fn source_of(files: &[PathBuf]) -> String {
    match files {
        [] => String::new(),
        [file] => shown(file).to_string_lossy().into_owned(),
        [first, others @ ..] => {
            let folders = first.parent().into_iter().flat_map(Path::ancestors);
            let folder = folders.into_iter().find(|folder| others.iter().all(|file| file.starts_with(folder)));
            format!("{} ({} files)", folder.unwrap_or(first).to_string_lossy(), files.len())
        }
    }
}

/// Shows other processes that an entry is in use, and since when, until the file is dropped. Best effort: mapped rows stay
/// readable in any case.
fn in_use(entry: &Path) -> Option<File> {
    let file = File::open(entry).ok()?;
    file.try_lock_shared().ok()?;
    // An owner may set the time of a file that is open for reading.
    let _ = file.set_modified(SystemTime::now());
    Some(file)
}

/// Where the rows of an entry come from; empty if it does not say.
pub(crate) fn source_of_entry(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join(ENTRY)).unwrap_or_default();
    serde_json::from_str::<EntryFile>(&text).map(|entry| entry.source).unwrap_or_default()
}

/// Whether a file could not be written, such as on a full disk.
fn is_of_writing(error: &Error) -> bool {
    matches!(error, Error::Core(fm_core::Error::Io { action: "write", .. }))
}

/// Moves an entry to its final place. If that fails, the next run builds the entry again.
fn publish(written: &Temporary, entry: &Path) {
    if std::fs::rename(&written.path, entry).is_err() {
        // An entry exists: a damaged one, or one that another process has just built. Replace either.
        let Ok(old) = Temporary::new(entry) else { return };
        let _ = std::fs::rename(entry, old.path.join("old"));
        // If a third process was faster, its entry is equivalent to this one.
        let _ = std::fs::rename(&written.path, entry);
    }
}

/// Maximum total size of all entries except the newest, in bytes.
const KEPT_BYTES: u64 = 5_000_000_000;

/// An unfinished entry is locked by its process. Without a lock, it belongs to a process that died; a new one may not be locked
/// yet. Where folders have no locks, only its age shows it.
pub(crate) const UNLOCKED_AFTER: Duration = Duration::from_secs(10);
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a path in the folder of the cache is that of an entry.
pub(crate) fn is_entry(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether it is that of an unfinished entry.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "partial")
}

/// Removes abandoned entries, and the oldest entries beyond [`KEPT_BYTES`]. Files that another process has mapped stay
/// readable to it.
fn prune(cache: &Path) {
    let files = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let built = |entry: &PathBuf| std::fs::metadata(entry).and_then(|data| data.modified()).unwrap_or(UNIX_EPOCH);
    let is_abandoned = |path: &PathBuf| {
        let age = built(path).elapsed().unwrap_or_default();
        is_unfinished(path) && (age > ABANDONED_AFTER || age > UNLOCKED_AFTER && lock(path).is_some())
    };
    for left in files(cache).filter(is_abandoned) {
        let _ = std::fs::remove_dir_all(left);
    }
    let mut entries: Vec<PathBuf> = files(cache).filter(|path| is_entry(path)).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(built(entry)));
    let mut kept = 0;
    for entry in entries.iter().skip(1) {
        kept += files(entry).filter_map(|file| Some(std::fs::metadata(file).ok()?.len())).sum::<u64>();
        if kept > KEPT_BYTES {
            // Best effort: the entry only takes space.
            let _ = std::fs::remove_dir_all(entry);
        }
    }
}

/// A temporary folder of one call, removed when dropped.
struct Temporary {
    path: PathBuf,
    /// The folder is locked as long as its process lives.
    _lock: Option<File>,
}

impl Temporary {
    fn new(beside: &Path) -> Result<Temporary> {
        let folder = beside.with_extension(format!("{}.partial", random_digits()));
        std::fs::create_dir(&folder).map_err(Error::io("create", &folder))?;
        Ok(Temporary { _lock: lock(&folder), path: folder })
    }
}

/// Locks a folder without waiting; `None` if another process does, or if folders have no locks here.
fn lock(folder: &Path) -> Option<File> {
    File::open(folder).ok().filter(|folder| folder.try_lock().is_ok())
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Best effort; after a rename, there is nothing to remove.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests;
