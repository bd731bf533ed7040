//! Training by gradient descent.

use std::ops::Range;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use super::divergence::{extreme_cause, largest_parameter};
use super::{Epoch, Learner, Progress, StepConfig, TrainPrecision, Trained, batches};
use crate::candidates::Candidates;
use crate::device::in_mixed_precision;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::group::Group;
use crate::model::Model;
use crate::objective::TrainingBatch;
use crate::optim::{Optimizer, Share};
use crate::predict::Score;
use crate::rows::{Batch, Order, Rows};
use crate::seed::{Stream, derive, seed_torch};
use crate::shards::Shards;

/// Trains by gradient descent on the objective.
pub struct Gradients<'a> {
    model: &'a dyn Model,
    store: &'a VarStore,
    optimizer: Optimizer,
    config: StepConfig,
    /// The processes that train together, if there are several.
    group: Option<&'a Group>,
    /// The tables that are divided among them.
    shards: Option<&'a Shards<'a>>,
    /// Number of steps of earlier runs whose state the optimiser has.
    earlier: u64,
    /// The rows of the current epoch, and the positions of each batch among them.
    order: Order,
    batches: Vec<Range<usize>>,
}

impl<'a> Gradients<'a> {
    /// A learner for the parameters in `store`, which are those of `model` and of `optimizer`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for bf16 on the CPU.
    pub fn new(
        model: &'a dyn Model,
        store: &'a VarStore,
        optimizer: Optimizer,
        config: StepConfig,
    ) -> Result<Gradients<'a>> {
        if config.precision == TrainPrecision::Bf16 && !store.device().is_cuda() {
            return Err(Error::Unsupported("precision bf16 is for CUDA devices: leave it out on the CPU".into()));
        }
        let order = Order::new(config.seed, 1, 0);
        Ok(Gradients { model, store, optimizer, config, group: None, shards: None, earlier: 0, order, batches: vec![] })
    }

    /// Trains together with other processes: each takes a part of every batch, and they add up their gradients.
    /// The optimiser has the own rows of `shards`, the tables that are divided among them.
    pub(crate) fn in_group(self, group: Option<&'a Group>, shards: Option<&'a Shards<'a>>) -> Gradients<'a> {
        Gradients { group, shards, ..self }
    }

    /// The mean loss of a batch. Adds its gradients, times `share`, to those of the parameters.
    fn backward(&self, epoch: Epoch<'_>, batch: TrainingBatch<'_>, share: f64) -> Result<Tensor> {
        let training = InTraining { model: self.model, precision: self.config.precision, device: self.store.device() };
        let loss = epoch.objective.loss(&training, batch)?;
        let total = match self.model.penalty() {
            Some(penalty) => loss.f_add(&penalty)?,
            None => loss.shallow_clone(),
        };
        // Not in place: the total may be the loss itself.
        let total = if share == 1.0 { total } else { &total * share };
        total.f_backward()?;
        Ok(loss.detach())
    }

    fn diverged(&self, epoch: Epoch<'_>, done: usize, what: String, value: f64, batches: &[Batch]) -> Error {
        let cause = batches.iter().find_map(|batch| extreme_cause(batch, epoch.fields));
        let cause = cause.unwrap_or_else(|| self.diagnosis());
        Error::Diverged { what, value, epoch: epoch.number, step: done + 1, cause }
    }
}

impl Learner for Gradients<'_> {
    fn begin(&mut self, _train: &dyn Rows) -> Result<()> {
        self.join_group();
        Ok(())
    }

    fn join_group(&self) {
        self.group.into_iter().for_each(|group| group.begin(self.optimizer.numbers_of_step(group)));
    }

    fn begin_epoch(&mut self, epoch: Epoch<'_>) -> Result<usize> {
        self.order = epoch.order(&self.config);
        self.batches = batches(self.order.len(), self.config.batch_size);
        Ok(self.batches.len().div_ceil(self.config.accumulate))
    }

    fn step(&mut self, epoch: Epoch<'_>, done: usize, _progress: &mut Progress<'_>) -> Result<Option<Trained>> {
        let StepConfig { seed, accumulate, .. } = self.config;
        let steps = self.batches.len().div_ceil(accumulate);
        self.optimizer.lr = self.config.rate(epoch, self.steps(), done, steps);
        let of_step = self.batches.chunks(accumulate).nth(done).unwrap_or_default();
        let rows_at = |positions: &Range<usize>| epoch.objective.rows_at(positions.clone(), &mut self.order);
        let rows: Vec<Vec<usize>> = of_step.iter().map(rows_at).collect();
        let num_rows = rows.iter().map(Vec::len).sum();
        let mut logits = vec![];
        // A process need not have rows of each batch.
        let part = |rows: &Vec<usize>| self.group.map_or(0..rows.len(), |group| group.part(rows.len()));
        let parts = rows.iter().map(part).enumerate().filter(|(_, part)| !part.is_empty());
        let parts: Vec<(usize, Range<usize>)> = parts.collect();
        let batch = |(at, part): &(usize, Range<usize>)| {
            let mut batch = epoch.train.batch(&rows[*at][part.clone()], self.store.device())?;
            if self.config.progressive {
                // As everywhere but in training: without dropout, in float32.
                let scores = no_grad(|| self.model.score_rows(&batch.features))?.to_kind(Kind::Float);
                logits.extend(Vec::<f32>::try_from(scores.to_device(Device::Cpu))?);
            }
            batch.features.collect_into(self.optimizer.row_gradients().clone());
            Ok(batch)
        };
        let batches = parts.iter().map(batch).collect::<Result<Vec<Batch>>>()?;
        let weights: Vec<f64> = batches.iter().map(Batch::weight).collect();
        let weight: f64 = weights.iter().sum();
        // Dropout draws from libtorch's generator. Seeded by the step, it does not depend on where training resumed.
        let rank = self.group.map_or(0, Group::rank);
        let of_rank = if rank == 0 { seed } else { derive(seed, Stream::Rank(rank)) };
        seed_torch(of_rank, Stream::Step(self.optimizer.steps() + 1));
        self.optimizer.zero_grad();
        let first = self.optimizer.steps() * accumulate as u64;
        let training_batch = |batch, (at, part): (usize, Range<usize>)| TrainingBatch {
            batch,
            rows: &rows[at][..],
            part,
            seed,
            number: first + at as u64,
        };
        let all = || batches.iter().zip(&parts).map(|(batch, part)| training_batch(batch, part.clone()));
        if let Some(shards) = self.shards {
            let noting = Noting { shards };
            all().try_for_each(|batch| no_grad(|| epoch.objective.loss(&noting, batch)).map(drop))?;
            shards.fetch()?;
        }
        let mut losses = Vec::with_capacity(batches.len());
        for (batch, own) in all().zip(&weights) {
            let share = if batches.len() > 1 { own / weight.max(f64::MIN_POSITIVE) } else { 1.0 };
            losses.push(self.backward(epoch, batch, share)?);
        }
        let loss_sum = || {
            let losses = losses.iter().zip(&weights).map(|(loss, weight)| loss.double_value(&[]) * weight);
            losses.sum::<f64>() * epoch.objective.loss_unit()
        };
        let scored = epoch.objective.scored_per_row() * num_rows;
        let (updated, share) = match self.group {
            // A GPU computes losses while the update is prepared.
            None => (self.optimizer.step(scored), Share { weight, loss_sum: loss_sum() }),
            Some(group) => {
                let mut share = Share { weight, loss_sum: loss_sum() };
                (self.optimizer.step_in(group, self.shards, &mut share, scored), share)
            }
        };
        let updated = match updated {
            Err(error @ (Error::Group(_) | Error::PeerFailed { .. })) => return Err(error),
            updated => updated,
        };
        if !share.loss_sum.is_finite() {
            return Err(self.diverged(epoch, done, "the loss".into(), share.loss_sum, &batches));
        }
        if let Err(Error::Gradient { parameter, .. }) = &updated {
            let what = format!("the gradient of `{parameter}`");
            return Err(self.diverged(epoch, done, what, f64::NAN, &batches));
        }
        updated?;
        let Share { weight: weight_sum, loss_sum } = share;
        Ok(Some(Trained { steps: 1, rows: num_rows, loss_sum, weight_sum, logits }))
    }

    fn steps(&self) -> u64 {
        self.optimizer.steps() - self.earlier
    }

    fn updates(&self) -> u64 {
        self.optimizer.steps()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.optimizer.state()
    }

    fn resume_at(&mut self, steps: u64, updates: u64) {
        self.optimizer.resume_at(updates);
        self.earlier = updates.saturating_sub(steps);
    }

    fn learning_rate(&self) -> f64 {
        self.optimizer.lr
    }

    fn can_overfit(&self) -> bool {
        true
    }

    fn diagnosis(&self) -> String {
        let (name, size) = largest_parameter(self.store);
        let norm = self.optimizer.gradient_norm();
        let norm = norm.map(|norm| format!(", the last gradient had the norm {norm:.3e}")).unwrap_or_default();
        let lr = self.optimizer.lr;
        format!("lower the learning rate, which was {lr}, or set clip_norm; `{name}` has grown to {size:.3e}{norm}")
    }
}

/// Notes the ids that a loss needs the scores of, such as those of items that it draws, and scores nothing.
struct Noting<'a> {
    shards: &'a Shards<'a>,
}

impl Score for Noting<'_> {
    fn score_rows(&self, features: &Features) -> Result<Tensor> {
        self.shards.note(features)?;
        Ok(Tensor::f_zeros([features.len() as i64], (Kind::Float, Device::Cpu))?)
    }

    fn score_candidates(&self, candidates: &Candidates<'_>) -> Result<Tensor> {
        self.shards.note_candidates(candidates)?;
        Ok(Tensor::f_zeros(candidates.size(), (Kind::Float, Device::Cpu))?)
    }
}

/// Scores as in training: with dropout, the statistics of the batch, and row-sparse gradients.
struct InTraining<'a> {
    model: &'a dyn Model,
    precision: TrainPrecision,
    device: Device,
}

impl InTraining<'_> {
    fn precisely(&self, logits: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        match self.precision {
            TrainPrecision::F32 => logits(),
            TrainPrecision::Bf16 => Ok(in_mixed_precision(self.device, logits)?.to_kind(Kind::Float)),
        }
    }
}

impl Score for InTraining<'_> {
    fn score_rows(&self, features: &Features) -> Result<Tensor> {
        self.precisely(|| self.model.logits(features, true))
    }

    fn score_candidates(&self, candidates: &Candidates<'_>) -> Result<Tensor> {
        self.precisely(|| self.model.candidate_logits(candidates, true))
    }
}
