//! `fm summary`

use anyhow::Result;
use fm_args::commands;
use tch::Device;
use tch::nn::VarStore;
use toml::Value;

use super::{print, print_json};
use crate::progress::during;
use crate::settings::{Settings, cache_dir, data_dir};

pub fn run(args: &commands::Summary) -> Result<()> {
    let name = ("model.name".to_owned(), Value::String(args.model.clone()));
    let keys = [vec![name], args.options.keys(), args.rows.keys()];
    let Settings { model, data, .. } = Settings::from_keys(keys.concat())?;
    let (data_dir, cache_dir) = (data_dir(&args.rows.folders)?, cache_dir(&args.rows.folders)?);
    let prepared = during("reading data", || data.prepare(&data_dir, &cache_dir))?;
    let store = VarStore::new(Device::Cpu);
    let built = model.entry()?.build(&model.options, &store.root(), &prepared.schema)?;
    let summary = fm_core::summary::Summary::new(&model.name, built.as_ref(), &store);
    if args.form.json { print_json(&summary) } else { print(summary.to_string().trim_end()) }
}
