//! The sums over the rows of one id for its conditional distribution.

use super::gram::{Gram, TILE};
use super::table::{Table, width};

/// Σ_r s_r² g gᵀ over the rows of an id, with g = [h_1, ..., h_k, e, x]. The score of a row is linear in the id's
/// parameters, with the slope h_f = x (q_f - x v_f) in v_f and x in w. e is the label minus the score, and s² is the
/// precision of its noise.
#[derive(Debug)]
pub struct Moments {
    k: usize,
    width: usize,
    gram: Gram,
    /// `[width, width]`. Only the lower triangle is valid.
    sums: Vec<f64>,
    /// The id's vector and weight, padded.
    id: Vec<f32>,
    /// q_f - x v_f of a part.
    rest: Vec<f64>,
}

impl Moments {
    /// Buffers for vectors of length k.
    pub fn new(k: usize) -> Moments {
        let width = width(k);
        let (sums, id, rest) = (vec![0.0; width * width], vec![0.0; width], vec![0.0; k]);
        Moments { k, width, gram: Gram::new(width), sums, id, rest }
    }

    /// The vector and the weight of the id.
    pub fn id(&self) -> &[f32] {
        &self.id
    }

    /// Σ s² h_i h_j, for j ≤ i ≤ k. Index k is the slope in w.
    pub fn product(&self, i: usize, j: usize) -> f64 {
        let place = |i: usize| if i == self.k { self.k + 1 } else { i };
        self.sums[place(i) * self.width + place(j)]
    }

    /// Σ s² h_i e, for i ≤ k.
    pub fn score(&self, i: usize) -> f64 {
        let k = self.k;
        if i == k { self.sums[(k + 1) * self.width + k] } else { self.sums[k * self.width + i] }
    }

    /// Sums over rows with the records [q_1, ..., q_k, e, s].
    pub fn sum_rows(&mut self, id: &[f32], records: &Table, entries: impl Iterator<Item = (usize, f32)>) {
        let k = self.k;
        self.id[..=k].copy_from_slice(id);
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            let mut n = 0;
            for (g, (row, x)) in self.gram.vectors(TILE).zip(&mut entries) {
                let record = records.record(row);
                let (e, s) = (record[k], record[k + 1]);
                for ((g, q), v) in g.iter_mut().zip(record).zip(&self.id) {
                    *g = x * s * (q - x * v);
                }
                (g[k], g[k + 1]) = (s * e, s * x);
                n += 1;
            }
            self.gram.add(n);
        }
        self.sums.iter_mut().zip(self.gram.finish()).for_each(|(sum, part)| *sum = part);
    }

    /// Sums over the rows of parts.
    ///
    /// `parts` gives, for each entry, the record of the part, which starts with its q, and M = Σ_r s² m mᵀ over its
    /// rows, where m = [p_1, ..., p_k, e, 1] and p is the sum of q over the rows' other parts. With c = q - x v, g
    /// equals [x (p + c), e, x], and its sum follows from M.
    pub fn sum_parts<'a>(&mut self, id: &[f32], parts: impl Iterator<Item = (&'a [f32], &'a [f32], f32)>) {
        let (k, width) = (self.k, self.width);
        self.id[..=k].copy_from_slice(id);
        self.sums.fill(0.0);
        for (record, m, x) in parts {
            let x = f64::from(x);
            for ((c, q), v) in self.rest.iter_mut().zip(record).zip(&self.id) {
                *c = f64::from(*q) - x * f64::from(*v);
            }
            let (errors, ones) = (&m[k * width..][..width], &m[(k + 1) * width..][..width]);
            let (error, count) = (f64::from(ones[k]), f64::from(ones[k + 1]));
            for (i, c) in self.rest.iter().enumerate() {
                let (m, sums) = (&m[i * width..][..=i], &mut self.sums[i * width..][..=i]);
                let weighted = f64::from(ones[i]) + c * count;
                for (((sum, m), one), other) in sums.iter_mut().zip(m).zip(ones).zip(&self.rest) {
                    *sum += x * x * (f64::from(*m) + c * f64::from(*one) + other * weighted);
                }
            }
            let (above, last) = self.sums.split_at_mut((k + 1) * width);
            let pairs = above[k * width..].iter_mut().zip(last.iter_mut()).zip(errors.iter().zip(ones)).zip(&self.rest);
            for (((score, cross), (m_error, one)), c) in pairs {
                *score += x * (f64::from(*m_error) + c * error);
                *cross += x * x * (f64::from(*one) + c * count);
            }
            last[k] += x * error;
            last[k + 1] += x * x * count;
        }
    }
}
