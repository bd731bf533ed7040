//! A parameter with its optimiser state, and its update.

use tch::{Device, Tensor};

use super::rule::{RowUpdate, Rule, Source, Step};
use crate::bridge::{clear_gradient, floats_mut};
use crate::error::{Error, Result};
use crate::shards::Shard;
use crate::terminal::grouped;

/// A parameter with the states that the rule keeps for it.
pub(super) struct Parameter {
    pub name: String,
    /// Its numbers; of a table that is divided among processes, the own rows.
    pub tensor: Tensor,
    /// Of such a table, what the model looks up, which has the gradient.
    pub compact: Option<Tensor>,
    /// Tensors of the parameter's shape, in the order of [`Rule::states`].
    pub states: Vec<Tensor>,
    /// Whether loops over slices update it, as on the CPU, instead of tensor operations.
    pub is_fused: bool,
}

impl Parameter {
    pub(super) fn new(name: String, tensor: Tensor, rule: &dyn Rule) -> Result<Parameter> {
        let state = |&(state, first): &(&str, f32)| {
            let tensor = tensor.f_full_like(f64::from(first)).map_err(Error::memory(|| {
                format!("the optimiser's `{state}` of `{name}`, which has {} numbers", grouped(tensor.numel() as i64))
            }));
            Ok(tensor?.set_requires_grad(false))
        };
        let states = rule.states().iter().map(state).collect::<Result<_>>()?;
        let is_fused = tensor.device() == Device::Cpu;
        Ok(Parameter { name, tensor, compact: None, states, is_fused })
    }

    /// A table that is divided among processes.
    pub(super) fn of_shard(shard: &Shard, rule: &dyn Rule) -> Result<Parameter> {
        let own = Parameter::new(shard.name.clone(), shard.own.shallow_clone(), rule)?;
        Ok(Parameter { compact: Some(shard.compact.shallow_clone()), ..own })
    }

    /// The tensor that the model uses.
    pub(super) fn used(&self) -> &Tensor {
        self.compact.as_ref().unwrap_or(&self.tensor)
    }

    pub(super) fn clear_gradient(&mut self) {
        clear_gradient(self.compact.as_mut().unwrap_or(&mut self.tensor));
    }

    /// Applies the rule to rows, on the CPU.
    pub(super) fn update_rows(&mut self, rule: &dyn Rule, step: Step, width: usize, source: Source<'_>) -> Result<()> {
        let states = self.states.iter_mut().map(floats_mut).collect::<Result<_>>()?;
        rule.update_rows(step, RowUpdate { source, width, parameter: floats_mut(&mut self.tensor)?, states });
        Ok(())
    }
}
