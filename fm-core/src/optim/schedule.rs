//! Schedules of the learning rate.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate changes during training. Every schedule can be combined with warm-up
/// ([`TrainConfig::warmup_steps`](crate::train::TrainConfig::warmup_steps)).
///
/// ```
/// use fm_core::optim::Schedule;
///
/// assert_eq!("constant".parse::<Schedule>()?, Schedule::default());
/// let halved: Schedule = serde_json::from_str(r#"{"name": "step", "every": 2, "gamma": 0.5}"#).unwrap();
/// assert_eq!(halved, Schedule::Step { every: 2, gamma: 0.5 });
/// assert!("linear".parse::<Schedule>().unwrap_err().to_string().contains("known: constant, step"));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// The learning rate stays constant.
    Constant {},
    /// The learning rate is multiplied by gamma after every `every` epochs.
    Step {
        /// Number of epochs between two changes [default: 10].
        #[serde(default = "every")]
        every: usize,
        /// The factor, above 0 and at most 1 [default: 0.1].
        #[serde(default = "a_tenth")]
        gamma: f64,
    },
    /// The learning rate falls along half a cosine and reaches min_lr after the last epoch. Loshchilov and Hutter,
    /// SGDR, ICLR 2017, without restarts, <https://arxiv.org/abs/1608.03983>.
    Cosine {
        /// The final learning rate, at most the initial one [default: 0].
        #[serde(default)]
        min_lr: f64,
    },
    /// The learning rate is multiplied by factor when the monitored metric has not improved for more than `patience`
    /// epochs, as by PyTorch's `ReduceLROnPlateau`. By default, that is after each epoch without an improvement.
    Plateau {
        /// The factor, above 0 and below 1 [default: 0.1].
        #[serde(default = "a_tenth")]
        factor: f64,
        /// Number of epochs without an improvement to tolerate [default: 0].
        #[serde(default)]
        patience: usize,
        /// The minimum learning rate [default: 0.000001].
        #[serde(default = "millionth")]
        min_lr: f64,
    },
}

fn every() -> usize {
    10
}

fn a_tenth() -> f64 {
    0.1
}

fn millionth() -> f64 {
    1e-6
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule::Constant {}
    }
}

impl std::str::FromStr for Schedule {
    type Err = Error;

    /// The schedule of this name with its defaults.
    fn from_str(name: &str) -> Result<Schedule> {
        serde_json::from_value(serde_json::json!({ "name": name }))
            .map_err(|_| Error::unknown("schedule", name, ["constant", "step", "cosine", "plateau"]))
    }
}

/// The progress of training that schedules depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Number of complete epochs.
    pub epoch: usize,
    /// The fraction of the current epoch that is done, from 0 to below 1.
    pub part: f64,
    /// Number of epochs in total.
    pub epochs: usize,
    /// The number of plateaus of the monitored metric so far.
    pub plateaus: u32,
}

impl Schedule {
    /// Checks the settings, for training that starts at the learning rate `lr`.
    pub(crate) fn check(&self, lr: f64) -> Result<()> {
        let refused = |what: &str, value: f64, range: &str| {
            Err(Error::out_of_range(format!("the schedule's {what}"), value, range))
        };
        let floor = |min_lr: f64| match (0.0..=lr).contains(&min_lr) {
            true => Ok(()),
            false => refused("min_lr", min_lr, &format!("from 0 to the learning rate, {lr}")),
        };
        match *self {
            Schedule::Constant {} => Ok(()),
            Schedule::Step { every: 0, .. } => refused("every", 0.0, "at least 1 epoch"),
            Schedule::Step { gamma, .. } if !(gamma > 0.0 && gamma <= 1.0) => {
                refused("gamma", gamma, "above 0 and at most 1")
            }
            Schedule::Step { .. } => Ok(()),
            Schedule::Plateau { factor, .. } if !(factor > 0.0 && factor < 1.0) => {
                refused("factor", factor, "above 0 and below 1")
            }
            Schedule::Cosine { min_lr } | Schedule::Plateau { min_lr, .. } => floor(min_lr),
        }
    }

    /// The learning rate of the next step, without warm-up, of training that started at `lr`.
    pub(crate) fn rate(&self, lr: f64, at: Position) -> f64 {
        match *self {
            Schedule::Constant {} => lr,
            Schedule::Step { every, gamma } => lr * gamma.powf((at.epoch / every) as f64),
            Schedule::Cosine { min_lr } => {
                let done = (at.epoch as f64 + at.part) / at.epochs as f64;
                min_lr + (lr - min_lr) * (1.0 + (PI * done).cos()) / 2.0
            }
            Schedule::Plateau { factor, min_lr, .. } => (lr * factor.powf(f64::from(at.plateaus))).max(min_lr),
        }
    }
}
