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
    /// z ← z + g - (√(n + g²) - √n)/η · w, n ← n + g², w ← -η sign(z) max(|z| - λ₁, 0) / (β + √n); first, z = -β/η · w.
    Ftrl { beta: f32, l1: f32 },
}

impl Rule {
    /// The maximum number of states.
    pub const MAX_STATES: usize = 2;

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
            OptimizerConfig::Ftrl { beta, l1 } => Ok(Rule::Ftrl { beta: beta as f32, l1: l1 as f32 }),
            _ => Err(Error::Unsupported(
                "online updates support the optimisers sgd without momentum, adagrad, adam and ftrl".into(),
            )),
        }
    }

    /// The names and initial values of the states of each number.
    pub fn states(self) -> Vec<(&'static str, f32)> {
        match self {
            Rule::Sgd => vec![],
            Rule::AdaGrad { initial, .. } => vec![("accumulator", initial)],
            Rule::Adam { .. } => vec![("mean", 0.0), ("mean_square", 0.0)],
            Rule::Ftrl { .. } => vec![("linear", 0.0), ("square_sum", 0.0)],
        }
    }
}

/// A rule during a pass.
pub trait Apply: Copy + Send + Sync {
    /// The number of states.
    const STATES: usize;

    /// Called before the first row; `done` is the number of rows before it.
    fn begin(&mut self, _done: u64) {}

    /// Called before the update of each row.
    fn next_row(&mut self) {}

    /// Updates K numbers w, given the gradients g. `states` has the [`Apply::STATES`] states, followed by zeros.
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], states: &mut States<K>);
}

/// The states of K numbers.
pub type States<const K: usize> = [[f32; K]; Rule::MAX_STATES];

/// [`Rule::Sgd`].
#[derive(Clone, Copy)]
pub struct Sgd {
    pub lr: f32,
}

impl Apply for Sgd {
    const STATES: usize = 0;

    #[inline(always)]
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], _: &mut States<K>) {
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
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], [sums, _]: &mut States<K>) {
        for k in 0..K {
            sums[k] += g[k] * g[k];
            let sum = sums[k] + self.epsilon;
            // The divider is faster for one number, and slower for several.
            let root = if K == 1 { 1.0 / sum.sqrt() } else { reciprocal_root(sum) };
            w[k] -= self.lr * g[k] * root;
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

    fn begin(&mut self, done: u64) {
        self.done = done;
    }

    fn next_row(&mut self) {
        self.done += 1;
        // Later, once per pass suffices: with the default constants, both corrections round to 1.
        if self.done < 1 << 17 || self.rate == 0.0 {
            let power = |beta: f64| 1.0 - beta.powf(self.done as f64);
            self.rate = (self.lr * power(self.beta_2).sqrt() / power(self.beta_1)) as f32;
        }
    }

    #[inline(always)]
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], [means, squares]: &mut States<K>) {
        let (gain_1, gain_2) = ((1.0 - self.beta_1) as f32, (1.0 - self.beta_2) as f32);
        for k in 0..K {
            means[k] += gain_1 * (g[k] - means[k]);
            squares[k] += gain_2 * (g[k] * g[k] - squares[k]);
            w[k] -= self.rate * means[k] / (squares[k].sqrt() + self.epsilon);
        }
    }
}

/// [`Rule::Ftrl`].
#[derive(Clone, Copy)]
pub struct Ftrl {
    pub lr: f32,
    pub beta: f32,
    pub l1: f32,
}

impl Apply for Ftrl {
    const STATES: usize = 2;

    #[inline(always)]
    fn apply<const K: usize>(self, w: &mut [f32; K], g: &[f32; K], [linear, square_sum]: &mut States<K>) {
        let Ftrl { lr, beta, l1 } = self;
        for k in 0..K {
            let before = square_sum[k];
            let first = -beta / lr * w[k];
            let z = if linear[k] == 0.0 && before == 0.0 { first } else { linear[k] };
            let sum = before + g[k] * g[k];
            let root = sum.sqrt();
            let z = z + g[k] - (root - before.sqrt()) / lr * w[k];
            w[k] = -lr * z.signum() * (z.abs() - l1).max(0.0) / (beta + root);
            (linear[k], square_sum[k]) = (z, sum);
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
