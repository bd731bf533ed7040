//! What an update rule is, and the loops that all share.

use std::ops::Range;

use tch::Tensor;

/// The numbers of one step that every rule reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The learning rate.
    pub lr: f64,
    /// The step, from 1.
    pub number: u64,
}

/// Rows of a parameter on the CPU, `width` wide, and what their gradients are. A dense parameter is one wide row.
pub(super) struct RowUpdate<'a> {
    pub rows: Rows<'a>,
    pub width: usize,
    pub parameter: &'a mut [f32],
    pub states: Vec<&'a mut [f32]>,
}

/// Which rows, and where their gradients come from.
pub(super) enum Rows<'a> {
    /// Row `rows[i]` has the gradient `gradient[i * width..]`.
    Given { rows: &'a [u32], gradient: &'a [f32] },
    /// Runs of rows whose gradient is the penalty's alone.
    Penalised { runs: &'a [Range<u32>], penalty: Penalty },
}

/// The gradient of the L2 penalty, brought into a range and scaled as the others are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Penalty {
    pub l2: f32,
    /// What a number of a gradient is at most; infinite for no limit.
    pub limit: f32,
    pub scale: f32,
}

impl Penalty {
    /// Of a weight.
    pub fn gradient(&self, weight: f32) -> f32 {
        (self.l2 * weight).clamp(-self.limit, self.limit) * self.scale
    }
}

impl RowUpdate<'_> {
    /// Calls `update(w, g, [s...])` for each element of each row.
    pub fn for_each<const N: usize>(self, mut update: impl FnMut(&mut f32, f32, [&mut f32; N])) {
        let RowUpdate { rows, width, parameter, states } = self;
        let mut states: [&mut [f32]; N] = states.try_into().unwrap_or_else(|_| unreachable!("a rule's own states"));
        match rows {
            Rows::Given { rows, gradient } => {
                for (&row, gradient) in rows.iter().zip(gradient.chunks_exact(width)) {
                    let at = row as usize * width..(row as usize + 1) * width;
                    let parameter = &mut parameter[at.clone()];
                    let mut states = states.each_mut().map(|state| &mut state[at.clone()]);
                    for i in 0..width {
                        update(&mut parameter[i], gradient[i], states.each_mut().map(|state| &mut state[i]));
                    }
                }
            }
            Rows::Penalised { runs, penalty } => {
                for run in runs {
                    let at = run.start as usize * width..run.end as usize * width;
                    let parameter = &mut parameter[at.clone()];
                    let mut states = states.each_mut().map(|state| &mut state[at.clone()]);
                    for i in 0..parameter.len() {
                        let gradient = penalty.gradient(parameter[i]);
                        update(&mut parameter[i], gradient, states.each_mut().map(|state| &mut state[i]));
                    }
                }
            }
        }
    }
}

/// An update rule. It is written twice: fused over slices for the CPU, and in tensor operations for other devices. A
/// test holds the two together.
pub(super) trait Rule {
    /// The names and first values of the state kept for each element.
    fn states(&self) -> &'static [(&'static str, f32)];

    /// Updates rows on the CPU.
    fn update_rows(&self, step: Step, update: RowUpdate<'_>);

    /// Updates a whole tensor in place from its gradient.
    fn update_tensor(&self, step: Step, parameter: &mut Tensor, gradient: &Tensor, states: &mut [Tensor]);
}
