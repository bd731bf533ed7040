//! Stochastic gradient descent, optionally with momentum.

use tch::Tensor;

use super::rule::{RowUpdate, Rule, Step};

/// w ← w + v with v ← μ v - η g, as in Keras.
pub(super) struct Sgd {
    pub momentum: f64,
}

impl Rule for Sgd {
    fn states(&self) -> Vec<(&'static str, f32)> {
        if self.momentum == 0.0 { vec![] } else { vec![("velocity", 0.0)] }
    }

    fn update_rows(&self, step: Step, update: RowUpdate<'_>) {
        let (lr, momentum) = (step.lr as f32, self.momentum as f32);
        if momentum == 0.0 {
            update.for_each(|w, g, []| *w -= lr * g);
        } else {
            update.for_each(|w, g, [v]| {
                *v = momentum * *v - lr * g;
                *w += *v;
            });
        }
    }

    fn update_tensor(&self, step: Step, parameter: &mut Tensor, gradient: &Tensor, states: &mut [Tensor]) {
        let change = gradient * -step.lr;
        let change = match states {
            [velocity] => {
                let next = &*velocity * self.momentum + change;
                velocity.copy_(&next);
                next
            }
            _ => change,
        };
        let _ = parameter.g_add_(&change);
    }
}
