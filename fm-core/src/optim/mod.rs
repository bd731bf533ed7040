//! Optimisers with the definitions and defaults of Keras. Their state can be saved.
//!
//! A step has three stages:
//!
//! 1. **Gather** the gradient of each parameter: dense or, for a table, `(rows, counts, sums)` over the distinct rows
//!    that were looked up. Row gradients come from autograd's sparse gradients or from kernels that add them to
//!    [`Optimizer::row_gradients`].
//! 2. **Exchange** them with the other processes of a [`Group`], if there is one: all then have the same sums or, of a
//!    table that is divided among them, those of their own rows.
//! 3. **Penalise, clip and update**: one fused rule updates the rows of a table and their state. All other rows stay
//!    unchanged.
//!
//! A lookup whose gradient is exactly 0, such as padding, does not count as a lookup.

mod adagrad;
mod adam;
mod change;
mod clipping;
mod config;
mod exchange;
mod ftrl;
mod gradient;
mod parameter;
mod rmsprop;
mod row_gradient;
mod rule;
mod schedule;
mod sgd;
mod sharded;

use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use crate::group::Group;
use crate::shards::Shards;
use change::Change;
use clipping::Clipping;
use gradient::Gradient;
use parameter::Parameter;
use rule::{Rule, Step};

pub use config::{L2Scope, OptimizerConfig};
pub(crate) use exchange::Share;
pub use row_gradient::{RowGradient, RowGradients};
pub(crate) use schedule::Position;
pub use schedule::Schedule;

/// Checks the learning rate and λ.
///
/// # Errors
/// [`Error::OutOfRange`] for an `lr` that is not above 0, a negative `l2`, or one of them that is not finite.
pub(crate) fn check_rates(lr: f64, l2: f64) -> Result<()> {
    if !lr.is_finite() || lr <= 0.0 {
        return Err(Error::out_of_range("the learning rate", lr, "a number above 0"));
    }
    if !l2.is_finite() || l2 < 0.0 {
        return Err(Error::out_of_range("l2", l2, "a number of at least 0"));
    }
    Ok(())
}

/// Updates the trainable parameters of a [`VarStore`].
///
/// ```
/// use fm_core::optim::{Optimizer, OptimizerConfig};
/// use fm_core::tch::{Device, nn};
///
/// let store = nn::VarStore::new(Device::Cpu);
/// let w = store.root().var("w", &[1], nn::Init::Const(1.0));
/// let mut optimizer = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, 0.1, 0.0, &store)?;
/// (&w * &w).backward();
/// optimizer.step(1)?;
/// assert_eq!(w.double_value(&[0]) as f32, 0.8); // 1 - 0.1 · 2
/// # Ok::<(), fm_core::Error>(())
/// ```
pub struct Optimizer {
    rule: Box<dyn Rule>,
    parameters: Vec<Parameter>,
    row_gradients: RowGradients,
    /// η, the learning rate.
    pub lr: f64,
    l2: f64,
    l2_scope: L2Scope,
    clipping: Clipping,
    gradient_norm: Option<f64>,
    step: u64,
}

impl Optimizer {
    /// An optimiser for all trainable parameters, ordered by name. `lr` is η, the learning rate; `l2` is λ of the
    /// penalty on tables, with the scope [`L2Scope::Touched`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an `lr` that is not above 0, a negative `l2`, or one of them that is not finite;
    /// [`Error::Memory`].
    pub fn new(config: OptimizerConfig, lr: f64, l2: f64, store: &VarStore) -> Result<Optimizer> {
        check_rates(lr, l2)?;
        let rule = config.rule();
        let trainable = store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad());
        let mut parameters: Vec<Parameter> =
            trainable.map(|(name, tensor)| Parameter::new(name, tensor, rule.as_ref())).collect::<Result<_>>()?;
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Optimizer {
            rule,
            parameters,
            row_gradients: RowGradients::default(),
            lr,
            l2,
            l2_scope: L2Scope::Touched,
            clipping: Clipping::default(),
            gradient_norm: None,
            step: 0,
        })
    }

    /// Updates the own rows of tables that are divided among processes.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub(crate) fn with_shards(mut self, shards: Option<&Shards<'_>>) -> Result<Optimizer> {
        for shard in shards.iter().flat_map(|shards| shards.tables()) {
            let of_shard = self.parameters.iter_mut().find(|parameter| parameter.name == shard.name);
            let of_shard = of_shard.ok_or_else(|| Error::shape("optimizer", &shard.name, "no such parameter"))?;
            *of_shard = Parameter::of_shard(shard, self.rule.as_ref())?;
        }
        Ok(self)
    }

    /// Sets the scope of the L2 penalty.
    pub fn with_l2_scope(self, l2_scope: L2Scope) -> Optimizer {
        Optimizer { l2_scope, ..self }
    }

    /// Clips gradients, including that of the penalty. First, each number g is clamped to -`value` ≤ g ≤ `value`. Then
    /// all gradients are scaled by min(1, `norm` / (‖g‖ + 10⁻⁶)), where ‖g‖ is the norm of all gradients after the sum
    /// over equal rows. PyTorch's `clip_grad_value_` and `clip_grad_norm_` do the same.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a bound that is not a positive number.
    pub fn with_clipping(self, norm: Option<f64>, value: Option<f64>) -> Result<Optimizer> {
        Ok(Optimizer { clipping: Clipping::new(norm, value)?, ..self })
    }

    /// Number of steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The collector for gradients of lookups that bypass autograd. [`Optimizer::step`] uses and clears it.
    pub fn row_gradients(&self) -> &RowGradients {
        &self.row_gradients
    }

    /// Clears all gradients.
    pub fn zero_grad(&mut self) {
        self.parameters.iter_mut().for_each(Parameter::clear_gradient);
        self.row_gradients.clear();
    }

    /// Norm of all gradients of the last step, including that of the penalty, after clipping by value and before
    /// scaling. On a CUDA device, and with divided tables, it is known only if gradients are clipped by norm.
    pub fn gradient_norm(&self) -> Option<f64> {
        self.gradient_norm
    }

    /// Updates every parameter that has a gradient. `batch` is the number of rows that the loss is a mean over.
    ///
    /// # Errors
    /// [`Error::Gradient`] for a gradient that is not finite, if [`Optimizer::gradient_norm`] is known; then nothing is
    /// updated. [`Error::Shape`] for a parameter that is not a contiguous float32 tensor.
    pub fn step(&mut self, batch: usize) -> Result<()> {
        no_grad(|| {
            let gradients = self.gather()?;
            self.update(gradients, batch, None)
        })
    }

    /// The most numbers that a step in a group of processes passes to [`Group::begin_step`].
    pub(crate) fn numbers_of_step(&self, group: &Group) -> usize {
        exchange::numbers(&self.parameters, group)
    }

    /// As [`Optimizer::step`], in a group of processes, which all call it. The loss of each is the mean over its own rows, to
    /// which `share` belongs; `batch` is the number of rows of all. `share` becomes that of all.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; those of [`Group::begin_step`].
    pub(crate) fn step_in(
        &mut self,
        group: &Group,
        shards: Option<&Shards<'_>>,
        share: &mut Share,
        batch: usize,
    ) -> Result<()> {
        no_grad(|| {
            let gradients = self.gather()?;
            let gradients =
                exchange::exchange(gradients, &self.parameters, &self.row_gradients, (group, shards), share)?;
            self.update(gradients, batch, shards.map(|_| group))
        })
    }

    /// Stage 1: the gradient of each parameter, without penalty.
    fn gather(&self) -> Result<Vec<Option<Gradient>>> {
        self.parameters.iter().map(|parameter| Gradient::gather(parameter, &self.row_gradients)).collect()
    }

    /// Stage 3: adds the penalty, clips, and updates. `group` has the processes among which tables are divided.
    fn update(&mut self, gradients: Vec<Option<Gradient>>, batch: usize, group: Option<&Group>) -> Result<()> {
        let l2 = match self.l2_scope {
            L2Scope::Touched => self.l2 / batch.max(1) as f64,
            L2Scope::Table => self.l2,
        } as f32;
        let mut changes = vec![];
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            if let Some(gradient) = gradient {
                let change = Change::new(gradient, parameter, self.l2_scope, l2, self.clipping.value())?;
                changes.push((parameter, change));
            }
        }
        self.gradient_norm = self.clipping.norm_of(&changes, group)?;
        let scale = self.clipping.scale(self.gradient_norm);
        self.step += 1;
        let step = Step { lr: self.lr, number: self.step };
        for (parameter, change) in changes {
            change.apply(parameter, self.rule.as_ref(), step, scale)?;
        }
        self.row_gradients.clear();
        Ok(())
    }

    /// The state by name, for a checkpoint: `<parameter>/<state>`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = |parameter: &Parameter| {
            let names = self.rule.states().into_iter().map(|(state, _)| format!("{}/{state}", parameter.name));
            names.zip(parameter.states.iter().map(Tensor::shallow_clone)).collect::<Vec<_>>()
        };
        self.parameters.iter().flat_map(named).collect()
    }

    /// Sets the number of steps done, after the tensors of [`Optimizer::state`] were overwritten in place.
    pub fn resume_at(&mut self, step: u64) {
        self.step = step;
    }
}

#[cfg(test)]
mod tests;
