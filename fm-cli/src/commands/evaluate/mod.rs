//! `fm evaluate`

mod by;
mod measured;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use fm_args::commands::Evaluate;
use fm_core::drift::{FieldDrift, drift};
use fm_core::metric::{Costs, Metrics, metrics_of_rows};
use fm_core::{Label, Records, Rows, Task};
use fm_data::table::{check_output, write_table};
use fm_models::Run;
use fm_models::run::BuiltModel;
use serde::Serialize;

use super::predict::{append_scores, without_score};
use super::{print, print_json};
use crate::changes::{self, Values};
use crate::console::{decimal, width, wrapped};
use crate::evaluation::warn_if_not_finite;
use crate::extremes::warn_of_clamped;
use crate::labels::warn_of_other_labels;
use crate::metric::in_order;
use crate::predictor::Predictor;
use crate::settings::on_bad_row;
use crate::targets::Targets;
use crate::thresholds::{self, Threshold, thresholds};
use crate::values::Unknown;
use measured::Measured;

/// The output.
#[derive(Serialize)]
struct Found<'a> {
    data: &'a str,
    part: &'a str,
    rows: usize,
    /// The number of rows without a known value, for each field.
    unknown: BTreeMap<&'a str, usize>,
    metrics: Metrics,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<Vec<FieldDrift>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Vec<by::Part>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thresholds: Option<Vec<Threshold>>,
}

pub fn run(args: &Evaluate) -> Result<()> {
    if let Some(output) = &args.output {
        check_output(output)?;
    }
    let run = Run::open(&args.run)?;
    check_form(args, run.schema().label().task)?;
    let mut predictor = Predictor::of_run(&run, &args.device.device)?;
    if let Some(on_bad_row) = on_bad_row(&args.bad_rows)? {
        predictor.settings.data.on_bad_row = on_bad_row;
    }
    let measured = Measured::new(args, &run, &predictor)?;
    args.by.as_ref().map_or(Ok(()), |column| by::check(column, &measured.source))?;
    measured.warn(&run);
    let (label, rows) = (predictor.schema.label(), &measured.evaluation.rows);
    let (metrics, logits) = scored(args, &predictor, &measured)?;
    let unknown = warn_of_rows(&predictor, &measured);
    let (what, rows_of_what) = measured.names();
    warn_if_not_finite(&rows_of_what, &metrics);
    if let Some(output) = &args.output {
        let all = measured.source.rows.take(measured.numbers(), &measured.source.rows.names())?;
        let mut table = without_score(&all, &predictor.schema, &measured.file())?;
        let scores: Vec<f32> = logits.iter().map(|&logit| label.prediction(logit)).collect();
        append_scores(&mut table, &scores)?;
        write_table(output, &mut table)?;
        tracing::info!("wrote {}", output.display());
    }
    if let Some(shift) = predictor.shift().filter(|_| args.costs.is_some()) {
        tracing::warn!("{shift} `fm calibrate {}` turns them into probabilities.", args.run.display());
    }
    let main = predictor.settings.monitored()?.name;
    let by = args.by.as_deref().map(|column| by::parts(column, &measured, &logits, label, &main));
    let found = Found {
        data: &measured.data,
        part: if measured.is_new { "new" } else { measured.part.name() },
        rows: rows.len(),
        unknown: unknown.by_field(),
        metrics,
        drift: args.drift.then(|| drift_of(&run, rows)).transpose()?,
        by: by.transpose()?,
        thresholds: args.costs.map(|costs| thresholds_of(label, rows, &logits, costs)),
    };
    if args.form.json {
        return print_json(&found);
    }
    let unknown: String =
        unknown.by_role().iter().map(|(field, rows)| format!(", {field} unknown in {rows}")).collect();
    found.print(&format!("{what} ({} rows{unknown})", found.rows), &main, args.by.as_deref())
}

impl Found<'_> {
    /// Prints it for people: the metrics of `what`, with `main` first, and then a table for each option.
    fn print(&self, what: &str, main: &str, by: Option<&str>) -> Result<()> {
        let mut names = in_order(self.metrics.keys());
        names.sort_by_key(|name| *name != main);
        let metrics: Vec<String> =
            names.iter().map(|name| format!("{name} {}", decimal(self.metrics[*name], 4))).collect();
        print(wrapped(&format!("{what}: {}", metrics.join(", ")), width(), 0, 2))?;
        if let (Some(column), Some(parts)) = (by, &self.by) {
            print(format!("\n{}", by::table(column, parts, main).trim_end()))?;
        }
        if let Some(thresholds) = &self.thresholds {
            print(format!("\n{}", thresholds::table(thresholds).trim_end()))?;
        }
        self.drift.as_ref().map_or(Ok(()), |drift| print(changes::table(drift)))
    }
}

/// Checks that rows of the task can be measured as asked.
fn check_form(args: &Evaluate, task: Task) -> Result<()> {
    if args.costs.is_some() && !matches!(task, Task::Binary { .. }) {
        bail!("`--costs` is for decisions by a probability, which only binary tasks predict");
    }
    if args.by.is_some() && task.is_ranking() {
        bail!("a ranking is measured over users and all items, so `--by` does not apply to it: see `fm report`");
    }
    Ok(())
}

/// The metrics of the rows, and the logit of each row: for a ranking, only if an option needs them.
fn scored(args: &Evaluate, predictor: &Predictor<BuiltModel>, measured: &Measured) -> Result<(Metrics, Vec<f32>)> {
    let (evaluation, label) = (&measured.evaluation, predictor.schema.label());
    let is_ranking = evaluation.ranking().is_some();
    let logits = match !is_ranking || args.output.is_some() {
        true => predictor.logits(&evaluation.rows)?,
        false => vec![],
    };
    let metrics = match is_ranking {
        true => evaluation.metrics(&predictor.model, label, predictor.device)?,
        false => metrics_of_rows(label, &logits, &evaluation.rows),
    };
    Ok((metrics, logits))
}

/// Warns of rows that the model may not be meant for, and counts their unknown values.
fn warn_of_rows<'a>(predictor: &'a Predictor<BuiltModel>, measured: &Measured) -> Unknown<'a> {
    let Predictor { schema, .. } = predictor;
    let (rows, numbers, (_, what)) = (&measured.evaluation.rows, measured.numbers(), measured.names());
    let mut unknown = Unknown::of(schema, rows);
    unknown.find_examples(rows, &measured.source.rows, |row| numbers[row] as usize);
    unknown.warn(if measured.is_new { "" } else { measured.part.name() }, &[]);
    warn_of_clamped(schema, rows, &what);
    warn_of_other_labels(schema.label(), &rows.labels(), &what);
    unknown
}

/// Thresholds for the costs of errors.
fn thresholds_of(label: &Label, rows: &Records, logits: &[f32], costs: fm_args::commands::Costs) -> Vec<Threshold> {
    let fm_args::commands::Costs { false_positive, false_negative } = costs;
    thresholds(label, &Targets::of(rows).scored(logits), Costs { false_positive, false_negative })
}

/// How rows differ from the training rows of a run.
fn drift_of(run: &Run, rows: &Records) -> Result<Vec<FieldDrift>> {
    match Values::of_run(run)? {
        Some(values) => Ok(drift(&values.fields, run.schema(), run.schema(), rows)),
        None => bail!(
            "{} has no values.json, which says what its training rows were like: train it again to compare rows with them",
            run.folder().display()
        ),
    }
}
