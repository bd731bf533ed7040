//! The one training loop: programs, notebooks, tests and benchmarks all call it.

pub mod checkpoint;
mod config;
mod divergence;
mod observer;
mod resume;
mod run_dir;
mod schedule;
mod state;
mod sweep;
mod warm_start;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use crate::device::in_mixed_precision;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::loss::Loss;
use crate::metric::{Direction, Metrics, find, metrics_of_rows};
use crate::model::Model;
use crate::optim::Optimizer;
use crate::ranking::{Candidates, Objective};
use crate::rows::{Batch, Order, Rows};
use crate::schema::{Label, Schema, Task};
use crate::seed::{Stream, seed_torch};
use schedule::Position;

pub use config::{TrainConfig, TrainPrecision};
pub use observer::Observer;
pub use run_dir::RunDir;
pub use schedule::Schedule;
pub use state::{EpochRecord, EpochTiming, TrainState};
pub use warm_start::{TakenValues, WarmStart};

/// How old the last checkpoint may get within an epoch, where no number of steps is asked for.
const CHECKPOINT_AGE: Duration = Duration::from_secs(10 * 60);

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
/// # use fm_core::{Encoder, Field, FieldKind, Label, Padded, Schema, Side, Task, TensorRows, tch::Tensor};
/// # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
/// # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user])?;
/// # let Padded { ids, values, .. } = Encoder::new(&schema).features(&[[Some("ann")], [Some("bob")]])?.padded()?;
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
    loss: Loss,
    ranking: Option<&'a Objective>,
    /// Which way the monitored metric is better.
    direction: Direction,
    /// The field of each slot, if they were told.
    fields: Vec<String>,
    timing: EpochTiming,
}

impl<'a> Trainer<'a> {
    /// Prepares training; the bias is set to the mean label, so that training starts where a constant would end.
    ///
    /// `store` holds the model's parameters, on the device that it trains on; `label` is the schema's.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings out of range.
    pub fn new(model: &'a dyn Model, store: &'a VarStore, label: &Label, config: TrainConfig) -> Result<Trainer<'a>> {
        config.check(label.task)?;
        if config.precision == TrainPrecision::Bf16 && !store.device().is_cuda() {
            return Err(Error::Setting("precision bf16 is for CUDA devices: leave it out on the CPU".into()));
        }
        let mut optimizer = Optimizer::new(config.optimizer, config.lr, config.l2, store)?
            .with_l2_scope(config.l2_scope)
            .with_clipping(config.clip_norm, config.clip_value)?;
        if let Some(sampler) = model.sampler() {
            config.check_for_sampler()?;
            optimizer = optimizer.with_chain(sampler.state());
        }
        let TrainConfig { label_smoothing, positive_weight, .. } = config;
        let loss = Loss { task: label.task, label_smoothing, positive_weight };
        let _ = no_grad(|| model.bias().shallow_clone().f_fill_(f64::from(loss.prior_logit(label))))?;
        let direction = find(label.task, config.monitored(label.task))?.direction;
        Ok(Trainer {
            model,
            store,
            optimizer,
            state: TrainState::default(),
            config,
            label: label.clone(),
            loss,
            ranking: None,
            direction,
            fields: vec![],
            timing: EpochTiming::default(),
        })
    }

    /// The same, for a ranking: trained and validated by what `ranking` says of the rows.
    pub fn with_ranking(self, ranking: &'a Objective) -> Trainer<'a> {
        Trainer { ranking: Some(ranking), ..self }
    }

    /// The same, which calls fields by their names where a value of theirs makes training diverge.
    pub fn with_fields_of(self, schema: &Schema) -> Trainer<'a> {
        let name = |field: usize| schema.fields()[field].name.clone();
        Trainer { fields: schema.field_of_slots().into_iter().map(name).collect(), ..self }
    }

    /// How to train.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// How long the last epoch took.
    pub fn timing(&self) -> EpochTiming {
        self.timing
    }

    /// Trains until the epochs are done, the validation metric stops getting better, or `stop` is raised. Without
    /// validation rows, every epoch counts as the best so far.
    ///
    /// # Errors
    /// [`Error::Setting`] for no training row, or none that counts, and for a metric to monitor that the validation rows do not
    /// have; [`Error::Diverged`] if the loss, a gradient or a validation metric becomes infinite or NaN; what batches, model
    /// and observer return.
    pub fn fit(
        &mut self,
        train: &dyn Rows,
        valid: &dyn Rows,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Ending> {
        self.check_rows(train, valid)?;
        let device = self.store.device();
        let model = self.model;
        let mut sweeps = model.sampler().map(|sampler| sampler.begin(train)).transpose()?;
        let mut last_checkpoint = Instant::now();
        while self.state.epoch < self.config.epochs {
            if self.has_stalled() {
                return Ok(Ending::EarlyStopped);
            }
            let epoch = self.state.epoch + 1;
            let began = Instant::now();
            if let Some(sweeps) = &mut sweeps
                && self.sweep(sweeps.as_mut(), observer, stop)?.is_break()
            {
                self.state.seconds += began.elapsed().as_secs_f64();
                return Ok(Ending::Interrupted);
            }
            // Sweeps stand for all steps of their epoch.
            let rows_in_steps = if sweeps.is_some() { 0 } else { train.len() };
            let mut order = self.order(epoch, rows_in_steps);
            let batches = batches(order.len(), self.config.batch_size);
            let steps = batches.len().div_ceil(self.config.accumulate);
            let mut rows_done = train.len() - rows_in_steps;
            for (step, batches) in batches.chunks(self.config.accumulate).enumerate().skip(self.state.step) {
                if stop.load(Ordering::Relaxed) {
                    self.state.seconds += began.elapsed().as_secs_f64();
                    return Ok(Ending::Interrupted);
                }
                self.optimizer.lr = self.rate(step, steps);
                let batches: Vec<_> = batches.iter().map(|places| self.rows_at(&mut order, places.clone())).collect();
                self.step(train, &batches, device)?;
                rows_done += batches.iter().map(Vec::len).sum::<usize>();
                observer.step(epoch, step + 1, steps, self.mean_loss());
                let is_due = match self.config.checkpoint_steps {
                    0 => last_checkpoint.elapsed() >= CHECKPOINT_AGE,
                    every => (step + 1).is_multiple_of(every),
                };
                if is_due && step + 1 < steps {
                    observer.checkpoint(self)?;
                    last_checkpoint = Instant::now();
                }
            }
            let trained = began.elapsed().as_secs_f64();
            let valid = self.validate(valid, device)?;
            self.state.seconds += began.elapsed().as_secs_f64();
            let rows_per_second = rows_done as f64 / trained;
            self.timing = EpochTiming { epoch, rows_per_second, seconds: self.state.seconds };
            let record = self.end_epoch(valid);
            observer.epoch(&record, self)?;
            last_checkpoint = Instant::now();
        }
        Ok(Ending::Finished)
    }

    /// The order of an epoch: of all rows, or of those that a ranking trains on.
    fn order(&self, epoch: usize, rows: usize) -> Order {
        Order::new(self.config.seed, epoch, self.ranking.map_or(rows, |ranking| ranking.rows().len()))
    }

    /// The rows at some positions of an epoch's order.
    fn rows_at(&self, order: &mut Order, positions: Range<usize>) -> Vec<usize> {
        let rows = order.get(positions);
        match self.ranking {
            Some(ranking) => rows.into_iter().map(|at| ranking.rows()[at]).collect(),
            None => rows,
        }
    }

    /// Finds out before an epoch is spent what would make it useless.
    fn check_rows(&self, train: &dyn Rows, valid: &dyn Rows) -> Result<()> {
        if train.is_empty() {
            return Err(Error::Setting("there are no training rows".into()));
        }
        match (self.label.task, self.ranking) {
            (Task::Ranking { .. }, None) => {
                return Err(Error::Setting("a ranking needs to know the items: give them to `with_ranking`".into()));
            }
            (Task::Ranking { .. }, Some(ranking)) if ranking.train().len() != train.len() => {
                let found = format!("interactions of {}", ranking.train().len());
                return Err(Error::shape("ranking", format!("{} training rows", train.len()), found));
            }
            (Task::Regression | Task::Binary { .. }, Some(_)) => {
                return Err(Error::Setting("only a ranking is trained by comparing items".into()));
            }
            _ => {}
        }
        if train.weights().is_some_and(|weights| weights.iter().all(|&weight| weight == 0.0)) {
            return Err(Error::Setting("the training rows all have weight 0: there is nothing to learn from".into()));
        }
        if valid.is_empty() || self.ranking.is_some_and(|ranking| ranking.valid().queries().is_empty()) {
            return Ok(());
        }
        let monitor = self.monitor();
        // As if all scores were equal: whether a metric is defined depends on the labels, the weights and the groups.
        let known = match self.ranking {
            Some(ranking) => ranking.measure(|_| Ok(vec![0.0; ranking.train().num_items()]))?,
            None => metrics_of_rows(&self.label, &vec![0.0; valid.len()], valid),
        };
        if !known.contains_key(monitor) {
            return Err(Error::Setting(format!(
                "{monitor}, which is monitored, is not defined on the validation rows: monitor another metric"
            )));
        }
        Ok(())
    }

    /// The metric that chooses the best epoch.
    pub fn monitor(&self) -> &str {
        self.config.monitored(self.label.task)
    }

    /// The learning rate of a step of the epoch under way: the same wherever training was resumed.
    fn rate(&self, step: usize, steps: usize) -> f64 {
        let TrainConfig { lr, epochs, schedule, warmup_steps, .. } = self.config;
        let TrainState { epoch, plateaus, .. } = self.state;
        let rate = schedule.rate(lr, Position { epoch, part: step as f64 / steps as f64, epochs, plateaus });
        let number = self.optimizer.steps() + 1;
        if number < warmup_steps { rate * number as f64 / warmup_steps as f64 } else { rate }
    }

    /// One step, over some batches of which each row counts alike.
    fn step(&mut self, train: &dyn Rows, batches: &[Vec<usize>], device: Device) -> Result<()> {
        let numbers = batches;
        let batches = batches.iter().map(|rows| train.batch(rows, device)).collect::<Result<Vec<Batch>>>()?;
        let weights: Vec<f64> = batches.iter().map(Batch::weight).collect();
        let weight: f64 = weights.iter().sum();
        // Dropout draws from libtorch's generator: seeded by the step, it does not depend on where training was resumed.
        seed_torch(self.config.seed, Stream::Step(self.optimizer.steps() + 1));
        self.optimizer.zero_grad();
        let mut losses = Vec::with_capacity(batches.len());
        for (at, (batch, batch_weight)) in batches.iter().zip(&weights).enumerate() {
            let loss = self.batch_loss(batch, &numbers[at], at)?;
            let mut objective = match self.model.penalty() {
                Some(penalty) => loss.f_add(&penalty)?,
                None => loss.shallow_clone(),
            };
            if batches.len() > 1 {
                objective = &objective * (batch_weight / weight.max(f64::MIN_POSITIVE));
            }
            objective.f_backward()?;
            losses.push(loss.detach());
        }
        let scored = self.ranking.map_or(1, Objective::candidates_per_row);
        let updated = self.optimizer.step(scored * numbers.iter().map(Vec::len).sum::<usize>());
        for (loss, weight) in losses.iter().zip(&weights) {
            let loss = loss.double_value(&[]);
            if !loss.is_finite() {
                return Err(self.diverged("the loss", loss, self.state.step + 1, &batches));
            }
            self.state.loss_sum += loss * weight;
        }
        if let Err(Error::Gradient { parameter, .. }) = &updated {
            let what = format!("the gradient of `{parameter}`");
            return Err(self.diverged(&what, f64::NAN, self.state.step + 1, &batches));
        }
        updated?;
        self.state.step += 1;
        self.state.weight_sum += weight;
        Ok(())
    }

    /// The mean loss of a batch, as a scalar that gradients are taken of. It holds the rows of these numbers, and is the step's
    /// batch `at`.
    fn batch_loss(&self, batch: &Batch, rows: &[usize], at: usize) -> Result<Tensor> {
        let precisely = |logits: &dyn Fn() -> Result<Tensor>| match self.config.precision {
            TrainPrecision::F32 => logits(),
            TrainPrecision::Bf16 => Ok(in_mixed_precision(self.store.device(), logits)?.to_kind(Kind::Float)),
        };
        if let Some(ranking) = self.ranking {
            let number = self.optimizer.steps() * self.config.accumulate as u64 + at as u64;
            let logits = |candidates: &Candidates<'_>| precisely(&|| self.model.candidate_logits(candidates, true));
            return ranking.loss(logits, batch, rows, self.config.seed, number);
        }
        let logits = precisely(&|| self.model.logits(&batch.features, true))?;
        self.loss.mean(&logits, &batch.labels, batch.weights.as_ref())
    }

    /// The metrics over the validation rows.
    fn validate(&self, valid: &dyn Rows, device: Device) -> Result<Metrics> {
        let metrics = match self.ranking {
            Some(ranking) => ranking.evaluate(self.model, valid)?,
            None => evaluate(self.model, &self.label, valid, device)?,
        };
        match metrics.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, &value)) => {
                let what = format!("{name} over the validation rows");
                Err(self.diverged(&what, value, self.state.step, &[]))
            }
            None => Ok(metrics),
        }
    }

    /// The mean loss over the rows seen in the epoch under way.
    fn mean_loss(&self) -> f64 {
        self.state.loss_sum / self.state.weight_sum.max(f64::MIN_POSITIVE)
    }

    fn end_epoch(&mut self, valid: Metrics) -> EpochRecord {
        let train_loss = self.mean_loss();
        let monitored = valid.get(self.monitor()).copied();
        let is_better = match (monitored, self.state.best) {
            (Some(value), Some((_, best))) => match self.direction {
                Direction::Minimize => value < best - self.config.min_delta,
                Direction::Maximize => value > best + self.config.min_delta,
            },
            _ => true,
        };
        let state = &mut self.state;
        (state.epoch, state.step, state.loss_sum, state.weight_sum) = (state.epoch + 1, 0, 0.0, 0.0);
        if is_better {
            state.best = Some((state.epoch, monitored.unwrap_or(train_loss)));
        }
        state.waited = if is_better { 0 } else { state.waited + 1 };
        if let Schedule::Plateau { patience, .. } = self.config.schedule
            && state.waited > patience
        {
            (state.waited, state.plateaus) = (0, state.plateaus + 1);
        }
        let learning_rate = self.optimizer.lr;
        let record = EpochRecord { epoch: state.epoch, train_loss, valid, best: is_better, learning_rate };
        state.epochs.push(record.clone());
        record
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
        // The mean of draws does not overfit: an epoch that makes it worse does so by chance.
        self.model.sampler().is_none()
            && self.config.patience > 0
            && self.state.epoch >= best_epoch + self.config.patience
    }
}

/// The positions of each batch in the order of `rows` rows. A single last row joins the batch before: batch norm cannot
/// train on one row.
fn batches(rows: usize, size: usize) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = (0..rows).step_by(size).map(|start| start..rows.min(start + size)).collect();
    if size > 1
        && let [.., before, last] = &mut batches[..]
        && last.len() == 1
    {
        before.end = last.end;
        batches.pop();
    }
    batches
}

/// The rows that are scored at once where no gradient is kept. On the CPU so few that a batch's tensors stay in its caches, and
/// in memory that the allocator keeps: larger ones are mapped anew for each batch, which takes longer than the model.
pub(crate) fn evaluation_batch(device: Device) -> usize {
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
    let numbers: Vec<usize> = (0..rows.len()).collect();
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
