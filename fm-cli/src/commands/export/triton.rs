//! `fm export --format triton`: models for NVIDIA Triton Inference Server.

mod config;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use fm_args::commands::Export;
use fm_core::atomic_file::{WriteError, replace_atomically};
use fm_core::{Error, Schema};
use fm_models::run::{BuiltModel, Run};

use self::config::{Config, Takes};
use super::{Measured, borrowed};
use crate::predictor::Predictor;

/// The inputs of the models that are written.
const FORMS: [Takes; 2] = [Takes::Columns, Takes::Ids];

pub fn run(args: &Export, run: &Run, trained: &Predictor<BuiltModel>) -> Result<()> {
    let repository = &args.output;
    if args.with_catalogue {
        bail!("Triton calls only `forward`, never `recommend`: leave out --with-catalogue, or --format triton");
    }
    if repository.exists() && !repository.is_dir() {
        bail!("{} is not a folder: name the model repository", repository.display());
    }
    let name = args.name.as_ref().unwrap_or(&trained.settings.model.name);
    let names = [name.clone(), format!("{name}_ids")];
    let folders = names.each_ref().map(|name| repository.join(name));
    for (folder, takes) in folders.iter().zip(FORMS) {
        check_is_ours(folder, takes)?;
    }

    let schema: &Schema = &trained.schema;
    let export = Measured::new(args, run, trained)?;
    let models = [export.bundle.served_columns()?, export.bundle.served_ids()?];
    let (mut configs, mut archives): (Vec<Output<'_>>, Vec<Output<'_>>) = (vec![], vec![]);
    for (at, takes) in FORMS.into_iter().enumerate() {
        let (folder, model) = (&folders[at], &models[at]);
        let shift = trained.shift();
        let config = Config { name: &names[at], inputs: model.arguments(), schema, shift, takes }.to_string();
        let files = export.extra_files(args, run, trained, |files| model.size(files))?;
        configs.push((folder.join("config.pbtxt"), Box::new(move |file| Ok(file.write_all(config.as_bytes())?))));
        archives.push((folder.join("1/model.pt"), Box::new(move |file| model.write(file, &borrowed(&files)))));
    }
    // The last outputs are renamed first, so a server that finds a configuration also finds the archive.
    let outputs: Vec<Output<'_>> = configs.into_iter().chain(archives).collect();
    write_all(&outputs)?;

    export.report(&folders.map(|folder| folder.join("1/model.pt")))
}

/// Returns an error for a folder that is neither empty nor from an earlier export with the same inputs.
fn check_is_ours(folder: &Path, takes: Takes) -> Result<()> {
    let foreign = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some() && !begins_with(&folder.join("config.pbtxt"), takes.mark()),
        Err(_) => folder.exists(),
    };
    if foreign {
        bail!(
            "{} exists and is not a model of this kind written by `fm export`: choose another --name or another \
             repository",
            folder.display()
        );
    }
    Ok(())
}

fn begins_with(config: &Path, mark: &str) -> bool {
    let mut line = vec![];
    let begin = File::open(config).and_then(|file| BufReader::new(file).read_until(b'\n', &mut line));
    begin.is_ok() && line.starts_with(mark.as_bytes())
}

/// A file and the function that writes it.
type Output<'a> = (PathBuf, Box<dyn Fn(&mut File) -> Result<(), WriteError> + 'a>);

/// Writes the files and creates their folders, or leaves everything unchanged if that fails.
fn write_all(outputs: &[Output<'_>]) -> fm_core::Result<()> {
    let mut created = vec![];
    let folders = outputs.iter().filter_map(|(path, _)| path.parent());
    let result = folders.into_iter().try_for_each(|folder| create_folder(folder, &mut created));
    result.and_then(|()| replace_together(outputs)).inspect_err(|_| {
        for folder in created.iter().rev() {
            // Best effort: the error that brought us here is the one to report.
            let _ = std::fs::remove_dir(folder);
        }
    })
}

/// Creates a folder and its missing parents, and adds them to `created`.
fn create_folder(folder: &Path, created: &mut Vec<PathBuf>) -> fm_core::Result<()> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for folder in missing.into_iter().rev() {
        std::fs::create_dir(folder).map_err(Error::io("create", folder))?;
        created.push(folder.to_owned());
    }
    Ok(())
}

/// Writes all files, then replaces the old ones, the last first. A program that is killed between two renames leaves
/// new archives with old configurations.
fn replace_together(outputs: &[Output<'_>]) -> fm_core::Result<()> {
    let Some(((path, write), others)) = outputs.split_first() else { return Ok(()) };
    replace_atomically(path, |temporary| {
        write(temporary)?;
        replace_together(others).map_err(WriteError::from)
    })
}
