//! FTRL-Proximal: McMahan et al., Ad click prediction: a view from the trenches, KDD 2013,
//! <https://doi.org/10.1145/2487575.2488200>, algorithm 1.

use tch::Tensor;

use super::rule::{RowUpdate, Rule, Step};
use crate::error::Result;

/// Relative difference of two weights that rounding explains.
const ROUNDING: f64 = 1e-5;

/// z ← z + g - (√(n + g²) - √n)/η · w and n ← n + g², then w = -η sign(z) max(|z| - λ₁, 0) / (β + √n).
///
/// In the paper, all weights are 0 at first. Here, z is first -β/η · w, so that without gradients and λ₁ a weight keeps
/// its initial value, such as a random latent vector.
pub(super) struct Ftrl {
    pub beta: f64,
    pub l1: f64,
}

impl Ftrl {
    /// Changes z where another weight than w follows from z and n, so that w does: other values of η, β and λ₁, or
    /// another n, then continue from the same weights. A weight of 0 keeps its z as far as λ₁ allows.
    pub(super) fn reconcile(&self, lr: f64, w: &Tensor, z: &Tensor, n: &Tensor) -> Result<()> {
        let w = w.detach();
        let denominator = (n.f_sqrt()? + self.beta) / lr;
        let implied = z.f_sign()? * -(z.f_abs()? - self.l1).f_clamp_min(0.0)? / &denominator;
        let differs = (implied - &w).f_abs()?.f_gt_tensor(&(w.f_abs()? * ROUNDING))?;
        // Without a gradient yet, z follows from w later.
        let has_state = z.f_ne(0.0)?.f_logical_or(&n.f_ne(0.0)?)?;
        let of_weight = -(&w * denominator) - w.f_sign()? * self.l1;
        let of_zero = z.f_clamp(-self.l1, self.l1)?;
        let expected = of_zero.f_where_self(&w.f_eq(0.0)?, &of_weight)?;
        z.shallow_clone().f_copy_(&expected.f_where_self(&differs.f_logical_and(&has_state)?, z)?)?;
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn a_reconciled_state_implies_the_weights_whatever_the_constants_were() {
        let (trained, lr) = (Ftrl { beta: 1.0, l1: 0.05 }, 0.1);
        let w = Tensor::from_slice(&[0.3f32, -0.2, 0.0, 0.1, 0.0]);
        let mut states = [Tensor::zeros_like(&w), Tensor::zeros_like(&w)];
        for gradient in [[1.0f32, -2.0, 0.04, 0.0, 0.0], [0.5, 1.0, -0.01, 0.0, 0.0]] {
            let of_touched = Tensor::from_slice(&gradient[..3]);
            let [z, n] = &states;
            let mut touched = [z.slice(0, 0, 3, 1), n.slice(0, 0, 3, 1)];
            trained.update_tensor(Step { lr, number: 1 }, &mut w.slice(0, 0, 3, 1), &of_touched, &mut touched);
        }
        let (weights, kept) = (w.copy(), states.each_ref().map(Tensor::copy));
        assert!(weights.double_value(&[0]) != 0.0 && weights.double_value(&[2]) == 0.0);
        // With the same constants, nothing changes.
        trained.reconcile(lr, &w, &states[0], &states[1]).unwrap();
        assert!(states[0].equal(&kept[0]) && states[1].equal(&kept[1]));
        for (rule, lr, share) in [
            (Ftrl { beta: 2.0, l1: 0.05 }, 0.1, 1.0),
            (Ftrl { beta: 1.0, l1: 0.0 }, 0.02, 0.5),
            (Ftrl { beta: 0.5, l1: 0.2 }, 0.1, 0.1),
        ] {
            states = kept.each_ref().map(|state| state * share);
            rule.reconcile(lr, &w, &states[0], &states[1]).unwrap();
            // A step without a gradient computes the weights from the state.
            let mut now = w.copy();
            rule.update_tensor(Step { lr, number: 1 }, &mut now, &w.zeros_like(), &mut states);
            let difference = (&now - &weights).slice(0, 0, 3, 1).abs().max().to_kind(Kind::Double).double_value(&[]);
            assert!(difference < 1e-6, "{now} {weights}");
        }
        // Without a state, there is none afterwards.
        assert_eq!(Vec::<f32>::try_from(kept[0].slice(0, 3, 5, 1)).unwrap(), [0.0; 2]);
    }
}
