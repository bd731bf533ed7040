//! Contributions of ids to the scores of rows, or of parts of rows.

use super::columns::Columns;
use super::lanes::LANES;

/// The record [q_1, ..., q_k, l, 0, ...] of each row or part: q_f = Σ_i v_{i,f} x_i and l = Σ_i (w_i x_i - ½ ‖v_i
/// x_i‖²) over its ids. The record of a row is the sum of those of its parts, and its score is w₀ + l + ½ ‖q‖².
#[derive(Debug)]
pub struct Table {
    k: usize,
    width: usize,
    numbers: Vec<f32>,
}

impl Table {
    /// Zeros for `n` rows or parts, with vectors of length k.
    pub fn new(n: usize, k: usize) -> Table {
        let width = width(k);
        Table { k, width, numbers: vec![0.0; n * width] }
    }

    /// Resets all records to zero.
    pub fn clear(&mut self) {
        self.numbers.fill(0.0);
    }

    /// The record of a row or part.
    pub fn record(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.width..(row + 1) * self.width]
    }

    /// The record of a row or part.
    pub fn record_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.numbers[row * self.width..(row + 1) * self.width]
    }

    /// Adds an id with the vector and weight `id` `[k + 1]`.
    pub fn add(&mut self, columns: &Columns, id: usize, numbers: &[f32]) {
        let (vector, weight) = (&numbers[..self.k], numbers[self.k]);
        let half_square = vector.iter().map(|v| v * v).sum::<f32>() / 2.0;
        for (row, x) in columns.entries(id) {
            let record = self.record_mut(row);
            record.iter_mut().zip(vector).for_each(|(q, v)| *q += x * v);
            record[vector.len()] += x * (weight - x * half_square);
        }
    }
}

/// The length of a record.
pub fn width(k: usize) -> usize {
    (k + 2).next_multiple_of(LANES)
}
