//! What happens during training besides training.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use fm_core::train::{EpochRecord, Observer, Progress, Progressive, Trainer};
use fm_models::Run;

use super::Watch;
use crate::progress::EpochProgress;
use crate::tensorboard::EventFile;

/// Records the training: checkpoints, metrics, progress.
pub struct Recorder<'a> {
    pub run: &'a mut Run,
    pub watch: &'a mut Watch<'a>,
    pub events: Option<EventFile>,
    pub progress: EpochProgress,
    pub stop: &'a AtomicBool,
}

impl Recorder<'_> {
    fn flow(&self) -> ControlFlow<()> {
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Observer for Recorder<'_> {
    fn step(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.progress.step(progress);
        self.flow()
    }

    fn progressive(&mut self, results: &Progressive) {
        self.progress.progressive(results);
    }

    fn checkpoint(&mut self, trainer: &Trainer<'_>) -> fm_core::Result<()> {
        self.run.files().save_last(trainer)?;
        self.run.settle();
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord, trainer: &Trainer<'_>) -> fm_core::Result<ControlFlow<()>> {
        if record.best {
            self.run.files().save_best(trainer)?;
        }
        // The last checkpoint comes last: a run killed before repeats this epoch, and resuming drops the line.
        self.run.files().append(record, &trainer.timing())?;
        if let Some(events) = &mut self.events {
            events.epoch(record)?;
        }
        self.run.files().save_last(trainer)?;
        self.run.settle();
        self.progress.epoch(record, &trainer.timing());
        Ok(if (self.watch)(record).is_break() { ControlFlow::Break(()) } else { self.flow() })
    }
}

/// Observes training for rank 0, which records it.
pub struct Follower<'a> {
    pub stop: &'a AtomicBool,
}

impl Observer for Follower<'_> {
    fn step(&mut self, _: &Progress) -> ControlFlow<()> {
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, _: &EpochRecord, _: &Trainer<'_>) -> fm_core::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}
