//! The folder of a run: settings, schema, metrics and checkpoints.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{EpochRecord, EpochTiming};
use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};

/// The files of a run.
///
/// | file | holds |
/// |---|---|
/// | `settings.toml` | the resolved settings |
/// | `schema.json` | fields and vocabularies |
/// | `rows.json` | a digest of the rows of each part |
/// | `metrics.jsonl` | an object an epoch: the same for equal runs |
/// | `timings.jsonl` | an object an epoch: how long it took |
/// | `summary.json` | the results |
/// | `checkpoints/best.safetensors` | the parameters of the best epoch |
/// | `checkpoints/last.safetensors` | the last state, from which training goes on |
/// | `checkpoints/step-N.safetensors` | the states before it, in which N steps were done |
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// [`Error::RunExists`] if something is there already, [`Error::Io`].
    pub fn create(path: impl Into<PathBuf>) -> Result<RunDir> {
        let run = RunDir(path.into());
        RunDir::check_free(&run.0)?;
        std::fs::create_dir_all(&run.0).map_err(Error::io("create", &run.0))?;
        // Of two programs that find the folder free at once, one makes this folder.
        std::fs::create_dir(run.0.join("checkpoints")).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => occupied(&run.0),
            _ => Error::io("create", &run.0)(error),
        })?;
        Ok(run)
    }

    /// Checks that a new run could have this folder.
    ///
    /// # Errors
    /// [`Error::RunExists`] if something is there already.
    pub fn check_free(path: &Path) -> Result<()> {
        let is_occupied = path.exists() && std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_some());
        if is_occupied { Err(occupied(path)) } else { Ok(()) }
    }

    /// Opens a run's folder.
    ///
    /// # Errors
    /// [`Error::Format`] if it is none.
    pub fn open(path: impl Into<PathBuf>) -> Result<RunDir> {
        let run = RunDir(path.into());
        for file in [run.settings(), run.schema()] {
            if !file.is_file() {
                let again = if RunDir::is_begun(&run.0) { ": start it anew, with `--force`" } else { "" };
                let reason = format!("there is no {}{again}", file.display());
                return Err(Error::format("run", &run.0, reason));
            }
        }
        Ok(run)
    }

    /// Whether a folder holds nothing but what a run begins with, and lacks what it takes to go on: training was killed as it
    /// began.
    pub fn is_begun(path: &Path) -> bool {
        let names = |folder| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let is_ours = |name: &std::ffi::OsStr| {
            let name = name.to_string_lossy();
            ["checkpoints", "schema.json", "rows.json"].contains(&&*name) || name.ends_with(".partial")
        };
        let is_empty = path.is_dir() && names(path).next().is_none();
        is_empty || path.join("checkpoints").is_dir() && names(path).all(|name| is_ours(&name))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The resolved settings.
    pub fn settings(&self) -> PathBuf {
        self.0.join("settings.toml")
    }

    /// Fields and vocabularies.
    pub fn schema(&self) -> PathBuf {
        self.0.join("schema.json")
    }

    /// A digest of the rows of each part.
    pub fn rows(&self) -> PathBuf {
        self.0.join("rows.json")
    }

    /// One object an epoch.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// How long each epoch took.
    pub fn timings(&self) -> PathBuf {
        self.0.join("timings.jsonl")
    }

    /// The results.
    pub fn summary(&self) -> PathBuf {
        self.0.join("summary.json")
    }

    /// The parameters of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.0.join("checkpoints/best.safetensors")
    }

    /// The last state.
    pub fn last(&self) -> PathBuf {
        self.0.join("checkpoints/last.safetensors")
    }

    /// The checkpoint to score with: the best; the last if no epoch was finished.
    pub fn checkpoint(&self) -> PathBuf {
        if self.best().exists() { self.best() } else { self.last() }
    }

    /// Adds a line to `metrics.jsonl`, and one to `timings.jsonl`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&self, record: &EpochRecord, timing: &EpochTiming) -> Result<()> {
        for (path, line) in [(self.metrics(), lines([record])?), (self.timings(), lines([timing])?)] {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(Error::io("write", path))?;
        }
        Ok(())
    }

    /// The epochs in `metrics.jsonl`; none where no epoch was finished. A last line that is cut short is left out.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] for any other line that holds no epoch.
    pub fn epochs(&self) -> Result<Vec<EpochRecord>> {
        let text = match std::fs::read_to_string(self.metrics()) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(Error::io("read", self.metrics())(error)),
        };
        let mut epochs = vec![];
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            match serde_json::from_str(line) {
                Ok(epoch) => epochs.push(epoch),
                Err(_) if !line.ends_with('\n') => {}
                Err(error) => {
                    let reason = format!("line {number} holds no epoch: {error}");
                    return Err(Error::format("list of epochs", self.metrics(), reason));
                }
            }
        }
        Ok(epochs)
    }

    /// The run's files, whether they are there or not.
    pub fn files(&self) -> [PathBuf; 8] {
        let (best, last) = (self.best(), self.last());
        [self.settings(), self.schema(), self.rows(), self.metrics(), self.timings(), self.summary(), best, last]
    }

    /// Whether a path is one of the run's files, which nothing else may be written over.
    pub fn holds(&self, path: &Path) -> bool {
        let path = path.canonicalize().ok();
        path.is_some() && self.files().iter().any(|file| file.canonicalize().ok() == path)
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_summary(&self, summary: &impl Serialize) -> Result<()> {
        write_atomically(self.summary(), |file| {
            serde_json::to_writer_pretty(&mut *file, summary)?;
            file.write_all(b"\n")
        })
    }
}

/// An object a line.
pub(super) fn lines<T: Serialize>(objects: impl IntoIterator<Item = T>) -> Result<String> {
    let line = |object| Ok(serde_json::to_string(&object).map_err(Error::json("a line of results"))? + "\n");
    objects.into_iter().map(line).collect()
}

fn occupied(path: &Path) -> Error {
    Error::RunExists { path: path.to_owned() }
}
