//! FTRL-Proximal: McMahan et al., Ad click prediction: a view from the trenches, KDD 2013,
//! <https://doi.org/10.1145/2487575.2488200>, algorithm 1.

use tch::Tensor;

use super::rule::{RowUpdate, Rule, Step};

/// z ← z + g - (√(n + g²) - √n)/η · w and n ← n + g², then w = -η sign(z) max(|z| - λ₁, 0) / (β + √n).
///
/// In the paper, all weights are 0 at first. Here, z is first -β/η · w, so that without gradients and λ₁ a weight keeps
/// its initial value, such as a random latent vector.
pub(super) struct Ftrl {
    pub beta: f64,
    pub l1: f64,
}

impl Rule for Ftrl {
    fn states(&self) -> Vec<(&'static str, f32)> {
        vec![("linear", 0.0), ("square_sum", 0.0)]
    }

    fn update_rows(&self, step: Step, update: RowUpdate<'_>) {
        let (lr, beta, l1) = (step.lr as f32, self.beta as f32, self.l1 as f32);
        update.for_each(|w, g, [z, n]| {
            if *z == 0.0 && *n == 0.0 {
                *z = -beta / lr * *w;
            }
            let root = (*n + g * g).sqrt();
            *z += g - (root - n.sqrt()) / lr * *w;
            *n += g * g;
            *w = -lr * z.signum() * (z.abs() - l1).max(0.0) / (beta + root);
        });
    }

    fn update_tensor(&self, step: Step, parameter: &mut Tensor, gradient: &Tensor, states: &mut [Tensor]) {
        let first = &*parameter * (-self.beta / step.lr);
        let is_first = states[0].eq(0.0).logical_and(&states[1].eq(0.0));
        let z = first.where_self(&is_first, &states[0]);
        let sum = &states[1] + gradient * gradient;
        let root = sum.sqrt();
        let z = z + gradient - (&root - states[1].sqrt()) / step.lr * &*parameter;
        states[0].copy_(&z);
        states[1].copy_(&sum);
        parameter.copy_(&(z.sign() * (z.abs() - self.l1).clamp_min(0.0) * -step.lr / (root + self.beta)));
    }
}
