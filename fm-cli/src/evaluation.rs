//! Measures a model on a part of the data: over its rows or, for a ranking, over its users.

use anyhow::Result;
use fm_args::flags::Part;
use fm_core::metric::Metrics;
use fm_core::{Label, Records, Rows, Score, Task, evaluate};
use fm_data::RawData;
use fm_models::Run;
use tch::Device;

use crate::predictor::Predictor;
use crate::ranking::Ranking;

/// The metrics of a model on a part.
pub fn metrics(
    model: &dyn Score,
    (part, rows): (Part, &dyn Rows),
    ranking: Option<&Ranking>,
    label: &Label,
    device: Device,
) -> Result<Metrics> {
    match ranking {
        Some(ranking) => ranking.evaluate(part, rows, model),
        None => Ok(evaluate(model, label, rows, device)?),
    }
}

/// Warns about metrics that are not finite. `what` names the rows, such as `test rows`.
pub fn warn_if_not_finite(what: &str, metrics: &Metrics) {
    let odd: Vec<&str> =
        metrics.iter().filter(|(_, value)| !value.is_finite()).map(|(name, _)| name.as_str()).collect();
    if !odd.is_empty() {
        tracing::warn!(
            "{} of the {what} are not finite numbers: some scores are not, because the model's parameters are too large; train \
             it again with a lower learning rate",
            odd.join(", ")
        );
    }
}

/// The rows of a part.
pub fn rows_of(source: &RawData, part: Part) -> &[u32] {
    match part {
        Part::Train => &source.parts.train,
        Part::Valid => &source.parts.valid,
        Part::Test => &source.parts.test,
    }
}

/// A part of the data, encoded with the schema of a run. Values that are not in the schema are unknown, even if the
/// data has grown since.
pub struct Evaluation {
    part: Part,
    pub rows: Records,
    ranking: Option<Ranking>,
    /// For a ranking, the digest of the items and of the users' rows.
    catalogue: Option<String>,
}

impl Evaluation {
    /// Encodes a part of the data for a model.
    pub fn new<M: Score>(predictor: &Predictor<M>, source: &RawData, part: Part) -> Result<Evaluation> {
        let rows = source.encode(&predictor.schema, rows_of(source, part))?;
        let (ranking, catalogue) = match predictor.schema.label().task {
            Task::Ranking { .. } => {
                let data = source.ranking(&predictor.schema)?;
                (Some(predictor.ranking(&data)?), Some(data.digest()))
            }
            Task::Regression | Task::Binary { .. } => (None, None),
        };
        Ok(Evaluation { part, rows, ranking, catalogue })
    }

    /// Whether the data differs from that of the run.
    pub fn has_changed(&self, run: &Run) -> bool {
        run.digest(self.part.name()) != Some(self.rows.digest().as_str())
            || self.catalogue.as_ref().is_some_and(|digest| run.digest("catalogue") != Some(digest.as_str()))
    }

    /// The ranking, if that is the task.
    pub fn ranking(&self) -> Option<&Ranking> {
        self.ranking.as_ref()
    }

    /// The metrics of a model.
    pub fn metrics(&self, model: &dyn Score, label: &Label, device: Device) -> Result<Metrics> {
        metrics(model, (self.part, &self.rows), self.ranking.as_ref(), label, device)
    }
}
