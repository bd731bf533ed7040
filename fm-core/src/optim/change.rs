//! Stage 3 of a step: adds the penalty to gradients, and updates parameters.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use tch::{Kind, Tensor};

use super::L2Scope;
use super::gradient::Gradient;
use super::parameter::Parameter;
use super::row_gradient::{RowGradient, lock};
use super::rule::{Penalty, Rule, Source, Step};
use crate::bridge::floats;
use crate::error::Result;

/// A gradient with the penalty added and each number clipped.
pub(super) enum Change {
    /// The gradient of every number of a parameter, in its shape.
    Dense(Tensor),
    /// The gradient of the rows of a table that were looked up, on the CPU, and the runs of all other rows, which only
    /// the penalty changes.
    Rows { gradient: Arc<Mutex<RowGradient>>, others: Vec<Range<u32>>, penalty: Penalty },
    /// The gradient `[R, ...]` of distinct rows `[R]` of a table.
    RowTensors { rows: Tensor, sums: Tensor },
}

impl Change {
    /// Adds the penalty `l2`, and clamps each number to -`limit`..`limit`.
    pub(super) fn new(
        gradient: Gradient,
        parameter: &Parameter,
        scope: L2Scope,
        l2: f32,
        limit: Option<f64>,
    ) -> Result<Change> {
        let table = &parameter.tensor;
        Ok(match gradient {
            Gradient::Dense(gradient) => Change::Dense(clamped(gradient, limit)?),
            Gradient::Rows(gradient) => {
                let limit = limit.map(|limit| limit as f32);
                penalise(&mut lock(&gradient), floats(table)?, scope, l2, limit);
                let others = match scope {
                    L2Scope::Touched => vec![],
                    L2Scope::Table => lock(&gradient).other_rows(),
                };
                Change::Rows {
                    gradient,
                    others,
                    penalty: Penalty { l2, limit: limit.unwrap_or(f32::INFINITY), scale: 1.0 },
                }
            }
            Gradient::RowTensors { rows, counts, sums } => match scope {
                L2Scope::Touched => {
                    let mut shape = vec![1; sums.dim()];
                    shape[0] = -1;
                    let counts = counts.to_kind(Kind::Float).view(shape.as_slice());
                    let sums = sums + table.index_select(0, &rows) * counts * f64::from(l2);
                    Change::RowTensors { rows, sums: clamped(sums, limit)? }
                }
                L2Scope::Table => {
                    let mut dense = table * f64::from(l2);
                    let _ = dense.index_add_(0, &rows, &sums);
                    Change::Dense(clamped(dense, limit)?)
                }
            },
        })
    }

    /// Applies the rule to a parameter, with this gradient times `scale`.
    pub(super) fn apply(
        self,
        parameter: &mut Parameter,
        rule: &dyn Rule,
        step: Step,
        scale: Option<f64>,
    ) -> Result<()> {
        match self {
            Change::Rows { gradient, others, penalty } => {
                let mut gradient = lock(&gradient);
                if let Some(scale) = scale {
                    gradient.sums_mut().iter_mut().for_each(|g| *g *= scale as f32);
                }
                let penalty = Penalty { scale: scale.map_or(1.0, |scale| scale as f32), ..penalty };
                let width = gradient.width();
                let looked_up = Source::Gradients { rows: gradient.rows(), gradients: gradient.sums() };
                parameter.update_rows(rule, step, width, looked_up)?;
                parameter.update_rows(rule, step, width, Source::Penalty { runs: &others, penalty })
            }
            Change::RowTensors { rows, sums } => {
                let sums = scaled(sums, scale);
                let Parameter { tensor, states, .. } = parameter;
                let mut weights = tensor.index_select(0, &rows);
                let mut of_rows: Vec<Tensor> = states.iter().map(|state| state.index_select(0, &rows)).collect();
                rule.update_tensor(step, &mut weights, &sums, &mut of_rows);
                let _ = tensor.index_copy_(0, &rows, &weights);
                for (state, of_rows) in states.iter_mut().zip(&of_rows) {
                    let _ = state.index_copy_(0, &rows, of_rows);
                }
                Ok(())
            }
            Change::Dense(gradient) => {
                let gradient = scaled(gradient, scale);
                if parameter.is_fused {
                    let one_row = Source::Gradients { rows: &[0], gradients: floats(&gradient)? };
                    parameter.update_rows(rule, step, parameter.tensor.numel(), one_row)
                } else {
                    rule.update_tensor(step, &mut parameter.tensor, &gradient, &mut parameter.states);
                    Ok(())
                }
            }
        }
    }

    /// Σ g², on the CPU.
    pub(super) fn sum_of_squares(&self, table: &Tensor) -> Result<f64> {
        Ok(match self {
            Change::Dense(gradient) | Change::RowTensors { sums: gradient, .. } => {
                sum_of_squares(floats(gradient)?, |g| g)
            }
            Change::Rows { gradient, others, penalty } => {
                let gradient = lock(gradient);
                let mut sum = sum_of_squares(gradient.sums(), |g| g);
                if penalty.l2 > 0.0 {
                    let (weights, width) = (floats(table)?, gradient.width());
                    for run in others {
                        let weights = &weights[run.start as usize * width..run.end as usize * width];
                        sum += sum_of_squares(weights, |weight| penalty.gradient(weight));
                    }
                }
                sum
            }
        })
    }

    /// Σ g² as a float64 scalar on the parameter's device.
    pub(super) fn sum_of_squares_on_device(&self, table: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Change::Dense(gradient) | Change::RowTensors { sums: gradient, .. } => {
                gradient.to_kind(Kind::Double).square().sum(Kind::Double)
            }
            Change::Rows { .. } => Tensor::from(self.sum_of_squares(table)?),
        })
    }
}

/// Adds the penalty to the rows that were looked up, and clamps their gradients.
fn penalise(gradient: &mut RowGradient, weights: &[f32], scope: L2Scope, l2: f32, limit: Option<f32>) {
    let width = gradient.width();
    if l2 > 0.0 {
        gradient.for_each(|row, count, sum| {
            let shrink = match scope {
                L2Scope::Touched => l2 * count as f32,
                L2Scope::Table => l2,
            };
            let weights = &weights[row as usize * width..][..width];
            sum.iter_mut().zip(weights).for_each(|(g, w)| *g += shrink * w);
        });
    }
    if let Some(limit) = limit {
        gradient.sums_mut().iter_mut().for_each(|g| *g = g.clamp(-limit, limit));
    }
}

fn clamped(gradient: Tensor, limit: Option<f64>) -> Result<Tensor> {
    match limit {
        Some(limit) => Ok(gradient.f_clamp(-limit, limit)?),
        None => Ok(gradient),
    }
}

fn scaled(gradient: Tensor, scale: Option<f64>) -> Tensor {
    match scale {
        Some(scale) => gradient * scale,
        None => gradient,
    }
}

/// Σ f(x)² in float64, with eight parallel sums.
fn sum_of_squares(numbers: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let square = |x: f32| f64::from(f(x)).powi(2);
    let chunks = numbers.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|&x| square(x)).sum();
    let sums = chunks.fold([0.0; 8], |mut sums, chunk| {
        sums.iter_mut().zip(chunk).for_each(|(sum, &x)| *sum += square(x));
        sums
    });
    sums.iter().sum::<f64>() + rest
}
