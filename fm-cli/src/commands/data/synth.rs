//! `fm data synth`

use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use fm_args::commands::Synth;
use fm_core::terminal::grouped;
use fm_data::TableWriter;
use fm_data::synth::{Layout, OptimumMetrics, Planted, PlantedConfig};
use fm_data::table::check_output;
use serde::Serialize;

use crate::commands::{print, print_json};
use crate::console::{self, decimal};
use crate::interruption::{Interrupted, stop_at_ctrl_c};
use crate::progress::{RowProgress, during};
use crate::training::shell_word;

/// The JSON form of the result.
#[derive(Serialize)]
struct Written {
    file: String,
    fields: usize,
    #[serde(flatten)]
    metrics: OptimumMetrics,
}

pub fn run(args: &Synth) -> Result<()> {
    if args.output.as_os_str() == "-" {
        bail!("the rows cannot go to standard output, where their metrics go: name a file, such as clicks.csv");
    }
    check_output(&args.output)?;
    let planted = during("planting a factorization machine", || Planted::new(&config(args)))?;
    let stop = stop_at_ctrl_c()?;
    let mut writer = TableWriter::create(&args.output)?;
    let (rows, layout) = (args.rows as u64, Layout::of_file(&args.output));
    let mut progress = RowProgress::of_rows(rows);
    let mut optimum = planted.optimum();
    for chunk in planted.chunks(rows) {
        if stop.load(Ordering::Relaxed) {
            let text = format!("interrupted after {} rows: no file was written", progress.rows());
            return Err(Interrupted(text).into());
        }
        writer.write(&mut planted.table(&chunk, layout)?)?;
        optimum.add(&chunk);
        progress.add(chunk.len(), (progress.rows() + chunk.len()) as u64);
    }
    writer.finish()?;
    let done = progress.finish();
    let file = args.output.display().to_string();
    report(args, Written { file, fields: planted.fields(), metrics: optimum.metrics() })?;
    tracing::info!("wrote {done} to {}", args.output.display());
    console::suggest(&[format!("fm train --data {} --label label", shell_word(&args.output.to_string_lossy()))]);
    Ok(())
}

fn config(args: &Synth) -> PlantedConfig {
    PlantedConfig {
        fields: args.fields,
        cardinalities: args.cardinality.clone(),
        zipf: args.zipf,
        click_rate: args.click_rate,
        embedding_dim: args.embedding_dim,
        linear: args.linear,
        interactions: args.interactions,
        seed: args.seed,
    }
}

/// Prints the best possible metrics beside those of predicting the click rate.
fn report(args: &Synth, written: Written) -> Result<()> {
    if args.form.json {
        return print_json(&written);
    }
    let metrics = &written.metrics;
    let auc = |value: Option<f64>| value.map_or("-".to_owned(), |auc| decimal(auc, 4));
    print(format!(
        "rows: {}, fields: {}, click rate: {}",
        grouped(metrics.rows as i64),
        written.fields,
        decimal(metrics.click_rate, 4)
    ))?;
    let row = |name: &str, logloss: String, auc: String| print(format!("{name:<26}{logloss:>12}{auc:>12}"));
    row("", "logloss".into(), "auc".into())?;
    row("best possible", decimal(metrics.bayes_logloss, 4), auc(metrics.bayes_auc))?;
    row("click rate for all rows", decimal(metrics.base_logloss, 4), auc(metrics.bayes_auc.map(|_| 0.5)))
}

#[cfg(test)]
mod tests {
    use fm_args::clap::Parser;
    use fm_args::commands::DataCommand;
    use fm_args::{Args, Command};

    use super::*;

    #[test]
    fn the_flags_have_the_defaults_of_the_library() {
        let args = Args::try_parse_from(["fm", "data", "synth", "--output", "clicks.csv"]).unwrap();
        let Command::Data(DataCommand::Synth(args)) = args.command else { panic!("another command") };
        assert_eq!(config(&args), PlantedConfig::default());
    }
}
