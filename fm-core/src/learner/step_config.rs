//! The settings of steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Epoch;
use crate::optim::{Position, Schedule};

/// The precision of the layers in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainPrecision {
    /// 32-bit numbers.
    #[default]
    F32,
    /// On a CUDA device, matrix products and convolutions in bfloat16.
    Bf16,
}

/// The settings of gradient steps; [`TrainConfig`](crate::train::TrainConfig) documents each of them.
#[derive(Clone, Copy, Debug)]
pub struct StepConfig {
    /// The source of all randomness.
    pub seed: u64,
    /// Number of epochs in total.
    pub epochs: usize,
    /// Number of rows in a batch.
    pub batch_size: usize,
    /// Number of rows that are shuffled together; 0 for all.
    pub shuffle_rows: usize,
    /// Number of batches in a step.
    pub accumulate: usize,
    /// The initial learning rate.
    pub lr: f64,
    /// Number of steps over which the learning rate rises to `lr`.
    pub warmup_steps: u64,
    /// The schedule of the learning rate.
    pub schedule: Schedule,
    /// The precision of the layers.
    pub precision: TrainPrecision,
}

/// When training changes the parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Update {
    /// After each batch, by the mean gradient of its rows.
    #[default]
    Batch,
    /// After each row, by a kernel of the model. LR, FM and FFM have one, for the CPU.
    Online,
}

impl StepConfig {
    /// η of a step of an epoch that has `steps` steps, of which `done` are done. `before` counts the steps of all epochs. The
    /// result does not depend on where training resumed.
    pub(super) fn rate(&self, epoch: Epoch<'_>, before: u64, done: usize, steps: usize) -> f64 {
        let StepConfig { lr, epochs, schedule, warmup_steps, .. } = *self;
        let part = done as f64 / steps as f64;
        let rate = schedule.rate(lr, Position { epoch: epoch.number - 1, part, epochs, plateaus: epoch.plateaus });
        let number = before + 1;
        if number < warmup_steps { rate * number as f64 / warmup_steps as f64 } else { rate }
    }
}
