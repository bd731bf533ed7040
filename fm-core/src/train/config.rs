//! The settings of training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Device;
use tch::nn::VarStore;

use crate::error::{Error, Result};
use crate::learner::{StepConfig, TrainPrecision, Update};
use crate::loss::BinaryLoss;
use crate::optim::{L2Scope, OptimizerConfig, Schedule};
use crate::ranking::RankingConfig;

/// How to train: the `[train]` table of a run's settings. The first sentence of each field is the help of its flag.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Maximum number of passes over the training rows.
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// Number of rows in a batch.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Number of batches in a step. Their gradients are averaged: up to rounding, 2 batches of 256 rows make the same
    /// step as one batch of 512 rows, in the memory of 256. Only batch norm sees batches of 256.
    #[schemars(range(min = 1))]
    pub accumulate: usize,
    /// When parameters change: batch, after each batch, or online, after each row. Online updates train LR, FM and FFM
    /// several times as fast, on a CPU. They have no `batch_size`: a step is a pass over 65,536 rows. With several threads,
    /// their results differ from run to run.
    pub update: Update,
    /// Whether to score each batch, or each row with online updates, before it is trained on. Training then makes one pass
    /// over the rows in their order: by time if they have times, otherwise as in the file. The metrics of these predictions
    /// are progressive validation, which needs no validation rows.
    pub progressive: bool,
    /// Learning rate at the start of the schedule.
    pub lr: f64,
    /// Number of steps in which the learning rate rises linearly from 0.
    pub warmup_steps: u64,
    /// L2 penalty λ on the tables of weights and vectors.
    pub l2: f64,
    /// Rows of a table that the L2 penalty applies to: touched or table.
    pub l2_scope: L2Scope,
    /// Maximum norm of all gradients of a step together. Larger gradients are scaled down. By default, there is no
    /// maximum.
    pub clip_norm: Option<f64>,
    /// Maximum magnitude of each number of a gradient, applied before `clip_norm`. By default, there is no maximum.
    pub clip_value: Option<f64>,
    /// Label smoothing ε of a binary task: the labels 0 and 1 become ε/2 and 1 - ε/2.
    pub label_smoothing: f64,
    /// Weight of positive rows in the loss of a binary task. With a weight other than 1, predictions are no longer
    /// probabilities.
    pub positive_weight: f64,
    /// Exponent γ of the focal loss of a binary task, which counts rows less the better they are predicted; 0 is the
    /// logistic loss. With another one, predictions are no longer probabilities.
    pub focal_gamma: f64,
    /// Share of the loss of pairs in the loss of a binary task. It compares each positive row of a batch with each negative
    /// one; the rest is the loss of the rows.
    pub pairwise_share: f64,
    /// Validation metric that chooses the best epoch. It also drives early stopping and the plateau schedule. By
    /// default logloss for a binary task, rmse for a regression and ndcg@10 for a ranking.
    pub monitor: Option<String>,
    /// Stop after this many epochs without a better validation result; 0 never stops early.
    pub patience: usize,
    /// Minimum improvement of the monitored metric for an epoch to be better.
    pub min_delta: f64,
    /// Precision of the layers: f32, or bf16 on a CUDA device. Parameters, gradients, losses and validation are always
    /// f32.
    pub precision: TrainPrecision,
    /// Also write a checkpoint after every N steps of an epoch. With 0, one is written during an epoch when the last
    /// one is ten minutes old.
    pub checkpoint_steps: usize,
    /// Number of newest checkpoints to keep, in addition to the best epoch's, whose state a warm start may need.
    #[schemars(range(min = 1))]
    pub keep: usize,
    /// Number of rows that are shuffled together; 0 shuffles all rows. Set it if the encoded rows are larger than memory: an
    /// epoch takes blocks of 1,024 consecutive rows in random order, as many at a time as have this number of rows, and
    /// shuffles their rows, so that the file is read block by block.
    pub shuffle_rows: usize,
    /// Seed of the split, the initial weights, the order of the rows and dropout.
    pub seed: u64,
    /// Schedule of the learning rate.
    pub schedule: Schedule,
    /// Optimizer, with the defaults of Keras.
    pub optimizer: OptimizerConfig,
    /// Training and evaluation of a ranking.
    pub ranking: RankingConfig,
}

impl Default for TrainConfig {
    /// All defaults, without an L2 penalty.
    fn default() -> TrainConfig {
        TrainConfig {
            epochs: 50,
            batch_size: 512,
            accumulate: 1,
            update: Update::Batch,
            progressive: false,
            lr: 0.003,
            warmup_steps: 0,
            l2: 0.0,
            l2_scope: L2Scope::Touched,
            clip_norm: None,
            clip_value: None,
            label_smoothing: 0.0,
            positive_weight: 1.0,
            focal_gamma: 0.0,
            pairwise_share: 0.0,
            monitor: None,
            patience: 3,
            min_delta: 0.0,
            precision: TrainPrecision::F32,
            checkpoint_steps: 0,
            keep: 2,
            shuffle_rows: 0,
            seed: 1,
            schedule: Schedule::default(),
            optimizer: OptimizerConfig::default(),
            ranking: RankingConfig::default(),
        }
    }
}

impl TrainConfig {
    /// The settings of the loss of a binary task.
    pub fn binary_loss(&self) -> BinaryLoss {
        let TrainConfig { label_smoothing, positive_weight, focal_gamma, pairwise_share, .. } = *self;
        BinaryLoss { label_smoothing, positive_weight, focal_gamma, pairwise_share }
    }

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
        if self.progressive && self.epochs != 1 {
            return Err(Error::out_of_range(
                "epochs",
                self.epochs,
                "1 with progressive validation, which makes one pass",
            ));
        }
        if !self.min_delta.is_finite() || self.min_delta < 0.0 {
            return Err(Error::out_of_range("min_delta", self.min_delta, "a number of at least 0"));
        }
        self.binary_loss().check(is_binary)?;
        self.optimizer.check()?;
        let is_ftrl = matches!(self.optimizer, OptimizerConfig::Ftrl { .. });
        if is_ftrl && (!matches!(self.schedule, Schedule::Constant {}) || self.warmup_steps > 0) {
            let reason = "the optimiser ftrl lowers its rate by itself: use the constant schedule without warmup_steps";
            return Err(Error::Unsupported(reason.into()));
        }
        self.schedule.check(self.lr)
    }

    /// Checks that the settings ask for nothing that a posterior sampler cannot do. It ignores the settings of steps.
    pub(super) fn check_for_draws(&self) -> Result<()> {
        if self.progressive {
            return Err(no_progressive("a model that is sampled from its posterior"));
        }
        if self.binary_loss() != BinaryLoss::default() {
            let settings = BinaryLoss::SETTINGS;
            let reason = format!("{settings} are for models trained by gradient descent: leave them out");
            return Err(Error::Unsupported(reason));
        }
        Ok(())
    }

    /// Checks that the settings ask for nothing that online updates cannot do.
    pub(super) fn check_for_online(&self, device: Device) -> Result<()> {
        let is_asked = [
            ("accumulate", self.accumulate > 1),
            ("clip_norm", self.clip_norm.is_some()),
            ("clip_value", self.clip_value.is_some()),
            ("l2_scope table", self.l2_scope == L2Scope::Table),
            ("precision bf16", self.precision == TrainPrecision::Bf16),
            ("pairwise_share", self.pairwise_share > 0.0),
        ];
        if let Some((name, _)) = is_asked.iter().find(|(_, is_asked)| *is_asked) {
            return Err(Error::Unsupported(format!("online updates do not support {name}: leave it out")));
        }
        match device {
            Device::Cpu => Ok(()),
            _ => Err(Error::Unsupported("online updates are for the CPU".into())),
        }
    }

    /// Checks that several processes can train a model with these parameters.
    pub(super) fn check_for_group(&self, draws: bool, store: &VarStore) -> Result<()> {
        let is_normalised = store.variables().into_keys().any(|name| name.ends_with("moving_mean"));
        let of_one_process = [
            ("this model draws its parameters", draws),
            ("online updates change the parameters after each row", self.update == Update::Online),
            ("progressive validation scores each row before training on it", self.progressive),
            (
                "the loss of pairs needs all rows of a batch (`pairwise_share=0` leaves it out)",
                self.pairwise_share > 0.0,
            ),
            ("batch normalization needs all rows of a batch (`batch_norm=off` leaves it out)", is_normalised),
            ("GPUs are not supported with several processes (`--device cpu` uses the CPU)", store.device().is_cuda()),
        ];
        match of_one_process.iter().find(|(_, is_so)| *is_so) {
            Some((reason, _)) => Err(Error::Unsupported(format!("{reason}: train in one process"))),
            None => Ok(()),
        }
    }

    /// What a learner with these settings is called, unless it is a posterior sampler: its state is of no use to another one.
    pub(super) fn learner(&self) -> String {
        let update = match self.update {
            Update::Batch => "batch",
            Update::Online => "online",
        };
        format!("{update} updates by {}", self.optimizer.name())
    }

    /// The settings of steps.
    pub(super) fn steps(&self) -> StepConfig {
        let TrainConfig { seed, epochs, batch_size, shuffle_rows, accumulate, .. } = *self;
        let TrainConfig { lr, warmup_steps, schedule, precision, progressive, .. } = *self;
        StepConfig {
            seed,
            epochs,
            batch_size,
            shuffle_rows,
            accumulate,
            lr,
            warmup_steps,
            schedule,
            precision,
            progressive,
        }
    }
}

/// The error for something that progressive validation cannot measure.
pub(super) fn no_progressive(what: &str) -> Error {
    Error::Unsupported(format!("progressive validation is not for {what}: leave it out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricSet;
    use crate::model::describe;
    use crate::schema::Task;

    #[test]
    fn the_documentation_names_the_default_metrics() {
        let schema = describe::<TrainConfig>().to_value();
        let text = schema["properties"]["monitor"]["description"].as_str().unwrap();
        let tasks = [
            (Task::Binary { threshold: 1.0 }, "a binary task"),
            (Task::Regression, "a regression"),
            (Task::Ranking { threshold: None }, "a ranking"),
        ];
        for (task, words) in tasks {
            let expected = format!("{} for {words}", MetricSet::of(task).monitored);
            assert!(text.replace('\n', " ").contains(&expected), "no `{expected}` in: {text}");
        }
    }
}
