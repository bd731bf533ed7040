//! Measuring a model on a part of the data: over its rows, or for a ranking over its users.

use anyhow::Result;
use fm_args::flags::Part;
use fm_core::metric::{Metrics, metrics_of_rows};
use fm_core::train::predict_with;
use fm_core::{Label, Rows, Task};
use fm_data::{Dataset, RawData};
use fm_models::Run;
use tch::Device;

use crate::predictor::{Logits, Predictor};
use crate::ranking::Ranking;

/// The metrics of a model on a part.
pub fn metrics(
    model: &dyn Logits,
    (part, rows): (Part, &dyn Rows),
    ranking: Option<&Ranking>,
    label: &Label,
    device: Device,
) -> Result<Metrics> {
    match ranking {
        Some(ranking) => ranking.evaluate(part, rows, |candidates| model.candidate_logits(candidates)),
        None => {
            let logits = predict_with(|features| model.logits(features), rows, device)?;
            Ok(metrics_of_rows(label, &logits, rows))
        }
    }
}

/// A part of the data, encoded with the schema of a run: what the run does not know is unknown, even if the data has grown since.
pub struct Evaluation {
    part: Part,
    pub rows: Dataset,
    ranking: Option<Ranking>,
    /// The digest of the items and of the rows of users, for a ranking.
    catalogue: Option<String>,
}

impl Evaluation {
    /// Encodes a part of the data for a model.
    pub fn new<M: Logits>(predictor: &Predictor<M>, source: &RawData, part: Part) -> Result<Evaluation> {
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

    /// What ranks the items, for a ranking.
    pub fn ranking(&self) -> Option<&Ranking> {
        self.ranking.as_ref()
    }

    /// The metrics of a model.
    pub fn metrics(&self, model: &dyn Logits, label: &Label, device: Device) -> Result<Metrics> {
        metrics(model, (self.part, &self.rows), self.ranking.as_ref(), label, device)
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
