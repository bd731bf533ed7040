//! The files that training writes into a run's folder: metrics, timings and checkpoints.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{EpochRecord, EpochTiming, checkpoint};
use crate::error::{Error, Result};

/// The files that training writes into a folder.
///
/// | file | content |
/// |---|---|
/// | `metrics.jsonl` | one object per epoch: its results, the same for equal runs |
/// | `timings.jsonl` | one object per epoch: the time that it took |
/// | `checkpoints/best.safetensors` | the parameters of the best epoch |
/// | `checkpoints/last.safetensors` | the last state, from which training resumes |
/// | `checkpoints/step-N.safetensors` | earlier states, after N steps |
#[derive(Clone, Debug)]
pub struct TrainFiles(PathBuf);

impl TrainFiles {
    /// The name of the folder of checkpoints.
    pub const CHECKPOINTS: &str = "checkpoints";

    /// The files in this folder, which does not need to exist.
    pub fn new(folder: impl Into<PathBuf>) -> TrainFiles {
        TrainFiles(folder.into())
    }

    /// Creates the folder, which must be empty if it exists.
    ///
    /// # Errors
    /// [`Error::RunExists`] if it is not empty; [`Error::Io`].
    pub fn create(folder: impl Into<PathBuf>) -> Result<TrainFiles> {
        let files = TrainFiles(folder.into());
        let exists = || Error::RunExists { path: files.0.clone() };
        if !is_free(&files.0) {
            return Err(exists());
        }
        std::fs::create_dir_all(&files.0).map_err(Error::io("create", &files.0))?;
        // If two programs find the folder empty at once, only one of them creates this one.
        std::fs::create_dir(files.0.join(TrainFiles::CHECKPOINTS)).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(),
            _ => Error::io("create", &files.0)(error),
        })?;
        Ok(files)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The results of each epoch.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// The time that each epoch took.
    pub fn timings(&self) -> PathBuf {
        self.0.join("timings.jsonl")
    }

    /// The parameters of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.0.join(TrainFiles::CHECKPOINTS).join("best.safetensors")
    }

    /// The last state.
    pub fn last(&self) -> PathBuf {
        self.0.join(TrainFiles::CHECKPOINTS).join("last.safetensors")
    }

    /// The checkpoint to score with: the best one, or the last one before the end of the first epoch.
    pub fn checkpoint(&self) -> PathBuf {
        if self.best().exists() { self.best() } else { self.last() }
    }

    /// Whether a checkpoint contains more than the initial state. Otherwise there is nothing to resume.
    pub fn has_progress(&self) -> bool {
        self.best().exists() || checkpoint::steps(&self.last()).is_some_and(|steps| steps > 0)
    }

    /// Appends a line to `metrics.jsonl`, and one to `timings.jsonl`.
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

    /// The epochs in `metrics.jsonl`; none before the end of the first one. A truncated last line is ignored.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for any other line that is not an epoch.
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
                    let reason = format!("line {number} is not an epoch: {error}");
                    return Err(Error::format("list of epochs", self.metrics(), reason));
                }
            }
        }
        Ok(epochs)
    }

    /// The files with fixed names, whether they exist or not.
    pub fn all(&self) -> [PathBuf; 4] {
        [self.metrics(), self.timings(), self.best(), self.last()]
    }
}

/// Whether a folder is empty or does not exist.
pub fn is_free(folder: &Path) -> bool {
    !folder.exists() || std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// One object per line.
pub(super) fn lines<T: Serialize>(objects: impl IntoIterator<Item = T>) -> Result<String> {
    let line = |object| Ok(serde_json::to_string(&object).map_err(Error::json("a line of results"))? + "\n");
    objects.into_iter().map(line).collect()
}
