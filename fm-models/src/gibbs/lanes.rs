//! Vectorised operations on short slices, whose lengths are multiples of [`LANES`]. The compiler does not reorder sums
//! of floats by itself.

/// The number of elements per step.
pub const LANES: usize = 8;

/// to ← from
pub fn copy(to: &mut [f32], from: &[f32]) {
    to.as_chunks_mut::<LANES>().0.iter_mut().zip(from.as_chunks::<LANES>().0).for_each(|(to, from)| *to = *from);
}

/// to ← to + from
pub fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(from.as_chunks::<LANES>().0) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}

/// ‖a + b‖²
pub fn square_of_sum(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a + b) * (a + b);
        }
    }
    sums.iter().sum()
}
