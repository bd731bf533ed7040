//! The conditional distribution of one id's parameters.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::hyperprior::Normal;
use super::moments::Moments;

/// N(P⁻¹ b, P⁻¹) in d dimensions, with the precision P and the shift b.
#[derive(Debug)]
pub struct Conditional {
    /// The lower triangle of P `[d, d]`, later its Cholesky factor L.
    factor: Vec<f64>,
    /// b, later L⁻¹ b.
    shift: Vec<f64>,
    draw: Vec<f64>,
}

impl Conditional {
    /// Buffers for a distribution in d dimensions.
    pub fn new(d: usize) -> Conditional {
        Conditional { factor: vec![0.0; d * d], shift: vec![0.0; d], draw: vec![0.0; d] }
    }

    /// The posterior of θ with the prior N(μ_i, 1/λ_i) for each dimension, given the sums over the rows of an id with
    /// the current value θ₀: P = Λ + Σ s² h hᵀ, b = Λ μ + Σ s² h (e + hᵀ θ₀).
    ///
    /// If the rows are so precise that rounding errors of their sums exceed the prior, P can lose its positive
    /// definiteness. Then θ₀ counts as one more observation, with a small fraction of the rows' precision.
    pub fn set(&mut self, priors: &[Normal], moments: &Moments) {
        for part in [0.0, 1e-6, 1e-4, 1e-2] {
            self.add_up(priors, moments, part);
            if self.factor(priors) {
                break;
            }
        }
    }

    /// Computes P and b. `part` is the fraction of the rows' precision with which θ₀ is observed.
    fn add_up(&mut self, priors: &[Normal], moments: &Moments, part: f64) {
        let (d, old) = (priors.len(), moments.id());
        for (i, prior) in priors.iter().enumerate() {
            let square = moments.product(i, i) * (1.0 + part);
            self.factor[i * d + i] = prior.precision + square;
            self.shift[i] = prior.precision * prior.mean + moments.score(i) + square * f64::from(old[i]);
            for j in 0..i {
                let product = moments.product(i, j);
                self.factor[i * d + j] = product;
                self.shift[i] += product * f64::from(old[j]);
                self.shift[j] += product * f64::from(old[i]);
            }
        }
    }

    /// Replaces P by L and b by L⁻¹ b. Returns false if P is not positive definite.
    fn factor(&mut self, priors: &[Normal]) -> bool {
        let (d, mut is_definite) = (priors.len(), true);
        for (i, prior) in priors.iter().enumerate() {
            for j in 0..=i {
                let (row, other) = (&self.factor[i * d..i * d + j], &self.factor[j * d..j * d + j]);
                let rest = self.factor[i * d + j] - row.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
                self.factor[i * d + j] = if i == j {
                    // Given the previous dimensions, a dimension has at least the precision of its prior, up to
                    // rounding.
                    is_definite &= rest > prior.precision / 2.0;
                    rest.max(prior.precision).sqrt()
                } else {
                    rest / self.factor[j * d + j]
                };
            }
            let known = self.factor[i * d..i * d + i].iter().zip(&self.shift).map(|(l, b)| l * b).sum::<f64>();
            self.shift[i] = (self.shift[i] - known) / self.factor[i * d + i];
        }
        is_definite
    }

    /// The mean, L⁻ᵀ L⁻¹ b.
    pub fn mean(&mut self) -> &[f64] {
        self.draw.copy_from_slice(&self.shift);
        self.back()
    }

    /// A draw, L⁻ᵀ (L⁻¹ b + z) with z from N(0, I).
    pub fn draw<R: Rng + ?Sized>(&mut self, rng: &mut R) -> &[f64] {
        for (draw, mean) in self.draw.iter_mut().zip(&self.shift) {
            let z: f64 = StandardNormal.sample(rng);
            *draw = mean + z;
        }
        self.back()
    }

    /// Multiplies by L⁻ᵀ.
    fn back(&mut self) -> &[f64] {
        let d = self.draw.len();
        for i in (0..d).rev() {
            let value = self.draw[i] / self.factor[i * d + i];
            self.draw[i] = value;
            let (before, row) = (&mut self.draw[..i], &self.factor[i * d..i * d + i]);
            before.iter_mut().zip(row).for_each(|(x, l)| *x -= l * value);
        }
        &self.draw
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    use super::super::table::Table;
    use super::super::tests::solve;
    use super::*;
    use crate::oracle::{Draw, Matrix, Vector};

    /// Rows with an id of value x, and the records [q_1, ..., q_k, e, s].
    struct Rows {
        id: Vector,
        records: Matrix,
        values: Vector,
    }

    impl Rows {
        fn draw(n: usize, k: usize, draw: &mut Draw) -> Rows {
            Rows { id: draw.vector(k + 1), records: draw.matrix(n, k + 2), values: draw.vector(n) }
        }

        fn moments(&self) -> Moments {
            let k = self.id.len() - 1;
            let (mut table, mut moments) = (Table::new(self.records.len(), k), Moments::new(k));
            for (row, record) in self.records.iter().enumerate() {
                table.record_mut(row).iter_mut().zip(record).for_each(|(to, &number)| *to = number as f32);
            }
            let id: Vec<f32> = self.id.iter().map(|&number| number as f32).collect();
            moments.sum_rows(&id, &table, self.values.iter().map(|&x| x as f32).enumerate());
            moments
        }

        /// P = Λ + Σ s² h hᵀ and b = Λ μ + Σ s² h y, where y is the label minus the score without the id.
        fn precision_and_shift(&self, priors: &[Normal]) -> (Matrix, Vector) {
            let d = self.id.len();
            let mut b: Vector = priors.iter().map(|prior| prior.precision * prior.mean).collect();
            let mut p = vec![vec![0.0; d]; d];
            priors.iter().enumerate().for_each(|(i, prior)| p[i][i] = prior.precision);
            for (record, x) in self.records.iter().zip(&self.values) {
                let slope = |i: usize| if i < d - 1 { x * (record[i] - x * self.id[i]) } else { *x };
                let h: Vector = (0..d).map(slope).collect();
                let (e, s) = (record[d - 1], record[d]);
                let y = e + h.iter().zip(&self.id).map(|(h, theta)| h * theta).sum::<f64>();
                for i in 0..d {
                    (0..d).for_each(|j| p[i][j] += s * s * h[i] * h[j]);
                    b[i] += s * s * h[i] * y;
                }
            }
            (p, b)
        }
    }

    fn priors(d: usize, draw: &mut Draw) -> Vec<Normal> {
        (0..d).map(|_| Normal { mean: draw.number(), precision: 1.5 + draw.number() }).collect()
    }

    #[test]
    fn the_mean_is_that_of_ridge_regression() {
        for (n, k) in [(0, 2), (1, 1), (3, 6), (200, 1), (200, 9)] {
            let mut draw = Draw(n as u64);
            let (rows, priors) = (Rows::draw(n, k, &mut draw), priors(k + 1, &mut draw));
            let mut conditional = Conditional::new(k + 1);
            conditional.set(&priors, &rows.moments());
            let (p, b) = rows.precision_and_shift(&priors);
            for (found, expected) in conditional.mean().iter().zip(solve(&p, &b)) {
                assert!((found - expected).abs() < 1e-5, "{n} rows, k {k}: found {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn draws_have_the_mean_and_the_covariance() {
        let (k, n, mut draw) = (2, 6, Draw(1));
        let (rows, priors) = (Rows::draw(n, k, &mut draw), priors(k + 1, &mut draw));
        let (p, b) = rows.precision_and_shift(&priors);
        let mean = solve(&p, &b);
        let covariance = [0, 1, 2].map(|i| solve(&p, &[0, 1, 2].map(|j| f64::from(i == j))));

        let (mut conditional, mut rng, count) = (Conditional::new(k + 1), Pcg64::seed_from_u64(1), 40_000);
        conditional.set(&priors, &rows.moments());
        let draws: Matrix = (0..count).map(|_| conditional.draw(&mut rng).to_vec()).collect();
        let mean_of = |f: &dyn Fn(&Vector) -> f64| draws.iter().map(f).sum::<f64>() / f64::from(count);
        for i in 0..=k {
            let (found, error) = (mean_of(&|draw| draw[i]), (covariance[i][i] / f64::from(count)).sqrt());
            assert!((found - mean[i]).abs() < 5.0 * error, "the mean is {found} ± {error}, expected {}", mean[i]);
            for j in 0..=i {
                let found = mean_of(&|draw| (draw[i] - mean[i]) * (draw[j] - mean[j]));
                let expected = covariance[i][j];
                let square = covariance[i][i] * covariance[j][j] + expected * expected;
                let error = (square / f64::from(count)).sqrt();
                assert!(
                    (found - expected).abs() < 5.0 * error,
                    "{i}, {j}: found {found} ± {error}, expected {expected}"
                );
            }
        }
    }

    /// With such a direction, the float32 sums are not positive definite.
    #[test]
    fn a_nearly_exact_direction_does_not_change_the_others() {
        let (k, n) = (3, 65);
        let mut rows = Rows::draw(n, k, &mut Draw(1));
        rows.id.fill(0.0);
        rows.values.fill(1.0);
        rows.records.iter_mut().for_each(|record| record.copy_from_slice(&[0.7, 0.3, -0.9, 0.1, 3e5]));
        let priors = [Normal { mean: 0.0, precision: 1.0 }; 4];
        let mut conditional = Conditional::new(k + 1);
        conditional.set(&priors, &rows.moments());
        let mut rng = Pcg64::seed_from_u64(1);
        let draws: Matrix = (0..1000).map(|_| conditional.draw(&mut rng).to_vec()).collect();
        for draw in &draws {
            let known = 0.7 * draw[0] + 0.3 * draw[1] - 0.9 * draw[2] + draw[3];
            assert!((known - 0.1).abs() < 1e-2, "{known} of {draw:?}");
            assert!(draw.iter().all(|number| number.abs() < 10.0), "{draw:?}");
        }
    }
}
