//! A parameter with its gradient, from autograd to the update.

use tch::{Device, Kind, Tensor};

use super::L2Scope;
use super::clipping::{Clipping, sum_of_squares};
use super::row_sparse::{Touched, gather, scatter, width};
use super::rule::{Penalty, RowUpdate, Rows, Rule, Step};
use crate::bridge::{clear_gradient, floats, floats_mut};
use crate::error::Result;

/// A parameter, what the rule remembers of it, and its gradient in this step.
pub(super) struct Slot {
    pub name: String,
    parameter: Tensor,
    pub states: Vec<Tensor>,
    /// Whether it is updated by loops over slices: on the CPU.
    pub is_fused: bool,
    gradient: Gradient,
    touched: Touched,
}

/// The gradient of a step, the penalty's included.
enum Gradient {
    None,
    /// Of every number.
    Dense(Tensor),
    /// Of the rows of a table: `Touched` holds them, and which the penalty alone moves.
    Touched(Penalty),
    /// Of distinct rows `[R]` of a table: `[R, width]`.
    Rows(Tensor, Tensor),
}

impl Slot {
    pub(super) fn new(name: String, parameter: Tensor, rule: &dyn Rule) -> Slot {
        let state = |&(_, first): &(&str, f32)| parameter.full_like(f64::from(first)).set_requires_grad(false);
        let states = rule.states().iter().map(state).collect();
        let is_fused = parameter.device() == Device::Cpu;
        Slot { name, parameter, states, is_fused, gradient: Gradient::None, touched: Touched::default() }
    }

    /// Forgets the gradient.
    pub(super) fn clear(&mut self) {
        clear_gradient(&mut self.parameter);
        self.gradient = Gradient::None;
    }

    /// Takes autograd's gradient: sums those of the same row, adds the penalty of a table, and clips each number.
    pub(super) fn gather(&mut self, scope: L2Scope, l2: f32, clipping: &Clipping) -> Result<()> {
        let gradient = self.parameter.grad();
        self.gradient = if !gradient.defined() {
            Gradient::None
        } else if !gradient.is_sparse() {
            Gradient::Dense(gradient.f_contiguous()?)
        } else if self.is_fused {
            self.touched.collect(scope, l2, &self.parameter, &gradient)?;
            let limit = clipping.value().map_or(f32::INFINITY, |value| value as f32);
            Gradient::Touched(Penalty { l2, limit, scale: 1.0 })
        } else if scope == L2Scope::Table {
            Gradient::Dense(scatter(l2, &self.parameter, &gradient))
        } else {
            gather(l2, &self.parameter, &gradient).map_or(Gradient::None, |(rows, sums)| Gradient::Rows(rows, sums))
        };
        if let Some(value) = clipping.value() {
            match &mut self.gradient {
                Gradient::None => {}
                Gradient::Dense(gradient) | Gradient::Rows(_, gradient) => {
                    let _ = gradient.f_clamp_(-value, value)?;
                }
                Gradient::Touched(_) => {
                    let value = value as f32;
                    self.touched.gradient.iter_mut().for_each(|g| *g = g.clamp(-value, value));
                }
            }
        }
        Ok(())
    }

    /// Σ g², on the CPU.
    pub(super) fn sum_of_squares(&self) -> Result<f64> {
        match &self.gradient {
            Gradient::None => Ok(0.0),
            Gradient::Dense(gradient) | Gradient::Rows(_, gradient) => Ok(sum_of_squares(floats(gradient)?, |g| g)),
            Gradient::Touched(penalty) => self.touched.sum_of_squares(*penalty, &self.parameter),
        }
    }

    /// Σ g² as a float64 scalar on the parameter's device.
    pub(super) fn sum_of_squares_on_device(&self) -> Tensor {
        match &self.gradient {
            Gradient::Dense(gradient) | Gradient::Rows(_, gradient) => {
                gradient.to_kind(Kind::Double).square().sum(Kind::Double)
            }
            _ => Tensor::zeros(&[] as &[i64], (Kind::Double, self.parameter.device())),
        }
    }

    /// Moves what the gradient is of, by the gradient times `scale`.
    pub(super) fn update(&mut self, rule: &dyn Rule, step: Step, scale: Option<f64>) -> Result<()> {
        let Slot { parameter, states, touched, is_fused, .. } = self;
        match std::mem::replace(&mut self.gradient, Gradient::None) {
            Gradient::None => {}
            Gradient::Touched(penalty) => {
                let width = width(parameter);
                if let Some(scale) = scale {
                    touched.gradient.iter_mut().for_each(|g| *g *= scale as f32);
                }
                let penalty = Penalty { scale: scale.map_or(1.0, |scale| scale as f32), ..penalty };
                let given = Rows::Given { rows: &touched.rows, gradient: &touched.gradient };
                for rows in [given, Rows::Penalised { runs: &touched.others, penalty }] {
                    let states = states.iter_mut().map(floats_mut).collect::<Result<_>>()?;
                    rule.update_rows(step, RowUpdate { rows, width, parameter: floats_mut(parameter)?, states });
                }
            }
            Gradient::Rows(rows, gradient) => {
                let gradient = scaled(gradient, scale);
                let mut weights = parameter.index_select(0, &rows);
                let mut gathered: Vec<Tensor> = states.iter().map(|state| state.index_select(0, &rows)).collect();
                rule.update_tensor(step, &mut weights, &gradient, &mut gathered);
                let _ = parameter.index_copy_(0, &rows, &weights);
                for (state, gathered) in states.iter_mut().zip(&gathered) {
                    let _ = state.index_copy_(0, &rows, gathered);
                }
            }
            Gradient::Dense(gradient) => {
                let gradient = scaled(gradient, scale);
                if !*is_fused {
                    rule.update_tensor(step, parameter, &gradient, states);
                } else if parameter.numel() > 0 {
                    let width = parameter.numel();
                    let rows = Rows::Given { rows: &[0], gradient: floats(&gradient)? };
                    let states = states.iter_mut().map(floats_mut).collect::<Result<_>>()?;
                    rule.update_rows(step, RowUpdate { rows, width, parameter: floats_mut(parameter)?, states });
                }
            }
        }
        Ok(())
    }
}

fn scaled(gradient: Tensor, scale: Option<f64>) -> Tensor {
    match scale {
        Some(scale) => gradient * scale,
        None => gradient,
    }
}
