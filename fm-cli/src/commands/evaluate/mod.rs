//! `fm evaluate`

mod by;

use std::path::Path;

use anyhow::{Result, bail};
use fm_args::commands::Evaluate;
use fm_args::flags::Part;
use fm_core::drift::{FieldDrift, drift};
use fm_core::metric::Costs;
use fm_core::terminal::grouped;
use fm_core::{Records, Rows, Task};
use fm_data::table::{check_output, write_table};
use fm_data::{Moved, RawData};
use fm_models::Run;
use fm_models::run::BuiltModel;
use serde_json::json;

use super::predict::{append_scores, without_score};
use super::{print, print_json};
use crate::changes::{self, Values};
use crate::console;
use crate::evaluation::{Evaluation, rows_of, warn_if_not_finite};
use crate::extremes::warn_of_clamped;
use crate::labels::warn_of_other_labels;
use crate::metric::in_order;
use crate::predictor::{Predictor, moved};
use crate::results::Results;
use crate::settings::on_bad_row;
use crate::suspicions::KnownRows;
use crate::targets::Targets;
use crate::thresholds::{self, thresholds};
use crate::values::Unknown;

/// The rows to measure a run on.
struct Measured {
    source: RawData,
    part: Part,
    evaluation: Evaluation,
    /// Where the rows are from.
    data: String,
    /// Whether they are new rows: all rows of a data set, instead of a part of the run's data.
    is_new: bool,
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
    let measured = match (&args.data, args.part) {
        (Some(data), None) => new_rows(args, &run, &predictor, data)?,
        (data, part) => {
            let moved = moved(data.as_ref(), &args.tables);
            let source = predictor.source(&moved, &args.folders)?;
            part_of(&predictor, source, part.unwrap_or(Part::Test), &moved)?
        }
    };
    let Measured { source, part, evaluation, data, is_new } = &measured;
    args.by.as_ref().map_or(Ok(()), |column| by::check(column, source))?;
    source.skipped.iter().for_each(|warning| tracing::warn!("{warning}"));
    if !is_new && evaluation.has_changed(&run) {
        tracing::warn!("the data has changed since training: the {} rows may include training rows", part.name());
    }
    let file = Path::new(data).file_name().unwrap_or_default().to_string_lossy();
    let (what, rows_of_what) = match is_new {
        true => (format!("new rows of {file}"), format!("rows of {file}")),
        false => (part.name().to_owned(), format!("{} rows", part.name())),
    };
    let label = predictor.schema.label();
    let metrics = evaluation.metrics(&predictor.model, label, predictor.device)?;
    let mut unknown = Unknown::of(&predictor.schema, &evaluation.rows);
    let numbers = rows_of(source, *part);
    unknown.find_examples(&evaluation.rows, &source.rows, |row| numbers[row] as usize);
    unknown.warn(if *is_new { "" } else { part.name() }, &[]);
    warn_of_clamped(&predictor.schema, &evaluation.rows, &rows_of_what);
    warn_of_other_labels(label, &evaluation.rows.labels(), &rows_of_what);
    warn_if_not_finite(&rows_of_what, &metrics);
    let logits = match args.output.is_some() || args.by.is_some() || args.costs.is_some() {
        true => predictor.logits(&evaluation.rows)?,
        false => vec![],
    };
    if let Some(output) = &args.output {
        let all = source.rows.take(numbers, &source.rows.names())?;
        let mut table = without_score(&all, &predictor.schema, &file)?;
        let scores: Vec<f32> = logits.iter().map(|&logit| label.prediction(logit)).collect();
        append_scores(&mut table, &scores)?;
        write_table(output, &mut table)?;
        tracing::info!("wrote {}", output.display());
    }
    let main = predictor.settings.monitored()?.name;
    let by = args
        .by
        .as_deref()
        .map(|column| by::parts((column, source), numbers, (&evaluation.rows, &logits), label, &main));
    let by = by.transpose()?;
    if let Some(shift) = predictor.shift().filter(|_| args.costs.is_some()) {
        tracing::warn!("{shift} `fm calibrate {}` turns them into probabilities.", args.run.display());
    }
    let thresholds = args.costs.map(|fm_args::commands::Costs { false_positive, false_negative }| {
        let costs = Costs { false_positive, false_negative };
        thresholds(label, &Targets::of(&evaluation.rows).scored(&logits), costs)
    });
    let drift = args.drift.then(|| drift_of(&run, &evaluation.rows)).transpose()?;
    let rows = evaluation.rows.len();
    if args.form.json {
        let part = if *is_new { "new" } else { part.name() };
        let unknown = unknown.by_field();
        let mut found = json!({ "data": data, "part": part, "rows": rows, "unknown": unknown, "metrics": metrics });
        if let Some(drift) = drift {
            found["drift"] = serde_json::to_value(drift)?;
        }
        if let Some(by) = by {
            found["by"] = serde_json::to_value(by)?;
        }
        if let Some(thresholds) = thresholds {
            found["thresholds"] = serde_json::to_value(thresholds)?;
        }
        return print_json(&found);
    }
    let unknown: String =
        unknown.by_role().iter().map(|(field, rows)| format!(", {field} unknown in {rows}")).collect();
    let mut names = in_order(metrics.keys());
    names.sort_by_key(|name| **name != main);
    let metrics: Vec<String> =
        names.iter().map(|name| format!("{name} {}", console::decimal(metrics[*name], 4))).collect();
    print(console::wrapped(&format!("{what} ({rows} rows{unknown}): {}", metrics.join(", ")), console::width(), 0, 2))?;
    if let (Some(column), Some(by)) = (&args.by, by) {
        print(format!("\n{}", by::table(column, &by, &main).trim_end()))?;
    }
    if let Some(thresholds) = thresholds {
        print(format!("\n{}", thresholds::table(&thresholds).trim_end()))?;
    }
    drift.map_or(Ok(()), |drift| print(changes::table(&drift)))
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

/// A part of the run's data.
fn part_of(predictor: &Predictor<BuiltModel>, source: RawData, part: Part, moved: &Moved) -> Result<Measured> {
    let evaluation = Evaluation::new(predictor, &source, part)?;
    let config = predictor.settings.data.clone().moved(moved.clone())?;
    let table = match part {
        // Without a validation table, training rows validate.
        Part::Valid => config.valid.or(config.train),
        Part::Train => config.train,
        Part::Test => config.test,
    };
    let data = config.data.or_else(|| Some(table?.to_string_lossy().into_owned())).unwrap_or_default();
    Ok(Measured { source, part, evaluation, data, is_new: false })
}

/// All rows of a data set or, if it turns out to be the run's own at another location, its test rows.
fn new_rows(args: &Evaluate, run: &Run, predictor: &Predictor<BuiltModel>, data: &str) -> Result<Measured> {
    let is_ranking = predictor.schema.label().task.is_ranking();
    let source = if is_ranking { None } else { Some(predictor.new_rows(data, &args.folders)?) };
    if is_ranking || predictor.settings.data.data.is_some() {
        let total = source.as_ref().map(|source| source.labels.len());
        if let Some(own) = own_data(args, run, predictor, data, total)? {
            tracing::info!("{data} is the data of the run: its test rows are measured, or those of --part");
            return Ok(own);
        }
    }
    let Some(source) = source else {
        bail!(
            "a ranking is measured without the items that users already have, so {data} alone is not enough, and it is not the \
             data of the run: train on a table with the old and the new rows, with `--split time` or `--test {data}`"
        );
    };
    if source.labels.is_empty() {
        bail!("{data} has no rows to measure on");
    }
    let evaluation = Evaluation::new(predictor, &source, Part::Test)?;
    warn_of_known_rows(args, run, predictor, &evaluation, data)?;
    Ok(Measured { source, part: Part::Test, evaluation, data: data.to_owned(), is_new: true })
}

/// The test rows of a data set, if it has the rows that the run was trained on. `rows` is its number of rows, if known.
fn own_data(
    args: &Evaluate,
    run: &Run,
    predictor: &Predictor<BuiltModel>,
    data: &str,
    rows: Option<usize>,
) -> Result<Option<Measured>> {
    let trained = Results::of_run(run)?;
    let trained = trained.map(|results| results.rows.values().sum::<usize>());
    if rows.is_some() && trained.is_some() && rows != trained {
        return Ok(None);
    }
    let moved = moved(Some(&data.to_owned()), &args.tables);
    // What cannot be split as the run's data was is not its data.
    let Ok(source) = predictor.source(&moved, &args.folders) else { return Ok(None) };
    if Evaluation::new(predictor, &source, Part::Train)?.has_changed(run) {
        return Ok(None);
    }
    part_of(predictor, source, Part::Test, &moved).map(Some)
}

/// Warns if new rows are training rows.
fn warn_of_known_rows(
    args: &Evaluate,
    run: &Run,
    predictor: &Predictor<BuiltModel>,
    evaluation: &Evaluation,
    data: &str,
) -> Result<()> {
    let rows = &evaluation.rows;
    let known = if run.digest("train") == Some(rows.digest().as_str()) {
        Some(rows.len())
    } else if let Ok(source) = predictor.source(&Moved::default(), &args.folders) {
        let train = source.encode(&predictor.schema, &source.parts.train)?;
        if run.digest("train") == Some(train.digest().as_str()) {
            KnownRows::of(&train, &[rows]).among(rows)
        } else {
            None
        }
    } else {
        None
    };
    if let Some(known) = known {
        tracing::warn!(
            "{} of the {} rows of {data} are training rows of the run: their metrics say little about new rows; leave them out",
            grouped(known as i64),
            grouped(rows.len() as i64)
        );
    }
    Ok(())
}
