//! Zipf's distribution.

use rand::{Rng, RngExt};

/// Draws whole numbers k from 1 to n with probabilities proportional to k^(-s), in constant time and memory.
///
/// Rejection-inversion draws a number from the density x^(-s) by inverting its integral, and rounds it. A number is
/// rejected where the density is above the probability of what it rounds to. The functions of libm are the same on all
/// platforms.
///
/// Source: Hörmann and Derflinger, Rejection-inversion to generate variates from monotone discrete distributions, ACM
/// TOMACS 1996, <https://doi.org/10.1145/235025.235029>.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zipf {
    /// s.
    exponent: f64,
    /// n.
    most: f64,
    /// The ends of the interval of integrals.
    from: f64,
    to: f64,
    /// A number is accepted at once if it rounds up by at most this.
    sure: f64,
}

impl Zipf {
    pub(super) fn new(exponent: f64, n: u32) -> Zipf {
        let mut zipf = Zipf { exponent, most: f64::from(n), from: 0.0, to: 0.0, sure: 0.0 };
        (zipf.from, zipf.to) = (zipf.integral(1.5) - 1.0, zipf.integral(zipf.most + 0.5));
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    /// x^(-s).
    fn density(&self, x: f64) -> f64 {
        libm::exp(-self.exponent * libm::log(x))
    }

    /// The integral of the density from 1 to x: (x^(1 - s) - 1) / (1 - s), or ln x for s = 1.
    fn integral(&self, x: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power == 0.0 { libm::log(x) } else { libm::expm1(power * libm::log(x)) / power }
    }

    /// The x of an integral.
    fn inverse(&self, integral: f64) -> f64 {
        let power = 1.0 - self.exponent;
        if power == 0.0 {
            return libm::exp(integral);
        }
        // Rounding could exceed the limit for infinite x.
        libm::exp(libm::log1p((power * integral).max(-1.0)) / power)
    }

    pub(super) fn draw(&self, random: &mut impl Rng) -> u32 {
        loop {
            let integral = self.to + random.random::<f64>() * (self.from - self.to);
            let x = self.inverse(integral);
            let k = (x + 0.5).floor().clamp(1.0, self.most);
            if k - x <= self.sure || integral >= self.integral(k + 0.5) - self.density(k) {
                return k as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn numbers_have_the_probabilities_of_zipfs_law() {
        const DRAWS: u32 = 40_000;
        for (exponent, n) in [(0.0, 4), (0.5, 7), (1.0, 7), (1.1, 30), (3.0, 5), (1.1, 1), (1.1, 2)] {
            let (zipf, mut random) = (Zipf::new(exponent, n), Pcg64::seed_from_u64(1));
            let mut counts = vec![0.0; n as usize];
            for _ in 0..DRAWS {
                counts[zipf.draw(&mut random) as usize - 1] += 1.0;
            }
            let weight = |k: u32| f64::from(k).powf(-exponent);
            let total: f64 = (1..=n).map(weight).sum();
            for (k, count) in (1..=n).zip(counts) {
                let probability = weight(k) / total;
                let expected = probability * f64::from(DRAWS);
                let deviation = (expected * (1.0 - probability)).sqrt();
                assert!((count - expected).abs() <= 5.0 * deviation, "s {exponent}, k {k}: {count} for {expected}");
            }
        }
    }

    #[test]
    fn extreme_exponents_and_cardinalities_stay_within_the_range() {
        for exponent in [0.0, 1e-17, 0.5, 1.0, 1.0 + 1e-16, 1.1, 20.0, 100.0] {
            for n in [1, 2, 1_000_000_000] {
                let (zipf, mut random) = (Zipf::new(exponent, n), Pcg64::seed_from_u64(2));
                let drawn: Vec<u32> = (0..200).map(|_| zipf.draw(&mut random)).collect();
                assert!(drawn.iter().all(|k| (1..=n).contains(k)), "s {exponent}, n {n}: {drawn:?}");
                assert!(exponent < 20.0 || drawn.iter().all(|&k| k == 1), "s {exponent}, n {n}: {drawn:?}");
            }
        }
    }
}
