//! Training by an update after each row.

use std::ops::Range;

use tch::Tensor;

use super::{Epoch, Learner, Progress, StepConfig, Trained, batches};
use crate::error::{Error, Result};
use crate::loss::RowLoss;
use crate::online::{LossSum, OnlineKernel, Pass};
use crate::rows::Order;

/// Number of rows in a step: between two checks for an interruption.
const STEP: usize = 1 << 16;

/// Runs the kernel of an [`OnlineModel`](crate::online::OnlineModel). A step is a pass over some rows.
pub struct Online<'a> {
    kernel: Box<dyn OnlineKernel + 'a>,
    loss: RowLoss,
    config: StepConfig,
    l2: f64,
    threads: usize,
    /// The rows of the current epoch, and the positions of each step among them.
    order: Order,
    batches: Vec<Range<usize>>,
    steps: u64,
    /// Number of rows trained on, with those of earlier runs whose state the kernel has.
    rows: u64,
    lr: f64,
}

impl<'a> Online<'a> {
    /// A learner with this kernel and this loss of a row. `l2` is λ of the penalty on the table rows that a row looks up.
    pub fn new(kernel: Box<dyn OnlineKernel + 'a>, loss: RowLoss, config: StepConfig, l2: f64) -> Online<'a> {
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
        if threads > 1 {
            tracing::info!("online updates on {threads} threads: results differ from run to run");
        }
        let order = Order::new(config.seed, 1, 0);
        Online { kernel, loss, config, l2, threads, order, batches: vec![], steps: 0, rows: 0, lr: config.lr }
    }
}

impl Learner for Online<'_> {
    fn begin_epoch(&mut self, epoch: Epoch<'_>) -> Result<usize> {
        let order = epoch.objective.order(self.config.seed, epoch.number, epoch.train);
        self.order = order.in_windows(self.config.shuffle_rows);
        self.batches = batches(self.order.len(), STEP);
        self.kernel.read()?;
        Ok(self.batches.len())
    }

    fn step(&mut self, epoch: Epoch<'_>, done: usize, _progress: &mut Progress<'_>) -> Result<Option<Trained>> {
        let records = epoch.train.records().ok_or_else(|| Error::Unsupported("online updates need records".into()))?;
        self.lr = self.config.rate(epoch, self.steps, done, self.batches.len());
        let positions = self.batches[done].clone();
        let numbers = epoch.objective.rows_at(positions, &mut self.order);
        let (lr, l2) = (self.lr as f32, self.l2 as f32);
        let pass = Pass { loss: self.loss, lr, l2, done: self.rows, threads: self.threads };
        let LossSum { loss, weight } = self.kernel.train(records, &numbers, pass)?;
        if !loss.is_finite() {
            let (what, cause) = ("the loss".into(), self.diagnosis());
            return Err(Error::Diverged { what, value: loss, epoch: epoch.number, step: done + 1, cause });
        }
        self.steps += 1;
        self.rows += numbers.len() as u64;
        let loss_sum = loss * epoch.objective.loss_unit();
        Ok(Some(Trained { steps: 1, rows: numbers.len(), loss_sum, weight_sum: weight }))
    }

    fn settle(&mut self) -> Result<()> {
        self.kernel.write()
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn updates(&self) -> u64 {
        self.rows
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.kernel.state()
    }

    fn resume_at(&mut self, steps: u64, updates: u64) {
        (self.steps, self.rows) = (steps, updates);
    }

    fn learning_rate(&self) -> f64 {
        self.lr
    }

    fn can_overfit(&self) -> bool {
        true
    }

    fn diagnosis(&self) -> String {
        format!("lower the learning rate, which was {}, or look for extreme values in the fields", self.lr)
    }
}
