//! `fm data`

mod cache;
mod presets;
mod synth;

use anyhow::Result;
use fm_args::commands::{DataCommand, Download, Infer, Inspect};
use fm_data::movielens::{Release, download as fetch};
use fm_data::{InferOptions, RawData};
use toml::Value;

use super::{print, print_json};
use crate::progress::{bytes, during};
use crate::settings::{Settings, data_dir, on_bad_row};

pub fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Download(args) => download(args),
        DataCommand::Cache(args) => cache::run(args),
        DataCommand::Convert(args) => super::convert::run(args),
        DataCommand::Infer(args) => infer(args),
        DataCommand::Inspect(args) => inspect(args),
        DataCommand::Presets(args) => presets::run(args),
        DataCommand::Synth(args) => synth::run(args),
    }
}

fn download(args: &Download) -> Result<()> {
    let release: Release = args.name.parse()?;
    let data_dir = data_dir(&args.folders)?;
    let bar = bytes();
    let folder = fetch(release, &data_dir, None, &mut |progress| {
        bar.set_length(progress.total.unwrap_or(progress.done));
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    tracing::info!("{} is in {}", args.name, folder.display());
    tracing::info!("next: fm train --data {}", args.name);
    Ok(())
}

fn infer(args: &Infer) -> Result<()> {
    let options = InferOptions {
        label: args.label.clone(),
        rows: args.rows,
        on_bad_row: on_bad_row(&args.bad_rows)?.unwrap_or_default(),
    };
    let inferred = during("reading data", || fm_data::infer(&args.table, &options))?;
    inferred.skipped.iter().chain(&inferred.warnings).for_each(|warning| tracing::warn!("{warning}"));
    print(inferred.to_toml().trim_end())
}

fn inspect(args: &Inspect) -> Result<()> {
    let data = args.data.iter().map(|data| ("data.data".to_owned(), Value::String(data.clone())));
    let config = Settings::from_keys(data.chain(args.selection.keys()).chain(args.bad_rows.keys()).collect())?.data;
    let data_dir = data_dir(&args.folders)?;
    let inspection = during("reading data", || RawData::open(&config, &data_dir)?.inspect())?;
    if args.form.json { print_json(&inspection) } else { print(inspection.to_string().trim_end()) }
}
