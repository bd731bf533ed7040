//! Learners: how an epoch changes the parameters.
//!
//! | learner | an epoch |
//! |---|---|
//! | [`Gradients`] | a gradient step for every few batches |
//! | [`Online`] | an update after each row, by a kernel of the model: [`OnlineModel`](crate::online::OnlineModel) |
//! | [`Draws`] | sweeps of a [`PosteriorSampler`](crate::posterior::PosteriorSampler) over all rows |
//!
//! Checkpoints, metrics, early stopping and interruption do not depend on the learner.

mod divergence;
mod draws;
mod gradients;
mod online;
mod step_config;

use std::ops::{ControlFlow, Range};

use tch::Tensor;

use crate::error::Result;
use crate::objective::Objective;
use crate::rows::{Order, Rows};

pub(crate) use divergence::extreme_cause;
pub use draws::Draws;
pub use gradients::Gradients;
pub use online::Online;
pub use step_config::{StepConfig, TrainPrecision, Update};

/// An epoch, from the view of a learner.
#[derive(Clone, Copy)]
pub struct Epoch<'a> {
    /// Its number, counted from 1.
    pub number: usize,
    /// The number of previous plateaus of the monitored metric: see
    /// [`Schedule::Plateau`](crate::optim::Schedule::Plateau).
    pub plateaus: u32,
    /// The objective of training.
    pub objective: &'a dyn Objective,
    /// The training rows.
    pub train: &'a dyn Rows,
    /// The field name of each slot, for messages; empty if unknown.
    pub fields: &'a [String],
}

impl Epoch<'_> {
    /// The order of its rows.
    fn order(self, config: &StepConfig) -> Order {
        match config.progressive {
            true => Order::sequential(self.train.len()),
            false => self.objective.order(config.seed, self.number, self.train).in_windows(config.shuffle_rows),
        }
    }
}

/// The result of some steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Number of steps.
    pub steps: usize,
    /// Number of rows.
    pub rows: usize,
    /// The sum of the losses of these rows, each times its weight.
    pub loss_sum: f64,
    /// The sum of the weights; the number of rows if they have none.
    pub weight_sum: f64,
    /// With progressive validation, the logits of these rows before the steps that train on them; otherwise empty.
    pub logits: Vec<f32>,
}

/// Receives the progress of long steps and decides whether to continue. Its arguments are the number of steps done in
/// the epoch and the mean loss, if known.
pub type Progress<'a> = dyn FnMut(usize, Option<f64>) -> ControlFlow<()> + 'a;

/// Changes the parameters of a model, epoch by epoch.
pub trait Learner {
    /// Prepares for training rows.
    ///
    /// # Errors
    /// Errors about rows that the learner cannot train on.
    fn begin(&mut self, _train: &dyn Rows) -> Result<()> {
        Ok(())
    }

    /// Sets the form of the messages of processes that train together.
    fn join_group(&self) {}

    /// Prepares for an epoch, and returns the number of its steps. Training calls it again when it resumes within an
    /// epoch.
    ///
    /// # Errors
    /// Errors of the objective.
    fn begin_epoch(&mut self, epoch: Epoch<'_>) -> Result<usize>;

    /// Does at least one step, given the number of steps done in the epoch. Returns `None` if `progress` breaks; then
    /// nothing has changed.
    ///
    /// # Errors
    /// [`Error::Diverged`](crate::Error::Diverged) if the loss or a gradient becomes infinite or NaN; errors of the
    /// rows, the model and the objective.
    fn step(&mut self, epoch: Epoch<'_>, done: usize, progress: &mut Progress<'_>) -> Result<Option<Trained>>;

    /// Writes what the learner keeps of the parameters and of [`Learner::state`] to their tensors. Training calls it
    /// before anything reads them.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if libtorch fails.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Number of steps done over all epochs; of epochs, for a learner that does an epoch in one go. Checkpoints are
    /// named after it.
    fn steps(&self) -> u64;

    /// Number of updates that [`Learner::state`] is the result of, with those of an earlier run if the state is one's:
    /// steps, or rows with online updates.
    fn updates(&self) -> u64;

    /// Tensors that are needed to resume, besides the parameters, by name.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Sets the number of steps done and of updates, after the tensors of [`Learner::state`] were overwritten in place.
    fn resume_at(&mut self, steps: u64, updates: u64);

    /// η, the learning rate of the last step; 0 for a learner without one.
    fn learning_rate(&self) -> f64;

    /// Whether validation results that stop improving mean overfitting, so that training may stop early.
    fn can_overfit(&self) -> bool;

    /// The likely cause of a divergence, and what to do.
    fn diagnosis(&self) -> String;
}

/// The positions of each batch. A single remaining row joins the previous batch, because batch norm cannot train on one
/// row.
fn batches(rows: usize, size: usize) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = (0..rows).step_by(size).map(|first| first..rows.min(first + size)).collect();
    if size > 1
        && let [.., before, last] = &batches[..]
        && last.len() == 1
    {
        let joined = before.start..rows;
        batches.truncate(batches.len() - 2);
        batches.push(joined);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_remaining_row_joins_the_previous_batch() {
        let sizes = |size| batches(9, size).iter().map(Range::len).collect::<Vec<_>>();
        assert_eq!((sizes(4), sizes(8), sizes(5), sizes(9)), (vec![4, 5], vec![9], vec![5, 4], vec![9]));
        assert_eq!((sizes(1), sizes(20)), (vec![1; 9], vec![9]));
        assert!(batches(9, 4).into_iter().flatten().eq(0..9));
        assert_eq!(batches(1, 4), vec![0..1]);
    }
}
