//! `fm evaluate`

use anyhow::Result;
use fm_args::commands::Evaluate;
use fm_args::flags::Part;
use fm_core::Task;
use fm_core::metric::metrics_of_rows;
use fm_core::train::RunDir;
use fm_data::table::{check_output, take_rows, write_table};
use serde_json::json;

use super::predict::{append_scores, check_no_score};
use super::{print, print_json};
use crate::metric::in_order;
use crate::predictor::Predictor;
use crate::training::load_digests;

pub fn run(args: &Evaluate) -> Result<()> {
    if let Some(output) = &args.output {
        check_output(output)?;
    }
    let run = RunDir::open(&args.run)?;
    let predictor = Predictor::open_run(&run, args.device.device.parse()?)?;
    let source = predictor.source(None, &args.folders)?;
    let name = args.part.name();
    let rows = match args.part {
        Part::Train => &source.parts.train,
        Part::Valid => &source.parts.valid,
        Part::Test => &source.parts.test,
    };
    // The run's own schema: what it does not know is unknown, even if the data has grown since.
    let dataset = source.encode(&predictor.schema, rows)?;
    let digests = load_digests(&run)?;
    if digests.get(name) != Some(&dataset.digest()) {
        tracing::warn!("the data has changed since the run: these {name} rows may hold rows that were trained on");
    }
    let logits = predictor.logits(&dataset)?;
    let unknown = predictor.unknown(dataset.ids());
    let label = predictor.schema.label();
    let metrics = match label.task {
        Task::Ranking { .. } => {
            let ranking = source.ranking(&predictor.schema)?;
            if digests.get("catalogue") != Some(&ranking.digest()) {
                tracing::warn!("the data has changed since the run: there are other items, or users have other rows");
            }
            let ranking = predictor.ranking(&ranking)?;
            ranking.evaluate(args.part, &dataset, |candidates| predictor.model.candidate_logits(candidates, false))?
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
        let rows = dataset.targets().len();
        return print_json(&json!({ "part": name, "rows": rows, "unknown": unknown, "metrics": metrics }));
    }
    let metrics: String =
        in_order(metrics.keys()).iter().map(|name| format!("  {name} {:.4}", metrics[*name])).collect();
    let unknown: String = unknown.iter().map(|(field, rows)| format!(", {field} unknown in {rows}")).collect();
    print(format!("{name} ({} rows{unknown}):{metrics}", dataset.targets().len()))
}
