//! `fm ensemble`

use anyhow::{Result, bail};
use fm_args::commands::Ensemble;
use fm_models::Run;

use super::train::print_results;
use crate::results::Results;
use crate::settings::Settings;
use crate::training::{Machine, assemble, check_replaceable};

pub fn run(args: &Ensemble) -> Result<()> {
    match &args.run {
        Some(path) if args.force => check_replaceable(path)?,
        Some(path) => Run::check_free(path)?,
        None => {}
    }
    let same = |a: &std::path::Path, b: &std::path::Path| {
        a.canonicalize().ok().is_some_and(|a| b.canonicalize().ok() == Some(a))
    };
    if let Some(path) = args.run.as_ref().filter(|path| args.runs.iter().any(|run| same(run, path))) {
        bail!("--run {} is one of the members: name another folder", path.display());
    }
    let members = args.runs.iter().map(Run::open).collect::<fm_core::Result<Vec<_>>>()?;
    for member in &members {
        if member.summary::<Results>()?.is_none() {
            let folder = member.folder().display();
            bail!("{folder} is not finished: train it to the end first, with `fm train --resume {folder}`");
        }
        if member.calibration().is_some() {
            tracing::warn!(
                "{} is averaged without its calibration: calibrate the ensemble instead",
                member.folder().display()
            );
        }
    }
    let (run, results) = assemble(&members, (args.run.clone(), args.force), &Machine::new(&args.folders)?)?;
    print_results(&results, &run, &Settings::of_run(&run)?.monitored()?.name)
}
