//! Training on single rows.

use tch::{Device, Tensor};

use super::{Objective, TrainingBatch};
use crate::error::Result;
use crate::group::Group;
use crate::loss::{BinaryLoss, Loss, RowLoss, pairwise};
use crate::metric::{MetricSet, Metrics, Scored, metrics, metrics_of_rows};
use crate::predict::{Score, predict, predict_together};
use crate::rows::{Order, Rows};
use crate::schema::Label;

/// The squared error of a regression, in units of its label's scale, or the loss of a binary task: (1 - α) times the logistic
/// loss of rows, plus α times that of pairs.
#[derive(Clone, Debug)]
pub struct Pointwise {
    label: Label,
    loss: Loss,
    /// α, the share of pairs.
    pairwise_share: f64,
}

impl Pointwise {
    /// The objective for the label's task.
    ///
    /// # Errors
    /// Those of [`Loss::new`].
    pub fn new(label: &Label, settings: BinaryLoss) -> Result<Pointwise> {
        let loss = Loss::new(label.task, settings)?;
        Ok(Pointwise { label: label.clone(), loss, pairwise_share: settings.pairwise_share })
    }
}

impl Objective for Pointwise {
    fn metrics(&self) -> &'static MetricSet {
        MetricSet::of(self.label.task)
    }

    fn prior_logit(&self) -> f32 {
        self.loss.prior_logit(&self.label)
    }

    fn loss_unit(&self) -> f64 {
        match self.loss {
            Loss::Squared => f64::from(self.label.scale).powi(2),
            Loss::Logistic { .. } => 1.0,
        }
    }

    fn is_binary(&self) -> bool {
        matches!(self.loss, Loss::Logistic { .. })
    }

    fn row_loss(&self) -> Option<RowLoss> {
        (self.pairwise_share == 0.0).then(|| RowLoss::new(self.loss, self.label.scale))
    }

    fn metrics_of(&self, rows: &Scored<'_>) -> Metrics {
        metrics(&self.label, rows)
    }

    fn check(&self, _train: &dyn Rows) -> Result<()> {
        Ok(())
    }

    fn order(&self, seed: u64, epoch: usize, train: &dyn Rows) -> Order {
        Order::new(seed, epoch, train.len())
    }

    fn loss(&self, model: &dyn Score, TrainingBatch { batch, .. }: TrainingBatch<'_>) -> Result<Tensor> {
        let logits = model.score_rows(&batch.features)?;
        // Not where it is 1, so that the targets of a binary task need no other tensor.
        let scaled = (self.label.scale != 1.0).then(|| &batch.labels / f64::from(self.label.scale));
        let of_rows = self.loss.mean(&logits, scaled.as_ref().unwrap_or(&batch.labels), batch.weights.as_ref())?;
        Ok(match self.pairwise_share {
            0.0 => of_rows,
            share => of_rows * (1.0 - share) + pairwise(&logits, &batch.labels, batch.weights.as_ref()) * share,
        })
    }

    fn can_validate(&self, valid: &dyn Rows) -> bool {
        !valid.is_empty()
    }

    fn constant_metrics(&self, valid: &dyn Rows) -> Result<Metrics> {
        Ok(metrics_of_rows(&self.label, &vec![0.0; valid.len()], valid))
    }

    fn validate(&self, model: &dyn Score, valid: &dyn Rows, device: Device, group: Option<&Group>) -> Result<Metrics> {
        let logits = match group {
            Some(group) => predict_together(model, valid, device, group)?,
            None => predict(model, valid, device)?,
        };
        Ok(metrics_of_rows(&self.label, &logits, valid))
    }
}
