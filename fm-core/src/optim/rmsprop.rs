//! RMSprop: Tieleman and Hinton, lecture 6.5 of "Neural Networks for Machine Learning", 2012.

use tch::Tensor;

use super::rule::{RowUpdate, Rule, Step};

/// w ← w - η g / √(a + ε) with a ← ρ a + (1 - ρ) g². As in Keras since 2.11, ε is inside the root. In the `legacy`
/// form, as in Keras up to 2.10 and in libtorch, it is outside: √a + ε.
pub(super) struct RmsProp {
    pub rho: f64,
    pub epsilon: f64,
    pub legacy: bool,
}

impl Rule for RmsProp {
    fn states(&self) -> Vec<(&'static str, f32)> {
        vec![("mean_square", 0.0)]
    }

    fn update_rows(&self, step: Step, update: RowUpdate<'_>) {
        let (lr, rho, epsilon) = (step.lr as f32, self.rho as f32, self.epsilon as f32);
        let (inside, outside) = if self.legacy { (0.0, epsilon) } else { (epsilon, 0.0) };
        update.for_each(|w, g, [a]| {
            *a = rho * *a + (1.0 - rho) * g * g;
            *w -= lr * g / ((*a + inside).sqrt() + outside);
        });
    }

    fn update_tensor(&self, step: Step, parameter: &mut Tensor, gradient: &Tensor, states: &mut [Tensor]) {
        let next = &states[0] * self.rho + gradient * gradient * (1.0 - self.rho);
        states[0].copy_(&next);
        let root = if self.legacy { next.sqrt() + self.epsilon } else { (next + self.epsilon).sqrt() };
        let _ = parameter.g_sub_(&(gradient * step.lr / root));
    }
}
