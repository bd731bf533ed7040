//! FFM.

use fm_core::Result;
use fm_core::online::LossSum;
use fm_core::rows::ActiveRow;
use tch::Tensor;

use super::rule::{Apply, Rule};
use super::table::{Shared, Table};
use super::{Formula, Job, Tables, total, train_rows};

/// Number of numbers that are computed at once.
const LANES: usize = 8;

/// w₀ `[1]`, w `[n, 1]`, and the vectors of each id for partners of each field, `[n, F·k]`.
pub(crate) struct FfmTables {
    bias: Table,
    weights: Table,
    vectors: Table,
    k: usize,
    /// `[F]`: whether a row can have several slots of the field.
    has_several: Vec<bool>,
}

impl FfmTables {
    /// Tables for parameters on the CPU, with the prefix of the state of each. `k` is the length of a vector.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`].
    pub fn new(
        rule: Rule,
        bias: (&str, &Tensor),
        weights: (&str, &Tensor),
        vectors: (&str, &Tensor),
        has_several: &[bool],
    ) -> Result<FfmTables> {
        let width = vectors.1.size()[1] as usize;
        let k = width / has_several.len().max(1);
        Ok(FfmTables {
            bias: Table::new(bias, 1, rule)?,
            weights: Table::new(weights, 1, rule)?,
            vectors: Table::new(vectors, width.next_multiple_of(LANES), rule)?,
            k,
            has_several: has_several.to_vec(),
        })
    }

    /// Trains with the code for K, or with that for any k if K is 0.
    fn train_with<const K: usize, R: Apply>(&mut self, job: Job<'_, R>) -> LossSum {
        train_rows(self.formula::<K>(), job)
    }

    pub(super) fn formula<const K: usize>(&mut self) -> Ffm<'_, K> {
        let width = self.vectors.width();
        let FfmTables { bias, weights, vectors, k, has_several } = self;
        let (bias, weights, vectors) = (bias.shared(), weights.shared(), vectors.shared());
        Ffm { bias, weights, vectors, width, k: *k, has_several }
    }
}

impl Tables for FfmTables {
    fn all(&self) -> Vec<&Table> {
        vec![&self.bias, &self.weights, &self.vectors]
    }

    fn all_mut(&mut self) -> Vec<&mut Table> {
        vec![&mut self.bias, &mut self.weights, &mut self.vectors]
    }

    fn num_rows(&self) -> usize {
        self.weights.num_rows().min(self.vectors.num_rows())
    }

    fn train<R: Apply>(&mut self, job: Job<'_, R>) -> LossSum {
        match self.k {
            4 => self.train_with::<4, R>(job),
            8 => self.train_with::<8, R>(job),
            16 => self.train_with::<16, R>(job),
            _ => self.train_with::<0, R>(job),
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s, f_t}, v_{id_t, f_s}⟩ x_s x_t.
///
/// With P_{f,g} = Σ_{s∈f} x_s v_{id_s,g}, the sum over pairs is ½ (Σ_{f≠g} ⟨P_{f,g}, P_{g,f}⟩ + Σ_f [‖P_{f,f}‖² -
/// Σ_{s∈f} ‖x_s v_{id_s,f}‖²]), and the gradient of v_{id_s,g} is x_s P_{g,f}: the vectors of a row of the table change
/// by the partners' sums for its field, one after another in memory.
#[derive(Clone, Copy)]
pub(super) struct Ffm<'a, const K: usize> {
    bias: Shared<'a>,
    weights: Shared<'a>,
    vectors: Shared<'a>,
    /// Length of the vectors of an id, with zeros at its end.
    width: usize,
    /// Length of a vector, if K is 0.
    k: usize,
    has_several: &'a [bool],
}

/// Intermediate results of a row.
pub(super) struct Space {
    /// `[F]`: the end of the slots of each field.
    ends: Vec<usize>,
    /// `[F, width]`: P_{f,·} of each field f.
    sums: Vec<f32>,
    /// `[F, width]`: P_{·,f} of each field f.
    partners: Vec<f32>,
    /// `[width]`: the partners of a slot, without itself.
    others: Vec<f32>,
}

impl<const K: usize> Formula for Ffm<'_, K> {
    type Space = Space;

    fn space(self) -> Space {
        let fields = self.has_several.len();
        let square = vec![0.0; fields * self.width];
        Space { ends: vec![0; fields], sums: square.clone(), partners: square, others: vec![0.0; self.width] }
    }

    #[inline(always)]
    fn prefetch<R: Apply>(self, row: &ActiveRow) {
        for &id in row.ids() {
            self.weights.prefetch::<R>(id, 1);
            self.vectors.prefetch::<R>(id, self.width);
        }
    }

    #[inline(always)]
    fn score<R: Apply>(self, row: &ActiveRow, space: &mut Space) -> f32 {
        let of_weight = 1 + R::STATES;
        let mut first_order = 0.0;
        for (&id, &x) in row.ids().iter().zip(row.values()) {
            first_order += self.weights.get::<1>(id as usize * of_weight)[0] * x;
        }
        let [bias] = self.bias.get(0);
        bias + first_order + self.pairs::<R>(row, space)
    }

    #[inline(always)]
    fn update<R: Apply>(self, row: &ActiveRow, space: &mut Space, rule: R, slope: f32, l2: f32) {
        let (width, k) = (self.width, self.k());
        let (of_weight, of_vector) = (1 + R::STATES, width * (1 + R::STATES));
        self.bias.update::<1, R>(rule, 0, 1, |_| [slope]);
        let mut start = 0;
        for (field, &has_several) in self.has_several.iter().enumerate() {
            let (partners, end) = (&space.partners[field * width..][..width], space.ends[field]);
            for (&id, &x) in row.ids()[start..end].iter().zip(&row.values()[start..end]) {
                let (id, gradient) = (id as usize, slope * x);
                self.weights.update::<1, R>(rule, id * of_weight, 1, |&[w]| [gradient + l2 * w]);
                let mut partners = partners;
                if has_several {
                    space.others.copy_from_slice(partners);
                    self.subtract::<R>(id, field, x, &mut space.others[field * k..][..k]);
                    partners = &space.others;
                }
                for (at, partners) in partners.as_chunks::<LANES>().0.iter().enumerate() {
                    self.vectors.update::<LANES, R>(rule, id * of_vector + at * LANES, width, |vectors| {
                        let mut gradients = [0.0; LANES];
                        for lane in 0..LANES {
                            gradients[lane] = gradient * partners[lane] + l2 * vectors[lane];
                        }
                        gradients
                    });
                }
            }
            start = end;
        }
    }
}

impl<const K: usize> Ffm<'_, K> {
    #[inline(always)]
    fn k(self) -> usize {
        if K == 0 { self.k } else { K }
    }

    /// Subtracts x v_{id,f} for the field f of the id. Returns ‖x v_{id,f}‖².
    #[inline(always)]
    fn subtract<R: Apply>(self, id: usize, field: usize, x: f32, from: &mut [f32]) -> f32 {
        let start = id * self.width * (1 + R::STATES) + field * self.k();
        let mut squares = 0.0;
        for (at, number) in from.iter_mut().enumerate() {
            let scaled = x * self.vectors.get::<1>(start + at)[0];
            *number -= scaled;
            squares += scaled * scaled;
        }
        squares
    }

    /// The sum over pairs. Fills the space.
    #[inline(always)]
    fn pairs<R: Apply>(self, row: &ActiveRow, space: &mut Space) -> f32 {
        let (width, k) = (self.width, self.k());
        let of_vector = width * (1 + R::STATES);
        let (mut squares, mut start) = (0.0, 0);
        for (field, &has_several) in self.has_several.iter().enumerate() {
            let sums = &mut space.sums[field * width..][..width];
            let len = row.fields()[start..].iter().take_while(|&&of_slot| of_slot as usize == field).count();
            let end = start + len;
            space.ends[field] = end;
            if len != 1 {
                sums.fill(0.0);
            }
            for (&id, &x) in row.ids()[start..end].iter().zip(&row.values()[start..end]) {
                let id = id as usize;
                for (at, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                    let vectors: [f32; LANES] = self.vectors.get(id * of_vector + at * LANES);
                    for lane in 0..LANES {
                        let before = if len == 1 { 0.0 } else { sums[lane] };
                        sums[lane] = before + vectors[lane] * x;
                    }
                }
                if has_several {
                    squares += self.subtract::<R>(id, field, x, &mut space.others[..k]);
                }
            }
            start = end;
        }
        let mut products = [0f32; LANES];
        for (field, &has_several) in self.has_several.iter().enumerate() {
            let partners = &mut space.partners[field * width..][..width];
            for other in 0..self.has_several.len() {
                let of_other = &space.sums[other * width + field * k..];
                match K {
                    0 => partners[other * k..][..k].copy_from_slice(&of_other[..k]),
                    _ => copy::<K>(of_other, &mut partners[other * k..]),
                }
            }
            if !has_several {
                partners[field * k..][..k].fill(0.0);
            }
            let sums = &space.sums[field * width..][..width];
            let mut lanes = [0f32; LANES];
            for (sums, partners) in sums.as_chunks::<LANES>().0.iter().zip(partners.as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    lanes[lane] += sums[lane] * partners[lane];
                }
            }
            for lane in 0..LANES {
                products[lane] += lanes[lane];
            }
        }
        (total(products) - squares) / 2.0
    }
}

/// Copies K numbers, without the call that a length known only at run time needs.
#[inline(always)]
fn copy<const K: usize>(from: &[f32], to: &mut [f32]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<K>(), to.first_chunk_mut::<K>()) {
        *to = *from;
    }
}
