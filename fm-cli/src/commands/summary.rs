//! `fm summary`

use anyhow::Result;
use tch::Device;
use tch::nn::VarStore;

use super::{print, print_json};
use crate::args;
use crate::progress::during;
use crate::settings::{ModelSettings, cache_dir, data_config, data_dir};

pub fn run(args: &args::Summary) -> Result<()> {
    let model = ModelSettings::new(&args.model, &args.options)?;
    let selection = &args.data.selection;
    let config = data_config(args.data.data.clone(), selection)?.absolute();
    let (data_dir, cache_dir) = (data_dir(&selection.folders)?, cache_dir(&selection.folders)?);
    let prepared = during("reading data", || config.prepare(&data_dir, &cache_dir))?;
    let store = VarStore::new(Device::Cpu);
    let built = model.entry()?.build(&model.options, &store.root(), &prepared.schema)?;
    let summary = fm_core::summary::Summary::new(&model.name, built.as_ref(), &store);
    if args.json { print_json(&summary) } else { print(summary.to_string().trim_end()) }
}
