//! Optimisers with Keras's definitions and defaults, dense and row-sparse, whose state can be saved.
//!
//! A table that was looked up with sparse gradients is updated only in the rows that the batch touched: the gradients
//! of one row are summed, and one fused rule updates these rows and their state. A lookup whose gradient is exactly
//! zero, such as padding, touches nothing.

mod adagrad;
mod adam;
mod rmsprop;
mod row_sparse;
mod rule;
mod sgd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};

use crate::bridge::{clear_gradient, floats, floats_mut};
use crate::error::{Error, Result};
use row_sparse::{Touched, update_gathered};
use rule::{RowUpdate, Rule, Step};

/// An update rule with its constants, for a weight w with the gradient g; η is the learning rate and t the step, from
/// 1. The defaults are Keras's. On row-sparse gradients only the rows that a batch touches move, and their states.
///
/// ```
/// use fm_core::optim::OptimizerConfig;
///
/// assert_eq!("adam".parse::<OptimizerConfig>()?, OptimizerConfig::default());
/// let sgd: OptimizerConfig = serde_json::from_str(r#"{"name": "sgd", "momentum": 0.9}"#).unwrap();
/// assert_eq!(sgd, OptimizerConfig::Sgd { momentum: 0.9 });
/// assert!("adamax".parse::<OptimizerConfig>().unwrap_err().to_string().contains("none of sgd, adagrad"));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent: w ← w + v with v ← μ v - η g.
    Sgd {
        /// μ, the part of the last change that is kept.
        #[serde(default)]
        momentum: f64,
    },
    /// AdaGrad: w ← w - η g / √(a + ε) with a ← a + g², which starts at 0.1. Duchi, Hazan and Singer, JMLR 2011,
    /// <https://jmlr.org/papers/v12/duchi11a.html>.
    Adagrad {
        /// ε, inside the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// RMSprop: w ← w - η g / √(a + ε) with a ← ρ a + (1 - ρ) g². Tieleman and Hinton, lecture 6.5 of "Neural Networks
    /// for Machine Learning", 2012.
    RmsProp {
        /// ρ, the decay of the mean square.
        #[serde(default = "beta_1")]
        rho: f64,
        /// ε, inside the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// Whether ε stands outside the root, as in Keras until 2.10 and in libtorch.
        #[serde(default)]
        legacy: bool,
    },
    /// Adam: w ← w - η √(1 - β₂ᵗ)/(1 - β₁ᵗ) m / (√v + ε) with m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g². Kingma
    /// and Ba, ICLR 2015, <https://arxiv.org/abs/1412.6980>.
    Adam {
        /// β₁, the decay of the mean.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// β₂, the decay of the mean square.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// ε, outside the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// Adam with decoupled weight decay, w ← w - η λ w before each step. Loshchilov and Hutter, ICLR 2019,
    /// <https://arxiv.org/abs/1711.05101>.
    AdamW {
        /// β₁, the decay of the mean.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// β₂, the decay of the mean square.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// ε, outside the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// λ.
        #[serde(default = "weight_decay")]
        weight_decay: f64,
    },
}

fn epsilon() -> f64 {
    1e-7
}

fn beta_1() -> f64 {
    0.9
}

fn beta_2() -> f64 {
    0.999
}

fn weight_decay() -> f64 {
    0.004
}

impl Default for OptimizerConfig {
    fn default() -> OptimizerConfig {
        OptimizerConfig::Adam { beta_1: beta_1(), beta_2: beta_2(), epsilon: epsilon() }
    }
}

impl std::str::FromStr for OptimizerConfig {
    type Err = Error;

    /// The rule of this name with its defaults.
    fn from_str(name: &str) -> Result<OptimizerConfig> {
        serde_json::from_value(serde_json::json!({ "name": name }))
            .map_err(|_| Error::Setting(format!("optimizer `{name}` is none of sgd, adagrad, rmsprop, adam, adamw")))
    }
}

impl OptimizerConfig {
    fn rule(self) -> Box<dyn Rule> {
        match self {
            OptimizerConfig::Sgd { momentum } => Box::new(sgd::Sgd { momentum }),
            OptimizerConfig::Adagrad { epsilon } => Box::new(adagrad::Adagrad { epsilon }),
            OptimizerConfig::RmsProp { rho, epsilon, legacy } => Box::new(rmsprop::RmsProp { rho, epsilon, legacy }),
            OptimizerConfig::Adam { beta_1, beta_2, epsilon } => {
                Box::new(adam::Adam { beta_1, beta_2, epsilon, weight_decay: 0.0 })
            }
            OptimizerConfig::AdamW { beta_1, beta_2, epsilon, weight_decay } => {
                Box::new(adam::Adam { beta_1, beta_2, epsilon, weight_decay })
            }
        }
    }
}

/// A parameter and what the rule remembers of it.
struct Slot {
    name: String,
    parameter: Tensor,
    states: Vec<Tensor>,
    touched: Touched,
}

/// Updates the trainable parameters of a [`VarStore`].
///
/// ```
/// use fm_core::optim::{Optimizer, OptimizerConfig};
/// use fm_core::tch::{Device, nn};
///
/// let store = nn::VarStore::new(Device::Cpu);
/// let w = store.root().var("w", &[1], nn::Init::Const(1.0));
/// let mut optimizer = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, 0.1, 0.0, &store)?;
/// (&w * &w).backward();
/// optimizer.step(1)?;
/// assert_eq!(w.double_value(&[0]) as f32, 0.8); // 1 - 0.1 · 2
/// # Ok::<(), fm_core::Error>(())
/// ```
pub struct Optimizer {
    rule: Box<dyn Rule>,
    slots: Vec<Slot>,
    /// η, the learning rate.
    pub lr: f64,
    l2: f64,
    step: u64,
}

impl Optimizer {
    /// An optimiser of all trainable parameters, in the order of their names; `lr` is η, the learning rate.
    ///
    /// `l2` is λ of a penalty λ/2 ‖row‖² for every lookup of a table row, a mean over the batch like the loss: the rows
    /// that a batch touches shrink in proportion to how often it touches them, as in libffm.
    ///
    /// # Errors
    /// [`Error::Setting`] for a negative or infinite `lr` or `l2`.
    pub fn new(config: OptimizerConfig, lr: f64, l2: f64, store: &VarStore) -> Result<Optimizer> {
        for (name, value) in [("the learning rate", lr), ("l2", l2)] {
            if !value.is_finite() || value < 0.0 {
                return Err(Error::Setting(format!("{name} is {value}: it must be a number of at least 0")));
            }
        }
        let rule = config.rule();
        let trainable = store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad());
        let mut slots: Vec<Slot> = trainable
            .map(|(name, parameter)| {
                let state = |&(_, first): &(&str, f32)| parameter.full_like(f64::from(first)).set_requires_grad(false);
                let states = rule.states().iter().map(state).collect();
                Slot { name, parameter, states, touched: Touched::default() }
            })
            .collect();
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Optimizer { rule, slots, lr, l2, step: 0 })
    }

    /// The number of steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Forgets the gradients.
    pub fn zero_grad(&mut self) {
        for slot in &mut self.slots {
            clear_gradient(&mut slot.parameter);
        }
    }

    /// Updates every parameter that has a gradient. `batch` is the number of rows that the loss is a mean over.
    ///
    /// # Errors
    /// [`Error::Torch`] for a parameter that is no contiguous float32 tensor.
    pub fn step(&mut self, batch: usize) -> Result<()> {
        self.step += 1;
        let step = Step { lr: self.lr, number: self.step };
        let shrink = (self.l2 / batch.max(1) as f64) as f32;
        no_grad(|| {
            for Slot { parameter, states, touched, .. } in &mut self.slots {
                let gradient = parameter.grad();
                let rule = self.rule.as_ref();
                if !gradient.defined() {
                    continue;
                }
                match (gradient.is_sparse(), parameter.device()) {
                    (true, Device::Cpu) => touched.update(rule, step, shrink, parameter, &gradient, states)?,
                    (true, _) => update_gathered(rule, step, shrink, parameter, &gradient, states),
                    (false, Device::Cpu) => {
                        let gradient = gradient.contiguous();
                        let width = parameter.numel();
                        let states = states.iter_mut().map(floats_mut).collect::<Result<_>>()?;
                        let (parameter, gradient) = (floats_mut(parameter)?, floats(&gradient)?);
                        if width > 0 {
                            rule.update_rows(step, RowUpdate { rows: &[0], width, parameter, gradient, states });
                        }
                    }
                    (false, _) => rule.update_tensor(step, parameter, &gradient, states),
                }
            }
            Ok(())
        })
    }

    /// The state by name, for a checkpoint: `<parameter>/<state>`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = |slot: &Slot| {
            let names = self.rule.states().iter().map(|(state, _)| format!("{}/{state}", slot.name));
            names.zip(slot.states.iter().map(Tensor::shallow_clone)).collect::<Vec<_>>()
        };
        self.slots.iter().flat_map(named).collect()
    }

    /// Goes on at a step. The tensors of [`Optimizer::state`] are to be overwritten in place beforehand.
    pub fn resume_at(&mut self, step: u64) {
        self.step = step;
    }
}

#[cfg(test)]
mod tests;
