//! Objectives of training. An objective decides the order of the rows, the loss of a batch, and how validation measures
//! a model. Training itself does not depend on the objective.
//!
//! | objective | trains on | measures |
//! |---|---|---|
//! | [`Pointwise`] | each row with its own label: regression or binary classification | metrics over the rows |
//! | [`Ranking`] | each positive row against items drawn at random | rankings of the whole catalogue |

mod pointwise;
mod ranking;

use std::ops::Range;

use tch::{Device, Tensor};

use crate::error::Result;
use crate::group::Group;
use crate::loss::RowLoss;
use crate::metric::{MetricSet, Metrics, Scored};
use crate::predict::Score;
use crate::rows::{Batch, Order, Rows};

pub use pointwise::Pointwise;
pub use ranking::Ranking;

/// A batch of training rows.
#[derive(Clone, Debug)]
pub struct TrainingBatch<'a> {
    /// Features, labels and weights of B rows.
    pub batch: &'a Batch,
    /// The numbers `[B]` of these rows among all training rows.
    pub rows: &'a [usize],
    /// Which of them `batch` has: all, or the part of one of several processes.
    pub part: Range<usize>,
    /// The seed of the run.
    pub seed: u64,
    /// The number of the batch, counted over all epochs. With the seed, it determines all random draws for the batch.
    pub number: u64,
}

/// An objective of training.
pub trait Objective {
    /// The metrics of validation, and the one to monitor by default.
    fn metrics(&self) -> &'static MetricSet;

    /// The initial bias of training: the constant logit with the lowest loss.
    fn prior_logit(&self) -> f32;

    /// The factor of losses in reports: the square of the label's scale for a squared error, so that the loss of a
    /// regression is in the unit of its labels.
    fn loss_unit(&self) -> f64 {
        1.0
    }

    /// Whether labels are 0 or 1, so that label smoothing and a weight of positive rows can be used.
    fn is_binary(&self) -> bool {
        false
    }

    /// The loss of a single row, if the loss of a batch is the mean over its rows.
    fn row_loss(&self) -> Option<RowLoss> {
        None
    }

    /// The metrics of rows with logits, if each row has its own label: see [`Objective::row_loss`].
    fn metrics_of(&self, _rows: &Scored<'_>) -> Metrics {
        Metrics::new()
    }

    /// Checks the training rows before the first epoch.
    ///
    /// # Errors
    /// Errors about rows that cannot be trained on.
    fn check(&self, train: &dyn Rows) -> Result<()>;

    /// The order of an epoch, counted from 1.
    fn order(&self, seed: u64, epoch: usize, train: &dyn Rows) -> Order;

    /// The training rows at these positions of the order.
    fn rows_at(&self, positions: Range<usize>, order: &mut Order) -> Vec<usize> {
        order.get(positions)
    }

    /// Number of rows that the model scores per row of a batch.
    fn scored_per_row(&self) -> usize {
        1
    }

    /// The mean loss of a batch, a scalar with gradients. `model` scores as in training.
    ///
    /// # Errors
    /// Errors of `model`.
    fn loss(&self, model: &dyn Score, batch: TrainingBatch<'_>) -> Result<Tensor>;

    /// Whether the validation rows can be measured.
    fn can_validate(&self, valid: &dyn Rows) -> bool;

    /// The metrics of a model with constant scores. Which metrics are defined does not depend on the scores.
    ///
    /// # Errors
    /// Errors of `valid`.
    fn constant_metrics(&self, valid: &dyn Rows) -> Result<Metrics>;

    /// The metrics of a model over the validation rows. `device` is the device of the model. In a group, all processes call this
    /// and get the same metrics.
    ///
    /// # Errors
    /// Errors of `model` and `valid`.
    fn validate(&self, model: &dyn Score, valid: &dyn Rows, device: Device, group: Option<&Group>) -> Result<Metrics>;
}
