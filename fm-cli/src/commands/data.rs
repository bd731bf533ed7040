//! `fm data`

use anyhow::Result;
use fm_data::RawData;
use fm_data::movielens::{Release, download as fetch};

use super::{print, print_json};
use crate::args::{Download, Inspect};
use crate::progress::{bytes, during};
use crate::settings::{data_config, data_dir};

pub fn download(args: &Download) -> Result<()> {
    let release: Release = args.name.parse()?;
    let data_dir = data_dir(&args.folders)?;
    let bar = bytes();
    let folder = fetch(release, &data_dir, None, &mut |progress| {
        bar.set_length(progress.total.unwrap_or(progress.done));
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();
    tracing::info!("{} is in {}", args.name, folder.display());
    Ok(())
}

pub fn inspect(args: &Inspect) -> Result<()> {
    let config = data_config(args.data.as_deref(), &args.selection)?;
    let data_dir = data_dir(&args.selection.folders)?;
    let inspection = during("reading data", || RawData::open(&config, &data_dir)?.inspect())?;
    if args.json { print_json(&inspection) } else { print(inspection.to_string().trim_end()) }
}
