//! How a ranking is trained and measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a positive row is compared with its negatives by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankingLoss {
    /// -ln σ(s⁺ - s⁻), the mean over the negatives: [`bpr`](super::bpr).
    Bpr,
    /// The softmax over the positive and its negatives, corrected for how often each item is drawn:
    /// [`sampled_softmax`](super::sampled_softmax).
    #[default]
    SampledSoftmax,
}

/// Where negatives come from. None is a known positive of the row's user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerKind {
    /// All items of the catalogue alike.
    #[default]
    Uniform,
    /// Items in proportion to a power of their positive training rows; one without a row counts as one with a single row.
    Popularity,
    /// Items of the other rows of the batch, and so in proportion to their positive training rows.
    InBatch,
}

/// The settings of a ranking: `[train.ranking]`.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankingConfig {
    /// bpr, which compares a positive row with one negative at a time, or sampled-softmax, which compares it with all its
    /// negatives at once.
    pub loss: RankingLoss,
    /// How many negatives each positive row is compared with. More learn better, and take longer.
    pub negatives: usize,
    /// Where negatives are drawn from: uniform (all items alike), popularity (items with many rows more often) or in-batch
    /// (the items of the other rows of the batch). A user's own items are never drawn.
    pub sampler: SamplerKind,
    /// For the popularity sampler: an item with c positive training rows is drawn in proportion to c to this power.
    pub popularity_exponent: f64,
    /// The lengths k of the lists that hr@k, ndcg@k, recall@k and coverage@k are measured on; 10 is always among them.
    pub cutoffs: Vec<usize>,
    /// At most so many users, drawn once, choose the best epoch; 0 takes all. The results at the end are of all users.
    pub valid_users: usize,
}

impl Default for RankingConfig {
    fn default() -> RankingConfig {
        RankingConfig {
            loss: RankingLoss::default(),
            negatives: 50,
            sampler: SamplerKind::default(),
            popularity_exponent: 0.75,
            cutoffs: vec![5, 10, 20],
            valid_users: 1000,
        }
    }
}

impl RankingConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] for no negative, a cutoff of 0, or an exponent that is no number from 0.
    pub fn check(&self) -> Result<()> {
        let refused = |reason: String| Err(Error::Setting(reason));
        if self.negatives == 0 {
            return refused("the number of negatives is 0: a ranking is learnt from at least 1 for each row".into());
        }
        if self.cutoffs.contains(&0) {
            return refused(format!("the cutoffs are {:?}: each must be at least 1", self.cutoffs));
        }
        if !self.popularity_exponent.is_finite() || self.popularity_exponent < 0.0 {
            let exponent = self.popularity_exponent;
            return refused(format!("the popularity exponent is {exponent}: it must be a number of at least 0"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_as_the_literature_names_them_and_may_be_left_out() {
        let config: RankingConfig =
            serde_json::from_str(r#"{"loss": "bpr", "sampler": "in-batch", "negatives": 7}"#).unwrap();
        assert_eq!(config.loss, RankingLoss::Bpr);
        assert_eq!((config.sampler, config.negatives), (SamplerKind::InBatch, 7));
        assert_eq!(config.cutoffs, RankingConfig::default().cutoffs);
        assert!(serde_json::from_str::<RankingConfig>(r#"{"negative": 7}"#).is_err());
        config.check().unwrap();
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = |config: RankingConfig| config.check().unwrap_err().to_string();
        let config = RankingConfig::default();
        assert!(refused(RankingConfig { negatives: 0, ..config.clone() }).contains("number of negatives is 0"));
        assert!(refused(RankingConfig { cutoffs: vec![5, 0], ..config.clone() }).contains("[5, 0]"));
        assert!(refused(RankingConfig { popularity_exponent: f64::NAN, ..config }).contains("exponent is NaN"));
    }
}
