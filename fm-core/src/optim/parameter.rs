//! A parameter with the optimiser's state of it, and its update.

use tch::{Device, Tensor};

use super::change::Change;
use super::row_gradient::lock;
use super::rule::{Penalty, RowUpdate, Rule, Source, Step};
use crate::bridge::{clear_gradient, floats, floats_mut};
use crate::error::Result;

/// A parameter, and what the rule remembers of it.
pub(super) struct Parameter {
    pub name: String,
    pub tensor: Tensor,
    /// Of the parameter's shape, in the order of [`Rule::states`].
    pub states: Vec<Tensor>,
    /// Whether loops over slices update it, as on the CPU, and not tensor operations.
    pub is_fused: bool,
}

impl Parameter {
    pub(super) fn new(name: String, tensor: Tensor, rule: &dyn Rule) -> Parameter {
        let state = |&(_, first): &(&str, f32)| tensor.full_like(f64::from(first)).set_requires_grad(false);
        let states = rule.states().iter().map(state).collect();
        let is_fused = tensor.device() == Device::Cpu;
        Parameter { name, tensor, states, is_fused }
    }

    pub(super) fn clear_gradient(&mut self) {
        clear_gradient(&mut self.tensor);
    }

    /// Applies the rule with the gradient times `scale`.
    pub(super) fn update(&mut self, rule: &dyn Rule, step: Step, change: Change, scale: Option<f64>) -> Result<()> {
        match change {
            Change::Rows { gradient, others, penalty } => {
                let mut gradient = lock(&gradient);
                if let Some(scale) = scale {
                    gradient.sums_mut().iter_mut().for_each(|g| *g *= scale as f32);
                }
                let penalty = Penalty { scale: scale.map_or(1.0, |scale| scale as f32), ..penalty };
                let width = gradient.width();
                let looked_up = Source::Gradients { rows: gradient.rows(), gradients: gradient.sums() };
                self.update_rows(rule, step, width, looked_up)?;
                self.update_rows(rule, step, width, Source::Penalty { runs: &others, penalty })
            }
            Change::RowTensors { rows, sums } => {
                let sums = scaled(sums, scale);
                let mut weights = self.tensor.index_select(0, &rows);
                let mut states: Vec<Tensor> = self.states.iter().map(|state| state.index_select(0, &rows)).collect();
                rule.update_tensor(step, &mut weights, &sums, &mut states);
                let _ = self.tensor.index_copy_(0, &rows, &weights);
                for (all, states) in self.states.iter_mut().zip(&states) {
                    let _ = all.index_copy_(0, &rows, states);
                }
                Ok(())
            }
            Change::Dense(gradient) => {
                let gradient = scaled(gradient, scale);
                if self.is_fused {
                    let one_row = Source::Gradients { rows: &[0], gradients: floats(&gradient)? };
                    self.update_rows(rule, step, self.tensor.numel(), one_row)
                } else {
                    rule.update_tensor(step, &mut self.tensor, &gradient, &mut self.states);
                    Ok(())
                }
            }
        }
    }

    fn update_rows(&mut self, rule: &dyn Rule, step: Step, width: usize, source: Source<'_>) -> Result<()> {
        let states = self.states.iter_mut().map(floats_mut).collect::<Result<_>>()?;
        rule.update_rows(step, RowUpdate { source, width, parameter: floats_mut(&mut self.tensor)?, states });
        Ok(())
    }
}

fn scaled(gradient: Tensor, scale: Option<f64>) -> Tensor {
    match scale {
        Some(scale) => gradient * scale,
        None => gradient,
    }
}
