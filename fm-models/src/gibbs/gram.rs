//! The sum of g gᵀ over many small vectors g, which takes most of the time of a sweep.

use super::lanes::LANES;

/// Number of rows of sums to keep in registers.
const ROWS: usize = 4;
/// Number of vectors to sum in float32 before adding the sum in float64.
pub const TILE: usize = 64;

/// Σ g gᵀ.
#[derive(Debug)]
pub struct Gram {
    width: usize,
    /// `TILE` vectors.
    tile: Vec<f32>,
    sums: Vec<f64>,
}

impl Gram {
    /// Buffers for vectors whose length is a multiple of [`LANES`].
    pub fn new(width: usize) -> Gram {
        Gram { width, tile: vec![0.0; TILE * width], sums: vec![0.0; width * width] }
    }

    /// The buffer for the next vectors, at most [`TILE`]. All of them must be written.
    pub fn vectors(&mut self, n: usize) -> impl Iterator<Item = &mut [f32]> {
        self.tile.chunks_exact_mut(self.width).take(n)
    }

    /// The sums `[width, width]` since the last call. Only the lower triangle is valid.
    pub fn finish(&mut self) -> impl Iterator<Item = f64> + '_ {
        self.sums.iter_mut().map(std::mem::take)
    }

    /// Adds the first n vectors of the buffer.
    pub fn add(&mut self, n: usize) {
        let Gram { width, tile, sums } = self;
        let width = *width;
        for i in (0..width).step_by(ROWS) {
            for j in (0..i + ROWS).step_by(LANES) {
                let mut block = [[0f32; LANES]; ROWS];
                for g in tile.chunks_exact(width).take(n) {
                    let (Some(a), Some(b)) = (g[i..].first_chunk::<ROWS>(), g[j..].first_chunk::<LANES>()) else {
                        continue;
                    };
                    for (sums, a) in block.iter_mut().zip(a) {
                        sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
                    }
                }
                for (sums, block) in sums[i * width..].chunks_exact_mut(width).zip(block) {
                    sums[j..].iter_mut().zip(block).for_each(|(sum, part)| *sum += f64::from(part));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::LANES;
    use super::*;
    use crate::oracle::Draw;

    #[test]
    fn it_equals_the_double_loop_for_any_number_of_vectors() {
        for (n, width) in [(1, LANES), (TILE, 2 * LANES), (TILE + 1, 3 * LANES), (3 * TILE + 5, LANES)] {
            let vectors = Draw(n as u64).matrix(n, width);
            let mut gram = Gram::new(width);
            for _ in 0..2 {
                for tile in vectors.chunks(TILE) {
                    for (to, vector) in gram.vectors(tile.len()).zip(tile) {
                        to.iter_mut().zip(vector).for_each(|(to, number)| *to = *number as f32);
                    }
                    gram.add(tile.len());
                }
                let found: Vec<f64> = gram.finish().collect();
                for i in 0..width {
                    for j in 0..=i {
                        let expected: f64 = vectors.iter().map(|vector| vector[i] * vector[j]).sum();
                        assert!((found[i * width + j] - expected).abs() < 1e-4, "{n} vectors: {i}, {j}");
                    }
                }
            }
        }
    }
}
