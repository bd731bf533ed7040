//! The folders of runs among the served files.

use std::path::Path;

use anyhow::Result;
use fm_args::flags::Folders;
use fm_core::Error;
use fm_core::terminal::grouped;
use fm_serve::ModelFile;
use tempfile::TempDir;

use crate::commands::export::{Exported, for_server};

/// Exports each folder of a run among `files` into a temporary folder, which holds the exported files until they are
/// loaded; `None` if there is no run.
pub fn export_runs(files: &mut [ModelFile], folders: &Folders) -> Result<Option<TempDir>> {
    if !files.iter().any(|file| file.path.is_dir()) {
        return Ok(None);
    }
    let folder = new_folder()?;
    for ModelFile { name, path } in files.iter_mut().filter(|file| file.path.is_dir()) {
        let output = folder.path().join(format!("{name}.pt"));
        say(path, &for_server(path, folders, &output)?);
        *path = output;
    }
    Ok(Some(folder))
}

fn new_folder() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("fm-serve-").tempdir();
    Ok(folder.map_err(Error::io("create a folder in", std::env::temp_dir()))?)
}

fn say(run: &Path, exported: &Exported) {
    let run = run.display();
    let later = "the server keeps this version if the run changes, until it starts again";
    match exported {
        Exported::Items(items) => {
            let items = grouped(i64::try_from(*items).unwrap_or(i64::MAX));
            tracing::info!("exported {run} to a temporary file, with {items} items to recommend; {later}");
        }
        Exported::NoItems(reason) => {
            tracing::info!("exported {run} to a temporary file, without items to recommend ({reason}); {later}");
        }
    }
}
