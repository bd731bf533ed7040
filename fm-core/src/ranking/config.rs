//! The settings of a ranking.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The loss of a positive row and its negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RankingLoss {
    /// The mean of -ln σ(s⁺ - s⁻) over the negatives: [`bpr`](super::bpr).
    Bpr,
    /// The softmax over the positive item and its negatives, corrected for the probability of drawing each item:
    /// [`sampled_softmax`](super::sampled_softmax).
    #[default]
    SampledSoftmax,
    /// The first negative within a margin of the positive item, weighted by the rank that its place suggests:
    /// [`warp`](super::warp).
    Warp,
}

/// The distribution of negatives. A known positive of the row's user is never drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerKind {
    /// Uniform over the catalogue.
    #[default]
    Uniform,
    /// Proportional to a power of the number of an item's positive training rows, which counts as at least 1.
    Popularity,
    /// Uniform over the other rows of the batch, so proportional to the number of an item's positive training rows.
    InBatch,
}

/// The settings of a ranking: `[train.ranking]`.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankingConfig {
    /// Loss: bpr compares a positive row with one negative at a time, sampled-softmax with all its negatives at once, and
    /// warp with the first negative that is not clearly worse.
    pub loss: RankingLoss,
    /// Number of negatives per positive row. More negatives give better results and take longer.
    pub negatives: usize,
    /// Distribution of negatives: uniform (over all items), popularity (items with more rows are drawn more often) or
    /// in-batch (the items of the other rows of the batch). A user's own items are never drawn.
    pub sampler: SamplerKind,
    /// Exponent of the popularity sampler: an item with c positive training rows has a probability proportional to c to
    /// this power.
    pub popularity_exponent: f64,
    /// Cutoffs k of hr@k, ndcg@k, recall@k and coverage@k; 10 is always included.
    pub cutoffs: Vec<usize>,
    /// Number of users, drawn at random once, whose rankings choose the best epoch; 0 for all users. Final results are
    /// always for all users.
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
    /// [`Error::OutOfRange`] for no negatives, a cutoff of 0, or a negative or infinite exponent.
    pub fn check(&self) -> Result<()> {
        if self.negatives == 0 {
            return Err(Error::out_of_range("the number of negatives", 0, "at least 1"));
        }
        if self.cutoffs.contains(&0) {
            return Err(Error::out_of_range("one of the cutoffs", format!("{:?}", self.cutoffs), "at least 1"));
        }
        if !self.popularity_exponent.is_finite() || self.popularity_exponent < 0.0 {
            let range = "a number of at least 0";
            return Err(Error::out_of_range("the popularity exponent", self.popularity_exponent, range));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_the_names_of_the_literature_and_are_optional() {
        let config: RankingConfig =
            serde_json::from_str(r#"{"loss": "bpr", "sampler": "in-batch", "negatives": 7}"#).unwrap();
        assert_eq!(config.loss, RankingLoss::Bpr);
        assert_eq!((config.sampler, config.negatives), (SamplerKind::InBatch, 7));
        assert_eq!(config.cutoffs, RankingConfig::default().cutoffs);
        assert!(serde_json::from_str::<RankingConfig>(r#"{"negative": 7}"#).is_err());
        config.check().unwrap();
    }

    #[test]
    fn settings_out_of_range_are_errors() {
        let refused = |config: RankingConfig| config.check().unwrap_err().to_string();
        let config = RankingConfig::default();
        assert!(refused(RankingConfig { negatives: 0, ..config.clone() }).contains("number of negatives is 0"));
        assert!(refused(RankingConfig { cutoffs: vec![5, 0], ..config.clone() }).contains("[5, 0]"));
        assert!(refused(RankingConfig { popularity_exponent: f64::NAN, ..config }).contains("exponent is NaN"));
    }
}
