//! Stage 2 of a step: adds up the gradients of processes that train together.

use tch::{Device, Kind, Tensor};

use super::gradient::{Gradient, tensors};
use super::parameter::Parameter;
use super::row_gradient::{RowGradients, lock};
use super::sharded::ToOwners;
use crate::bridge::{floats, int32s};
use crate::error::{Error, Result};
use crate::group::Group;
use crate::shards::Shards;

/// What a process, or all of them, contribute to a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// The sum of the weights of the rows.
    pub weight: f64,
    /// The sum of their losses, each times its weight.
    pub loss_sum: f64,
}

/// The numbers before those of the parameters in [`Group::begin_step`].
const OF_SHARE: usize = 2;

/// How many numbers [`exchange`] gives to [`Group::begin_step`]: those of the share, of each parameter, and of the
/// message to each process. No other step has more.
pub(super) fn numbers(parameters: &[Parameter], group: &Group) -> usize {
    OF_SHARE + 2 * parameters.len() + group.size()
}

/// A parameter without a gradient, with that of some rows, of some rows of a divided table, and of all numbers.
const NONE: i64 = 0;
const ROWS: i64 = 1;
const OWN_ROWS: i64 = 2;
const DENSE: i64 = 3;

/// The gradients of the mean loss over the rows of all processes, given those of the mean over the rows of this one. They are
/// the same on all processes, bit for bit. `share` becomes that of all.
///
/// A step takes four messages: what follows, rows with their counts, sums of rows, and dense gradients. With divided
/// tables, a message of rows to their owners replaces the second and the third.
pub(super) fn exchange(
    gradients: Vec<Option<Gradient>>,
    parameters: &[Parameter],
    collected: &RowGradients,
    (group, shards): (&Group, Option<&Shards<'_>>),
    share: &mut Share,
) -> Result<Vec<Option<Gradient>>> {
    let kinds =
        parameters.iter().zip(&gradients).map(|(of, found)| kind_and_rows(of, found)).collect::<Result<Vec<_>>>()?;
    let to_owners = shards.map(|shards| ToOwners::new(shards, parameters, &gradients));
    let lengths = to_owners.iter().flat_map(ToOwners::lengths).map(|length| length as i64);
    let numbers: Vec<i64> = [share.weight, share.loss_sum]
        .map(|number| number.to_bits() as i64)
        .into_iter()
        .chain(kinds.into_iter().flatten())
        .chain(lengths)
        .collect();
    let all = group.begin_step(&numbers)?;
    let number = |rank: &Vec<i64>, at: usize| f64::from_bits(rank[at] as u64);
    let own_weight = share.weight;
    // In the order of ranks, so that all processes have the same sums.
    *share = Share {
        weight: all.iter().map(|rank| number(rank, 0)).sum(),
        loss_sum: all.iter().map(|rank| number(rank, 1)).sum(),
    };
    let scale = own_weight / share.weight.max(f64::MIN_POSITIVE);
    // A process without rows has no gradients, and a parameter may be looked up here and used as a whole elsewhere.
    let kind_of = |at: usize| all.iter().map(|rank| rank[OF_SHARE + 2 * at]).max().unwrap_or(NONE);
    let kinds: Vec<i64> = (0..parameters.len()).map(kind_of).collect();

    let parts = |kind: i64| {
        parameters.iter().zip(&gradients).zip(&kinds).filter(move |(_, found)| **found == kind).map(|(part, _)| part)
    };
    let rows: Vec<RowPart<'_>> =
        parts(ROWS).map(|(parameter, gradient)| RowPart::of(parameter, gradient.as_ref())).collect();
    let counts: Vec<Vec<usize>> = all
        .iter()
        .map(|rank| {
            let of_rows = kinds.iter().enumerate().filter(|(_, kind)| **kind == ROWS);
            of_rows.map(|(at, _)| rank[OF_SHARE + 2 * at + 1] as usize).collect()
        })
        .collect();
    let merged = merge(&rows, &counts, scale, collected, group)?;
    if let Some(to_owners) = to_owners {
        let lengths = all.iter().map(|rank| rank[OF_SHARE + 2 * parameters.len() + group.rank()] as usize);
        to_owners.exchange(collected, scale, &lengths.collect::<Vec<_>>())?;
    }
    let dense =
        parts(DENSE).map(|(parameter, gradient)| as_dense(parameter, gradient.as_ref())).collect::<Result<Vec<_>>>()?;
    let dense = sum(dense, scale, group)?;

    let (mut merged, mut dense) = (merged.into_iter(), dense.into_iter());
    Ok(kinds
        .into_iter()
        .zip(parameters)
        .map(|(kind, parameter)| match kind {
            ROWS => merged.next(),
            OWN_ROWS => Some(Gradient::Rows(collected.of(&parameter.tensor))),
            DENSE => dense.next(),
            _ => None,
        })
        .collect())
}

/// The kind of a gradient, and its number of rows.
fn kind_and_rows(parameter: &Parameter, gradient: &Option<Gradient>) -> Result<[i64; 2]> {
    let is_divided = parameter.compact.is_some();
    Ok(match gradient {
        None => [NONE, 0],
        Some(Gradient::Rows(_)) if is_divided => [OWN_ROWS, 0],
        Some(_) if is_divided => {
            return Err(Error::Unsupported(format!(
                "the model uses `{}` as a whole, and no process has all of it: use `--tables replicated`",
                parameter.name
            )));
        }
        Some(Gradient::Rows(rows)) => [ROWS, lock(rows).rows().len() as i64],
        Some(Gradient::Dense(_)) => [DENSE, 0],
        Some(Gradient::RowTensors { .. }) => {
            return Err(Error::Unsupported("several processes train on the CPU only: use `--device cpu`".into()));
        }
    })
}

/// The rows of a table that a process has looked up.
struct RowPart<'a> {
    parameter: &'a Parameter,
    width: usize,
    rows: Vec<i32>,
    counts: Vec<i32>,
    sums: Vec<f32>,
}

impl<'a> RowPart<'a> {
    fn of(parameter: &'a Parameter, gradient: Option<&Gradient>) -> RowPart<'a> {
        let width = parameter.tensor.size()[1..].iter().product::<i64>() as usize;
        let mut part = RowPart { parameter, width, rows: vec![], counts: vec![], sums: vec![] };
        if let Some(Gradient::Rows(rows)) = gradient {
            let rows = lock(rows);
            let numbers = |numbers: &[u32]| numbers.iter().map(|&number| number as i32).collect();
            (part.rows, part.counts, part.sums) = (numbers(rows.rows()), numbers(rows.counts()), rows.sums().to_vec());
        }
        part
    }
}

/// The rows of all processes. `counts` has the number of rows of each process in each table.
fn merge(
    parts: &[RowPart<'_>],
    counts: &[Vec<usize>],
    scale: f64,
    collected: &RowGradients,
    group: &Group,
) -> Result<Vec<Gradient>> {
    if parts.is_empty() {
        return Ok(vec![]);
    }
    let own: Vec<i32> = parts.iter().flat_map(|part| part.rows.iter().chain(&part.counts).copied()).collect();
    let sums: Vec<f32> =
        parts.iter().flat_map(|part| part.sums.iter().map(|&sum| (f64::from(sum) * scale) as f32)).collect();
    let lengths = |of: &dyn Fn(&RowPart<'_>) -> usize| -> Vec<usize> {
        counts.iter().map(|counts| counts.iter().zip(parts).map(|(count, part)| count * of(part)).sum()).collect()
    };
    let (of_rows, of_sums) = (lengths(&|_| 2), lengths(&|part| part.width));
    let all_rows = group.gather_parts(&Tensor::from_slice(&own), &of_rows)?;
    let all_sums = group.gather_parts(&Tensor::from_slice(&sums), &of_sums)?;
    let (mut rows, mut sums) = (int32s(&all_rows)?, floats(&all_sums)?);
    let merged: Vec<_> = parts.iter().map(|part| collected.of(&part.parameter.tensor)).collect();
    merged.iter().for_each(|merged| lock(merged).clear());
    for counts in counts {
        for ((part, merged), &count) in parts.iter().zip(&merged).zip(counts) {
            let (of_part, rest) = rows.split_at(2 * count);
            let (sums_of_part, rest_of_sums) = sums.split_at(part.width * count);
            (rows, sums) = (rest, rest_of_sums);
            let (own, times) = of_part.split_at(count);
            let mut merged = lock(merged);
            for ((&row, &times), sum) in own.iter().zip(times).zip(sums_of_part.chunks_exact(part.width)) {
                merged.add_times(row as u32, times as u32).iter_mut().zip(sum).for_each(|(all, x)| *all += x);
            }
        }
    }
    Ok(merged.into_iter().map(Gradient::Rows).collect())
}

/// A gradient of all numbers of a parameter, flat.
fn as_dense(parameter: &Parameter, gradient: Option<&Gradient>) -> Result<(Vec<i64>, Tensor)> {
    let shape = parameter.tensor.size();
    let zeros = || Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu));
    let whole = match gradient {
        Some(Gradient::Dense(dense)) => dense.shallow_clone(),
        Some(Gradient::Rows(rows)) => {
            let (rows, _, sums) = tensors(&lock(rows), &parameter.tensor);
            zeros()?.f_index_add(0, &rows, &sums)?
        }
        Some(Gradient::RowTensors { .. }) | None => zeros()?,
    };
    Ok((shape, whole.f_flatten(0, -1)?))
}

/// Sums dense gradients over all processes, in one message.
fn sum(gradients: Vec<(Vec<i64>, Tensor)>, scale: f64, group: &Group) -> Result<Vec<Gradient>> {
    if gradients.is_empty() {
        return Ok(vec![]);
    }
    let flat: Vec<&Tensor> = gradients.iter().map(|(_, gradient)| gradient).collect();
    let all = Tensor::f_cat(&flat, 0)? * scale;
    group.sum(&all)?;
    let mut at = 0;
    let part = |(shape, gradient): (Vec<i64>, Tensor)| {
        let len = gradient.numel() as i64;
        at += len;
        Ok(Gradient::Dense(all.f_narrow(0, at - len, len)?.f_view(shape.as_slice())?))
    };
    gradients.into_iter().map(part).collect()
}
