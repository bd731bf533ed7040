//! Replacing a run without losing it: the earlier run is set aside until the new one has a checkpoint.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fm_core::folder_lock::FolderLock;
use fm_core::train::{TrainFiles, is_free};
use fm_core::{Error, Result};

use super::{CALIBRATION, ROWS, Run, SCHEMA, SETTINGS, SUMMARY, VALUES};

/// Marks a folder as set aside, so that no other folder of such a name is ever removed.
const MARK: &str = "set-aside";

/// An earlier run beside the folder of the new one.
#[derive(Debug)]
pub(super) struct SetAside {
    /// Where the run was, and the new one is.
    folder: PathBuf,
    aside: PathBuf,
}

impl SetAside {
    /// Makes a folder free for a new run. `None` if nothing worth keeping was there.
    pub fn make_room(folder: &Path) -> Result<Option<SetAside>> {
        if !Run::is_replaceable(folder) {
            return Err(Error::format("run", folder, "it contains other files"));
        }
        if is_free(folder) {
            return Ok(SetAside::left_behind(folder));
        }
        let lock = FolderLock::acquire(folder)?;
        if !TrainFiles::new(folder).has_progress() && foreign_files(folder).is_empty() {
            remove_own_files(folder)?;
            return Ok(SetAside::left_behind(folder));
        }
        let place = folder.canonicalize().map_err(Error::io("read", folder))?;
        let mut asides = (1..).map(|number| aside(&place, number));
        let aside = asides.find(|aside| aside.symlink_metadata().is_err()).expect("some number is free");
        std::fs::write(place.join(MARK), b"").map_err(Error::io("write", place.join(MARK)))?;
        std::fs::rename(&place, &aside).map_err(Error::io("move", &place))?;
        let _ = std::fs::remove_file(aside.join(FolderLock::FILE));
        drop(lock);
        if folder.is_symlink() {
            // The link stays, and leads to the new run.
            std::fs::create_dir(&place).map_err(Error::io("create", &place))?;
        }
        tracing::info!("the earlier run is in {} until this one has a checkpoint", aside.display());
        Ok(Some(SetAside { folder: place, aside }))
    }

    /// The run that a program has set aside which was killed before its own had a checkpoint.
    pub fn left_behind(folder: &Path) -> Option<SetAside> {
        let place = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let aside = aside(&place, 1);
        aside.join(MARK).is_file().then_some(SetAside { folder: place, aside })
    }

    /// Removes the earlier run. What the folder holds beside it moves into the new run's folder.
    pub fn remove(self) {
        for file in foreign_files(&self.aside) {
            let (from, to) = (self.aside.join(&file), self.folder.join(&file));
            // What the new run has under this name is not replaced.
            if to.symlink_metadata().is_err() && std::fs::rename(&from, &to).is_ok() {
                tracing::info!("{} is kept from the earlier run", to.display());
            }
        }
        if let Err(error) = remove_own_files(&self.aside) {
            tracing::warn!("the earlier run is left in {}: {error}", self.aside.display());
        } else if self.aside.exists() {
            tracing::warn!("{} holds files that were kept", self.aside.display());
        }
    }

    /// Puts the earlier run back.
    pub fn put_back(self) {
        // It is there and empty if a link leads to it.
        let _ = std::fs::remove_dir(&self.folder);
        match std::fs::rename(&self.aside, &self.folder) {
            Ok(()) => {
                let _ = std::fs::remove_file(self.folder.join(MARK));
                tracing::info!("the earlier run is back in {}", self.folder.display());
            }
            Err(error) => tracing::warn!("the earlier run is in {}: {error}", self.aside.display()),
        }
    }
}

/// A name beside a folder.
fn aside(folder: &Path, number: usize) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(if number == 1 { ".replaced".to_owned() } else { format!(".replaced-{number}") });
    folder.with_file_name(name)
}

/// Whether a folder is that of a run.
pub(super) fn is_run(folder: &Path) -> bool {
    [SETTINGS, SCHEMA].iter().all(|name| folder.join(name).is_file())
}

/// Whether a folder is empty or contains only the start of a run, because the program was killed while creating it.
pub(super) fn is_begun(folder: &Path) -> bool {
    let is_of_the_start = |name: &String| {
        [TrainFiles::CHECKPOINTS, SCHEMA, VALUES, ROWS, FolderLock::FILE].contains(&name.as_str()) || is_partial(name)
    };
    let names = names(folder);
    let is_created = names.is_empty() || folder.join(TrainFiles::CHECKPOINTS).is_dir();
    folder.is_dir() && is_created && names.iter().all(is_of_the_start)
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn is_partial(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".partial")
}

/// Whether a program writes a file of this name into the folder of a run.
fn is_own(name: &str) -> bool {
    const OWN: [&str; 10] = [
        SETTINGS,
        SCHEMA,
        ROWS,
        VALUES,
        SUMMARY,
        CALIBRATION,
        "metrics.jsonl",
        "timings.jsonl",
        FolderLock::FILE,
        MARK,
    ];
    OWN.contains(&name) || is_partial(name) || name.starts_with("events.out.tfevents.")
}

fn is_own_checkpoint(name: &str) -> bool {
    name.ends_with(".safetensors") && ["best.", "last.", "step-"].iter().any(|start| name.starts_with(start))
        || is_partial(name)
}

/// The files in the folder of a run that are not the run's, by their paths within it.
pub(super) fn foreign_files(folder: &Path) -> Vec<PathBuf> {
    let checkpoints = Path::new(TrainFiles::CHECKPOINTS);
    let above = names(folder).into_iter().filter(|name| name != TrainFiles::CHECKPOINTS && !is_own(name));
    let below = names(&folder.join(checkpoints)).into_iter().filter(|name| !is_own_checkpoint(name));
    above.map(PathBuf::from).chain(below.map(|name| checkpoints.join(name))).collect()
}

/// Removes the files of a run, and its folders if nothing else is in them.
pub(super) fn remove_own_files(folder: &Path) -> Result<()> {
    let checkpoints = folder.join(TrainFiles::CHECKPOINTS);
    let below = names(&checkpoints).into_iter().filter(|name| is_own_checkpoint(name));
    let above = names(folder).into_iter().filter(|name| is_own(name));
    let files = below.map(|name| checkpoints.join(name)).chain(above.map(|name| folder.join(name)));
    for file in files {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io("remove", file)(error)),
            _ => {}
        }
    }
    for empty in [checkpoints.as_path(), folder] {
        match std::fs::remove_dir(empty) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                return Err(Error::io("remove", empty)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
