//! FFM.

use fm_core::Result;
use fm_core::online::LossSum;
use fm_core::rows::ActiveRow;
use tch::Tensor;

use super::number::Eight;
use super::rule::{Apply, Rule};
use super::table::{Shared, Table};
use super::{Formula, Job, LANES, Tables, train_rows};

/// Half of [`LANES`]: two vectors of this length are computed at once.
const HALF: usize = LANES / 2;

/// w₀ `[1]`, w `[n, 1]`, and the vectors of each id for partners of each field, `[n, F·k]`.
pub(crate) struct FfmTables {
    bias: Table,
    weights: Table,
    vectors: Table,
    /// Length of a zero-padded vector: [`HALF`] or a multiple of [`LANES`].
    k: usize,
    /// `[F]`: whether a row can have any number of slots of the field, and not exactly one.
    is_list: Vec<bool>,
}

impl FfmTables {
    /// Tables for parameters on the CPU, with the prefix of the state of each.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`].
    pub fn new(
        rule: Rule,
        bias: (&str, &Tensor),
        weights: (&str, &Tensor),
        vectors: (&str, &Tensor),
        is_list: &[bool],
    ) -> Result<FfmTables> {
        let fields = is_list.len();
        let k = vectors.1.size()[1] as usize / fields.max(1);
        let k = if k <= HALF { HALF } else { k.next_multiple_of(LANES) };
        Ok(FfmTables {
            bias: Table::new(bias, 1, 1, rule)?,
            weights: Table::new(weights, 1, 1, rule)?,
            vectors: Table::new(vectors, fields, k, rule)?,
            k,
            is_list: is_list.to_vec(),
        })
    }

    /// The formula of vectors of K numbers, or of any multiple of [`LANES`] if K is 0.
    pub(super) fn formula<const K: usize>(&mut self) -> Ffm<'_, K> {
        let width = self.vectors.width();
        let FfmTables { bias, weights, vectors, k, is_list } = self;
        let (bias, weights, vectors) = (bias.shared(), weights.shared(), vectors.shared());
        Ffm { bias, weights, vectors, width, k: *k, is_list }
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
            HALF => train_rows(self.formula::<HALF>(), job),
            8 => train_rows(self.formula::<8>(), job),
            16 => train_rows(self.formula::<16>(), job),
            _ => train_rows(self.formula::<0>(), job),
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s, f_t}, v_{id_t, f_s}⟩ x_s x_t.
///
/// With P_{f,g} = Σ_{s∈f} x_s v_{id_s,g}, the sum over pairs is ½ (Σ_{f≠g} ⟨P_{f,g}, P_{g,f}⟩ + Σ_f [‖P_{f,f}‖² -
/// Σ_{s∈f} ‖x_s v_{id_s,f}‖²]), and the gradient of v_{id_s,g} is x_s P_{g,f}, or x_s (P_{f,f} - x_s v_{id_s,f}) for
/// g = f: the vectors of a row of the table change by the partners' sums for its field, one after another in memory.
#[derive(Clone, Copy)]
pub(super) struct Ffm<'a, const K: usize> {
    bias: Shared<'a>,
    weights: Shared<'a>,
    vectors: Shared<'a>,
    /// Length of the zero-padded vectors of an id.
    width: usize,
    /// Length of a vector, if K is 0.
    k: usize,
    is_list: &'a [bool],
}

/// Intermediate results of a row. F is rounded up to a multiple of two, and the additional field has no slots.
pub(super) struct Space<V> {
    /// `[F, width]`: P_{f,·} of each field f.
    sums: Vec<V>,
    /// `[F, width]`: P_{·,f} of each field f, but 0 for P_{f,f} of a field that is no list.
    partners: Vec<V>,
    /// `[F, width]`: 1 at P_{f,f}, and 0 elsewhere.
    own: Vec<V>,
}

impl<const K: usize> Formula for Ffm<'_, K> {
    const NEEDS_ENDS: bool = true;

    type Space<V: Eight> = Space<V>;

    fn space<V: Eight>(self) -> Space<V> {
        let fields = self.is_list.len().next_multiple_of(2);
        let zeros = vec![V::splat(0.0); fields * self.chunks()];
        let own = (0..fields).flat_map(|field| (0..self.chunks()).map(move |chunk| (field, chunk)));
        let own = own.map(|(field, chunk)| {
            V::from(std::array::from_fn(|lane| if (chunk * LANES + lane) / self.k() == field { 1.0 } else { 0.0 }))
        });
        let own = own.collect();
        Space { sums: zeros.clone(), partners: zeros, own }
    }

    #[inline(always)]
    fn prefetch<R: Apply>(self, row: &ActiveRow) {
        for &id in row.ids() {
            self.weights.prefetch::<R>(id, 1);
            self.vectors.prefetch::<R>(id, self.width);
        }
    }

    #[inline(always)]
    fn score<V: Eight, R: Apply>(self, row: &ActiveRow, space: &mut Space<V>) -> f32 {
        let of_weight = 1 + R::STATES;
        let mut first_order = 0.0;
        let (ids, values) = row.slots();
        for at in 0..ids.len() {
            first_order += self.weights.get::<f32>(ids[at] as usize * of_weight) * values[at];
        }
        let squares = self.add_up::<V, R>(row, space);
        self.transpose(space);
        let products = self.multiply(space);
        first_order + (products - squares).total() / 2.0 + self.bias.get::<f32>(0)
    }

    #[inline(always)]
    fn update<V: Eight, R: Apply>(self, row: &ActiveRow, space: &mut Space<V>, rule: R, slope: f32, l2: f32) {
        let (chunks, of_weight, of_vector) = (self.chunks(), 1 + R::STATES, self.width * (1 + R::STATES));
        self.bias.cell::<f32, R>(0, 1).update(rule, slope);
        let ((ids, values), penalty) = (row.slots(), V::splat(l2));
        let mut start = 0;
        for (field, &is_list) in self.is_list.iter().enumerate() {
            let partners = &space.partners[field * chunks..][..chunks];
            let own = &space.own[field * chunks..][..chunks];
            let end = row.ends()[field];
            for at in start..end {
                let (id, x) = (ids[at] as usize, values[at]);
                let gradient = slope * x;
                let weight = self.weights.cell::<f32, R>(id * of_weight, 1);
                let of_pairs = V::splat(gradient);
                let gradient = gradient + l2 * weight.number;
                weight.update(rule, gradient);
                for chunk in 0..chunks {
                    let vectors = self.vectors.cell::<V, R>(id * of_vector + chunk * LANES, self.width);
                    let mut partners = partners[chunk];
                    if is_list {
                        partners = partners - vectors.number * V::splat(x) * own[chunk];
                    }
                    let gradient = penalty.mul_add(vectors.number, of_pairs * partners);
                    vectors.update(rule, gradient);
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

    /// How many times [`LANES`] numbers the vectors of an id have.
    #[inline(always)]
    fn chunks(self) -> usize {
        self.width / LANES
    }

    /// Fills P. Returns Σ_f Σ_{s∈f} ‖x_s v_{id_s,f}‖² over the lists.
    #[inline(always)]
    fn add_up<V: Eight, R: Apply>(self, row: &ActiveRow, space: &mut Space<V>) -> V {
        let (chunks, of_vector) = (self.chunks(), self.width * (1 + R::STATES));
        let ((ids, values), mut squares, mut start) = (row.slots(), V::splat(0.0), 0);
        for (field, &is_list) in self.is_list.iter().enumerate() {
            let sums = &mut space.sums[field * chunks..][..chunks];
            let end = row.ends()[field];
            if !is_list {
                let (id, x) = (ids[start] as usize, V::splat(values[start]));
                for chunk in 0..chunks {
                    sums[chunk] = self.vectors.get::<V>(id * of_vector + chunk * LANES) * x;
                }
            } else {
                let own = &space.own[field * chunks..][..chunks];
                sums.fill(V::splat(0.0));
                for at in start..end {
                    let (id, x) = (ids[at] as usize, V::splat(values[at]));
                    for chunk in 0..chunks {
                        let scaled = self.vectors.get::<V>(id * of_vector + chunk * LANES) * x;
                        sums[chunk] = sums[chunk] + scaled;
                        let of_own = scaled * own[chunk];
                        squares = of_own.mul_add(of_own, squares);
                    }
                }
            }
            start = end;
        }
        squares
    }

    /// Fills the partners.
    #[inline(always)]
    fn transpose<V: Eight>(self, space: &mut Space<V>) {
        let (chunks, Space { sums, partners, own }) = (self.chunks(), space);
        if K == HALF {
            // Two fields and two partners at once.
            for field in 0..chunks {
                let (even, odd) = partners[2 * field * chunks..][..2 * chunks].split_at_mut(chunks);
                for chunk in 0..chunks {
                    let (first, second) = (sums[2 * chunk * chunks + field], sums[(2 * chunk + 1) * chunks + field]);
                    (even[chunk], odd[chunk]) = (first.first_halves(second), first.second_halves(second));
                }
            }
        } else {
            let of_vector = self.k() / LANES;
            for field in 0..self.is_list.len() {
                let partners = &mut partners[field * chunks..][..chunks];
                for (other, partners) in partners.chunks_exact_mut(of_vector).enumerate() {
                    let from = &sums[other * chunks + field * of_vector..][..of_vector];
                    for at in 0..of_vector {
                        partners[at] = from[at];
                    }
                }
            }
        }
        for (field, &is_list) in self.is_list.iter().enumerate() {
            if !is_list {
                let first = field * self.k() / LANES;
                for at in field * chunks + first..field * chunks + first + self.k().div_ceil(LANES) {
                    partners[at] = partners[at] - partners[at] * own[at];
                }
            }
        }
    }

    /// Σ_{f,g} ⟨P_{f,g}, P_{g,f}⟩, without P_{f,f} of fields that are no lists.
    #[inline(always)]
    fn multiply<V: Eight>(self, space: &Space<V>) -> V {
        let len = self.is_list.len() * self.chunks();
        let (sums, last_sums) = space.sums[..len].as_chunks::<4>();
        let (partners, last_partners) = space.partners[..len].as_chunks::<4>();
        // Four sums, so that few additions wait for each other.
        let zero = V::splat(0.0);
        let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
        for at in 0..sums.len().min(partners.len()) {
            let (sums, partners) = (&sums[at], &partners[at]);
            a = sums[0].mul_add(partners[0], a);
            b = sums[1].mul_add(partners[1], b);
            c = sums[2].mul_add(partners[2], c);
            d = sums[3].mul_add(partners[3], d);
        }
        for at in 0..last_sums.len().min(last_partners.len()) {
            a = last_sums[at].mul_add(last_partners[at], a);
        }
        (a + b) + (c + d)
    }
}
