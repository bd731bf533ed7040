//! Updates of the rows that a sparse gradient touches, and of no others.

use tch::{Kind, Tensor};

use super::rule::{RowUpdate, Rule, Step};
use crate::bridge::{floats, floats_mut, integers};
use crate::error::Result;

/// The rows that a sparse gradient touches, with their summed gradients. Kept between steps for its memory.
#[derive(Default)]
pub(super) struct Touched {
    /// Per row of the table: its place in `rows` plus 1, or 0. All zero between steps.
    place: Vec<u32>,
    rows: Vec<u32>,
    counts: Vec<u32>,
    gradient: Vec<f32>,
}

impl Touched {
    /// Sums the gradients of each distinct row and updates these rows, on the CPU.
    pub(super) fn update(
        &mut self,
        rule: &dyn Rule,
        step: Step,
        shrink: f32,
        parameter: &mut Tensor,
        gradient: &Tensor,
        states: &mut [Tensor],
    ) -> Result<()> {
        let width = parameter.size().get(1).map_or(1, |&width| width as usize);
        let (ids, gradients) = (gradient.internal_indices().contiguous(), gradient.internal_values().contiguous());
        self.collect(parameter.size()[0] as usize, width, integers(&ids)?, floats(&gradients)?);
        let states = states.iter_mut().map(floats_mut).collect::<Result<_>>()?;
        let parameter = floats_mut(parameter)?;
        if shrink > 0.0 {
            for ((&row, &count), sum) in self.rows.iter().zip(&self.counts).zip(self.gradient.chunks_exact_mut(width)) {
                let weights = &parameter[row as usize * width..][..width];
                let shrink = shrink * count as f32;
                sum.iter_mut().zip(weights).for_each(|(g, w)| *g += shrink * w);
            }
        }
        rule.update_rows(step, RowUpdate { rows: &self.rows, width, parameter, gradient: &self.gradient, states });
        Ok(())
    }

    fn collect(&mut self, table: usize, width: usize, ids: &[i64], gradients: &[f32]) {
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
        for &row in &self.rows {
            self.place[row as usize] = 0;
        }
    }
}

/// As [`Touched::update`], in tensor operations, for any device.
pub(super) fn update_gathered(
    rule: &dyn Rule,
    step: Step,
    shrink: f32,
    parameter: &mut Tensor,
    gradient: &Tensor,
    states: &mut [Tensor],
) {
    let (ids, gradients) = (gradient.internal_indices().flatten(0, -1), gradient.internal_values());
    let touching = gradients.ne(0.0).flatten(1, -1).any_dim(1, false).nonzero().flatten(0, -1);
    if touching.numel() == 0 {
        return;
    }
    let (ids, gradients) = (ids.index_select(0, &touching), gradients.index_select(0, &touching));
    let (rows, place, counts) = ids.internal_unique2(true, true, true);
    let mut weights = parameter.index_select(0, &rows);
    let mut sums = weights.zeros_like();
    let _ = sums.index_add_(0, &place, &gradients);
    let counts = counts.to_kind(Kind::Float).unsqueeze(-1);
    let sums = sums + &weights * counts * f64::from(shrink);
    let mut gathered: Vec<Tensor> = states.iter().map(|state| state.index_select(0, &rows)).collect();
    rule.update_tensor(step, &mut weights, &sums, &mut gathered);
    let _ = parameter.index_copy_(0, &rows, &weights);
    for (state, gathered) in states.iter_mut().zip(&gathered) {
        let _ = state.index_copy_(0, &rows, gathered);
    }
}
