//! How much a model needs each field.

use std::fmt::Write;

use anyhow::{Result, bail};
use fm_args::commands::Explain;
use fm_core::terminal::{grouped, shortened};
use fm_core::{Label, Task};
use fm_models::Run;

use super::super::{print, print_json};
use crate::console::{decimals_of, signed, width, wrapped};
use crate::importance::{Estimate, Importance, importance};
use crate::predictor::{Predictor, moved};

/// Number of fields to print by default.
const FIELDS: usize = 20;
/// Maximum width of a field's name.
const NAME: usize = 30;

pub fn run(args: &Explain) -> Result<()> {
    if args.model.is_file() {
        bail!(
            "{} is an exported file, which has no rows to measure fields on: give the folder of its run, or explain a row with \
             `--row FIELD=VALUE` or `--user` and `--item`",
            args.model.display()
        );
    }
    let run = Run::open(&args.model)?;
    let predictor = Predictor::of_run(&run, &args.device.device)?;
    let moved = moved(args.moved.data.as_ref(), &args.moved.tables);
    let source = predictor.source(&moved, &args.folders)?;
    let found = importance(&predictor, &source, args.part)?;
    if args.form.json {
        return print_json(&found);
    }
    print(page(&found, predictor.schema.label(), args.top.unwrap_or(FIELDS)))
}

fn page(found: &Importance, label: &Label, top: usize) -> String {
    let Importance { metric, value, measured, count, explained, fields } = found;
    let shown = &fields[..fields.len().min(top)];
    let names: Vec<String> = shown.iter().map(|field| shortened(&field.field, NAME)).collect();
    let name = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("field".len());
    let digits = if metric == "rmse" || metric == "mae" { decimals_of(label, 4) } else { 4 };
    let of_label = decimals_of(label, 4);
    let with_margin = |estimate: Estimate, digits: usize| {
        let margin = estimate.margin().map_or(String::new(), |margin| format!(" ±{margin:.digits$}"));
        format!("{}{margin}", signed(estimate.value, digits))
    };
    let mut text = format!("{metric} {value:.digits$} on {} {measured}\n\n", grouped(*count as i64));
    let _ = writeln!(text, "{:<name$}  {:>17}  {:>17}  {:>14}", "field", "shuffled", "missing", "mean |Shapley|");
    for (field, shown) in shown.iter().zip(&names) {
        let _ = writeln!(
            text,
            "{shown:<name$}  {:>17}  {:>17}  {:>14.of_label$}",
            with_margin(field.shuffled, digits),
            with_margin(field.missing, digits),
            field.mean_shapley.value
        );
    }
    if fields.len() > shown.len() {
        let _ = writeln!(text, "and {} more fields", fields.len() - shown.len());
    }
    let unit = match label.task {
        Task::Regression => format!("units of {}", label.column),
        Task::Binary { .. } => "log-odds".to_owned(),
        Task::Ranking { .. } => "units of the score".to_owned(),
    };
    let words = [
        format!("shuffled: how much worse {metric} is if the values of the field are shuffled, with its 95% interval"),
        format!("missing: how much worse {metric} is if the model does not know the field"),
        format!("mean |Shapley|: how much the field moves a prediction, in {unit}, on average over {explained} rows"),
    ];
    for words in words {
        let _ = write!(text, "\n{}", wrapped(&words, width(), 0, 2));
    }
    text
}
