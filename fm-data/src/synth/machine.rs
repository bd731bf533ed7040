//! A factorization machine whose parameters are not stored.

use fm_core::seed::split_mix;

/// A factorization machine over one value per field. Each parameter is a function of the seed, its field and its value,
/// so that the memory does not depend on the number of values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    /// The seed of the parameters.
    pub(super) seed: u64,
    /// The length of the vectors.
    pub(super) embedding_dim: usize,
}

/// The two parts of a logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Terms {
    /// Σ_f w_f
    pub(super) linear: f64,
    /// Σ_{f < g} ⟨v_f, v_g⟩
    pub(super) interactions: f64,
}

impl Machine {
    /// The parameters of a value: its weight, then its vector.
    pub(super) fn parameters(&self, field: usize, value: u32) -> impl Iterator<Item = f64> {
        let seed = split_mix(split_mix(self.seed, field as u64), u64::from(value));
        (0..=self.embedding_dim as u64).map(move |number| bell(split_mix(seed, number)))
    }

    /// The parts of the logit of a row with these values, one per field. `sums` is memory for its use.
    pub(super) fn terms(&self, values: &[u32], sums: &mut Vec<f64>) -> Terms {
        sums.clear();
        sums.resize(self.embedding_dim, 0.0);
        let (mut linear, mut squares) = (0.0, 0.0);
        for (field, &value) in values.iter().enumerate() {
            let mut parameters = self.parameters(field, value);
            linear += parameters.next().unwrap_or_default();
            for (sum, v) in sums.iter_mut().zip(parameters) {
                *sum += v;
                squares += v * v;
            }
        }
        let square_of_sums: f64 = sums.iter().map(|sum| sum * sum).sum();
        Terms { linear, interactions: 0.5 * (square_of_sums - squares) }
    }
}

/// The sum of four uniform numbers, with mean 0: almost a normal number, and the same on all platforms.
fn bell(bits: u64) -> f64 {
    let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    (sum as f64 - 2.0 * 65_535.0) / 65_536.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_are_those_of_the_formula_in_plain_loops() {
        let machine = Machine { seed: 3, embedding_dim: 5 };
        for values in [&[7][..], &[7, 7], &[1, 2, 3, 1]] {
            let of: Vec<Vec<f64>> =
                values.iter().enumerate().map(|(field, &value)| machine.parameters(field, value).collect()).collect();
            let (mut linear, mut interactions) = (0.0, 0.0);
            for f in 0..values.len() {
                linear += of[f][0];
                for g in f + 1..values.len() {
                    interactions += of[f][1..].iter().zip(&of[g][1..]).map(|(a, b)| a * b).sum::<f64>();
                }
            }
            let terms = machine.terms(values, &mut vec![]);
            assert!((terms.linear - linear).abs() < 1e-12 && (terms.interactions - interactions).abs() < 1e-12);
        }
    }

    #[test]
    fn parameters_have_mean_0_and_differ_between_seeds_fields_and_values() {
        let machine = Machine { seed: 3, embedding_dim: 4 };
        let all: Vec<f64> = (0..4_000).flat_map(|value| machine.parameters(1, value)).collect();
        let mean = |of: &dyn Fn(f64) -> f64| all.iter().map(|&x| of(x)).sum::<f64>() / all.len() as f64;
        // Four uniform numbers have the variance 4 / 12.
        assert!(mean(&|x| x).abs() < 0.02 && (mean(&|x| x * x) - 1.0 / 3.0).abs() < 0.02);
        // A normal number has the kurtosis 3, and the sum of n uniform ones 3 - 1.2 / n.
        assert!((mean(&|x| x.powi(4)) * 9.0 - 2.7).abs() < 0.2);
        let first = |machine: Machine, field, value| machine.parameters(field, value).next().unwrap().to_bits();
        let firsts = [
            first(machine, 0, 1),
            first(machine, 0, 2),
            first(machine, 1, 1),
            first(Machine { seed: 4, ..machine }, 0, 1),
        ];
        assert!((0..4).all(|a| (0..a).all(|b| firsts[a] != firsts[b])), "{firsts:?}");
    }
}
