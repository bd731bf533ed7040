//! `fm export`

use anyhow::{Result, bail};
use fm_core::device::DeviceChoice;
use fm_core::script::Bundle;
use fm_core::train::RunDir;

use crate::args::Export;
use crate::predictor::Predictor;

pub fn run(args: &Export) -> Result<()> {
    if args.output.is_dir() {
        bail!("{} is a folder: name the file to write, such as model.pt", args.output.display());
    }
    let run = RunDir::open(&args.run)?;
    let trained = Predictor::open_run(&run, DeviceChoice::Cpu)?;
    let mut files = vec![("settings.toml", trained.settings.to_toml()?)];
    // A run that was interrupted has no summary yet.
    if let Ok(metrics) = std::fs::read_to_string(run.summary()) {
        files.push(("metrics.json", metrics));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    export(&args.output, trained.model.as_ref(), &trained.store, &trained.schema, &files)?;
    let size = std::fs::metadata(&args.output)?.len() as f64 / 1e6;
    tracing::info!("wrote {} ({size:.1} MB)", args.output.display());
    Ok(())
}
