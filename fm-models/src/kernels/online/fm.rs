//! LR and FM.

use fm_core::online::LossSum;
use fm_core::rows::ActiveRow;
use fm_core::{Error, Result};
use tch::Tensor;

use super::rule::{Apply, Rule};
use super::table::{Shared, Table};
use super::{Formula, Job, Tables, total, train_rows};

/// The lengths of vectors that there is code for. Other vectors are filled up with zeros to the next one.
const LENGTHS: [usize; 8] = [0, 4, 8, 16, 32, 64, 128, 256];

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
                Some(Table::new(vectors, width, rule)?)
            }
            None => None,
        };
        Ok(FmTables { bias: Table::new(bias, 1, rule)?, weights: Table::new(weights, 1, rule)?, vectors })
    }

    fn train_with<const K: usize, R: Apply>(&mut self, job: Job<'_, R>) -> LossSum {
        train_rows(self.formula::<K>(), job)
    }

    pub(super) fn formula<const K: usize>(&mut self) -> Fm<'_, K> {
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
        match self.vectors.as_ref().map_or(0, Table::width) {
            0 => self.train_with::<0, R>(job),
            4 => self.train_with::<4, R>(job),
            8 => self.train_with::<8, R>(job),
            16 => self.train_with::<16, R>(job),
            32 => self.train_with::<32, R>(job),
            64 => self.train_with::<64, R>(job),
            128 => self.train_with::<128, R>(job),
            _ => self.train_with::<256, R>(job),
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s}, v_{id_t}⟩ x_s x_t, or without vectors its first-order part.
#[derive(Clone, Copy)]
pub(super) struct Fm<'a, const K: usize> {
    bias: Shared<'a>,
    weights: Shared<'a>,
    vectors: Shared<'a>,
}

impl<const K: usize> Formula for Fm<'_, K> {
    /// Σ_s x_s v_{id_s}.
    type Space = [f32; K];

    fn space(self) -> [f32; K] {
        [0.0; K]
    }

    #[inline(always)]
    fn prefetch<R: Apply>(self, row: &ActiveRow) {
        for &id in row.ids() {
            self.weights.prefetch::<R>(id, 1);
            self.vectors.prefetch::<R>(id, K);
        }
    }

    #[inline(always)]
    fn score<R: Apply>(self, row: &ActiveRow, space: &mut [f32; K]) -> f32 {
        let (of_weight, of_vector) = (1 + R::STATES, K * (1 + R::STATES));
        let (mut first_order, mut sum, mut squares) = (0.0, [0f32; K], [0f32; K]);
        for (&id, &x) in row.ids().iter().zip(row.values()) {
            let [weight] = self.weights.get(id as usize * of_weight);
            let vector: [f32; K] = self.vectors.get(id as usize * of_vector);
            first_order += weight * x;
            for k in 0..K {
                let scaled = vector[k] * x;
                sum[k] += scaled;
                squares[k] += scaled * scaled;
            }
        }
        *space = sum;
        for k in 0..K {
            squares[k] = sum[k] * sum[k] - squares[k];
        }
        let [bias] = self.bias.get(0);
        bias + first_order + total(squares) / 2.0
    }

    #[inline(always)]
    fn update<R: Apply>(self, row: &ActiveRow, sum: &mut [f32; K], rule: R, slope: f32, l2: f32) {
        let (of_weight, of_vector) = (1 + R::STATES, K * (1 + R::STATES));
        self.bias.update::<1, R>(rule, 0, 1, |_| [slope]);
        for (&id, &x) in row.ids().iter().zip(row.values()) {
            let gradient = slope * x;
            self.weights.update::<1, R>(rule, id as usize * of_weight, 1, |&[w]| [gradient + l2 * w]);
            self.vectors.update::<K, R>(rule, id as usize * of_vector, K, |vector| {
                let mut gradients = [0.0; K];
                for k in 0..K {
                    gradients[k] = gradient * (sum[k] - vector[k] * x) + l2 * vector[k];
                }
                gradients
            });
        }
    }
}
