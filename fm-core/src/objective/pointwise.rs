//! Training on single rows.

use tch::{Device, Tensor};

use super::{Objective, TrainingBatch};
use crate::error::Result;
use crate::loss::Loss;
use crate::metric::{MetricSet, Metrics, metrics_of_rows};
use crate::predict::{Score, evaluate};
use crate::rows::{Order, Rows};
use crate::schema::Label;

/// The squared error of a regression, or the logistic loss of a binary task.
#[derive(Clone, Debug)]
pub struct Pointwise {
    label: Label,
    loss: Loss,
}

impl Pointwise {
    /// The objective for the label's task. Label smoothing and the weight of positive rows are those of [`Loss`]; 0 and
    /// 1 turn them off.
    ///
    /// # Errors
    /// Those of [`Loss::new`].
    pub fn new(label: &Label, label_smoothing: f64, positive_weight: f64) -> Result<Pointwise> {
        Ok(Pointwise { label: label.clone(), loss: Loss::new(label.task, label_smoothing, positive_weight)? })
    }
}

impl Objective for Pointwise {
    fn metrics(&self) -> &'static MetricSet {
        MetricSet::of(self.label.task)
    }

    fn prior_logit(&self) -> f32 {
        self.loss.prior_logit(&self.label)
    }

    fn is_binary(&self) -> bool {
        matches!(self.loss, Loss::Logistic { .. })
    }

    fn check(&self, _train: &dyn Rows) -> Result<()> {
        Ok(())
    }

    fn order(&self, seed: u64, epoch: usize, train: &dyn Rows) -> Order {
        Order::new(seed, epoch, train.len())
    }

    fn loss(&self, model: &dyn Score, TrainingBatch { batch, .. }: TrainingBatch<'_>) -> Result<Tensor> {
        self.loss.mean(&model.score_rows(&batch.features)?, &batch.labels, batch.weights.as_ref())
    }

    fn can_validate(&self, valid: &dyn Rows) -> bool {
        !valid.is_empty()
    }

    fn constant_metrics(&self, valid: &dyn Rows) -> Result<Metrics> {
        Ok(metrics_of_rows(&self.label, &vec![0.0; valid.len()], valid))
    }

    fn validate(&self, model: &dyn Score, valid: &dyn Rows, device: Device) -> Result<Metrics> {
        evaluate(model, &self.label, valid, device)
    }
}
