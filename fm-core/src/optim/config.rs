//! The settings of an optimiser: the update rule with its constants, and the scope of the L2 penalty.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::Rule;
use super::{adagrad, adam, ftrl, rmsprop, sgd};
use crate::error::{Error, Result};

/// An update rule with its constants, for a weight w with the gradient g; η is the learning rate and t the step,
/// counted from
/// 1. The defaults are those of Keras. With row-sparse gradients, only the rows that a batch looks up and their states change.
///
/// ```
/// use fm_core::optim::OptimizerConfig;
///
/// assert_eq!("adam".parse::<OptimizerConfig>()?, OptimizerConfig::default());
/// let sgd: OptimizerConfig = serde_json::from_str(r#"{"name": "sgd", "momentum": 0.9}"#).unwrap();
/// assert_eq!(sgd, OptimizerConfig::Sgd { momentum: 0.9 });
/// assert!("adamax".parse::<OptimizerConfig>().unwrap_err().to_string().contains("known: sgd, adagrad"));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent: w ← w + v with v ← μ v - η g.
    Sgd {
        /// μ: the fraction of the previous change to keep.
        #[serde(default)]
        momentum: f64,
    },
    /// AdaGrad: w ← w - η g / √(a + ε) with a ← a + g². Duchi, Hazan and Singer, JMLR 2011,
    /// <https://jmlr.org/papers/v12/duchi11a.html>.
    Adagrad {
        /// ε: inside the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// The first value of a. By default 0.1, as in Keras, or 1 with online updates, as in LIBFFM.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initial: Option<f64>,
    },
    /// RMSprop: w ← w - η g / √(a + ε) with a ← ρ a + (1 - ρ) g². Tieleman and Hinton, lecture 6.5 of "Neural Networks
    /// for Machine Learning", 2012.
    RmsProp {
        /// ρ: the decay of the mean square.
        #[serde(default = "beta_1")]
        rho: f64,
        /// ε: inside the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// Whether ε is added outside the root, as in Keras up to 2.10 and in libtorch.
        #[serde(default)]
        legacy: bool,
    },
    /// Adam: w ← w - η √(1 - β₂ᵗ)/(1 - β₁ᵗ) m / (√v + ε) with m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g². Kingma
    /// and Ba, ICLR 2015, <https://arxiv.org/abs/1412.6980>.
    Adam {
        /// β₁: the decay of the mean.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// β₂: the decay of the mean square.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// ε: outside the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
    },
    /// Adam with decoupled weight decay, w ← w - η λ w before each step. Loshchilov and Hutter, ICLR 2019,
    /// <https://arxiv.org/abs/1711.05101>.
    AdamW {
        /// β₁: the decay of the mean.
        #[serde(default = "beta_1")]
        beta_1: f64,
        /// β₂: the decay of the mean square.
        #[serde(default = "beta_2")]
        beta_2: f64,
        /// ε: outside the root.
        #[serde(default = "epsilon")]
        epsilon: f64,
        /// λ: the weight decay.
        #[serde(default = "weight_decay")]
        weight_decay: f64,
    },
    /// FTRL-Proximal: w = -η sign(z) max(|z| - λ₁, 0) / (β + √n) with n the sum of g² and z the sum of
    /// g - (√n - √(n - g²))/η w. λ₁ sets weights to exactly 0. It lowers its rate by itself, so it needs the constant
    /// schedule. McMahan et al., KDD 2013, <https://doi.org/10.1145/2487575.2488200>.
    Ftrl {
        /// β: the larger, the smaller the first steps.
        #[serde(default = "ftrl_beta")]
        beta: f64,
        /// λ₁ of the penalty λ₁ ‖w‖₁.
        #[serde(default)]
        l1: f64,
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

fn ftrl_beta() -> f64 {
    1.0
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
            .map_err(|_| Error::unknown("optimizer", name, ["sgd", "adagrad", "rmsprop", "adam", "adamw", "ftrl"]))
    }
}

impl OptimizerConfig {
    pub(super) fn rule(self) -> Box<dyn Rule> {
        match self {
            OptimizerConfig::Sgd { momentum } => Box::new(sgd::Sgd { momentum }),
            OptimizerConfig::Adagrad { epsilon, initial } => {
                Box::new(adagrad::Adagrad { epsilon, initial: initial.unwrap_or(0.1) })
            }
            OptimizerConfig::RmsProp { rho, epsilon, legacy } => Box::new(rmsprop::RmsProp { rho, epsilon, legacy }),
            OptimizerConfig::Adam { beta_1, beta_2, epsilon } => {
                Box::new(adam::Adam { beta_1, beta_2, epsilon, weight_decay: 0.0 })
            }
            OptimizerConfig::AdamW { beta_1, beta_2, epsilon, weight_decay } => {
                Box::new(adam::Adam { beta_1, beta_2, epsilon, weight_decay })
            }
            OptimizerConfig::Ftrl { beta, l1 } => Box::new(ftrl::Ftrl { beta, l1 }),
        }
    }

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            OptimizerConfig::Sgd { .. } => "sgd",
            OptimizerConfig::Adagrad { .. } => "adagrad",
            OptimizerConfig::RmsProp { .. } => "rmsprop",
            OptimizerConfig::Adam { .. } => "adam",
            OptimizerConfig::AdamW { .. } => "adamw",
            OptimizerConfig::Ftrl { .. } => "ftrl",
        }
    }

    /// Makes the state of a parameter agree with the parameter, after both were taken from an earlier run: its rate and
    /// constants may have been others, and the state may have been scaled. Only FTRL computes parameters from their
    /// state. `states` has the states by name, as [`Optimizer::state`](super::Optimizer::state) does.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub(crate) fn reconcile(self, lr: f64, parameter: &Tensor, states: &[(String, Tensor)]) -> Result<()> {
        let state = |name: &str| states.iter().find(|(state, _)| state.ends_with(name)).map(|(_, tensor)| tensor);
        match (self, state("/linear"), state("/square_sum")) {
            (OptimizerConfig::Ftrl { beta, l1 }, Some(linear), Some(square_sum)) => {
                ftrl::Ftrl { beta, l1 }.reconcile(lr, parameter, linear, square_sum)
            }
            _ => Ok(()),
        }
    }

    /// Checks the constants that some values make meaningless.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub(crate) fn check(self) -> Result<()> {
        const SHARE: &str = "at least 0 and below 1";
        const POSITIVE: &str = "a number above 0";
        const AT_LEAST_0: &str = "a number of at least 0";
        let constants: Vec<(&str, f64, &str)> = match self {
            OptimizerConfig::Sgd { momentum } => vec![("momentum", momentum, SHARE)],
            OptimizerConfig::Adagrad { epsilon, initial } => {
                vec![("epsilon", epsilon, AT_LEAST_0), ("initial", initial.unwrap_or(0.0), AT_LEAST_0)]
            }
            OptimizerConfig::RmsProp { rho, epsilon, .. } => {
                vec![("rho", rho, SHARE), ("epsilon", epsilon, AT_LEAST_0)]
            }
            OptimizerConfig::Adam { beta_1, beta_2, epsilon } => {
                vec![("beta_1", beta_1, SHARE), ("beta_2", beta_2, SHARE), ("epsilon", epsilon, AT_LEAST_0)]
            }
            OptimizerConfig::AdamW { beta_1, beta_2, epsilon, weight_decay } => vec![
                ("beta_1", beta_1, SHARE),
                ("beta_2", beta_2, SHARE),
                ("epsilon", epsilon, AT_LEAST_0),
                ("weight_decay", weight_decay, AT_LEAST_0),
            ],
            OptimizerConfig::Ftrl { beta, l1 } => vec![("beta", beta, POSITIVE), ("l1", l1, AT_LEAST_0)],
        };
        let is_in_range = |&(_, value, range): &(&str, f64, &str)| match range {
            SHARE => (0.0..1.0).contains(&value),
            POSITIVE => value.is_finite() && value > 0.0,
            _ => value.is_finite() && value >= 0.0,
        };
        match constants.into_iter().find(|constant| !is_in_range(constant)) {
            Some((name, value, range)) => Err(Error::out_of_range(format!("optimizer.{name}"), value, range)),
            None => Ok(()),
        }
    }
}

/// Which rows of a table the L2 penalty applies to, and which rows a step changes. A table is a parameter with a
/// row-sparse gradient from lookups: latent vectors, first-order weights. A step without a lookup in a table leaves it
/// unchanged, like any parameter without a gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum L2Scope {
    /// The rows that a batch looks up, once per lookup: λ/2 ‖row‖² for each, averaged over the batch like the loss, as
    /// in libffm. All other rows stay unchanged.
    #[default]
    Touched,
    /// The whole table in each step: λ/2 ‖W‖² is added to the mean loss, as with FuxiCTR's `embedding_regularizer`.
    /// Every row changes in every step, as with dense gradients, so a step takes time proportional to the size of the
    /// table.
    Table,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_outside_their_range_are_errors() {
        let error = |json: &str| {
            let config: OptimizerConfig = serde_json::from_str(json).unwrap();
            config.check().map_or_else(|error| error.to_string(), |()| String::new())
        };
        for (json, words) in [
            (r#"{"name": "sgd", "momentum": 1.0}"#, "optimizer.momentum is 1: it must be at least 0 and below 1"),
            (r#"{"name": "adagrad", "initial": -1.0}"#, "optimizer.initial is -1: it must be a number of at least 0"),
            (r#"{"name": "rmsprop", "rho": 1.5}"#, "optimizer.rho is 1.5"),
            (r#"{"name": "adam", "beta_1": 2.0}"#, "optimizer.beta_1 is 2"),
            (r#"{"name": "adam", "epsilon": -1e-7}"#, "optimizer.epsilon is -0.0000001"),
            (r#"{"name": "adamw", "weight_decay": -0.1}"#, "optimizer.weight_decay is -0.1"),
            (r#"{"name": "ftrl", "beta": 0.0}"#, "optimizer.beta is 0: it must be a number above 0"),
        ] {
            assert!(error(json).starts_with(words), "{json}: {}", error(json));
        }
        for name in ["sgd", "adagrad", "rmsprop", "adam", "adamw", "ftrl"] {
            name.parse::<OptimizerConfig>().unwrap().check().unwrap();
        }
    }
}
