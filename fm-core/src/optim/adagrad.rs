//! AdaGrad: Duchi, Hazan and Singer, 2011, <https://jmlr.org/papers/v12/duchi11a.html>.

use tch::Tensor;

use super::rule::{RowUpdate, Rule, Step};

/// w ← w - η g / √(a + ε) with a ← a + g². As in Keras, ε is inside the root.
pub(super) struct Adagrad {
    pub epsilon: f64,
    pub initial: f64,
}

impl Rule for Adagrad {
    fn states(&self) -> Vec<(&'static str, f32)> {
        vec![("accumulator", self.initial as f32)]
    }

    fn update_rows(&self, step: Step, update: RowUpdate<'_>) {
        let (lr, epsilon) = (step.lr as f32, self.epsilon as f32);
        update.for_each(|w, g, [a]| {
            *a += g * g;
            *w -= lr * g / (*a + epsilon).sqrt();
        });
    }

    fn update_tensor(&self, step: Step, parameter: &mut Tensor, gradient: &Tensor, states: &mut [Tensor]) {
        let _ = states[0].addcmul_(gradient, gradient);
        let _ = parameter.g_sub_(&(gradient * step.lr / (&states[0] + self.epsilon).sqrt()));
    }
}
