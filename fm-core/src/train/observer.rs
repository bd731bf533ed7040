//! Observers of training.

use std::ops::ControlFlow;

use super::{EpochRecord, Progressive, Trainer};
use crate::error::Result;

/// The progress of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Number of steps done in this epoch.
    pub step: usize,
    /// Number of steps in this epoch.
    pub steps: usize,
    /// The mean loss over the rows seen in this epoch, if it is known yet.
    pub loss: Option<f64>,
}

/// Observes training, and can stop it. By default, all methods do nothing.
///
/// A closure that takes an [`EpochRecord`] is an observer of epochs. It returns nothing, or a [`ControlFlow`] to stop
/// training.
pub trait Observer {
    /// Called after each step, and during long steps. `Break` stops training at the next point from which it can
    /// resume.
    fn step(&mut self, _progress: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called about ten times in the epoch of progressive validation.
    fn progressive(&mut self, _results: &Progressive) {}

    /// Called during an epoch when a checkpoint is due.
    ///
    /// # Errors
    /// Any error ends training.
    fn checkpoint(&mut self, _trainer: &Trainer<'_>) -> Result<()> {
        Ok(())
    }

    /// Called after each epoch. `Break` stops training.
    ///
    /// # Errors
    /// Any error ends training.
    fn epoch(&mut self, _record: &EpochRecord, _trainer: &Trainer<'_>) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Observes nothing.
impl Observer for () {}

/// Observes epochs.
impl<F, V> Observer for F
where
    F: FnMut(&EpochRecord) -> V,
    V: Verdict,
{
    fn epoch(&mut self, record: &EpochRecord, _trainer: &Trainer<'_>) -> Result<ControlFlow<()>> {
        Ok(self(record).flow())
    }
}

/// The result of a closure that observes epochs.
pub trait Verdict {
    /// Whether training continues.
    fn flow(self) -> ControlFlow<()>;
}

/// Training always continues.
impl Verdict for () {
    fn flow(self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Verdict for ControlFlow<()> {
    fn flow(self) -> ControlFlow<()> {
        self
    }
}
