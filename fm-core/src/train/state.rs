//! How far training has come, and what is written down of it.

use serde::{Deserialize, Serialize};

use crate::metric::Metrics;

/// How far training has come: with the parameters and the optimiser's state, all that going on needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Whole epochs done.
    pub epoch: usize,
    /// Steps done in the epoch under way.
    pub step: usize,
    /// The sum of the losses of the rows seen in the epoch under way, each times its weight.
    pub loss_sum: f64,
    /// The sum of these rows' weights; their number if rows have none.
    pub weight_sum: f64,
    /// The best epoch and its monitored metric.
    pub best: Option<(usize, f64)>,
    /// The epochs since the last better one, or since the plateau schedule last lowered the learning rate.
    pub waited: usize,
    /// How often the plateau schedule has lowered the learning rate.
    pub plateaus: u32,
    /// What each epoch came to: `metrics.jsonl` is written from it.
    pub epochs: Vec<EpochRecord>,
    /// Seconds spent. Not in checkpoints, so that equal runs have equal ones: `timings.jsonl` has it.
    #[serde(skip)]
    pub seconds: f64,
}

/// What an epoch came to: a line of `metrics.jsonl`. Equal runs have equal ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The mean loss over the training rows, each taken before its step, without the L2 penalty.
    pub train_loss: f64,
    /// Metrics over the validation rows.
    pub valid: Metrics,
    /// Whether this is the best epoch so far.
    pub best: bool,
    /// η, the learning rate of the epoch's last step.
    pub learning_rate: f64,
}

/// How long an epoch took: a line of `timings.jsonl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochTiming {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Training rows per second of training.
    pub rows_per_second: f64,
    /// Seconds since training began, without those of what an interruption undid.
    pub seconds: f64,
}
