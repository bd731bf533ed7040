//! Optimisers with Keras's definitions and defaults, dense and row-sparse, whose state can be saved.
//!
//! A table that was looked up with sparse gradients is updated only in the rows that the batch touched: the gradients
//! of one row are summed, and one fused rule updates these rows and their state. A lookup whose gradient is exactly
//! zero, such as padding, touches nothing.

mod adagrad;
mod adam;
mod clipping;
mod gradient;
mod rmsprop;
mod row_gradient;
mod row_sparse;
mod rule;
mod sgd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use crate::error::{Error, Result};
use clipping::Clipping;
use gradient::Slot;
use rule::{Rule, Step};

pub use row_gradient::{RowGradient, RowGradients};

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

/// What of the tables the L2 penalty falls on, and which of their rows a step moves. A table is a parameter whose gradient is
/// row-sparse: one that is looked up, such as latent vectors and the weights of the first order. In a step that looks nothing
/// up in a table, it is like any parameter without a gradient: nothing of it moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum L2Scope {
    /// The rows that a batch looks up, in proportion to how often it does: λ/2 ‖row‖² for each lookup, a mean over the batch
    /// like the loss, as libffm has it. The other rows stay as they are.
    #[default]
    Touched,
    /// All rows of the tables, in each step: λ/2 ‖W‖² beside the mean loss, as FuxiCTR's `embedding_regularizer` has it. Every
    /// row moves in every step, as with dense gradients, which takes time in proportion to the tables.
    Table,
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
    /// What is kept of a chain of draws.
    chain: Vec<(String, Tensor)>,
    /// η, the learning rate.
    pub lr: f64,
    l2: f64,
    l2_scope: L2Scope,
    clipping: Clipping,
    gradient_norm: Option<f64>,
    step: u64,
}

impl Optimizer {
    /// An optimiser of all trainable parameters, in the order of their names; `lr` is η, the learning rate.
    ///
    /// `l2` is λ of the penalty on tables, in the form of [`L2Scope::Touched`].
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
        let mut slots: Vec<Slot> =
            trainable.map(|(name, parameter)| Slot::new(name, parameter, rule.as_ref())).collect();
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        let (l2_scope, clipping) = (L2Scope::Touched, Clipping::default());
        Ok(Optimizer { rule, slots, chain: vec![], lr, l2, l2_scope, clipping, gradient_norm: None, step: 0 })
    }

    /// The same for a model that a chain of draws trains: it updates no parameter, and its state is that of the chain.
    pub(crate) fn with_chain(self, chain: Vec<(String, Tensor)>) -> Optimizer {
        Optimizer { slots: vec![], chain, lr: 0.0, ..self }
    }

    /// The same with another form of the penalty.
    pub fn with_l2_scope(self, l2_scope: L2Scope) -> Optimizer {
        Optimizer { l2_scope, ..self }
    }

    /// The same with gradients, the penalty's included, that are brought into a range: first each number g into
    /// -`value` ≤ g ≤ `value`, then all together, by min(1, `norm` / (‖g‖ + 10⁻⁶)), where ‖g‖ is the norm of all gradients
    /// after those of the same row are summed. This is what PyTorch's `clip_grad_value_` and `clip_grad_norm_` do.
    ///
    /// # Errors
    /// [`Error::Setting`] for a bound that is not a number above 0.
    pub fn with_clipping(self, norm: Option<f64>, value: Option<f64>) -> Result<Optimizer> {
        Ok(Optimizer { clipping: Clipping::new(norm, value)?, ..self })
    }

    /// The number of steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Forgets the gradients.
    pub fn zero_grad(&mut self) {
        self.slots.iter_mut().for_each(Slot::clear);
    }

    /// The norm of all gradients of the last step, the penalty's included, after each number was clipped and before they were
    /// scaled down. On a CUDA device it is known if gradients are clipped by it.
    pub fn gradient_norm(&self) -> Option<f64> {
        self.gradient_norm
    }

    /// Updates every parameter that has a gradient. `batch` is the number of rows that the loss is a mean over.
    ///
    /// # Errors
    /// [`Error::Gradient`] for a gradient that is not finite, where [`Optimizer::gradient_norm`] is known: nothing is updated
    /// then. [`Error::Torch`] for a parameter that is no contiguous float32 tensor.
    pub fn step(&mut self, batch: usize) -> Result<()> {
        let l2 = match self.l2_scope {
            L2Scope::Touched => self.l2 / batch.max(1) as f64,
            L2Scope::Table => self.l2,
        } as f32;
        no_grad(|| {
            self.slots.iter_mut().try_for_each(|slot| slot.gather(self.l2_scope, l2, &self.clipping))?;
            self.gradient_norm = self.clipping.norm_of(&self.slots)?;
            let scale = self.clipping.scale(self.gradient_norm);
            self.step += 1;
            let step = Step { lr: self.lr, number: self.step };
            self.slots.iter_mut().try_for_each(|slot| slot.update(self.rule.as_ref(), step, scale))
        })
    }

    /// The state by name, for a checkpoint: `<parameter>/<state>`.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let named = |slot: &Slot| {
            let names = self.rule.states().iter().map(|(state, _)| format!("{}/{state}", slot.name));
            names.zip(slot.states.iter().map(Tensor::shallow_clone)).collect::<Vec<_>>()
        };
        let chain = self.chain.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        self.slots.iter().flat_map(named).chain(chain).collect()
    }

    /// Goes on at a step. The tensors of [`Optimizer::state`] are to be overwritten in place beforehand.
    pub fn resume_at(&mut self, step: u64) {
        self.step = step;
    }
}

#[cfg(test)]
mod tests;
