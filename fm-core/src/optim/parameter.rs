//! A parameter with its optimiser state, and its update.

use tch::{Device, Tensor};

use super::rule::{RowUpdate, Rule, Source, Step};
use crate::bridge::{clear_gradient, floats_mut};
use crate::error::{Error, Result};
use crate::terminal::grouped;

/// A parameter with the states that the rule keeps for it.
pub(super) struct Parameter {
    pub name: String,
    pub tensor: Tensor,
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
        Ok(Parameter { name, tensor, states, is_fused })
    }

    pub(super) fn clear_gradient(&mut self) {
        clear_gradient(&mut self.tensor);
    }

    /// Applies the rule to rows, on the CPU.
    pub(super) fn update_rows(&mut self, rule: &dyn Rule, step: Step, width: usize, source: Source<'_>) -> Result<()> {
        let states = self.states.iter_mut().map(floats_mut).collect::<Result<_>>()?;
        rule.update_rows(step, RowUpdate { source, width, parameter: floats_mut(&mut self.tensor)?, states });
        Ok(())
    }
}
