//! Going on after any end: which checkpoints a run keeps, and which of them it goes on from.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use super::checkpoint::{self, Checkpoint};
use super::run_dir::lines;
use super::{EpochRecord, EpochTiming, RunDir, TrainState, Trainer};
use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};

impl RunDir {
    /// Writes `checkpoints/last.safetensors`. The one before stays as `step-N.safetensors`, as far as
    /// [`TrainConfig::keep`](super::TrainConfig::keep) goes; older ones are removed when the new one is safe.
    ///
    /// # Errors
    /// As [`Trainer::save`]: the checkpoints that were there stay.
    pub fn save_last(&self, trainer: &Trainer<'_>) -> Result<()> {
        let (last, keep) = (self.last(), trainer.config().keep);
        if let Some(steps) = checkpoint::steps(&last).filter(|&steps| keep > 1 && steps != trainer.learner.steps()) {
            // A second name, so that there is a last one at any moment; where a file has one name alone, it is moved.
            let earlier = self.earlier(steps);
            let _ = std::fs::remove_file(&earlier);
            std::fs::hard_link(&last, &earlier)
                .or_else(|_| std::fs::rename(&last, &earlier))
                .map_err(Error::io("move", &last))?;
        }
        trainer.save(&last)?;
        remove(self.all_earlier().iter().skip(keep - 1));
        Ok(())
    }

    /// Takes over the newest checkpoint that is whole, and makes `metrics.jsonl`, `timings.jsonl` and the best checkpoint those
    /// of its moment: [`Trainer::fit`] then ends at the bits of a run that was never interrupted.
    ///
    /// A checkpoint that is damaged, cut short or missing is passed over with a warning, as is one whose best epoch can no longer
    /// be had: neither from `best.safetensors`, nor from itself, nor by training on from it.
    ///
    /// # Errors
    /// [`Error::NotResumable`] if no checkpoint is usable; [`Error::Io`].
    pub fn resume(&self, trainer: &mut Trainer<'_>) -> Result<()> {
        let mut passed_over = vec![];
        for path in [self.last()].into_iter().chain(self.all_earlier()) {
            let checkpoint = match Checkpoint::open(&path) {
                Ok(checkpoint) => checkpoint,
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    tracing::warn!("there is no {}", path.display());
                    continue;
                }
                Err(error) if is_permission(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!("{error}");
                    passed_over.push(path);
                    continue;
                }
            };
            let state = checkpoint.state()?;
            let best = self.best_of(&state);
            if best == Best::Lost {
                tracing::warn!(
                    "{} does not hold the best epoch: {} is passed over, to find it again",
                    self.best().display(),
                    path.display()
                );
                passed_over.push(path);
                continue;
            }
            trainer.load_checkpoint(&checkpoint)?;
            if best == Best::IsTheState {
                tracing::warn!("{} is written again from {}", self.best().display(), path.display());
                checkpoint::save(&self.best(), trainer.store, &trainer.state)?;
            }
            if !passed_over.is_empty() || path != self.last() {
                tracing::warn!("going on from {}", path.display());
            }
            remove(passed_over.iter());
            self.remove_unfinished();
            trainer.state.seconds = self.restore(&trainer.state.epochs)?;
            return Ok(());
        }
        let reason = match passed_over.is_empty() {
            true => "it ended before its first checkpoint was written",
            false => "training cannot resume from any of its checkpoints",
        };
        Err(Error::NotResumable { path: self.path().to_owned(), reason: reason.into() })
    }

    /// Where the parameters of a state's best epoch are.
    fn best_of(&self, state: &TrainState) -> Best {
        let Some((best, _)) = state.best else { return Best::IsThere };
        let found = Checkpoint::open(&self.best()).and_then(|checkpoint| checkpoint.state());
        match found {
            // Going on writes that of a later epoch again.
            Ok(found) if found.epoch == best || found.epoch > state.epoch => Best::IsThere,
            _ if state.epoch == best && state.step == 0 => Best::IsTheState,
            _ => Best::Lost,
        }
    }

    fn earlier(&self, steps: u64) -> PathBuf {
        self.last().with_file_name(format!("step-{steps}.safetensors"))
    }

    /// The checkpoints before the last, the newest first.
    fn all_earlier(&self) -> Vec<PathBuf> {
        let folder = self.path().join("checkpoints");
        let steps = |entry: std::fs::DirEntry| -> Option<u64> {
            entry.file_name().to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()
        };
        let mut all: Vec<u64> = std::fs::read_dir(folder).into_iter().flatten().flatten().filter_map(steps).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|steps| self.earlier(steps)).collect()
    }

    /// Removes the unfinished files of a program that was killed while it wrote.
    fn remove_unfinished(&self) {
        for folder in [self.path().to_owned(), self.path().join("checkpoints")] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') && name.ends_with(".partial") {
                    remove([entry.path()].iter());
                }
            }
        }
    }

    /// Makes `metrics.jsonl` and `timings.jsonl` those of the epochs that a resumed run keeps. Returns the seconds that they
    /// took.
    fn restore(&self, epochs: &[EpochRecord]) -> Result<f64> {
        let text = std::fs::read_to_string(self.timings()).unwrap_or_default();
        // The last line may be cut short.
        let timings = text.lines().filter_map(|line| serde_json::from_str::<EpochTiming>(line).ok());
        let kept: Vec<EpochTiming> = timings.filter(|timing| timing.epoch <= epochs.len()).collect();
        for (path, lines) in [(self.metrics(), lines(epochs)?), (self.timings(), lines(&kept)?)] {
            // A finished run stays as it is.
            if std::fs::read_to_string(&path).ok().as_ref() != Some(&lines) {
                write_atomically(path, |file| file.write_all(lines.as_bytes()))?;
            }
        }
        Ok(kept.last().map_or(0.0, |timing| timing.seconds))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Best {
    /// In `best.safetensors`, or in what going on will write there; or there is none yet.
    IsThere,
    /// In the state itself.
    IsTheState,
    /// Nowhere that going on from the state would come by.
    Lost,
}

fn is_permission(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied)
}

fn remove<'a>(paths: impl Iterator<Item = &'a PathBuf>) {
    for path in paths {
        // Best effort: it only takes room.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests;
