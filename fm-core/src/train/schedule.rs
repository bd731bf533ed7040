//! How the learning rate changes while training goes on.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate goes on from where it starts. Warm-up, which all of them can have, is
/// [`TrainConfig::warmup_steps`](super::TrainConfig::warmup_steps).
///
/// ```
/// use fm_core::train::Schedule;
///
/// assert_eq!("constant".parse::<Schedule>()?, Schedule::default());
/// let halved: Schedule = serde_json::from_str(r#"{"name": "step", "every": 2, "gamma": 0.5}"#).unwrap();
/// assert_eq!(halved, Schedule::Step { every: 2, gamma: 0.5 });
/// assert!("linear".parse::<Schedule>().unwrap_err().to_string().contains("none of constant, step"));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// It stays as it is.
    Constant {},
    /// It is multiplied by gamma after every so many epochs.
    Step {
        /// The epochs between two changes [default: 10].
        #[serde(default = "every")]
        every: usize,
        /// What it is multiplied by, above 0 and at most 1 [default: 0.1].
        #[serde(default = "a_tenth")]
        gamma: f64,
    },
    /// It falls from step to step along half a cosine, to reach min_lr when all epochs are done. Loshchilov and Hutter,
    /// SGDR, ICLR 2017, without restarts, <https://arxiv.org/abs/1608.03983>.
    Cosine {
        /// Where it ends, at most the learning rate [default: 0].
        #[serde(default)]
        min_lr: f64,
    },
    /// It is multiplied by factor whenever the monitored metric has got no better for more than `patience` epochs, as
    /// PyTorch's `ReduceLROnPlateau` does. With the defaults, that is after each epoch that is no better.
    Plateau {
        /// What it is multiplied by, above 0 and below 1 [default: 0.1].
        #[serde(default = "a_tenth")]
        factor: f64,
        /// The epochs without a better result that change nothing [default: 0].
        #[serde(default)]
        patience: usize,
        /// It falls no lower than this [default: 0.000001].
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
            .map_err(|_| Error::Setting(format!("schedule `{name}` is none of constant, step, cosine, plateau")))
    }
}

/// How far training has come, as a schedule sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// Whole epochs done.
    pub epoch: usize,
    /// The part of the epoch under way that is done, from 0 to below 1.
    pub part: f64,
    /// All epochs that are to be done.
    pub epochs: usize,
    /// How often the monitored metric has stood still.
    pub plateaus: u32,
}

impl Schedule {
    /// Checks the settings, for training that starts at the learning rate `lr`.
    pub(super) fn check(&self, lr: f64) -> Result<()> {
        let refused = |what: &str, value: f64, range: &str| {
            Err(Error::Setting(format!("the schedule's {what} is {value}: it must be {range}")))
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
    pub(super) fn rate(&self, lr: f64, at: Position) -> f64 {
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
