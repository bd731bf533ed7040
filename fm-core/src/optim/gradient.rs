//! Stage 1 of a step: gathers the gradient of a parameter from all sources.

use std::sync::{Arc, Mutex};

use tch::{Kind, Tensor};

use super::parameter::Parameter;
use super::row_gradient::{RowGradient, RowGradients, lock};
use crate::bridge::{floats, integers};
use crate::error::Result;

/// The gradient of a parameter in one step, without penalty.
#[derive(Debug)]
pub(super) enum Gradient {
    /// One number for each number of the parameter, in its shape.
    Dense(Tensor),
    /// Sums over the distinct rows of a table, on the CPU.
    Rows(Arc<Mutex<RowGradient>>),
    /// The same as tensors on any device: distinct rows `[R]` int64, the number of lookups of each `[R]` int64, and the
    /// summed gradients `[R, ...]` float32.
    RowTensors { rows: Tensor, counts: Tensor, sums: Tensor },
}

impl Gradient {
    /// The gradient from autograd and kernels; `None` for a parameter that the loss does not depend on.
    pub(super) fn gather(parameter: &Parameter, row_gradients: &RowGradients) -> Result<Option<Gradient>> {
        let table = parameter.used();
        let gradient = table.grad();
        if table.numel() == 0 {
            return Ok(None);
        }
        let sparse = Some(&gradient).filter(|gradient| gradient.defined() && gradient.is_sparse());
        let dense = Some(&gradient).filter(|gradient| gradient.defined() && !gradient.is_sparse());
        let mut collected = row_gradients.get(table);
        if let Some(sparse) = sparse
            && (parameter.is_fused || collected.is_some())
        {
            let of_table = row_gradients.of(table);
            add_sparse(&mut lock(&of_table), sparse)?;
            collected = Some(of_table);
        }
        Ok(match (collected, dense, sparse) {
            (Some(rows), Some(dense), _) => {
                let (rows, _, sums) = tensors(&lock(&rows), table);
                Some(Gradient::Dense(dense.f_contiguous()?.f_index_add(0, &rows, &sums)?))
            }
            (Some(rows), None, _) if parameter.is_fused => Some(Gradient::Rows(rows)),
            (Some(rows), None, _) => {
                let (rows, counts, sums) = tensors(&lock(&rows), table);
                Some(Gradient::RowTensors { rows, counts, sums })
            }
            (None, Some(dense), _) => Some(Gradient::Dense(dense.f_contiguous()?)),
            (None, None, Some(sparse)) => Some(sum_on_device(sparse)),
            (None, None, None) => None,
        })
    }
}

/// Adds a sparse gradient to the sums of its rows.
fn add_sparse(rows: &mut RowGradient, gradient: &Tensor) -> Result<()> {
    let on_cpu = |tensor: Tensor| tensor.to_device(tch::Device::Cpu).contiguous();
    let (ids, gradients) = (on_cpu(gradient.internal_indices()), on_cpu(gradient.internal_values()));
    let width = rows.width();
    for (&id, gradient) in integers(&ids)?.iter().zip(floats(&gradients)?.chunks_exact(width)) {
        if gradient.iter().any(|&g| g != 0.0) {
            rows.add(id as u32).iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
    }
    Ok(())
}

/// Rows, counts and sums of a table as tensors on its device.
pub(super) fn tensors(gradient: &RowGradient, table: &Tensor) -> (Tensor, Tensor, Tensor) {
    let integers = |numbers: &[u32]| {
        let numbers: Vec<i64> = numbers.iter().map(|&number| i64::from(number)).collect();
        Tensor::from_slice(&numbers).to_device(table.device())
    };
    let mut shape = table.size();
    shape[0] = gradient.rows().len() as i64;
    let sums = Tensor::from_slice(gradient.sums()).view(shape.as_slice()).to_device(table.device());
    (integers(gradient.rows()), integers(gradient.counts()), sums)
}

/// Sums a sparse gradient over equal rows, without the lookups whose gradient is exactly 0.
fn sum_on_device(gradient: &Tensor) -> Gradient {
    let (ids, gradients) = (gradient.internal_indices().flatten(0, -1), gradient.internal_values());
    let is_lookup = gradients.ne(0.0).view([gradients.size()[0], -1]).any_dim(1, false);
    let lookups = is_lookup.nonzero().flatten(0, -1);
    let (ids, gradients) = (ids.index_select(0, &lookups), gradients.index_select(0, &lookups));
    let (rows, place, counts) = ids.internal_unique2(true, true, true);
    let mut shape = gradients.size();
    shape[0] = rows.size()[0];
    let mut sums = Tensor::zeros(shape.as_slice(), (Kind::Float, gradients.device()));
    let _ = sums.index_add_(0, &place, &gradients);
    Gradient::RowTensors { rows, counts, sums }
}
