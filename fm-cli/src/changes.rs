//! What has changed since the run that training starts from.

use std::fmt::Write;

use anyhow::Result;
use fm_core::drift::{Distribution, FieldDrift, drift};
use fm_core::metric::{Metrics, metrics_from_json};
use fm_core::rows::AsKnown;
use fm_core::terminal::{grouped, shortened};
use fm_core::train::{Trainer, WarmStart};
use fm_core::{Records, Rows, Schema, evaluate};
use fm_data::Prepared;
use fm_models::Run;
use serde::{Deserialize, Serialize};

use crate::console;

/// Number of fields in a table on the terminal.
const SHOWN: usize = 12;

/// The content of `values.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    /// The number of training rows.
    pub rows: usize,
    /// The distribution of their values.
    pub fields: Vec<Distribution>,
    /// What has changed since the run that training started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
}

/// What has changed since an earlier run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// Its folder.
    pub run: String,
    /// How the training rows differ from those of the earlier run. Empty if that run has no `values.json`.
    pub fields: Vec<FieldDrift>,
    /// The metrics of the earlier run's model on the validation rows, if its parameters fit the new rows.
    #[serde(deserialize_with = "metrics_from_json")]
    pub valid: Metrics,
    /// The same on the test rows.
    #[serde(deserialize_with = "metrics_from_json")]
    pub test: Metrics,
}

impl Values {
    pub fn of(schema: &Schema, train: &Records) -> Values {
        Values { rows: train.len(), fields: Distribution::all(schema, train), changes: None }
    }

    /// Those of a run; none if it was trained before there were any.
    pub fn of_run(run: &Run) -> Result<Option<Values>> {
        Ok(run.values()?)
    }
}

impl Changes {
    /// Compares training rows with those of the earlier run, and measures its model, which `trainer` has just started from.
    pub fn since(earlier: &Run, data: &Prepared, trainer: &Trainer<'_>, taken: &WarmStart) -> Result<Changes> {
        let (schema, known) = (&data.schema, earlier.schema());
        let values = Values::of_run(earlier)?;
        let fields = values.map(|values| drift(&values.fields, known, schema, &data.train)).unwrap_or_default();
        let numbers = |schema: &Schema| -> Vec<_> {
            schema.fields().iter().map(|field| &field.kind).filter(|kind| kind.is_numeric()).cloned().collect()
        };
        let is_same_model = taken.fresh.is_empty() && numbers(schema) == numbers(known) && data.ranking.is_none();
        let measure = |rows: &Records| -> Result<Metrics> {
            match is_same_model {
                true => {
                    let rows = AsKnown::new(rows, schema, known);
                    Ok(evaluate(trainer.model, schema.label(), &rows, trainer.store.device())?)
                }
                false => Ok(Metrics::new()),
            }
        };
        let (valid, test) = (measure(&data.valid)?, measure(&data.test)?);
        Ok(Changes { run: earlier.folder().display().to_string(), fields, valid, test })
    }
}

/// A table of the fields, those that differ most first.
pub fn table(fields: &[FieldDrift]) -> String {
    let sorted = sorted(fields);
    let width = sorted.iter().take(SHOWN).map(|drift| shortened(&drift.field, 30).chars().count()).max().unwrap_or(0);
    let width = width.max("field".len());
    let mut text =
        format!("{:<width$}  {:>10}  {:>14}  {:>8}  {:>7}", "field", "new values", "unknown before", "unknown", "psi");
    for drift in sorted.iter().take(SHOWN) {
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        let _ = write!(
            text,
            "\n{:<width$}  {:>10}  {:>14}  {:>8}  {:>7}",
            shortened(&drift.field, 30),
            drift.new_values.map_or("-".into(), |count| grouped(count as i64)),
            percent(drift.unknown_before),
            percent(drift.unknown),
            console::decimal(drift.psi, 3)
        );
    }
    if sorted.len() > SHOWN {
        let _ = write!(text, "\nand {} more fields", sorted.len() - SHOWN);
    }
    text
}

/// The fields, those that differ most first.
pub fn sorted(fields: &[FieldDrift]) -> Vec<&FieldDrift> {
    let mut sorted: Vec<&FieldDrift> = fields.iter().collect();
    sorted.sort_by(|a, b| b.psi.total_cmp(&a.psi));
    sorted
}
