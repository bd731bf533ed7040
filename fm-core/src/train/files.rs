//! The files that training writes into a run's folder: metrics, timings and checkpoints.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tch::nn::VarStore;

use super::checkpoint::{Checkpoint, Parameters};
use super::{EpochRecord, EpochTiming, TrainState, Trainer, checkpoint};
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
pub struct TrainFiles {
    folder: PathBuf,
    /// What the run is recognised by.
    run: Option<String>,
}

impl TrainFiles {
    /// The name of the folder of checkpoints.
    pub const CHECKPOINTS: &str = "checkpoints";

    /// The files in this folder, which does not need to exist.
    pub fn new(folder: impl Into<PathBuf>) -> TrainFiles {
        TrainFiles { folder: folder.into(), run: None }
    }

    /// The same files, of a run that is recognised by this text: checkpoints carry it, and those of other runs are
    /// errors.
    #[must_use]
    pub fn of_run(self, run: impl Into<String>) -> TrainFiles {
        TrainFiles { run: Some(run.into()), ..self }
    }

    /// What the run is recognised by.
    pub(super) fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// Creates the folder, which must be empty if it exists.
    ///
    /// # Errors
    /// [`Error::RunExists`] if it is not empty; [`Error::Io`].
    pub fn create(folder: impl Into<PathBuf>) -> Result<TrainFiles> {
        let files = TrainFiles::new(folder);
        let folder = &files.folder;
        let exists = || Error::RunExists { path: folder.clone() };
        if !is_free(folder) {
            return Err(exists());
        }
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        // If two programs find the folder empty at once, only one of them creates this one.
        std::fs::create_dir(folder.join(TrainFiles::CHECKPOINTS)).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(),
            _ => Error::io("create", folder)(error),
        })?;
        Ok(files)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The results of each epoch.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    /// The time that each epoch took.
    pub fn timings(&self) -> PathBuf {
        self.folder.join("timings.jsonl")
    }

    /// The parameters of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.folder.join(TrainFiles::CHECKPOINTS).join("best.safetensors")
    }

    /// The last state.
    pub fn last(&self) -> PathBuf {
        self.folder.join(TrainFiles::CHECKPOINTS).join("last.safetensors")
    }

    /// The checkpoint to score with: the best one, or the last one before the end of the first epoch.
    pub fn checkpoint(&self) -> PathBuf {
        if self.best().exists() { self.best() } else { self.last() }
    }

    /// A checkpoint with the parameters of the [checkpoint to score with](TrainFiles::checkpoint) and the state of the
    /// optimiser at that moment.
    ///
    /// # Errors
    /// [`Error::WarmStart`] if there is none.
    pub fn checkpoint_with_state(&self) -> Result<PathBuf> {
        let path = self.checkpoint();
        if path == self.last() {
            return Ok(path);
        }
        let best = checkpoint::progress(&path).map(|state| state.epoch);
        let is_of_best = |path: &PathBuf| checkpoint::progress(path).is_some_and(|state| state.is_after(best));
        let mut candidates = [self.last()].into_iter().chain(self.all_earlier());
        candidates.find(|path| is_of_best(path) && checkpoint::steps(path).is_some()).ok_or_else(|| {
            Error::WarmStart(format!(
                "{} has no checkpoint with the optimiser's state after its best epoch{}: start with a fresh state",
                self.folder.display(),
                best.map_or_else(String::new, |epoch| format!(", {epoch}"))
            ))
        })
    }

    /// Whether there is any checkpoint.
    pub fn has_checkpoint(&self) -> bool {
        self.best().exists() || self.last().exists() || !self.all_earlier().is_empty()
    }

    /// Writes the parameters of the best epoch.
    ///
    /// # Errors
    /// As [`Trainer::save`].
    pub fn save_best(&self, trainer: &Trainer<'_>) -> Result<()> {
        trainer.diverged_if_not_finite(checkpoint::write(
            &self.best(),
            trainer.parameters(),
            None,
            &trainer.state,
            self.run(),
        ))
    }

    /// Loads the parameters of the [checkpoint to score with](TrainFiles::checkpoint).
    ///
    /// # Errors
    /// As [`checkpoint::load`]; [`Error::Format`] for a checkpoint of another run, or not of the best epoch.
    pub fn load(&self, store: &VarStore) -> Result<TrainState> {
        self.to_score_with()?.load(Parameters { store, shards: None }, None)
    }

    /// As [`TrainFiles::load`], into the parameters of a trainer, whose tables may be divided among processes that
    /// serve this one.
    ///
    /// # Errors
    /// Those of [`TrainFiles::load`].
    pub fn load_into(&self, trainer: &Trainer<'_>) -> Result<TrainState> {
        self.to_score_with()?.load(trainer.parameters(), None)
    }

    fn to_score_with(&self) -> Result<Checkpoint> {
        let path = self.checkpoint();
        let checkpoint = Checkpoint::open(&path)?;
        checkpoint.check_run(self.run())?;
        let epoch = checkpoint.state()?.epoch;
        // The last checkpoint is the older one of a program that was killed before it wrote its own.
        if let Some(last) = checkpoint::progress(&self.last())
            && let Some((best, _)) = last.best
        {
            if path == self.last() {
                tracing::warn!("{} is missing: using the last checkpoint, of epoch {epoch}", self.best().display());
            } else if epoch != best && epoch <= last.epoch {
                let reason = format!("it holds epoch {epoch}, and the best is epoch {best}");
                return Err(Error::format("checkpoint", path, reason));
            }
        }
        Ok(checkpoint)
    }

    /// Checks that the [checkpoint to score with](TrainFiles::checkpoint) is whole and belongs to the run.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for a checkpoint that is damaged, of another run, or not of the best epoch.
    pub fn check(&self) -> Result<()> {
        self.to_score_with().map(|_| ())
    }

    /// Checks that all checkpoints are whole and belong to the run.
    ///
    /// # Errors
    /// As [`TrainFiles::check`].
    pub fn check_all(&self) -> Result<()> {
        let fixed = [self.best(), self.last()].into_iter().filter(|path| path.exists());
        let mut all = fixed.chain(self.all_earlier());
        all.try_for_each(|path| Checkpoint::open(&path)?.check_run(self.run()))
    }

    /// The epoch and the hash of the [checkpoint to score with](TrainFiles::checkpoint); `None` without a usable one.
    pub fn stamp(&self) -> Option<(usize, String)> {
        checkpoint::stamp(&self.checkpoint())
    }

    /// Whether a checkpoint holds more than the initial state: otherwise there is nothing to resume.
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
    /// [`Error::Io`], or [`Error::Format`] for any other line that is not an epoch, and for epochs that are not those
    /// of the last checkpoint.
    pub fn epochs(&self) -> Result<Vec<EpochRecord>> {
        let text = match std::fs::read_to_string(self.metrics()) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(Error::io("read", self.metrics())(error)),
        };
        let mut epochs: Vec<EpochRecord> = vec![];
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
        // Lines may be ahead of the checkpoint, and a computer that stopped may have lost some.
        let known = checkpoint::progress(&self.last()).map(|state| state.epochs).unwrap_or_default();
        if let Some((epoch, _)) = epochs.iter().zip(&known).find(|(epoch, known)| epoch != known) {
            let reason = format!("epoch {} is not that of the last checkpoint", epoch.epoch);
            return Err(Error::format("list of epochs", self.metrics(), reason));
        }
        epochs.extend(known.into_iter().skip(epochs.len()));
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
