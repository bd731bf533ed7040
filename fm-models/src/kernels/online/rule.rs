//! Update rules of single rows.

use fm_core::optim::OptimizerConfig;
use fm_core::{Error, Result};

use super::number::Number;

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

    /// Updates numbers w, given their gradients g. `states` has the [`Apply::STATES`] states, followed by zeros.
    fn apply<N: Number>(self, w: N, g: N, states: &mut [N; Rule::MAX_STATES]) -> N;
}

/// [`Rule::Sgd`].
#[derive(Clone, Copy)]
pub struct Sgd {
    pub lr: f32,
}

impl Apply for Sgd {
    const STATES: usize = 0;

    #[inline(always)]
    fn apply<N: Number>(self, w: N, g: N, _: &mut [N; 2]) -> N {
        g.mul_add(N::splat(-self.lr), w)
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
    fn apply<N: Number>(self, w: N, g: N, [sum, _]: &mut [N; 2]) -> N {
        *sum = g.mul_add(g, *sum);
        // At least the smallest number that has an inverse root: without ε, a sum may be 0.
        let root = (*sum + N::splat(self.epsilon)).max(N::splat(1e-35)).inverse_sqrt();
        (g * N::splat(-self.lr)).mul_add(root, w)
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
    fn apply<N: Number>(self, w: N, g: N, [mean, square]: &mut [N; 2]) -> N {
        let gain = |beta: f64| N::splat((1.0 - beta) as f32);
        *mean = gain(self.beta_1).mul_add(g - *mean, *mean);
        *square = gain(self.beta_2).mul_add(g * g - *square, *square);
        w - N::splat(self.rate) * *mean / (square.sqrt() + N::splat(self.epsilon))
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
    fn apply<N: Number>(self, w: N, g: N, [linear, square_sum]: &mut [N; 2]) -> N {
        let [lr, beta, l1] = [self.lr, self.beta, self.l1].map(N::splat);
        let before = *square_sum;
        // No gradient yet: the z from which w follows.
        let z = (linear.abs() + before).if_zero(N::splat(-self.beta / self.lr) * w, *linear);
        *square_sum = g.mul_add(g, before);
        let root = square_sum.sqrt();
        *linear = z + g - (root - before.sqrt()) / lr * w;
        let size = lr * (linear.abs() - l1).max(N::splat(0.0)) / (beta + root);
        N::splat(0.0) - size.copysign(*linear)
    }
}
