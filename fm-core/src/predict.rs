//! Scores and metrics of models, exported files and other sources of logits.

use std::ops::Range;

use tch::{Device, Kind, Tensor, no_grad};

use crate::candidates::Candidates;
use crate::error::Result;
use crate::features::Features;
use crate::group::Group;
use crate::metric::{Metrics, metrics_of_rows};
use crate::rows::Rows;
use crate::schema::Label;

/// Computes logits of rows. Every [`Model`](crate::Model) implements it, without dropout and with the moving statistics
/// of batch norm; so do [`Bundle`](crate::script::Bundle) and [`Scorer`](crate::script::Scorer).
pub trait Score {
    /// The logits `[B]` of a batch; [`Label::prediction`] turns each into a probability or a label.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for features that do not match the model.
    fn score_rows(&self, features: &Features) -> Result<Tensor>;

    /// The logits `[B, c]` of B rows with c candidate items each.
    ///
    /// # Errors
    /// Those of [`Score::score_rows`].
    fn score_candidates(&self, candidates: &Candidates<'_>) -> Result<Tensor> {
        Ok(self.score_rows(&candidates.features()?)?.f_view(candidates.size())?)
    }

    /// Takes part in the scoring of rows by other processes, for a model whose tables are divided among them.
    ///
    /// # Errors
    /// Those of [`Score::score_rows`].
    fn score_none(&self) -> Result<()> {
        Ok(())
    }
}

/// Number of rows to score at once without gradients. On the CPU it is small, so that the tensors of a batch stay in
/// its caches and in memory that the allocator reuses: larger tensors are mapped again for each batch, which takes
/// longer than the model.
pub(crate) fn evaluation_batch(device: Device) -> usize {
    if device.is_cuda() { 8192 } else { 512 }
}

/// The logits `[N]` of all rows, in order. `device` is the device of the model.
///
/// # Errors
/// Errors of `rows` and `model`.
pub fn predict(model: &dyn Score, rows: &dyn Rows, device: Device) -> Result<Vec<f32>> {
    predict_part(model, rows, 0..rows.len(), device)
}

/// As [`predict`], by all processes of a group, which all call it: each scores a part of the rows. The batches are those of one
/// process, so that the logits are, too, bit for bit.
///
/// # Errors
/// Those of [`predict`]; [`Error::Group`](crate::Error::Group) if a process is lost.
pub fn predict_together(model: &dyn Score, rows: &dyn Rows, device: Device, group: &Group) -> Result<Vec<f32>> {
    let size = evaluation_batch(device);
    let part = |rank: usize| {
        let batches = group.part_of(rank, rows.len().div_ceil(size));
        rows.len().min(batches.start * size)..rows.len().min(batches.end * size)
    };
    let batches = |rank: usize| part(rank).len().div_ceil(size);
    let idle = (0..group.size()).map(batches).max().unwrap_or_default() - batches(group.rank());
    let predict = || -> Result<Vec<f32>> {
        let own = predict_part(model, rows, part(group.rank()), device)?;
        (0..idle).try_for_each(|_| model.score_none())?;
        Ok(own)
    };
    let own = group.all_succeed(predict())?;
    let lengths: Vec<usize> = (0..group.size()).map(|rank| part(rank).len()).collect();
    Ok(Vec::try_from(group.gather_parts(&Tensor::from_slice(&own), &lengths)?)?)
}

fn predict_part(model: &dyn Score, rows: &dyn Rows, part: Range<usize>, device: Device) -> Result<Vec<f32>> {
    let mut all = Vec::with_capacity(part.len());
    let size = evaluation_batch(device);
    for first in part.clone().step_by(size) {
        let numbers: Vec<usize> = (first..part.end.min(first + size)).collect();
        let batch = rows.batch(&numbers, device)?;
        let logits = no_grad(|| model.score_rows(&batch.features))?.to_kind(Kind::Float);
        all.extend(Vec::<f32>::try_from(logits.to_device(Device::Cpu))?);
    }
    Ok(all)
}

/// The metrics of a model over all rows, with their weights and groups; empty if there are no rows.
///
/// # Errors
/// Those of [`predict`].
pub fn evaluate(model: &dyn Score, label: &Label, rows: &dyn Rows, device: Device) -> Result<Metrics> {
    Ok(metrics_of_rows(label, &predict(model, rows, device)?, rows))
}
