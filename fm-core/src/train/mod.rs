//! The one training loop: programs, notebooks, tests and benchmarks all call it.

pub mod checkpoint;
mod run_dir;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use crate::batch::{Features, Rows};
use crate::error::{Error, Result};
use crate::loss::loss;
use crate::metric::{Metrics, metrics_of_rows, monitored};
use crate::model::Model;
use crate::optim::{Optimizer, OptimizerConfig};
use crate::schema::Label;
use crate::seed::{Stream, permutation, seed_torch};

pub use run_dir::RunDir;

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// At most so many passes over the training rows.
    pub epochs: usize,
    /// B, the rows of a step.
    pub batch_size: usize,
    /// η, the learning rate.
    pub lr: f64,
    /// λ of the penalty λ/2 ‖row‖² on each table row that a batch looks up; see [`Optimizer::new`].
    pub l2: f64,
    /// Stop after so many epochs without a better validation result; 0 never stops early.
    pub patience: usize,
    /// Where all randomness comes from.
    pub seed: u64,
    /// The update rule.
    pub optimizer: OptimizerConfig,
}

impl Default for TrainConfig {
    /// What `fm train` does by default, without its penalty.
    fn default() -> TrainConfig {
        TrainConfig {
            epochs: 50,
            batch_size: 512,
            lr: 0.003,
            l2: 0.0,
            patience: 3,
            seed: 1,
            optimizer: OptimizerConfig::default(),
        }
    }
}

/// How far training has come: with the parameters and the optimiser's state, all that going on needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainState {
    /// Whole epochs done.
    pub epoch: usize,
    /// Steps done in the epoch under way.
    pub step: usize,
    /// The sum of the losses of the rows seen in the epoch under way.
    pub loss_sum: f64,
    /// The best epoch and its monitored metric.
    pub best: Option<(usize, f64)>,
    /// Seconds spent. Not in checkpoints, so that equal runs have equal ones: `metrics.jsonl` has it.
    #[serde(skip)]
    pub seconds: f64,
}

/// What an epoch came to: a line of `metrics.jsonl`.
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
    /// η, the learning rate.
    pub learning_rate: f64,
    /// Training rows per second of training.
    pub rows_per_second: f64,
    /// Seconds since training began.
    pub seconds: f64,
}

/// Hears how training goes. Every method may stay as it is.
pub trait Observer {
    /// A step of an epoch is done. `loss` is the mean loss so far in this epoch.
    fn step(&mut self, _epoch: usize, _step: usize, _steps: usize, _loss: f64) {}

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

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// The validation metric had stopped getting better.
    EarlyStopped,
    /// The stop flag was raised.
    Interrupted,
}

/// A model in training.
///
/// ```
/// # use fm_core::{Encoder, Features, Field, FieldKind, Label, Schema, Side, Task, TensorRows, tch::Tensor};
/// # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
/// # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user])?;
/// # let Features { ids, values, .. } = Encoder::new(&schema).features(&[[Some("ann")], [Some("bob")]])?;
/// # let rows = TensorRows::new(&schema, ids, values, Tensor::from_slice(&[5f32, 1.0]))?;
/// use std::sync::atomic::AtomicBool;
///
/// use fm_core::model::Options;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_core::train::{Ending, EpochRecord, TrainConfig, Trainer, evaluate};
///
/// let store = VarStore::new(Device::Cpu);
/// let model = fm_models::find("lr")?.build(&Options::new(), &store.root(), &schema)?;
/// let config = TrainConfig { epochs: 100, lr: 0.1, patience: 0, ..TrainConfig::default() };
/// let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
/// let mut losses = vec![];
/// let mut observer = |epoch: &EpochRecord| losses.push(epoch.train_loss);
/// // Another thread may raise the flag, to stop after the step under way.
/// let stop = AtomicBool::new(false);
/// assert_eq!(trainer.fit(&rows, &rows, &mut observer, &stop)?, Ending::Finished);
/// assert_eq!(losses[0], 4.0); // squared error: at first, all are predicted the mean rating
/// assert!(evaluate(model.as_ref(), schema.label(), &rows, Device::Cpu)?["rmse"] < 0.1);
/// # Ok::<(), fm_core::Error>(())
/// ```
pub struct Trainer<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// Its parameters.
    pub store: &'a VarStore,
    /// The rule and its state.
    pub optimizer: Optimizer,
    /// How far it has come.
    pub state: TrainState,
    config: TrainConfig,
    label: Label,
}

impl<'a> Trainer<'a> {
    /// Prepares training; the bias is set to the mean label, so that training starts where a constant would end.
    ///
    /// `store` holds the model's parameters, on the device that it trains on; `label` is the schema's.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings out of range.
    pub fn new(model: &'a dyn Model, store: &'a VarStore, label: &Label, config: TrainConfig) -> Result<Trainer<'a>> {
        if config.epochs == 0 {
            return Err(Error::Setting("the number of epochs is 0: it must be at least 1".into()));
        }
        if config.batch_size == 0 {
            return Err(Error::Setting("the batch size is 0: it must be at least 1".into()));
        }
        let optimizer = Optimizer::new(config.optimizer, config.lr, config.l2, store)?;
        let _ = no_grad(|| model.bias().shallow_clone().f_fill_(f64::from(label.prior_logit())))?;
        Ok(Trainer { model, store, optimizer, state: TrainState::default(), config, label: label.clone() })
    }

    /// Trains until the epochs are done, the validation metric stops getting better, or `stop` is raised. Without
    /// validation rows, every epoch counts as the best so far.
    ///
    /// # Errors
    /// [`Error::Setting`] for no training row; [`Error::Diverged`] if the loss or a validation metric becomes infinite
    /// or NaN; what batches, model and observer return.
    pub fn fit(
        &mut self,
        train: &dyn Rows,
        valid: &dyn Rows,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Ending> {
        if train.is_empty() {
            return Err(Error::Setting("there are no training rows".into()));
        }
        let device = self.store.device();
        while self.state.epoch < self.config.epochs {
            if self.has_stalled() {
                return Ok(Ending::EarlyStopped);
            }
            let epoch = self.state.epoch + 1;
            let began = Instant::now();
            let order = permutation(self.config.seed, epoch, train.len());
            let batches = batches(&order, self.config.batch_size);
            let steps = batches.len();
            let skipped = self.state.step;
            for (step, rows) in batches.into_iter().enumerate().skip(skipped) {
                if stop.load(Ordering::Relaxed) {
                    self.state.seconds += began.elapsed().as_secs_f64();
                    return Ok(Ending::Interrupted);
                }
                let loss = self.step(train, rows, device)?;
                if !loss.is_finite() {
                    return Err(Error::Diverged { loss, epoch, step: step + 1 });
                }
                self.state.step += 1;
                self.state.loss_sum += loss * rows.len() as f64;
                let seen = if step + 1 == steps { order.len() } else { (step + 1) * self.config.batch_size };
                observer.step(epoch, step + 1, steps, self.state.loss_sum / seen as f64);
            }
            let trained = began.elapsed().as_secs_f64();
            let rows_done = order.len().saturating_sub(skipped * self.config.batch_size);
            let valid = evaluate(self.model, &self.label, valid, device)?;
            if let Some(&loss) = valid.values().find(|value| !value.is_finite()) {
                return Err(Error::Diverged { loss, epoch, step: steps });
            }
            self.state.seconds += began.elapsed().as_secs_f64();
            let record = self.end_epoch(order.len(), valid, rows_done as f64 / trained);
            observer.epoch(&record, self)?;
        }
        Ok(Ending::Finished)
    }

    /// One step; the mean loss before it.
    fn step(&mut self, train: &dyn Rows, rows: &[u32], device: Device) -> Result<f64> {
        let batch = train.batch(rows, device)?;
        // Dropout draws from libtorch's generator: seeded by the step, it does not depend on where training was resumed.
        seed_torch(self.config.seed, Stream::Step(self.optimizer.steps() + 1));
        self.optimizer.zero_grad();
        let logits = self.model.logits(&batch.features, true)?;
        let loss = loss(self.label.task, &logits, &batch.labels)?;
        match self.model.penalty() {
            Some(penalty) => loss.f_add(&penalty)?.f_backward()?,
            None => loss.f_backward()?,
        }
        self.optimizer.step(rows.len())?;
        Ok(loss.double_value(&[]))
    }

    fn end_epoch(&mut self, rows: usize, valid: Metrics, rows_per_second: f64) -> EpochRecord {
        let state = &mut self.state;
        let train_loss = state.loss_sum / rows as f64;
        (state.epoch, state.step, state.loss_sum) = (state.epoch + 1, 0, 0.0);
        let monitored = valid.get(monitored(self.label.task)).copied();
        let best = match (monitored, state.best) {
            (Some(value), Some((_, best))) => value < best,
            _ => true,
        };
        if best {
            state.best = Some((state.epoch, monitored.unwrap_or(train_loss)));
        }
        EpochRecord {
            epoch: state.epoch,
            train_loss,
            valid,
            best,
            learning_rate: self.optimizer.lr,
            rows_per_second,
            seconds: state.seconds,
        }
    }

    /// Writes a checkpoint from which training can go on.
    ///
    /// # Errors
    /// As [`checkpoint::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        checkpoint::save(path.as_ref(), self.store, Some(&self.optimizer), &self.state)
    }

    /// Takes over parameters, optimiser and progress of a checkpoint of [`Trainer::save`]: [`Trainer::fit`] then goes
    /// on where it was written, and ends at the bits of a training that was never interrupted.
    ///
    /// # Errors
    /// As [`checkpoint::load`].
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.state = checkpoint::load(path.as_ref(), self.store, Some(&mut self.optimizer))?;
        Ok(())
    }

    /// Whether [`Trainer::fit`] has nothing left to do.
    pub fn is_done(&self) -> bool {
        self.state.epoch >= self.config.epochs || self.has_stalled()
    }

    fn has_stalled(&self) -> bool {
        let best_epoch = self.state.best.map_or(0, |(epoch, _)| epoch);
        self.config.patience > 0 && self.state.epoch >= best_epoch + self.config.patience
    }
}

/// The rows of each step. A last row that would be alone joins the step before: batch norm cannot train on a single
/// row.
fn batches(order: &[u32], size: usize) -> Vec<&[u32]> {
    let mut batches: Vec<&[u32]> = order.chunks(size).collect();
    if size > 1
        && let [.., before, [_]] = batches[..]
    {
        let joined = &order[order.len() - before.len() - 1..];
        batches.truncate(batches.len() - 2);
        batches.push(joined);
    }
    batches
}

/// The rows that are scored at once where no gradient is kept. On the CPU so few that a batch's tensors stay in its caches, and
/// in memory that the allocator keeps: larger ones are mapped anew for each batch, which takes longer than the model.
fn evaluation_batch(device: Device) -> usize {
    if device.is_cuda() { 8192 } else { 512 }
}

/// The logits `[N]` of all rows, in their order; [`Label::prediction`] makes a probability or a label of each.
///
/// # Errors
/// What batches and model return.
pub fn predict(model: &dyn Model, rows: &dyn Rows, device: Device) -> Result<Vec<f32>> {
    predict_with(|features| model.logits(features, false), rows, device)
}

/// As [`predict`], for what gives logits but is no [`Model`]: a [`Bundle`](crate::script::Bundle), say.
///
/// # Errors
/// What batches and `logits` return.
pub fn predict_with(logits: impl Fn(&Features) -> Result<Tensor>, rows: &dyn Rows, device: Device) -> Result<Vec<f32>> {
    let numbers: Vec<u32> = (0..rows.len() as u32).collect();
    let mut all = Vec::with_capacity(rows.len());
    for numbers in numbers.chunks(evaluation_batch(device)) {
        let batch = rows.batch(numbers, device)?;
        let scores: Tensor = no_grad(|| logits(&batch.features))?.to_kind(Kind::Float);
        all.extend(Vec::<f32>::try_from(scores.to_device(Device::Cpu))?);
    }
    Ok(all)
}

/// The metrics of a model over all rows, by their weights and within their groups; none of an empty set.
///
/// # Errors
/// As [`predict`].
pub fn evaluate(model: &dyn Model, label: &Label, rows: &dyn Rows, device: Device) -> Result<Metrics> {
    Ok(metrics_of_rows(label, &predict(model, rows, device)?, rows))
}

#[cfg(test)]
mod tests;
