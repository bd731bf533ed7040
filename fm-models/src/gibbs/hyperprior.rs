//! Priors of the parameters. Their own parameters are drawn, too.

use rand::Rng;
use rand_distr::{Distribution, Gamma, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// N(mean, 1/precision).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Normal {
    /// μ.
    pub mean: f64,
    /// λ.
    pub precision: f64,
}

/// The constants of the priors of μ, λ and α: λ ~ Γ(α₀/2, β₀/2), μ ~ N(0, 1/(γ₀ λ)) and α ~ Γ(α₀/2, β₀/2). Γ(a, b) has
/// the mean a/b.
///
/// In a field of n ids, β₀ keeps each variance 1/λ above about β₀/(α₀ + n). The interactions of fields with few values
/// therefore fit chance if β₀ is large, and the more so the longer the vectors are.
///
/// Source: the hyperpriors of Freudenthaler, Schmidt-Thieme and Rendle, Bayesian factorization machines, NIPS workshop
/// 2011. libFM and myFM have β₀ = 1, but by default one prior for the ids of all fields together, so n is large. On such
/// constants: Gelman, Prior distributions for variance parameters in hierarchical models, Bayesian Analysis 2006,
/// <https://doi.org/10.1214/06-BA117A>.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Hyperprior {
    /// α₀: the weight of the prior of a precision, in observations.
    pub alpha_0: f64,
    /// β₀: the sum of squares of these observations.
    pub beta_0: f64,
    /// γ₀: the weight of the prior mean 0 of μ, in observations.
    pub gamma_0: f64,
}

impl Default for Hyperprior {
    fn default() -> Hyperprior {
        Hyperprior { alpha_0: 1.0, beta_0: 0.05, gamma_0: 1.0 }
    }
}

impl Hyperprior {
    /// Draws a precision, given `n` draws from N(0, 1/precision) with the sum of squares `squares`.
    pub fn precision<R: Rng + ?Sized>(&self, n: f64, squares: f64, rng: &mut R) -> f64 {
        let (shape, rate) = ((self.alpha_0 + n) / 2.0, (self.beta_0 + squares) / 2.0);
        // Both are positive, because the constants are.
        Gamma::new(shape, 1.0 / rate).map_or(shape / rate, |gamma| gamma.sample(rng))
    }

    /// The posterior of μ and λ, given parameters drawn from N(μ, 1/λ).
    pub fn posterior(&self, parameters: impl Iterator<Item = f32> + Clone) -> NormalGamma {
        let (n, sum) = parameters.clone().fold((0.0, 0.0), |(n, sum), x| (n + 1.0, sum + f64::from(x)));
        let mean = sum / f64::max(n, 1.0);
        let spread: f64 = parameters.map(|x| (f64::from(x) - mean).powi(2)).sum();
        let squares = spread + n * self.gamma_0 / (n + self.gamma_0) * mean * mean;
        NormalGamma { hyperprior: *self, n, mean: sum / (n + self.gamma_0), squares }
    }
}

/// The joint distribution of μ and λ given n parameters: λ ~ Γ((α₀ + n)/2, (β₀ + squares)/2) and μ ~ N(mean, 1/((n +
/// γ₀) λ)).
#[derive(Clone, Copy, Debug)]
pub struct NormalGamma {
    hyperprior: Hyperprior,
    n: f64,
    /// The expected μ, which is also the expected value of a parameter without rows.
    pub mean: f64,
    squares: f64,
}

impl NormalGamma {
    /// A draw of μ and λ.
    pub fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> Normal {
        let precision = self.hyperprior.precision(self.n, self.squares, rng);
        let z: f64 = StandardNormal.sample(rng);
        Normal { mean: self.mean + z / ((self.n + self.hyperprior.gamma_0) * precision).sqrt(), precision }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    use super::*;

    const HYPERPRIOR: Hyperprior = Hyperprior { alpha_0: 3.0, beta_0: 2.0, gamma_0: 0.5 };

    fn mean(draws: &[f64]) -> f64 {
        draws.iter().sum::<f64>() / draws.len() as f64
    }

    #[test]
    fn a_precision_has_the_mean_and_the_variance_of_its_gamma_distribution() {
        let mut rng = Pcg64::seed_from_u64(1);
        let draws: Vec<f64> = (0..20_000).map(|_| HYPERPRIOR.precision(10.0, 4.0, &mut rng)).collect();
        let (shape, rate) = (13.0 / 2.0, 6.0 / 2.0);
        assert!((mean(&draws) - shape / rate).abs() < 0.03);
        let squares: Vec<f64> = draws.iter().map(|draw| (draw - shape / rate).powi(2)).collect();
        assert!((mean(&squares) / (shape / rate / rate) - 1.0).abs() < 0.05);
    }

    /// With θ = 1, 2, 6: μ has the mean 9/3.5 and, by λ's marginal, the variance E[1/λ] / 3.5 with E[1/λ] = b/(a - 1).
    #[test]
    fn mean_and_precision_are_drawn_from_their_joint_distribution() {
        let mut rng = Pcg64::seed_from_u64(2);
        let posterior = HYPERPRIOR.posterior([1f32, 2.0, 6.0].into_iter());
        let draws: Vec<Normal> = (0..40_000).map(|_| posterior.draw(&mut rng)).collect();
        let of = |f: &dyn Fn(&Normal) -> f64| mean(&draws.iter().map(f).collect::<Vec<_>>());
        let (center, squares) = (9.0 / 3.5, 41.0 - 9.0 * 9.0 / 3.5);
        let (a, b) = (6.0 / 2.0, (2.0 + squares) / 2.0);
        assert!((posterior.mean - center).abs() < 1e-12);
        assert!((of(&|normal| normal.mean) - center).abs() < 0.05);
        assert!((of(&|normal| normal.precision) / (a / b) - 1.0).abs() < 0.03);
        assert!((of(&|normal| (normal.mean - center).powi(2)) / (b / (a - 1.0) / 3.5) - 1.0).abs() < 0.1);
    }

    #[test]
    fn without_observations_the_posterior_is_the_prior() {
        let posterior = HYPERPRIOR.posterior([].into_iter());
        assert_eq!(posterior.mean, 0.0);
        let mut rng = Pcg64::seed_from_u64(3);
        let draws: Vec<f64> = (0..20_000).map(|_| posterior.draw(&mut rng).precision).collect();
        assert!((mean(&draws) / (3.0 / 2.0) - 1.0).abs() < 0.03);
    }
}
