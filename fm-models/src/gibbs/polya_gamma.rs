//! The Pólya-Gamma distribution.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, PI};

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, StandardNormal};

/// The point where the proposal changes from a truncated inverse Gaussian to an exponential distribution.
const T: f64 = 0.64;

/// PG(1, z): the distribution of (1/2π²) Σ_{n≥1} g_n / ((n - ½)² + z²/4π²) with g_n drawn from Exp(1). Its mean is
/// tanh(z/2) / 2z.
///
/// Given ω from PG(1, ψ), the logistic likelihood σ(ψ)^y (1 - σ(ψ))^(1-y) is Gaussian in ψ, proportional to
/// exp(-ω (ψ - (y - ½)/ω)² / 2).
///
/// Source: Polson, Scott and Windle, Bayesian inference for logistic models using Pólya-Gamma latent variables, JASA
/// 2013, section 4 and algorithm 1 of its supplement, <https://arxiv.org/abs/1205.0310>: Devroye's method for Jacobi
/// distributions, with draws divided by 4.
#[derive(Clone, Copy, Debug)]
pub struct PolyaGamma {
    /// z/2, not negative.
    half: f64,
    /// The rate of the exponential part.
    rate: f64,
    /// The probability of the exponential part.
    above: f64,
}

impl PolyaGamma {
    pub fn new(z: f64) -> PolyaGamma {
        let half = z.abs() / 2.0;
        let rate = PI * PI / 8.0 + half * half / 2.0;
        // The masses of the two parts, each divided by that of the part above T, which can be as small as e^(-rate T).
        let phi = |x: f64| 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
        let root = T.sqrt().recip();
        let (b, a) = (root * (T * half - 1.0), -root * (T * half + 1.0));
        let below = (rate * T - half).exp() * phi(b) + (rate * T + half + phi(a).ln()).exp();
        PolyaGamma { half, rate, above: 1.0 / (1.0 + 4.0 / PI * rate * below) }
    }

    /// A draw from the inverse Gaussian distribution IG(2/z, 1) below T.
    fn inverse_gaussian<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let z = self.half;
        if z * T < 1.0 {
            // The mean is above T: a truncated 1/χ² with rejection.
            loop {
                let x = loop {
                    let (e, other): (f64, f64) = (Exp1.sample(rng), Exp1.sample(rng));
                    if e * e <= 2.0 * other / T {
                        break T / (1.0 + T * e).powi(2);
                    }
                };
                if rng.random::<f64>() <= (-z * z * x / 2.0).exp() {
                    return x;
                }
            }
        }
        let mean = 1.0 / z;
        loop {
            let normal: f64 = StandardNormal.sample(rng);
            let y = mean * normal * normal;
            let x = mean + mean / 2.0 * (y - (4.0 * y + y * y).sqrt());
            let x = if rng.random::<f64>() <= mean / (mean + x) { x } else { mean * mean / x };
            if x <= T {
                return x;
            }
        }
    }
}

/// The n-th coefficient of the alternating series of the Jacobi density at x, without common factors.
fn coefficient(n: u32, x: f64) -> f64 {
    let k = f64::from(n) + 0.5;
    if x > T {
        PI * k * (-k * k * PI * PI * x / 2.0).exp()
    } else {
        PI * k * (FRAC_PI_2 * x).powf(-1.5) * (-2.0 * k * k / x).exp()
    }
}

impl Distribution<f64> for PolyaGamma {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        loop {
            let x = if rng.random::<f64>() < self.above {
                let exponential: f64 = Exp1.sample(rng);
                T + exponential / self.rate
            } else {
                self.inverse_gaussian(rng)
            };
            // The partial sums alternate between upper and lower bounds of the density.
            let mut sum = coefficient(0, x);
            let y = rng.random::<f64>() * sum;
            for n in 1.. {
                if n % 2 == 1 {
                    sum -= coefficient(n, x);
                    if y <= sum {
                        return x / 4.0;
                    }
                } else {
                    sum += coefficient(n, x);
                    if y > sum {
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    use super::*;

    /// Polson, Scott and Windle 2013: the Laplace transform is cosh(z/2) / cosh(√((z²/2 + t)/2)). Mean and variance
    /// follow from it.
    #[test]
    fn draws_have_the_mean_variance_and_laplace_transform_of_the_distribution() {
        let mut rng = Pcg64::seed_from_u64(1);
        let n = 40_000;
        for z in [0.0, 0.5, -2.0, 3.2, 8.0, 30.0f64] {
            let distribution = PolyaGamma::new(z);
            let draws: Vec<f64> = (0..n).map(|_| distribution.sample(&mut rng)).collect();
            let mean_of = |f: &dyn Fn(f64) -> f64| draws.iter().map(|&draw| f(draw)).sum::<f64>() / f64::from(n);
            let (mean, variance) = match z.abs() {
                0.0 => (0.25, 1.0 / 24.0),
                z => ((z / 2.0).tanh() / (2.0 * z), (z.sinh() - z) / (4.0 * z.powi(3) * (z / 2.0).cosh().powi(2))),
            };
            let error = 5.0 * (variance / f64::from(n)).sqrt();
            assert!((mean_of(&|x| x) - mean).abs() < error, "z {z}: the mean is {}, expected {mean}", mean_of(&|x| x));
            let found = mean_of(&|x| (x - mean).powi(2));
            assert!((found / variance - 1.0).abs() < 0.1, "z {z}: the variance is {found}, expected {variance}");
            for t in [0.5, 4.0] {
                let expected = (z / 2.0).cosh() / ((z * z / 2.0 + t) / 2.0).sqrt().cosh();
                let found = mean_of(&|x| (-t * x).exp());
                assert!(
                    (found - expected).abs() < 5.0 * 0.3 * t / f64::from(n).sqrt(),
                    "z {z}: found {found}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn extreme_scores_give_finite_draws() {
        let mut rng = Pcg64::seed_from_u64(2);
        for z in [1e-300, 50.0, 200.0, 1e4, 1e8f64] {
            let draw = PolyaGamma::new(z).sample(&mut rng);
            assert!(draw.is_finite() && draw > 0.0, "z {z}: {draw}");
        }
    }
}
