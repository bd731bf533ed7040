//! What an update rule is, and the loops that all share.

use tch::Tensor;

/// The numbers of one step that every rule reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The learning rate.
    pub lr: f64,
    /// The step, from 1.
    pub number: u64,
}

/// Rows of a parameter on the CPU, with their gradients: row `rows[i]` of `parameter`, `width` wide, has the gradient
/// `gradient[i * width..]`. A dense parameter is one wide row.
pub(super) struct RowUpdate<'a> {
    pub rows: &'a [u32],
    pub width: usize,
    pub parameter: &'a mut [f32],
    pub gradient: &'a [f32],
    pub states: Vec<&'a mut [f32]>,
}

impl RowUpdate<'_> {
    /// Calls `update(w, g, [s...])` for each element of each row.
    pub fn for_each<const N: usize>(self, mut update: impl FnMut(&mut f32, f32, [&mut f32; N])) {
        let RowUpdate { rows, width, parameter, gradient, states } = self;
        let mut states: [&mut [f32]; N] = states.try_into().unwrap_or_else(|_| unreachable!("a rule's own states"));
        for (&row, gradient) in rows.iter().zip(gradient.chunks_exact(width)) {
            let at = row as usize * width..(row as usize + 1) * width;
            let parameter = &mut parameter[at.clone()];
            let mut states = states.each_mut().map(|state| &mut state[at.clone()]);
            for i in 0..width {
                update(&mut parameter[i], gradient[i], states.each_mut().map(|state| &mut state[i]));
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
