//! `fm summary`

use anyhow::Result;
use tch::Device;
use tch::nn::VarStore;

use super::{print, print_json};
use crate::args;
use crate::progress::during;
use crate::settings::{Settings, cache_dir, data_dir};

pub fn run(args: &args::Summary) -> Result<()> {
    let Settings { model, data, .. } = Settings::of_model(&args.model, &args.options, &args.data)?;
    let folders = &args.data.selection.folders;
    let (data_dir, cache_dir) = (data_dir(folders)?, cache_dir(folders)?);
    let prepared = during("reading data", || data.prepare(&data_dir, &cache_dir))?;
    let store = VarStore::new(Device::Cpu);
    let built = model.entry()?.build(&model.options, &store.root(), &prepared.schema)?;
    let summary = fm_core::summary::Summary::new(&model.name, built.as_ref(), &store);
    if args.json { print_json(&summary) } else { print(summary.to_string().trim_end()) }
}
