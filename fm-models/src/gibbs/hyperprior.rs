//! The priors of parameters, which are drawn, too.

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

/// The constants of the priors of μ, λ and α: λ ~ Γ(α₀/2, β₀/2), μ ~ N(0, 1/(γ₀ λ)) and α ~ Γ(α₀/2, β₀/2), where Γ(a, b) has
/// the mean a/b.
///
/// Source: the hyperpriors of Freudenthaler, Schmidt-Thieme and Rendle, Bayesian factorization machines, NIPS workshop 2011;
/// libFM's and myFM's constants are 1, too.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Hyperprior {
    /// α₀, how many observations the prior of a precision counts for.
    pub alpha_0: f64,
    /// β₀, the sum of their squares.
    pub beta_0: f64,
    /// γ₀, how many observations the prior mean 0 of a μ counts for.
    pub gamma_0: f64,
}

impl Default for Hyperprior {
    fn default() -> Hyperprior {
        Hyperprior { alpha_0: 1.0, beta_0: 1.0, gamma_0: 1.0 }
    }
}

impl Hyperprior {
    /// Draws a precision, given `n` draws from N(0, 1/precision) the sum of whose squares is `squares`.
    pub fn precision<R: Rng + ?Sized>(&self, n: f64, squares: f64, rng: &mut R) -> f64 {
        let (shape, rate) = ((self.alpha_0 + n) / 2.0, (self.beta_0 + squares) / 2.0);
        // Both are above 0: the constants are.
        Gamma::new(shape, 1.0 / rate).map_or(shape / rate, |gamma| gamma.sample(rng))
    }

    /// The posterior of μ and λ, given the parameters that were drawn from N(μ, 1/λ).
    pub fn posterior(&self, parameters: impl Iterator<Item = f32> + Clone) -> NormalGamma {
        let (n, sum) = parameters.clone().fold((0.0, 0.0), |(n, sum), x| (n + 1.0, sum + f64::from(x)));
        let mean = sum / f64::max(n, 1.0);
        let spread: f64 = parameters.map(|x| (f64::from(x) - mean).powi(2)).sum();
        let squares = spread + n * self.gamma_0 / (n + self.gamma_0) * mean * mean;
        NormalGamma { hyperprior: *self, n, mean: sum / (n + self.gamma_0), squares }
    }
}

/// The joint distribution of μ and λ given n parameters: λ ~ Γ((α₀ + n)/2, (β₀ + squares)/2) and μ ~ N(mean, 1/((n + γ₀) λ)).
#[derive(Clone, Copy, Debug)]
pub struct NormalGamma {
    hyperprior: Hyperprior,
    n: f64,
    /// The expected μ, and so that of a parameter about which the rows say nothing.
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
