//! The folder of a run: settings, schema, metrics and checkpoints.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::EpochRecord;
use crate::atomic_file::write_atomically;
use crate::error::{Error, Result};

/// The files of a run.
///
/// | file | holds |
/// |---|---|
/// | `settings.toml` | the resolved settings |
/// | `schema.json` | fields and vocabularies |
/// | `metrics.jsonl` | an object an epoch |
/// | `summary.json` | the results |
/// | `checkpoints/best.safetensors` | the parameters of the best epoch |
/// | `checkpoints/last.safetensors` | the last state, from which training goes on |
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// [`Error::Setting`] if something is there already, [`Error::Io`].
    pub fn create(path: impl Into<PathBuf>) -> Result<RunDir> {
        let path = path.into();
        let occupied = path.exists() && std::fs::read_dir(&path).map_or(true, |mut entries| entries.next().is_some());
        if occupied {
            return Err(Error::Setting(format!(
                "{} exists: choose another `--run`, go on with `--resume`, or replace it with `--force`",
                path.display()
            )));
        }
        let run = RunDir(path);
        std::fs::create_dir_all(run.0.join("checkpoints")).map_err(Error::io("create", &run.0))?;
        Ok(run)
    }

    /// Opens a run's folder.
    ///
    /// # Errors
    /// [`Error::Format`] if it is none.
    pub fn open(path: impl Into<PathBuf>) -> Result<RunDir> {
        let run = RunDir(path.into());
        for file in [run.settings(), run.schema()] {
            if !file.is_file() {
                return Err(Error::format("run", &run.0, format!("there is no {}", file.display())));
            }
        }
        Ok(run)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The resolved settings.
    pub fn settings(&self) -> PathBuf {
        self.0.join("settings.toml")
    }

    /// Fields and vocabularies.
    pub fn schema(&self) -> PathBuf {
        self.0.join("schema.json")
    }

    /// One object an epoch.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// The results.
    pub fn summary(&self) -> PathBuf {
        self.0.join("summary.json")
    }

    /// The parameters of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.0.join("checkpoints/best.safetensors")
    }

    /// The last state.
    pub fn last(&self) -> PathBuf {
        self.0.join("checkpoints/last.safetensors")
    }

    /// Adds a line to `metrics.jsonl`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&self, record: &EpochRecord) -> Result<()> {
        let mut line = serde_json::to_string(record).map_err(|error| Error::Torch(error.to_string()))?;
        line.push('\n');
        let file = OpenOptions::new().create(true).append(true).open(self.metrics());
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(Error::io("write", self.metrics()))
    }

    /// Cuts `metrics.jsonl` to the epochs up to `epoch`: those that a resumed run keeps.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn truncate(&self, epoch: usize) -> Result<()> {
        let text = match std::fs::read_to_string(self.metrics()) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("read", self.metrics())(error)),
        };
        let is_kept = |line: &&str| serde_json::from_str::<EpochRecord>(line).is_ok_and(|record| record.epoch <= epoch);
        let kept: String = text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
        write_atomically(self.metrics(), |file| file.write_all(kept.as_bytes()))
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_summary(&self, summary: &impl Serialize) -> Result<()> {
        write_atomically(self.summary(), |file| {
            serde_json::to_writer_pretty(&mut *file, summary)?;
            file.write_all(b"\n")
        })
    }
}
