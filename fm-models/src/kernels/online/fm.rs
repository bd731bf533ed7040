//! LR and FM.

use fm_core::online::LossSum;
use fm_core::rows::ActiveRow;
use fm_core::{Error, Result};
use tch::Tensor;

use super::number::Eight;
use super::rule::{Apply, Rule};
use super::table::{Shared, Table};
use super::{Formula, Job, LANES, Tables, train_rows};

/// Supported vector lengths. Shorter vectors are zero-padded.
const LENGTHS: [usize; 6] = [8, 16, 32, 64, 128, 256];

/// w₀ `[1]`, w `[n, 1]`, and V `[n, k]`. A vector of length 8 and its AdaGrad sums fill a cache line.
pub(crate) struct FmTables {
    bias: Table,
    weights: Table,
    vectors: Option<Table>,
}

impl FmTables {
    /// Tables for parameters on the CPU, with the prefix of the state of each.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for vectors longer than 256; [`Error::Torch`].
    pub fn new(
        rule: Rule,
        bias: (&str, &Tensor),
        weights: (&str, &Tensor),
        vectors: Option<(&str, &Tensor)>,
    ) -> Result<FmTables> {
        let vectors = match vectors {
            Some(vectors) => {
                let k = vectors.1.size()[1] as usize;
                let width = LENGTHS.into_iter().find(|&length| length >= k);
                let width = width.ok_or_else(|| {
                    Error::Unsupported(format!("online updates support vectors of up to 256 numbers, not {k}"))
                })?;
                Some(Table::new(vectors, 1, width, rule)?)
            }
            None => None,
        };
        Ok(FmTables { bias: Table::new(bias, 1, 1, rule)?, weights: Table::new(weights, 1, 1, rule)?, vectors })
    }

    /// The formula of vectors of N times eight numbers.
    pub(super) fn formula<const N: usize>(&mut self) -> Fm<'_, N> {
        let vectors = self.vectors.as_mut().map(Table::shared).unwrap_or_default();
        Fm { bias: self.bias.shared(), weights: self.weights.shared(), vectors }
    }
}

impl Tables for FmTables {
    fn all(&self) -> Vec<&Table> {
        [&self.bias, &self.weights].into_iter().chain(&self.vectors).collect()
    }

    fn all_mut(&mut self) -> Vec<&mut Table> {
        [&mut self.bias, &mut self.weights].into_iter().chain(&mut self.vectors).collect()
    }

    fn num_rows(&self) -> usize {
        let vectors = self.vectors.as_ref().map_or(usize::MAX, Table::num_rows);
        self.weights.num_rows().min(vectors)
    }

    fn train<R: Apply>(&mut self, job: Job<'_, R>) -> LossSum {
        match self.vectors.as_ref().map_or(0, Table::width) / LANES {
            0 => train_rows(self.formula::<0>(), job),
            1 => train_rows(self.formula::<1>(), job),
            2 => train_rows(self.formula::<2>(), job),
            4 => train_rows(self.formula::<4>(), job),
            8 => train_rows(self.formula::<8>(), job),
            16 => train_rows(self.formula::<16>(), job),
            _ => train_rows(self.formula::<32>(), job),
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s}, v_{id_t}⟩ x_s x_t, or without vectors its first-order part.
#[derive(Clone, Copy)]
pub(super) struct Fm<'a, const N: usize> {
    bias: Shared<'a>,
    weights: Shared<'a>,
    vectors: Shared<'a>,
}

impl<const N: usize> Formula for Fm<'_, N> {
    const NEEDS_ENDS: bool = false;

    /// Σ_s x_s v_{id_s}.
    type Space<V: Eight> = [V; N];

    fn space<V: Eight>(self) -> [V; N] {
        [V::splat(0.0); N]
    }

    #[inline(always)]
    fn prefetch<R: Apply>(self, row: &ActiveRow) {
        for &id in row.ids() {
            self.weights.prefetch::<R>(id, 1);
            self.vectors.prefetch::<R>(id, N * LANES);
        }
    }

    #[inline(always)]
    fn score<V: Eight, R: Apply>(self, row: &ActiveRow, space: &mut [V; N]) -> f32 {
        let (of_weight, of_vector) = (1 + R::STATES, N * LANES * (1 + R::STATES));
        let ((ids, values), mut first_order) = (row.slots(), 0.0);
        // The loop over the slots adds the weights as well, if there is one.
        if N == 0 {
            for at in 0..ids.len() {
                first_order += self.weights.get::<f32>(ids[at] as usize * of_weight) * values[at];
            }
        }
        let mut pairs = V::splat(0.0);
        for n in 0..N {
            let (mut sum, mut squares) = (V::splat(0.0), V::splat(0.0));
            for at in 0..ids.len() {
                if n == 0 {
                    first_order += self.weights.get::<f32>(ids[at] as usize * of_weight) * values[at];
                }
                let vector = self.vectors.get::<V>(ids[at] as usize * of_vector + n * LANES);
                let scaled = vector * V::splat(values[at]);
                sum = sum + scaled;
                squares = scaled.mul_add(scaled, squares);
            }
            pairs = pairs + (sum * sum - squares);
            space[n] = sum;
        }
        first_order + pairs.total() / 2.0 + self.bias.get::<f32>(0)
    }

    #[inline(always)]
    fn update<V: Eight, R: Apply>(self, row: &ActiveRow, sum: &mut [V; N], rule: R, slope: f32, l2: f32) {
        let (of_weight, of_vector) = (1 + R::STATES, N * LANES * (1 + R::STATES));
        self.bias.cell::<f32, R>(0, 1).update(rule, slope);
        let ((ids, values), penalty) = (row.slots(), V::splat(l2));
        for at in 0..ids.len() {
            let (id, x, gradient) = (ids[at] as usize, V::splat(values[at]), slope * values[at]);
            let weight = self.weights.cell::<f32, R>(id * of_weight, 1);
            let of_pairs = V::splat(gradient);
            let gradient = gradient + l2 * weight.number;
            weight.update(rule, gradient);
            for n in 0..N {
                let vector = self.vectors.cell::<V, R>(id * of_vector + n * LANES, N * LANES);
                let gradient = penalty.mul_add(vector.number, of_pairs * (sum[n] - vector.number * x));
                vector.update(rule, gradient);
            }
        }
    }
}
