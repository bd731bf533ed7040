//! The settings of training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::learner::{StepConfig, TrainPrecision};
use crate::loss::check_binary;
use crate::optim::{L2Scope, OptimizerConfig, Schedule};
use crate::ranking::RankingConfig;

/// The settings of training: the `[train]` table of a run's settings.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Maximum number of passes over the training rows [default: 50].
    pub epochs: usize,
    /// Number of rows in a batch [default: 512].
    pub batch_size: usize,
    /// Number of batches in a step. Two batches of 256 rows make the same step as one of 512, up to rounding, in the memory of
    /// 256; only batch norm sees batches of 256 [default: 1].
    pub accumulate: usize,
    /// Initial learning rate [default: 0.003].
    pub lr: f64,
    /// Number of steps over which the learning rate rises linearly to that of the schedule [default: 0].
    pub warmup_steps: u64,
    /// λ of the L2 penalty on the tables of weights and vectors [default: 0].
    pub l2: f64,
    /// Which rows of the tables the penalty falls on: those that a batch looks up (touched), or all (table)
    /// [default: touched].
    pub l2_scope: L2Scope,
    /// Maximum norm of all gradients of a step together, to which they are scaled down; no maximum by default.
    pub clip_norm: Option<f64>,
    /// Maximum magnitude of each number of a gradient, to which it is clamped before clip_norm; no maximum by default.
    pub clip_value: Option<f64>,
    /// Binary: the labels 0 and 1 count as ε/2 and 1 - ε/2 [default: 0].
    pub label_smoothing: f64,
    /// Binary: weight of the loss of positive rows. With another than 1, predictions are no longer probabilities
    /// [default: 1].
    pub positive_weight: f64,
    /// Metric over the validation rows that chooses the best epoch, stops training early and drives the plateau schedule. The
    /// default is logloss for a binary task, rmse for a regression and ndcg@10 for a ranking.
    pub monitor: Option<String>,
    /// Number of epochs without a better validation result after which training stops; 0 never stops early [default: 3].
    pub patience: usize,
    /// Minimum difference that makes a validation result better [default: 0].
    pub min_delta: f64,
    /// Precision of the layers' computations: f32, or bf16 on a CUDA device. Parameters, gradients, losses and validation are f32
    /// in either case [default: f32].
    pub precision: TrainPrecision,
    /// Number of steps between checkpoints within an epoch. With 0, a checkpoint is written within an epoch when the last one is
    /// ten minutes old [default: 0].
    pub checkpoint_steps: usize,
    /// Number of recent checkpoints that are kept, besides that of the best epoch [default: 2].
    pub keep: usize,
    /// Seed of all random numbers [default: 1].
    pub seed: u64,
    /// How the learning rate changes [default: constant].
    pub schedule: Schedule,
    /// The update rule [default: adam].
    pub optimizer: OptimizerConfig,
    /// How a ranking is trained and measured.
    pub ranking: RankingConfig,
}

impl Default for TrainConfig {
    /// All defaults, without an L2 penalty.
    fn default() -> TrainConfig {
        TrainConfig {
            epochs: 50,
            batch_size: 512,
            accumulate: 1,
            lr: 0.003,
            warmup_steps: 0,
            l2: 0.0,
            l2_scope: L2Scope::Touched,
            clip_norm: None,
            clip_value: None,
            label_smoothing: 0.0,
            positive_weight: 1.0,
            monitor: None,
            patience: 3,
            min_delta: 0.0,
            precision: TrainPrecision::F32,
            checkpoint_steps: 0,
            keep: 2,
            seed: 1,
            schedule: Schedule::default(),
            optimizer: OptimizerConfig::default(),
            ranking: RankingConfig::default(),
        }
    }
}

impl TrainConfig {
    /// Checks every setting that the optimiser does not check.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Unsupported`] for settings of a binary task where labels are not binary.
    pub(super) fn check(&self, is_binary: bool) -> Result<()> {
        let counts = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("accumulate", self.accumulate),
            ("keep", self.keep),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::out_of_range(*name, 0, "at least 1"));
        }
        if !self.min_delta.is_finite() || self.min_delta < 0.0 {
            return Err(Error::out_of_range("min_delta", self.min_delta, "a number of at least 0"));
        }
        check_binary(is_binary, self.label_smoothing, self.positive_weight)?;
        self.schedule.check(self.lr)
    }

    /// Checks that nothing is asked for that a posterior sampler cannot do. It ignores settings of steps.
    pub(super) fn check_for_draws(&self) -> Result<()> {
        if self.label_smoothing != 0.0 || self.positive_weight != 1.0 {
            return Err(Error::Unsupported(
                "label_smoothing and positive_weight are for models trained by gradient descent: leave them out".into(),
            ));
        }
        Ok(())
    }

    /// The settings of gradient steps.
    pub(super) fn steps(&self) -> StepConfig {
        let TrainConfig { seed, epochs, batch_size, accumulate, lr, warmup_steps, schedule, precision, .. } = *self;
        StepConfig { seed, epochs, batch_size, accumulate, lr, warmup_steps, schedule, precision }
    }
}
