//! The training loop, which programs, notebooks, tests and benchmarks all call.

pub mod checkpoint;
mod config;
mod files;
mod observer;
mod progressive;
mod resume;
mod serve;
mod state;
mod warm_start;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use crate::group::Group;
use crate::learner::{Draws, Epoch, Gradients, Learner, Online, Trained, extreme_cause};
use crate::metric::{Direction, MetricEntry, Metrics};
use crate::model::Model;
use crate::objective::{Objective, Pointwise};
use crate::optim::{Optimizer, check_rates};
use crate::predict::evaluation_batch;
use crate::rows::{Records, Rows};
use crate::schema::{Label, Schema};
use crate::shards::Shards;
use checkpoint::{Checkpoint, Training};
use config::no_progressive;
use progressive::Targets;

pub use crate::learner::{TrainPrecision, Update};
pub use crate::optim::Schedule;
pub use config::TrainConfig;
pub use files::{TrainFiles, is_free};
pub use observer::{Observer, Progress, Verdict};
pub use progressive::Progressive;
pub use state::{EpochRecord, EpochTiming, TrainState};
pub use warm_start::{Inherit, TakenValues, WarmStart};

/// The maximum age of the last checkpoint during an epoch, unless `checkpoint_steps` is set.
const CHECKPOINT_AGE: Duration = Duration::from_secs(10 * 60);

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// The monitored metric stopped improving.
    EarlyStopped,
    /// The observer stopped training.
    Interrupted,
}

/// A model in training.
///
/// ```
/// # use fm_core::{Field, FieldKind, Label, Records, Schema, Side, Task};
/// # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
/// # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user])?;
/// # let rows = Records::from_texts(&schema, &[[Some("ann")], [Some("bob")]], &[5.0, 1.0])?;
/// use std::ops::ControlFlow;
///
/// use fm_core::evaluate;
/// use fm_core::model::Options;
/// use fm_core::tch::{Device, nn::VarStore};
/// use fm_core::train::{Ending, EpochRecord, TrainConfig, Trainer};
///
/// let store = VarStore::new(Device::Cpu);
/// let model = fm_models::find("lr")?.build(&Options::new(), &store.root(), &schema)?;
/// let config = TrainConfig { epochs: 100, lr: 0.1, patience: 0, ..TrainConfig::default() };
/// let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config)?;
/// let mut losses = vec![];
/// let mut observer = |epoch: &EpochRecord| {
///     losses.push(epoch.train_loss);
///     // Stops training when the loss is small enough.
///     if epoch.train_loss < 1e-3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
/// };
/// assert_eq!(trainer.fit(&rows, &rows, &mut observer)?, Ending::Interrupted);
/// assert_eq!(losses[0], 4.0); // squared error: at first, every prediction is the mean rating
/// assert!(evaluate(model.as_ref(), schema.label(), &rows, Device::Cpu)?["rmse"] < 0.1);
/// # Ok::<(), fm_core::Error>(())
/// ```
pub struct Trainer<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// Its parameters.
    pub store: &'a VarStore,
    /// The progress of training.
    pub state: TrainState,
    config: TrainConfig,
    objective: Box<dyn Objective + 'a>,
    learner: Box<dyn Learner + 'a>,
    group: Option<&'a Group>,
    shards: Option<&'a Shards<'a>>,
    monitored: String,
    metric: &'static MetricEntry,
    /// The name of the field of each slot; empty if unknown.
    fields: Vec<String>,
    timing: EpochTiming,
    /// With progressive validation, the logits of the rows that the epoch has trained on.
    logits: Vec<f32>,
}

impl<'a> Trainer<'a> {
    /// Prepares training on single rows: a regression or a binary task. `store` contains the parameters of `model`, on
    /// the device to train on; `label` is the schema's.
    ///
    /// # Errors
    /// Those of [`Trainer::with_objective`]; [`Error::Unsupported`] for a ranking, which needs
    /// [`Trainer::with_objective`].
    pub fn new(model: &'a dyn Model, store: &'a VarStore, label: &Label, config: TrainConfig) -> Result<Trainer<'a>> {
        let objective = Pointwise::new(label, config.binary_loss())?;
        Trainer::with_objective(model, store, Box::new(objective), config)
    }

    /// Prepares training for an objective. The bias is set to [`Objective::prior_logit`], so that training starts at
    /// the best constant.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and [`Error::Unsupported`] for invalid settings; [`Error::Unknown`] for a monitored metric
    /// that the objective does not have.
    pub fn with_objective(
        model: &'a dyn Model,
        store: &'a VarStore,
        objective: Box<dyn Objective + 'a>,
        config: TrainConfig,
    ) -> Result<Trainer<'a>> {
        Trainer::in_group(model, store, objective, config, (None, None))
    }

    /// As [`Trainer::with_objective`], for training with other processes if there is a group. All of them make the same
    /// trainer and call [`Trainer::fit`] with the same rows. Each trains on a part of every batch, and all have the
    /// same parameters after each step, bit for bit. Rank 0 decides: the others start from its state, and only its
    /// observer needs to write files. Tables of the model can be divided among the processes: then, whenever rank 0
    /// does something with the trainer outside of [`Trainer::fit`], the others call [`Trainer::serve`]. All call
    /// [`Trainer::begin`] before.
    ///
    /// # Errors
    /// Those of [`Trainer::with_objective`]; [`Error::Unsupported`] for training that only one process can do.
    pub fn in_group(
        model: &'a dyn Model,
        store: &'a VarStore,
        objective: Box<dyn Objective + 'a>,
        config: TrainConfig,
        (group, shards): (Option<&'a Group>, Option<&'a Shards<'a>>),
    ) -> Result<Trainer<'a>> {
        config.check(objective.is_binary())?;
        if config.progressive && objective.row_loss().is_none() {
            return Err(no_progressive("a ranking"));
        }
        if group.is_some() {
            config.check_for_group(model.posterior_sampler().is_some(), store)?;
        }
        let learner: Box<dyn Learner + 'a> = match model.posterior_sampler() {
            Some(sampler) => {
                config.check_for_draws()?;
                Box::new(Draws::new(sampler, config.seed))
            }
            None if config.update == Update::Online => {
                config.check_for_online(store.device())?;
                let unsupported = |what: &str| Error::Unsupported(format!("{what}: use batch updates"));
                let online = model.online().ok_or_else(|| unsupported("the model has no kernel for online updates"))?;
                let loss = objective.row_loss();
                let loss = loss.ok_or_else(|| unsupported("online updates are for regressions and binary tasks"))?;
                check_rates(config.lr, config.l2)?;
                Box::new(Online::new(online.kernel(config.optimizer)?, loss, config.steps(), config.l2))
            }
            None => {
                let optimizer = Optimizer::new(config.optimizer, config.lr, config.l2, store)?
                    .with_shards(shards)?
                    .with_l2_scope(config.l2_scope)
                    .with_clipping(config.clip_norm, config.clip_value)?;
                Box::new(Gradients::new(model, store, optimizer, config.steps())?.in_group(group, shards))
            }
        };
        let _ = no_grad(|| model.bias().shallow_clone().f_fill_(f64::from(objective.prior_logit())))?;
        let monitored = config.monitor.clone().unwrap_or_else(|| objective.metrics().monitored.to_owned());
        let metric = objective.metrics().find(&monitored)?;
        Ok(Trainer {
            model,
            store,
            state: TrainState::default(),
            config,
            objective,
            learner,
            group,
            shards,
            monitored,
            metric,
            fields: vec![],
            timing: EpochTiming::default(),
            logits: vec![],
        })
    }

    /// Lets messages about values that make training diverge name the fields of `schema`.
    pub fn with_fields_of(self, schema: &Schema) -> Trainer<'a> {
        let name = |field: usize| schema.fields()[field].name.clone();
        Trainer { fields: schema.field_of_slots().into_iter().map(name).collect(), ..self }
    }

    /// The settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The objective of training.
    pub fn objective(&self) -> &dyn Objective {
        self.objective.as_ref()
    }

    /// The learner, which trains the model.
    pub fn learner(&self) -> &dyn Learner {
        self.learner.as_ref()
    }

    /// The time that the last epoch took.
    pub fn timing(&self) -> EpochTiming {
        self.timing
    }

    /// The metric that chooses the best epoch.
    pub fn monitor(&self) -> &str {
        &self.monitored
    }

    /// Trains until all epochs are done, the monitored metric stops improving, or the observer stops it. Without
    /// validation rows, every epoch counts as the best so far.
    ///
    /// # Errors
    /// [`Error::Rows`] if there are no training rows, or all have weight 0; [`Error::UndefinedMetric`] if the monitored
    /// metric is not defined on the validation rows; [`Error::Diverged`] if the loss, a gradient or a validation metric
    /// becomes infinite or NaN; errors of rows, model and observer; in a group, [`Error::PeerFailed`] if another process has
    /// one of these errors, and [`Error::Group`] if it is lost.
    pub fn fit(&mut self, train: &dyn Rows, valid: &dyn Rows, observer: &mut dyn Observer) -> Result<Ending> {
        let checked = self.check_rows(train, valid);
        let Some(group) = self.group else {
            checked?;
            return self.fit_steps(train, valid, observer);
        };
        group.all_succeed(checked)?;
        self.take_from_first(group)?;
        let fitted = self.fit_steps(train, valid, observer);
        match fitted {
            // The others know.
            Err(Error::Group(_) | Error::PeerFailed { .. }) | Ok(_) => fitted,
            Err(error) => Err(group.leave(error)),
        }
    }

    /// [`Trainer::fit`], once the rows are known to be usable.
    fn fit_steps(&mut self, train: &dyn Rows, valid: &dyn Rows, observer: &mut dyn Observer) -> Result<Ending> {
        train.records().into_iter().for_each(Records::expect_random_reads);
        self.learner.begin(train)?;
        let mut targets = self.config.progressive.then(|| Targets::new(train, self.logits.len()));
        let mut last_checkpoint = Instant::now();
        let is_old = |checkpoint: Instant| checkpoint.elapsed() >= CHECKPOINT_AGE;
        let mut flow = ControlFlow::Continue(());
        while self.state.epoch < self.config.epochs {
            if self.has_stalled() {
                return Ok(Ending::EarlyStopped);
            }
            if flow.is_break() && self.group.is_none_or(Group::is_stopping) {
                return Ok(Ending::Interrupted);
            }
            let began = Instant::now();
            let epoch = epoch(&self.state, self.objective.as_ref(), train, &self.fields);
            let steps = self.learner.begin_epoch(epoch)?;
            let mut rows = 0;
            while self.state.step < steps {
                match self.group {
                    Some(group) if flow.is_break() => group.ask_to_stop(),
                    None if flow.is_break() => break,
                    // The clock of one process decides.
                    Some(group) if group.is_first() && is_old(last_checkpoint) => group.ask_to_save(),
                    Some(_) | None => {}
                }
                let Some(trained) = self.step(train, steps, observer)? else {
                    flow = ControlFlow::Break(());
                    break;
                };
                rows += trained.rows;
                if let Some(targets) = &mut targets {
                    self.logits.extend(trained.logits);
                    let report = targets.report(self.objective.as_ref(), &self.logits);
                    report.iter().for_each(|report| observer.progressive(report));
                }
                flow = observer.step(&self.progress(steps));
                if self.group.is_some_and(Group::is_stopping) {
                    flow = ControlFlow::Break(());
                    break;
                }
                let is_due = match self.config.checkpoint_steps {
                    0 => self.group.map_or_else(|| is_old(last_checkpoint), Group::is_saving),
                    every => self.state.step.is_multiple_of(every),
                };
                if is_due && self.state.step < steps {
                    self.learner.settle()?;
                    self.while_served(|trainer| observer.checkpoint(trainer))?;
                    last_checkpoint = self.has_saved();
                }
            }
            self.learner.settle()?;
            let trained = began.elapsed().as_secs_f64();
            if self.state.step < steps {
                self.state.seconds += trained;
                return Ok(Ending::Interrupted);
            }
            let metrics = self.validate(valid)?;
            let logits = std::mem::take(&mut self.logits);
            let progressive =
                targets.as_ref().map(|targets| targets.metrics(self.objective.as_ref(), &logits, 0..logits.len()));
            self.state.seconds += began.elapsed().as_secs_f64();
            let (epoch, rows_per_second) = (self.state.epoch + 1, rows as f64 / trained);
            self.timing = EpochTiming { epoch, rows_per_second, seconds: self.state.seconds };
            let record = self.end_epoch(metrics, progressive.unwrap_or_default());
            if self.while_served(|trainer| observer.epoch(&record, trainer))?.is_break() {
                flow = ControlFlow::Break(());
            }
            last_checkpoint = self.has_saved();
        }
        Ok(Ending::Finished)
    }

    /// Notes that there is a new checkpoint, and returns the time.
    fn has_saved(&self) -> Instant {
        self.group.into_iter().for_each(Group::has_saved);
        Instant::now()
    }

    /// Takes parameters, state and progress from rank 0, which may have resumed a run.
    fn take_from_first(&mut self, group: &Group) -> Result<()> {
        let progress = (&self.state, self.learner.steps(), self.learner.updates());
        let text = serde_json::to_string(&progress).map_err(Error::json("the progress of training"))?;
        let text = group.text_of_first(&text)?;
        let parameters: BTreeMap<String, Tensor> = self.store.variables().into_iter().collect();
        // Of a divided table, each process has its own rows.
        let is_whole = |name: &str| self.shards.is_none_or(|shards| shards.find(name).is_none());
        let is_of_whole = |state: &str| self.shards.is_none_or(|shards| shards.of_state(state).is_none());
        let parameters = parameters.into_iter().filter(|(name, _)| is_whole(name));
        for (_, tensor) in parameters.chain(self.learner.state().into_iter().filter(|(name, _)| is_of_whole(name))) {
            group.broadcast(&tensor.detach())?;
        }
        if !group.is_first() {
            let (steps, updates);
            (self.state, steps, updates) = serde_json::from_str(&text)
                .map_err(|_| Error::Group("rank 0 has another version of this program".into()))?;
            self.learner.resume_at(steps, updates);
        }
        Ok(())
    }

    /// Does the learner's next step. `None` if the observer stopped it; then nothing has changed.
    fn step(&mut self, train: &dyn Rows, steps: usize, observer: &mut dyn Observer) -> Result<Option<Trained>> {
        let epoch = epoch(&self.state, self.objective.as_ref(), train, &self.fields);
        let mut report = |step, loss| observer.step(&Progress { epoch: epoch.number, step, steps, loss });
        let trained = self.learner.step(epoch, self.state.step, &mut report)?;
        if let Some(Trained { steps, loss_sum, weight_sum, .. }) = &trained {
            self.state.step += *steps;
            self.state.loss_sum += loss_sum;
            self.state.weight_sum += weight_sum;
        }
        Ok(trained)
    }

    fn progress(&self, steps: usize) -> Progress {
        Progress { epoch: self.state.epoch + 1, step: self.state.step, steps, loss: Some(self.mean_loss()) }
    }

    /// Finds errors in the rows before time is spent on an epoch.
    fn check_rows(&self, train: &dyn Rows, valid: &dyn Rows) -> Result<()> {
        if train.is_empty() {
            return Err(Error::Rows("there are no training rows".into()));
        }
        self.objective.check(train)?;
        if train.weights().is_some_and(|weights| weights.iter().all(|&weight| weight == 0.0)) {
            return Err(Error::Rows("the training rows all have weight 0".into()));
        }
        if self.objective.can_validate(valid) && !self.objective.constant_metrics(valid)?.contains_key(&self.monitored)
        {
            return Err(Error::UndefinedMetric { metric: self.monitored.clone() });
        }
        Ok(())
    }

    /// The metrics over the validation rows.
    fn validate(&self, valid: &dyn Rows) -> Result<Metrics> {
        let metrics = self.objective.validate(&self.score(), valid, self.store.device(), self.group);
        let metrics = match self.group {
            None => metrics?,
            Some(group) => {
                let mut metrics = group.all_succeed(metrics)?;
                // The same model may give other roundings on another machine. Rank 0 decides.
                let values: Vec<i64> = metrics.values().map(|value| value.to_bits() as i64).collect();
                let values = group.numbers_of_first(&values)?;
                metrics.values_mut().zip(values).for_each(|(value, bits)| *value = f64::from_bits(bits as u64));
                metrics
            }
        };
        match metrics.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, &value)) => {
                let what = format!("{name} over the validation rows");
                let cause = self.extreme_cause(valid)?.unwrap_or_else(|| self.learner.diagnosis());
                Err(Error::Diverged { what, value, epoch: self.state.epoch + 1, step: self.state.step, cause })
            }
            None => Ok(metrics),
        }
    }

    /// The cause of a divergence, if some rows hold extreme values.
    fn extreme_cause(&self, rows: &dyn Rows) -> Result<Option<String>> {
        let device = self.store.device();
        for first in (0..rows.len()).step_by(evaluation_batch(device)) {
            let numbers: Vec<usize> = (first..rows.len().min(first + evaluation_batch(device))).collect();
            if let Some(cause) = extreme_cause(&rows.batch(&numbers, device)?, &self.fields) {
                return Ok(Some(cause));
            }
        }
        Ok(None)
    }

    /// The mean loss over the rows seen in the current epoch.
    fn mean_loss(&self) -> f64 {
        self.state.loss_sum / self.state.weight_sum.max(f64::MIN_POSITIVE)
    }

    fn end_epoch(&mut self, valid: Metrics, progressive: Metrics) -> EpochRecord {
        let train_loss = self.mean_loss();
        let monitored = valid.get(&self.monitored).copied();
        let is_better = match (monitored, self.state.best) {
            (Some(value), Some((_, best))) => match self.metric.direction {
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
        let learning_rate = self.learner.learning_rate();
        let record = EpochRecord { epoch: state.epoch, train_loss, valid, progressive, best: is_better, learning_rate };
        state.epochs.push(record.clone());
        record
    }

    /// Writes a checkpoint from which training can resume.
    ///
    /// # Errors
    /// As [`checkpoint::save`]; [`Error::Diverged`] for a parameter that is infinite or NaN.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_for(path.as_ref(), None)
    }

    /// [`Trainer::save`] for a run.
    fn save_for(&self, path: &Path, run: Option<&str>) -> Result<()> {
        let training = Training { learner: self.learner.as_ref(), name: self.config.learner(), logits: &self.logits };
        self.diverged_if_not_finite(checkpoint::write(path, self.parameters(), Some(training), &self.state, run))
    }

    /// Parameters become infinite or NaN by divergence only.
    fn diverged_if_not_finite(&self, written: Result<()>) -> Result<()> {
        written.map_err(|error| match error {
            Error::NotFinite { parameter } => Error::Diverged {
                what: format!("a number in `{parameter}`"),
                value: f64::NAN,
                epoch: (self.state.epoch + usize::from(self.state.step > 0)).max(1),
                step: self.state.step,
                cause: self.learner.diagnosis(),
            },
            other => other,
        })
    }

    /// Restores parameters, learner and progress from a checkpoint of [`Trainer::save`]. [`Trainer::fit`] then
    /// continues from there, and its result equals, bit for bit, that of uninterrupted training.
    ///
    /// # Errors
    /// Those of [`checkpoint::load`].
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.load_checkpoint(&Checkpoint::open(path.as_ref())?)
    }

    fn load_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.state = checkpoint.load(self.parameters(), Some(self.learner.as_mut()))?;
        self.logits = if self.config.progressive { checkpoint.logits()? } else { vec![] };
        Ok(())
    }

    /// Whether [`Trainer::fit`] has nothing left to do.
    pub fn is_done(&self) -> bool {
        self.state.epoch >= self.config.epochs || self.has_stalled()
    }

    fn has_stalled(&self) -> bool {
        let best_epoch = self.state.best.map_or(0, |(epoch, _)| epoch);
        self.learner.can_overfit() && self.config.patience > 0 && self.state.epoch >= best_epoch + self.config.patience
    }
}

/// The current epoch, as the learner sees it.
fn epoch<'e>(state: &TrainState, objective: &'e dyn Objective, train: &'e dyn Rows, fields: &'e [String]) -> Epoch<'e> {
    Epoch { number: state.epoch + 1, plateaus: state.plateaus, objective, train, fields }
}

#[cfg(test)]
mod tests;
