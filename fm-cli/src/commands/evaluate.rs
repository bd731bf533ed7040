//! `fm evaluate`

use anyhow::Result;
use fm_args::commands::Evaluate;
use fm_args::flags::Part;
use fm_core::metric::metrics_of_rows;
use fm_core::{Rows, Task};
use fm_data::table::{check_output, take_rows, write_table};
use fm_models::Run;
use serde_json::json;

use super::predict::{append_scores, check_no_score};
use super::{print, print_json};
use crate::console;
use crate::metric::in_order;
use crate::predictor::Predictor;

pub fn run(args: &Evaluate) -> Result<()> {
    if let Some(output) = &args.output {
        check_output(output)?;
    }
    let run = Run::open(&args.run)?;
    let predictor = Predictor::of_run(&run, &args.device.device)?;
    let source = predictor.source(None, &args.folders)?;
    let name = args.part.name();
    let rows = match args.part {
        Part::Train => &source.parts.train,
        Part::Valid => &source.parts.valid,
        Part::Test => &source.parts.test,
    };
    // The run's own schema: what it does not know is unknown, even if the data has grown since.
    let dataset = source.encode(&predictor.schema, rows)?;
    if run.digest(name) != Some(dataset.digest().as_str()) {
        tracing::warn!("the data has changed since training: these {name} rows may include training rows");
    }
    let logits = predictor.logits(&dataset)?;
    let unknown = predictor.unknown(&dataset);
    let label = predictor.schema.label();
    let metrics = match label.task {
        Task::Ranking { .. } => {
            let ranking = source.ranking(&predictor.schema)?;
            if run.digest("catalogue") != Some(ranking.digest().as_str()) {
                tracing::warn!("the data has changed since training: items or rows of users differ");
            }
            let ranking = predictor.ranking(&ranking)?;
            ranking.evaluate(args.part, &dataset, &predictor.model)?
        }
        Task::Regression | Task::Binary { .. } => metrics_of_rows(label, &logits, &dataset),
    };
    if let Some(output) = &args.output {
        check_no_score(&source.frame, &"the data")?;
        let mut table = take_rows(&source.frame, rows)?;
        let scores: Vec<f32> = logits.iter().map(|&logit| label.prediction(logit)).collect();
        append_scores(&mut table, &scores)?;
        write_table(output, &mut table)?;
        tracing::info!("wrote {}", output.display());
    }
    if args.form.json {
        let rows = dataset.len();
        return print_json(&json!({ "part": name, "rows": rows, "unknown": unknown, "metrics": metrics }));
    }
    let unknown: String = unknown.iter().map(|(field, rows)| format!(", {field} unknown in {rows}")).collect();
    let rows = format!("{name} ({} rows{unknown}):", dataset.len());
    let main = predictor.settings.monitored()?.name;
    let mut names = in_order(metrics.keys());
    names.sort_by_key(|name| **name != main);
    let metrics: Vec<String> = names.iter().map(|name| format!("{name} {:.4}", metrics[*name])).collect();
    print(console::wrapped(&format!("{rows} {}", metrics.join(", ")), console::width(), 0, 2))
}
