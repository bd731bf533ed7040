//! Who hears how training goes.

use super::{EpochRecord, Trainer};
use crate::error::Result;

/// Hears how training goes. Every method may stay as it is.
pub trait Observer {
    /// A step of an epoch is done. `loss` is the mean loss so far in this epoch.
    fn step(&mut self, _epoch: usize, _step: usize, _steps: usize, _loss: f64) {}

    /// It is time for a checkpoint within an epoch.
    ///
    /// # Errors
    /// Any error ends training.
    fn checkpoint(&mut self, _trainer: &Trainer<'_>) -> Result<()> {
        Ok(())
    }

    /// An epoch is done.
    ///
    /// # Errors
    /// Any error ends training.
    fn epoch(&mut self, _record: &EpochRecord, _trainer: &Trainer<'_>) -> Result<()> {
        Ok(())
    }
}

/// Hears nothing.
impl Observer for () {}

/// Hears of each epoch.
impl<F: FnMut(&EpochRecord)> Observer for F {
    fn epoch(&mut self, record: &EpochRecord, _trainer: &Trainer<'_>) -> Result<()> {
        self(record);
        Ok(())
    }
}
