//! The rows that a sparse gradient touches, and their gradients.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::L2Scope;
use super::clipping::sum_of_squares;
use super::rule::Penalty;
use crate::bridge::{floats, integers};
use crate::error::Result;

/// On the CPU: the rows that a sparse gradient touches, with their summed gradients. Kept between steps for its memory.
#[derive(Default)]
pub(super) struct Touched {
    /// Per row of the table: its place in `rows` plus 1, or 0.
    place: Vec<u32>,
    pub rows: Vec<u32>,
    counts: Vec<u32>,
    pub gradient: Vec<f32>,
    /// All other rows, where the penalty falls on them, too.
    pub others: Vec<Range<u32>>,
}

impl Touched {
    /// Sums the gradients of each distinct row, the penalty's included: `l2` for each row, or for each time that it was
    /// looked up.
    pub(super) fn collect(&mut self, scope: L2Scope, l2: f32, parameter: &Tensor, gradient: &Tensor) -> Result<()> {
        let width = width(parameter);
        let (ids, gradients) = (gradient.internal_indices().contiguous(), gradient.internal_values().contiguous());
        self.sum(parameter.size()[0] as usize, width, integers(&ids)?, floats(&gradients)?);
        if l2 > 0.0 {
            let weights = floats(parameter)?;
            for ((&row, &count), sum) in self.rows.iter().zip(&self.counts).zip(self.gradient.chunks_exact_mut(width)) {
                let weights = &weights[row as usize * width..][..width];
                let shrink = match scope {
                    L2Scope::Touched => l2 * count as f32,
                    L2Scope::Table => l2,
                };
                sum.iter_mut().zip(weights).for_each(|(g, w)| *g += shrink * w);
            }
        }
        if scope == L2Scope::Table {
            self.find_others();
        }
        Ok(())
    }

    fn sum(&mut self, table: usize, width: usize, ids: &[i64], gradients: &[f32]) {
        for &row in &self.rows {
            self.place[row as usize] = 0;
        }
        self.rows.clear();
        self.counts.clear();
        self.gradient.clear();
        self.place.resize(table, 0);
        for (&id, gradient) in ids.iter().zip(gradients.chunks_exact(width)) {
            if gradient.iter().all(|&g| g == 0.0) {
                continue;
            }
            let place = &mut self.place[id as usize];
            if *place == 0 {
                self.rows.push(id as u32);
                self.counts.push(1);
                self.gradient.extend_from_slice(gradient);
                *place = self.rows.len() as u32;
            } else {
                let at = *place as usize - 1;
                self.counts[at] += 1;
                let sum = &mut self.gradient[at * width..][..width];
                sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
            }
        }
    }

    /// The runs of rows between those touched.
    fn find_others(&mut self) {
        self.others.clear();
        let mut start = 0;
        while start < self.place.len() {
            let rest = &self.place[start..];
            let len = rest.iter().position(|&place| place != 0).unwrap_or(rest.len());
            if len > 0 {
                self.others.push(start as u32..(start + len) as u32);
            }
            start += len + 1;
        }
    }

    /// Σ g² over all rows, those included whose gradient is the penalty's alone.
    pub(super) fn sum_of_squares(&self, penalty: Penalty, parameter: &Tensor) -> Result<f64> {
        let mut sum = sum_of_squares(&self.gradient, |g| g);
        if penalty.l2 > 0.0 {
            let (weights, width) = (floats(parameter)?, width(parameter));
            for run in &self.others {
                let weights = &weights[run.start as usize * width..run.end as usize * width];
                sum += sum_of_squares(weights, |weight| penalty.gradient(weight));
            }
        }
        Ok(sum)
    }
}

/// The numbers of a table's row.
pub(super) fn width(table: &Tensor) -> usize {
    table.size()[1..].iter().product::<i64>() as usize
}

/// On any device: the distinct rows that a sparse gradient touches `[R]` and their summed gradients `[R, width]`, with the
/// penalty of each time that a row was looked up. None if all of the gradient is zero.
pub(super) fn gather(l2: f32, parameter: &Tensor, gradient: &Tensor) -> Option<(Tensor, Tensor)> {
    let (ids, gradients) = (gradient.internal_indices().flatten(0, -1), gradient.internal_values());
    let touching = gradients.ne(0.0).flatten(1, -1).any_dim(1, false).nonzero().flatten(0, -1);
    if touching.numel() == 0 {
        return None;
    }
    let (ids, gradients) = (ids.index_select(0, &touching), gradients.index_select(0, &touching));
    let (rows, place, counts) = ids.internal_unique2(true, true, true);
    let weights = parameter.index_select(0, &rows);
    let mut sums = weights.zeros_like();
    let _ = sums.index_add_(0, &place, &gradients);
    let counts = counts.to_kind(Kind::Float).unsqueeze(-1);
    Some((rows, sums + weights * counts * f64::from(l2)))
}

/// On any device: the dense gradient of a table, with the penalty of each of its rows.
pub(super) fn scatter(l2: f32, parameter: &Tensor, gradient: &Tensor) -> Tensor {
    let (ids, gradients) = (gradient.internal_indices().flatten(0, -1), gradient.internal_values());
    let mut dense = parameter * f64::from(l2);
    let _ = dense.index_add_(0, &ids, &gradients);
    dense
}
