//! The interface of an update rule, and the loops that all rules share.

use std::ops::Range;

use tch::Tensor;

/// The numbers of a step that every rule needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The learning rate.
    pub lr: f64,
    /// The number of the step, counted from 1.
    pub number: u64,
}

/// Rows of a parameter on the CPU, `width` wide, with the source of their gradients. A dense parameter is one wide row.
pub(super) struct RowUpdate<'a> {
    pub source: Source<'a>,
    pub width: usize,
    pub parameter: &'a mut [f32],
    pub states: Vec<&'a mut [f32]>,
}

/// The rows to update, and the source of their gradients.
pub(super) enum Source<'a> {
    /// Row `rows[i]` has the gradient `gradients[i * width..]`.
    Gradients { rows: &'a [u32], gradients: &'a [f32] },
    /// Runs of rows whose gradient is only that of the penalty.
    Penalty { runs: &'a [Range<u32>], penalty: Penalty },
}

/// The gradient of the L2 penalty, clipped and scaled like all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Penalty {
    pub l2: f32,
    /// Maximum magnitude of each number; infinite for no limit.
    pub limit: f32,
    pub scale: f32,
}

impl Penalty {
    /// The gradient of a weight's penalty.
    pub fn gradient(&self, weight: f32) -> f32 {
        (self.l2 * weight).clamp(-self.limit, self.limit) * self.scale
    }
}

impl RowUpdate<'_> {
    /// Calls `update(w, g, [s...])` for each element of each row.
    pub fn for_each<const N: usize>(self, mut update: impl FnMut(&mut f32, f32, &mut [f32; N])) {
        let RowUpdate { source, width, parameter, states } = self;
        let mut states: [&mut [f32]; N] = states.try_into().unwrap_or_else(|_| unreachable!("a rule's own states"));
        match source {
            Source::Gradients { rows, gradients } => {
                for (&row, gradient) in rows.iter().zip(gradients.chunks_exact(width)) {
                    let at = row as usize * width..(row as usize + 1) * width;
                    update_range(parameter, &mut states, at, |i, _| gradient[i], &mut update);
                }
            }
            Source::Penalty { runs, penalty } => {
                for run in runs {
                    let at = run.start as usize * width..run.end as usize * width;
                    update_range(parameter, &mut states, at, |_, weight| penalty.gradient(weight), &mut update);
                }
            }
        }
    }
}

/// Updates the elements in `at`. `gradient(i, w)` gives the gradient of the i-th of them, which is w.
// Loops over N and no closures over arrays: the compiler does not inline those, which takes longer than the update.
#[inline]
fn update_range<const N: usize>(
    parameter: &mut [f32],
    states: &mut [&mut [f32]; N],
    at: Range<usize>,
    gradient: impl Fn(usize, f32) -> f32,
    update: &mut impl FnMut(&mut f32, f32, &mut [f32; N]),
) {
    for (i, weight) in parameter[at.clone()].iter_mut().enumerate() {
        let mut state = [0.0; N];
        for n in 0..N {
            state[n] = states[n][at.start + i];
        }
        update(weight, gradient(i, *weight), &mut state);
        for n in 0..N {
            states[n][at.start + i] = state[n];
        }
    }
}

/// An update rule. It is written twice: fused over slices for the CPU, and in tensor operations for other devices. A
/// test ensures that both agree.
pub(super) trait Rule {
    /// The names and initial values of the states of each element.
    fn states(&self) -> Vec<(&'static str, f32)>;

    /// Updates rows on the CPU.
    fn update_rows(&self, step: Step, update: RowUpdate<'_>);

    /// Updates a whole tensor in place from its gradient.
    fn update_tensor(&self, step: Step, parameter: &mut Tensor, gradient: &Tensor, states: &mut [Tensor]);
}
