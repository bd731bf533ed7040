//! Adam: Kingma and Ba, 2015, <https://arxiv.org/abs/1412.6980>; with decoupled weight decay AdamW: Loshchilov and
//! Hutter, 2019, <https://arxiv.org/abs/1711.05101>.

use tch::Tensor;

use super::rule::{RowUpdate, Rule, Step};

/// w ← w - η √(1 - β₂ᵗ)/(1 - β₁ᵗ) m / (√v + ε), with m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g².
///
/// As in Keras and unlike libtorch, ε is not bias-corrected. The decay w ← w - η λ w comes first. With row-sparse
/// gradients, only the touched rows and their states change ("lazy" Adam).
pub(super) struct Adam {
    pub beta_1: f64,
    pub beta_2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
}

impl Adam {
    fn rate(&self, step: Step) -> f64 {
        let t = step.number.min(i32::MAX as u64) as i32;
        step.lr * (1.0 - self.beta_2.powi(t)).sqrt() / (1.0 - self.beta_1.powi(t))
    }
}

impl Rule for Adam {
    fn states(&self) -> Vec<(&'static str, f32)> {
        vec![("mean", 0.0), ("mean_square", 0.0)]
    }

    fn update_rows(&self, step: Step, update: RowUpdate<'_>) {
        let (rate, epsilon) = (self.rate(step) as f32, self.epsilon as f32);
        let (gain_1, gain_2) = ((1.0 - self.beta_1) as f32, (1.0 - self.beta_2) as f32);
        let keep = (1.0 - step.lr * self.weight_decay) as f32;
        update.for_each(|w, g, [m, v]| {
            *m += gain_1 * (g - *m);
            *v += gain_2 * (g * g - *v);
            *w = keep * *w - rate * *m / (v.sqrt() + epsilon);
        });
    }

    fn update_tensor(&self, step: Step, parameter: &mut Tensor, gradient: &Tensor, states: &mut [Tensor]) {
        let [m, v] = states else { unreachable!("a rule's own states") };
        let _ = m.lerp_(gradient, 1.0 - self.beta_1);
        let _ = v.lerp_(&(gradient * gradient), 1.0 - self.beta_2);
        let _ = parameter.g_mul_scalar_(1.0 - step.lr * self.weight_decay);
        let _ = parameter.g_sub_(&(&*m * self.rate(step) / (v.sqrt() + self.epsilon)));
    }
}
