//! Resuming after an interruption: which checkpoints are kept, and from which one training resumes.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use super::checkpoint::{self, Checkpoint};
use super::files::lines;
use super::{EpochRecord, EpochTiming, TrainFiles, TrainState, Trainer};
use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};

impl TrainFiles {
    /// Writes `checkpoints/last.safetensors`. The previous one becomes `step-N.safetensors`; once the new one is safe,
    /// all but the newest [`TrainConfig::keep`](super::TrainConfig::keep) and the one after the best epoch are removed.
    ///
    /// # Errors
    /// Those of [`Trainer::save`]; existing checkpoints are kept.
    pub fn save_last(&self, trainer: &Trainer<'_>) -> Result<()> {
        let (last, keep) = (self.last(), trainer.config().keep);
        let best = trainer.state.best.map(|(epoch, _)| epoch);
        let is_best = |path: &PathBuf| checkpoint::progress(path).is_some_and(|state| state.is_after(best));
        let is_kept = |&steps: &u64| steps != trainer.learner.steps() && (keep > 1 || is_best(&last));
        if let Some(steps) = checkpoint::steps(&last).filter(is_kept) {
            // A hard link, so that a last checkpoint exists at any moment; where links are not supported, it is moved.
            let earlier = self.earlier(steps);
            let _ = std::fs::remove_file(&earlier);
            std::fs::hard_link(&last, &earlier)
                .or_else(|_| std::fs::rename(&last, &earlier))
                .map_err(Error::io("move", &last))?;
        }
        trainer.save_for(&last, self.run())?;
        remove(self.all_earlier().iter().skip(keep - 1).filter(|path| !is_best(path)));
        Ok(())
    }

    /// Loads the newest valid checkpoint, and restores `metrics.jsonl`, `timings.jsonl` and the best checkpoint to its
    /// state: the result of [`Trainer::fit`] then equals, bit for bit, that of an uninterrupted run.
    ///
    /// A damaged, truncated or missing checkpoint is skipped with a warning. So is one whose best epoch is lost: it is
    /// neither in `best.safetensors` nor in the checkpoint itself, and further training does not reach it.
    ///
    /// # Errors
    /// [`Error::NotResumable`] if there is no usable checkpoint; [`Error::Io`].
    pub fn resume(&self, trainer: &mut Trainer<'_>) -> Result<()> {
        let mut skipped = vec![];
        for path in [self.last()].into_iter().chain(self.all_earlier()) {
            let checkpoint = match Checkpoint::open(&path) {
                Ok(checkpoint) => checkpoint,
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    tracing::warn!("{} is missing", path.display());
                    continue;
                }
                Err(error) if is_permission(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!("{error}");
                    skipped.push(path);
                    continue;
                }
            };
            checkpoint.check_run(self.run())?;
            let state = checkpoint.state()?;
            let best = self.best_of(&state);
            if best == Best::Lost {
                tracing::warn!(
                    "{} does not contain the best epoch: skipping {} to train that epoch again",
                    self.best().display(),
                    path.display()
                );
                skipped.push(path);
                continue;
            }
            trainer.load_checkpoint(&checkpoint)?;
            if best == Best::IsTheState {
                tracing::warn!("restoring {} from {}", self.best().display(), path.display());
                self.save_best(trainer)?;
            }
            if !skipped.is_empty() || path != self.last() {
                tracing::warn!("resuming from {}", path.display());
            }
            remove(skipped.iter());
            self.remove_unfinished();
            trainer.state.seconds = self.restore(&trainer.state.epochs)?;
            return Ok(());
        }
        let reason = match skipped.is_empty() {
            true => "training ended before it wrote a checkpoint",
            false => "none of its checkpoints is usable",
        };
        Err(Error::NotResumable { path: self.folder().to_owned(), reason: reason.into() })
    }

    /// Where to find the parameters of a state's best epoch.
    fn best_of(&self, state: &TrainState) -> Best {
        let Some((best, _)) = state.best else { return Best::IsThere };
        let found = Checkpoint::open(&self.best()).and_then(|checkpoint| {
            checkpoint.check_run(self.run())?;
            checkpoint.state()
        });
        match found {
            // Further training writes the checkpoint of a later epoch again.
            Ok(found) if found.epoch == best || found.epoch > state.epoch => Best::IsThere,
            _ if state.epoch == best && state.step == 0 => Best::IsTheState,
            _ => Best::Lost,
        }
    }

    fn earlier(&self, steps: u64) -> PathBuf {
        self.last().with_file_name(format!("step-{steps}.safetensors"))
    }

    /// The checkpoints before the last one, newest first.
    pub(super) fn all_earlier(&self) -> Vec<PathBuf> {
        let folder = self.folder().join(TrainFiles::CHECKPOINTS);
        let steps = |entry: std::fs::DirEntry| -> Option<u64> {
            entry.file_name().to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()
        };
        let mut all: Vec<u64> = std::fs::read_dir(folder).into_iter().flatten().flatten().filter_map(steps).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|steps| self.earlier(steps)).collect()
    }

    /// Removes the partial files of a program that was killed while writing.
    fn remove_unfinished(&self) {
        for folder in [self.folder().to_owned(), self.folder().join(TrainFiles::CHECKPOINTS)] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') && name.ends_with(".partial") {
                    remove([entry.path()].iter());
                }
            }
        }
    }

    /// Restores `metrics.jsonl` and `timings.jsonl` to the epochs that a resumed run keeps. Returns the time of these
    /// epochs in seconds.
    fn restore(&self, epochs: &[EpochRecord]) -> Result<f64> {
        let text = std::fs::read_to_string(self.timings()).unwrap_or_default();
        // The last line may be truncated.
        let timings = text.lines().filter_map(|line| serde_json::from_str::<EpochTiming>(line).ok());
        let kept: Vec<EpochTiming> = timings.filter(|timing| timing.epoch <= epochs.len()).collect();
        for (path, lines) in [(self.metrics(), lines(epochs)?), (self.timings(), lines(&kept)?)] {
            // A finished run is left unchanged.
            if std::fs::read_to_string(&path).ok().as_ref() != Some(&lines) {
                write_atomically(path, |file| file.write_all(lines.as_bytes()))?;
            }
        }
        Ok(kept.last().map_or(0.0, |timing| timing.seconds))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Best {
    /// In `best.safetensors`, or further training writes them there, or there is no best epoch yet.
    IsThere,
    /// In the state itself.
    IsTheState,
    /// Lost: further training from the state does not reach that epoch.
    Lost,
}

fn is_permission(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied)
}

fn remove<'a>(paths: impl Iterator<Item = &'a PathBuf>) {
    for path in paths {
        // Best effort: a remaining file only takes space.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests;
