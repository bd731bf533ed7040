//! Models that learn online: a kernel of their own updates the parameters after each row.

use std::sync::atomic::AtomicU32;

use tch::Tensor;

use crate::error::Result;
use crate::loss::RowLoss;
use crate::optim::OptimizerConfig;
use crate::rows::Records;

/// A model with a kernel for online updates. [`Model::online`](crate::Model::online) returns it.
pub trait OnlineModel {
    /// The kernel of the model's parameters, which are on the CPU.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for an update rule or a size that the kernel does not have.
    fn kernel<'a>(&'a self, rule: OptimizerConfig) -> Result<Box<dyn OnlineKernel + 'a>>;
}

/// Scores a row, and updates the parameters and their state by its gradient, in one pass over the row.
///
/// A kernel may keep both in a form of its own. [`OnlineKernel::read`] fills it from the tensors, and
/// [`OnlineKernel::write`] writes it back.
pub trait OnlineKernel {
    /// The state of the update rule by name, `<parameter>/<state>`, as tensors.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Reads the tensors of the parameters and of the state.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a tensor that is not a contiguous float32 tensor on the CPU.
    fn read(&mut self) -> Result<()>;

    /// Writes the tensors of the parameters and of the state.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if libtorch fails.
    fn write(&self) -> Result<()>;

    /// Trains on rows in this order. Writes the bits of their logits before their updates to `logits`, unless it is empty.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for rows with more ids than the tables have.
    fn train(&mut self, rows: &Records, numbers: &[usize], pass: Pass, logits: &[AtomicU32]) -> Result<LossSum>;
}

/// What a pass over some rows needs besides the rows.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// The loss of a row.
    pub loss: RowLoss,
    /// η, the learning rate.
    pub lr: f32,
    /// λ: the penalty λ/2 ‖row‖² of each table row that a row looks up.
    pub l2: f32,
    /// Number of rows that were trained on before.
    pub done: u64,
    /// Number of threads. With several, each trains on a part of the rows, and results differ from run to run.
    pub threads: usize,
}

/// The losses of some rows before their updates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossSum {
    /// The sum of the losses, each times the weight of its row.
    pub loss: f64,
    /// The sum of the weights.
    pub weight: f64,
}

impl std::ops::AddAssign for LossSum {
    fn add_assign(&mut self, more: LossSum) {
        self.loss += more.loss;
        self.weight += more.weight;
    }
}
