//! Training by sampling from the posterior distribution.

use std::ops::ControlFlow;

use tch::Tensor;

use super::{Epoch, Learner, Progress, Trained};
use crate::error::{Error, Result};
use crate::posterior::{PosteriorSampler, PosteriorSweeps};
use crate::rows::Rows;
use crate::seed::{Stream, derive};

/// Number of steps that the sweeps of an epoch are reported as. They are completed together or not at all.
const STEPS: usize = 100;

/// Runs the sweeps of a [`PosteriorSampler`].
pub struct Draws<'a> {
    sampler: &'a dyn PosteriorSampler,
    sweeps: Option<Box<dyn PosteriorSweeps + 'a>>,
    seed: u64,
    epochs: u64,
}

impl<'a> Draws<'a> {
    /// A learner that derives all its draws from `seed`.
    pub fn new(sampler: &'a dyn PosteriorSampler, seed: u64) -> Draws<'a> {
        Draws { sampler, sweeps: None, seed, epochs: 0 }
    }
}

impl Learner for Draws<'_> {
    fn begin(&mut self, train: &dyn Rows) -> Result<()> {
        self.sweeps = Some(self.sampler.begin(train)?);
        Ok(())
    }

    fn begin_epoch(&mut self, _epoch: Epoch<'_>) -> Result<usize> {
        Ok(STEPS)
    }

    fn step(&mut self, epoch: Epoch<'_>, _done: usize, progress: &mut Progress<'_>) -> Result<Option<Trained>> {
        let sweeps = match &mut self.sweeps {
            Some(sweeps) => sweeps,
            none => none.insert(self.sampler.begin(epoch.train)?),
        };
        let seed = derive(self.seed, Stream::Sweeps(epoch.number));
        let unit = epoch.objective.loss_unit();
        let mut report = |part: f64, loss: f64| -> ControlFlow<()> {
            let done = ((part * STEPS as f64) as usize).min(STEPS - 1);
            progress(done, Some(loss * unit).filter(|loss| !loss.is_nan()))
        };
        let Some(loss) = sweeps.advance(epoch.number, seed, &mut report)? else { return Ok(None) };
        if !loss.is_finite() {
            let (what, cause) = ("the loss".into(), self.diagnosis());
            return Err(Error::Diverged { what, value: loss, epoch: epoch.number, step: 1, cause });
        }
        self.epochs += 1;
        Ok(Some(Trained { steps: STEPS, rows: epoch.train.len(), loss_sum: loss * unit, weight_sum: 1.0 }))
    }

    fn steps(&self) -> u64 {
        self.epochs
    }

    fn updates(&self) -> u64 {
        self.epochs
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.sampler.state()
    }

    fn resume_at(&mut self, epochs: u64, _updates: u64) {
        self.epochs = epochs;
    }

    fn learning_rate(&self) -> f64 {
        0.0
    }

    /// The mean over draws does not overfit: if an epoch makes it worse, that is by chance.
    fn can_overfit(&self) -> bool {
        false
    }

    fn diagnosis(&self) -> String {
        "look for extreme values in the fields and the labels".into()
    }
}
