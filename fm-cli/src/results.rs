//! The results of a run.

use std::collections::BTreeMap;

use anyhow::Result;
use fm_core::metric::{Metrics, metrics_from_json};
use fm_data::TaskName;
use fm_models::Run;
use serde::{Deserialize, Serialize};

use crate::baselines::{Baselines, baselines_from_json};

/// The content of `summary.json`.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub model: String,
    pub task: TaskName,
    pub best_epoch: usize,
    pub epochs: usize,
    #[serde(deserialize_with = "metrics_from_json")]
    pub valid: Metrics,
    #[serde(deserialize_with = "metrics_from_json")]
    pub test: Metrics,
    /// The metrics of progressive validation, if the run has it.
    #[serde(default, skip_serializing_if = "Metrics::is_empty", deserialize_with = "metrics_from_json")]
    pub progressive: Metrics,
    /// The test metrics of the baselines.
    #[serde(deserialize_with = "baselines_from_json")]
    pub baselines: Baselines,
    /// The validation metrics of the baselines, for a ranking.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "baselines_from_json")]
    pub valid_baselines: Baselines,
    pub parameters: i64,
    pub seconds: f64,
    /// The number of rows of each part.
    pub rows: BTreeMap<String, usize>,
    pub device: String,
}

impl Results {
    /// The results of a run, with the metrics of its calibrated model if it has one; `None` before the end of training.
    pub fn of_run(run: &Run) -> Result<Option<Results>> {
        let results: Option<Results> = run.summary()?;
        Ok(results.map(|results| match run.calibration() {
            Some(of_run) => Results { valid: of_run.valid.clone(), test: of_run.test.clone(), ..results },
            None => results,
        }))
    }
}
