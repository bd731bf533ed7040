//! The epochs of a model that is trained by draws from its posterior distribution.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Observer, Trainer};
use crate::error::{Error, Result};
use crate::sampler::Sweeps;
use crate::seed::{Stream, derive};

/// An observer hears of an epoch's sweeps as of so many steps.
const STEPS: usize = 100;

impl Trainer<'_> {
    /// Makes the sweeps of an epoch. Breaks, with nothing changed, if the flag is raised.
    pub(super) fn sweep(
        &mut self,
        sweeps: &mut dyn Sweeps,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<ControlFlow<()>> {
        let epoch = self.state.epoch + 1;
        let mut progress = |part: f64, loss: f64| {
            if stop.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            if !loss.is_nan() {
                observer.step(epoch, ((part * STEPS as f64) as usize).clamp(1, STEPS), STEPS, loss);
            }
            ControlFlow::Continue(())
        };
        let seed = derive(self.config.seed, Stream::Sweeps(epoch));
        let Some(loss) = sweeps.advance(epoch, seed, &mut progress)? else { return Ok(ControlFlow::Break(())) };
        if !loss.is_finite() {
            let cause = "look for extreme values in the fields and among the labels".into();
            return Err(Error::Diverged { what: "the loss".into(), value: loss, epoch, step: 1, cause });
        }
        (self.state.loss_sum, self.state.weight_sum) = (loss, 1.0);
        observer.step(epoch, STEPS, STEPS, loss);
        Ok(ControlFlow::Continue(()))
    }
}
