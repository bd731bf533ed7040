//! `fm evaluate`

use anyhow::Result;
use fm_args::commands::Evaluate;
use fm_core::Rows;
use fm_data::table::{check_output, take_rows, write_table};
use fm_models::Run;
use serde_json::json;

use super::predict::{append_scores, check_no_score};
use super::{print, print_json};
use crate::console;
use crate::evaluation::{Evaluation, rows_of, warn_if_not_finite};
use crate::extremes::warn_of_clamped;
use crate::metric::in_order;
use crate::predictor::Predictor;
use crate::values::Unknown;

pub fn run(args: &Evaluate) -> Result<()> {
    if let Some(output) = &args.output {
        check_output(output)?;
    }
    let run = Run::open(&args.run)?;
    let predictor = Predictor::of_run(&run, &args.device.device)?;
    let source = predictor.source(None, &args.folders)?;
    let name = args.part.name();
    let evaluation = Evaluation::new(&predictor, &source, args.part)?;
    if evaluation.has_changed(&run) {
        tracing::warn!("the data has changed since training: the {name} rows may include training rows");
    }
    let label = predictor.schema.label();
    let metrics = evaluation.metrics(&predictor.model, label, predictor.device)?;
    let mut unknown = Unknown::of(&predictor.schema, &evaluation.rows);
    let numbers = rows_of(&source, args.part);
    unknown.find_examples(&evaluation.rows, &source.frame, |row| numbers[row] as usize);
    unknown.warn(name, &[]);
    warn_of_clamped(&predictor.schema, &evaluation.rows, &format!("{name} rows"));
    warn_if_not_finite(args.part, &metrics);
    if let Some(output) = &args.output {
        check_no_score(&source.frame, &"the data")?;
        let mut table = take_rows(&source.frame, rows_of(&source, args.part))?;
        let logits = predictor.logits(&evaluation.rows)?;
        let scores: Vec<f32> = logits.iter().map(|&logit| label.prediction(logit)).collect();
        append_scores(&mut table, &scores)?;
        write_table(output, &mut table)?;
        tracing::info!("wrote {}", output.display());
    }
    if args.form.json {
        let rows = evaluation.rows.len();
        return print_json(&json!({ "part": name, "rows": rows, "unknown": unknown.by_field(), "metrics": metrics }));
    }
    let unknown: String =
        unknown.by_role().iter().map(|(field, rows)| format!(", {field} unknown in {rows}")).collect();
    let rows = format!("{name} ({} rows{unknown}):", evaluation.rows.len());
    let main = predictor.settings.monitored()?.name;
    let mut names = in_order(metrics.keys());
    names.sort_by_key(|name| **name != main);
    let metrics: Vec<String> =
        names.iter().map(|name| format!("{name} {}", console::decimal(metrics[*name], 4))).collect();
    print(console::wrapped(&format!("{rows} {}", metrics.join(", ")), console::width(), 0, 2))
}
