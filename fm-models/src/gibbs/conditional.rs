//! The conditional distribution of one id's parameters.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::hyperprior::Normal;
use super::moments::Moments;

/// N(P⁻¹ b, P⁻¹) over d numbers, with its precision P and its shift b, where it is not yet factored.
#[derive(Debug)]
pub struct Conditional {
    /// The lower triangle of P `[d, d]`; then its Cholesky factor L.
    factor: Vec<f64>,
    /// b; then L⁻¹ b.
    shift: Vec<f64>,
    draw: Vec<f64>,
}

impl Conditional {
    /// Room for the distribution of d numbers.
    pub fn new(d: usize) -> Conditional {
        Conditional { factor: vec![0.0; d * d], shift: vec![0.0; d], draw: vec![0.0; d] }
    }

    /// The posterior of θ with the prior N(μ_i, 1/λ_i) on each of its numbers, given the sums over the rows of an id
    /// that was θ₀ until now: P = Λ + Σ s² h hᵀ, b = Λ μ + Σ s² h (e + hᵀ θ₀).
    pub fn set(&mut self, priors: &[Normal], moments: &Moments) {
        let (d, old) = (priors.len(), moments.id());
        for (i, prior) in priors.iter().enumerate() {
            let square = moments.product(i, i);
            self.factor[i * d + i] = prior.precision + square;
            self.shift[i] = prior.precision * prior.mean + moments.score(i) + square * f64::from(old[i]);
            for j in 0..i {
                let product = moments.product(i, j);
                self.factor[i * d + j] = product;
                self.shift[i] += product * f64::from(old[j]);
                self.shift[j] += product * f64::from(old[i]);
            }
        }
        for (i, prior) in priors.iter().enumerate() {
            for j in 0..=i {
                let (row, other) = (&self.factor[i * d..i * d + j], &self.factor[j * d..j * d + j]);
                let rest = self.factor[i * d + j] - row.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
                // Given the numbers before it, a number is known at least as well as by its prior: rounding alone says less.
                self.factor[i * d + j] =
                    if i == j { rest.max(prior.precision).sqrt() } else { rest / self.factor[j * d + j] };
            }
            let known = self.factor[i * d..i * d + i].iter().zip(&self.shift).map(|(l, b)| l * b).sum::<f64>();
            self.shift[i] = (self.shift[i] - known) / self.factor[i * d + i];
        }
    }

    /// Its mean, L⁻ᵀ L⁻¹ b.
    pub fn mean(&mut self) -> &[f64] {
        self.draw.copy_from_slice(&self.shift);
        self.back()
    }

    /// A draw from it, L⁻ᵀ (L⁻¹ b + z) with z from N(0, I).
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
