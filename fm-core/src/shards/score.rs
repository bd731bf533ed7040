//! Scores of a model whose tables are divided among processes.

use tch::Tensor;

use super::Shards;
use crate::candidates::Candidates;
use crate::error::Result;
use crate::features::Features;
use crate::model::Model;
use crate::predict::Score;

/// A model as processes that train together score it: if its tables are divided, it fetches the rows that it looks up.
/// Then all processes score equally often, or serve the one that does.
pub struct SharedModel<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// Its divided tables.
    pub shards: Option<&'a Shards<'a>>,
}

impl Score for SharedModel<'_> {
    fn score_rows(&self, features: &Features) -> Result<Tensor> {
        if let Some(shards) = self.shards {
            shards.note(features)?;
            shards.fetch()?;
        }
        self.model.score_rows(features)
    }

    fn score_candidates(&self, candidates: &Candidates<'_>) -> Result<Tensor> {
        if let Some(shards) = self.shards {
            shards.note_candidates(candidates)?;
            shards.fetch()?;
        }
        self.model.score_candidates(candidates)
    }

    fn score_none(&self) -> Result<()> {
        self.shards.map_or(Ok(()), Shards::fetch)
    }
}
