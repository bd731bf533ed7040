//! Update rules of single rows, over K numbers at a time.

use fm_core::optim::OptimizerConfig;
use fm_core::{Error, Result};

/// An update rule, as [`OptimizerConfig`] defines it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// w ← w - η g.
    Sgd,
    /// a ← a + g², w ← w - η g / √(a + ε).
    AdaGrad { epsilon: f32, initial: f32 },
    /// m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², w ← w - η' m / (√v + ε).
    Adam { beta_1: f64, beta_2: f64, epsilon: f32 },
}

impl Rule {
    /// The rule of these settings.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a rule without a kernel.
    pub fn new(config: OptimizerConfig) -> Result<Rule> {
        match config {
            OptimizerConfig::Sgd { momentum: 0.0 } => Ok(Rule::Sgd),
            OptimizerConfig::Adagrad { epsilon, initial } => {
                Ok(Rule::AdaGrad { epsilon: epsilon as f32, initial: initial.unwrap_or(1.0) as f32 })
            }
            OptimizerConfig::Adam { beta_1, beta_2, epsilon } => {
                Ok(Rule::Adam { beta_1, beta_2, epsilon: epsilon as f32 })
            }
            _ => Err(Error::Unsupported(
                "online updates support the optimisers sgd without momentum, adagrad and adam".into(),
            )),
        }
    }

    /// The names and initial values of the states of each number.
    pub fn states(self) -> Vec<(&'static str, f32)> {
        match self {
            Rule::Sgd => vec![],
            Rule::AdaGrad { initial, .. } => vec![("accumulator", initial)],
            Rule::Adam { .. } => vec![("mean", 0.0), ("mean_square", 0.0)],
        }
    }
}

/// A rule during a pass: updates K numbers w with the gradients g. `states` has K numbers of each state in turn.
pub trait Apply: Copy {
    /// The number of states.
    const STATES: usize;

    /// Called before the update of each row.
    fn next_row(&mut self) {}

    /// Updates the numbers.
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], states: &mut [f32]);
}

/// [`Rule::Sgd`].
#[derive(Clone, Copy)]
pub struct Sgd {
    pub lr: f32,
}

impl Apply for Sgd {
    const STATES: usize = 0;

    #[inline(always)]
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], _states: &mut [f32]) {
        for k in 0..K {
            w[k] -= self.lr * g[k];
        }
    }
}

/// [`Rule::AdaGrad`].
#[derive(Clone, Copy)]
pub struct AdaGrad {
    pub lr: f32,
    pub epsilon: f32,
}

impl Apply for AdaGrad {
    const STATES: usize = 1;

    #[inline(always)]
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], states: &mut [f32]) {
        let Some(sums) = states.first_chunk_mut::<K>() else { return };
        for k in 0..K {
            sums[k] += g[k] * g[k];
            w[k] -= self.lr * g[k] * reciprocal_root(sums[k] + self.epsilon);
        }
    }
}

/// [`Rule::Adam`].
#[derive(Clone, Copy)]
pub struct Adam {
    pub lr: f64,
    pub beta_1: f64,
    pub beta_2: f64,
    pub epsilon: f32,
    /// Number of rows before this one.
    pub done: u64,
    /// η' of this row.
    pub rate: f32,
}

impl Apply for Adam {
    const STATES: usize = 2;

    fn next_row(&mut self) {
        self.done += 1;
        // Later, once per pass suffices: with the default constants, both corrections round to 1.
        if self.done < 1 << 17 || self.rate == 0.0 {
            let power = |beta: f64| 1.0 - beta.powf(self.done as f64);
            self.rate = (self.lr * power(self.beta_2).sqrt() / power(self.beta_1)) as f32;
        }
    }

    #[inline(always)]
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], states: &mut [f32]) {
        let Some((means, rest)) = states.split_first_chunk_mut::<K>() else { return };
        let Some(squares) = rest.first_chunk_mut::<K>() else { return };
        let (gain_1, gain_2) = ((1.0 - self.beta_1) as f32, (1.0 - self.beta_2) as f32);
        for k in 0..K {
            means[k] += gain_1 * (g[k] - means[k]);
            squares[k] += gain_2 * (g[k] * g[k] - squares[k]);
            w[k] -= self.rate * means[k] / (squares[k].sqrt() + self.epsilon);
        }
    }
}

/// 1/√x to 5·10⁻⁶ of its size: two steps of Newton's method from a first guess by the exponent (Lomont, Fast inverse
/// square root, 2003). A root and a division take twice as long.
#[inline(always)]
fn reciprocal_root(x: f32) -> f32 {
    let guess = f32::from_bits(0x5f37_5a86_u32.wrapping_sub(x.to_bits() >> 1));
    let half = 0.5 * x;
    let better = guess * (1.5 - half * guess * guess);
    better * (1.5 - half * better * better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocal_roots_are_exact_to_some_millionths() {
        for exponent in -80..80 {
            for step in 0..100 {
                let x = (2f32).powi(exponent) * (1.0 + step as f32 / 100.0);
                let exact = 1.0 / f64::from(x).sqrt();
                assert!((f64::from(reciprocal_root(x)) / exact - 1.0).abs() < 6e-6, "{x}");
            }
        }
    }
}
