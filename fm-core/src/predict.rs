//! Scores and metrics of models, exported files and other sources of logits.

use tch::{Device, Kind, Tensor, no_grad};

use crate::candidates::Candidates;
use crate::error::Result;
use crate::features::Features;
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
    let mut all = Vec::with_capacity(rows.len());
    let size = evaluation_batch(device);
    for first in (0..rows.len()).step_by(size) {
        let numbers: Vec<usize> = (first..rows.len().min(first + size)).collect();
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
