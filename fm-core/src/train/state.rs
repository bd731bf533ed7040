//! The progress of training and its records.

use serde::{Deserialize, Serialize};

use crate::metric::{Metrics, metrics_from_json, number_from_json};

/// The progress of training. Together with the parameters and the learner's state, it is all that is needed to resume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Number of complete epochs.
    pub epoch: usize,
    /// Number of steps done in the current epoch.
    pub step: usize,
    /// Sum of the losses of the rows seen in the current epoch, each times its weight.
    pub loss_sum: f64,
    /// Sum of the weights of these rows; their number if they have no weights.
    pub weight_sum: f64,
    /// The best epoch and its monitored metric.
    pub best: Option<(usize, f64)>,
    /// Number of epochs since the last improvement, or since the plateau schedule last lowered the learning rate.
    pub waited: usize,
    /// Number of times that the plateau schedule has lowered the learning rate.
    pub plateaus: u32,
    /// The results of each epoch, from which `metrics.jsonl` is written.
    pub epochs: Vec<EpochRecord>,
    /// Seconds spent. They are stored in `timings.jsonl` and not in checkpoints, so that equal runs have equal
    /// checkpoints.
    #[serde(skip)]
    pub seconds: f64,
}

impl TrainState {
    /// Whether training has just ended this epoch.
    pub(super) fn is_after(&self, epoch: Option<usize>) -> bool {
        Some(self.epoch) == epoch && self.step == 0
    }
}

/// The results of an epoch: a line of `metrics.jsonl`. Equal runs have equal records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Mean loss over the training rows, each computed before its step, without penalties.
    #[serde(deserialize_with = "number_from_json")]
    pub train_loss: f64,
    /// Metrics over the validation rows.
    #[serde(deserialize_with = "metrics_from_json")]
    pub valid: Metrics,
    /// Whether this is the best epoch so far.
    pub best: bool,
    /// η, the learning rate of the last step.
    pub learning_rate: f64,
}

/// The time that an epoch took: a line of `timings.jsonl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochTiming {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Training rows per second of training.
    pub rows_per_second: f64,
    /// Seconds since training began, without work that an interruption lost.
    pub seconds: f64,
}
