//! How to train.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::error::{Error, Result};
use crate::metric::monitored;
use crate::optim::{L2Scope, OptimizerConfig};
use crate::ranking::RankingConfig;
use crate::schema::Task;

/// How to train: the `[train]` table of a run's settings.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// At most so many passes over the training rows [default: 50].
    pub epochs: usize,
    /// The rows of a batch [default: 512].
    pub batch_size: usize,
    /// The batches of a step. With 2, and batches of 256 rows, a step is that of a batch of 512 rows, up to rounding, in the
    /// memory that 256 take; batch norm alone sees batches of 256 [default: 1].
    pub accumulate: usize,
    /// The learning rate, where the schedule begins [default: 0.003].
    pub lr: f64,
    /// The learning rate rises over the first so many steps, in equal parts, to what the schedule says [default: 0].
    pub warmup_steps: u64,
    /// λ of the L2 penalty on the tables of weights and vectors [default: 0].
    pub l2: f64,
    /// What of the tables the penalty falls on: touched or table [default: touched].
    pub l2_scope: L2Scope,
    /// All gradients of a step are scaled down together, so that their norm is at most this; none by default.
    pub clip_norm: Option<f64>,
    /// Each number of a gradient is brought into the range from -this to this, before any `clip_norm`; none by default.
    pub clip_value: Option<f64>,
    /// Binary: the labels 0 and 1 count as ε/2 and 1 - ε/2 [default: 0].
    pub label_smoothing: f64,
    /// Binary: the loss of a positive row counts so many times. Predictions are then no longer probabilities
    /// [default: 1].
    pub positive_weight: f64,
    /// The metric over the validation rows that chooses the best epoch, stops training and moves the plateau schedule; by
    /// default logloss for a binary task, rmse for a regression and ndcg@10 for a ranking.
    pub monitor: Option<String>,
    /// Stop after so many epochs without a better validation result; 0 never stops early [default: 3].
    pub patience: usize,
    /// A validation result is better if it is so by more than this [default: 0].
    pub min_delta: f64,
    /// What layers compute in: f32, or bf16 on a CUDA device. Parameters, gradients, losses and validation are f32 in either
    /// case [default: f32].
    pub precision: TrainPrecision,
    /// Write a checkpoint after every so many steps of an epoch, too, and not only at its end. With 0, one is written within
    /// an epoch when the last is ten minutes old [default: 0].
    pub checkpoint_steps: usize,
    /// How many of the newest checkpoints are kept, beside that of the best epoch [default: 2].
    pub keep: usize,
    /// Where all randomness comes from [default: 1].
    pub seed: u64,
    /// How the learning rate changes [default: constant].
    pub schedule: Schedule,
    /// The update rule [default: adam].
    pub optimizer: OptimizerConfig,
    /// How a ranking is trained and measured.
    pub ranking: RankingConfig,
}

/// What the layers of a model compute in while they are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainPrecision {
    /// 32-bit numbers.
    #[default]
    F32,
    /// On a CUDA device, the operations that lose little by it in bfloat16: products of matrices and convolutions.
    Bf16,
}

impl Default for TrainConfig {
    /// What `fm train` does by default, without its penalty.
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
    /// The metric that chooses the best epoch: the one that is asked for, or the task's own.
    pub fn monitored(&self, task: Task) -> &str {
        self.monitor.as_deref().unwrap_or_else(|| monitored(task))
    }

    /// Checks every setting that the optimiser does not check.
    ///
    /// # Errors
    /// [`Error::Setting`] for one out of its range, or that the task has no use for.
    pub(super) fn check(&self, task: Task) -> Result<()> {
        let counts = [
            ("number of epochs", self.epochs),
            ("batch size", self.batch_size),
            ("number of batches a step", self.accumulate),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::Setting(format!("the {name} is 0: it must be at least 1")));
        }
        if self.keep == 0 {
            return Err(Error::Setting("keep is 0: at least 1 checkpoint is kept, to go on from".into()));
        }
        if !self.min_delta.is_finite() || self.min_delta < 0.0 {
            return Err(Error::Setting(format!("min_delta is {}: it must be a number of at least 0", self.min_delta)));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            let range = "it must be at least 0 and below 1";
            return Err(Error::Setting(format!("label_smoothing is {}: {range}", self.label_smoothing)));
        }
        if !self.positive_weight.is_finite() || self.positive_weight <= 0.0 {
            let range = "it must be a number above 0";
            return Err(Error::Setting(format!("positive_weight is {}: {range}", self.positive_weight)));
        }
        if !matches!(task, Task::Binary { .. }) && (self.label_smoothing != 0.0 || self.positive_weight != 1.0) {
            return Err(Error::Setting(
                "label_smoothing and positive_weight are for binary tasks: leave them out".into(),
            ));
        }
        self.schedule.check(self.lr)
    }

    /// Checks that nothing is asked for that a chain of draws cannot do. Settings of steps have no meaning for it.
    pub(super) fn check_for_sampler(&self) -> Result<()> {
        if self.label_smoothing != 0.0 || self.positive_weight != 1.0 {
            return Err(Error::Setting(
                "label_smoothing and positive_weight are for models that follow gradients: leave them out".into(),
            ));
        }
        Ok(())
    }
}
