//! The calibration of a run's model.

use std::io::Write;
use std::path::Path;

use fm_core::atomic_file::write_atomically;
use fm_core::calibration::Calibration;
use fm_core::metric::{Metrics, metrics_from_json};
use fm_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::Run;

/// The content of `calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunCalibration {
    /// The map of logits.
    pub calibration: Calibration,
    /// The hash of the checkpoint whose logits it was fitted to.
    checkpoint: String,
    /// The calibrated model's metrics on the validation rows. They flatter the calibration, which was fitted to these rows.
    #[serde(deserialize_with = "metrics_from_json")]
    pub valid: Metrics,
    /// The same on the test rows.
    #[serde(deserialize_with = "metrics_from_json")]
    pub test: Metrics,
}

impl RunCalibration {
    /// Reads the file of a run; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<RunCalibration>> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| Error::format("calibration", path, format!("{error}; remove it"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }
}

impl Run {
    /// The calibration of its model, if it has one of the checkpoint that is there.
    pub fn calibration(&self) -> Option<&RunCalibration> {
        let checkpoint = self.calibration.as_ref().and(self.files.stamp()).map(|(_, checkpoint)| checkpoint);
        self.calibration.as_ref().filter(|of_run| checkpoint.as_ref() == Some(&of_run.checkpoint))
    }

    /// The calibration, which must be of the checkpoint that is there.
    pub(super) fn current_calibration(&self) -> Result<Option<&Calibration>> {
        if let Some(of_run) = self.calibration() {
            return Ok(Some(&of_run.calibration));
        }
        if self.calibration.is_none() {
            return Ok(None);
        }
        let reason = "it was fitted to another checkpoint: fit it again with `fm calibrate`, or remove it";
        Err(Error::format("calibration", self.folder().join(super::CALIBRATION), reason.to_owned()))
    }

    /// Stores the calibration of the model of [`Run::load_uncalibrated`], with the calibrated model's metrics on the
    /// validation and the test rows. [`Run::load`] then returns the calibrated model.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], or [`Error::NotResumable`] for a run without a checkpoint.
    pub fn calibrate(&mut self, calibration: Calibration, [valid, test]: [Metrics; 2]) -> Result<()> {
        let Some((_, checkpoint)) = self.files.stamp() else {
            let reason = "it has no checkpoint".to_owned();
            return Err(Error::NotResumable { path: self.folder().to_owned(), reason });
        };
        let new = RunCalibration { calibration, checkpoint, valid, test };
        let text = serde_json::to_string_pretty(&new).map_err(Error::json("a calibration"))? + "\n";
        write_atomically(self.folder().join(super::CALIBRATION), |file| file.write_all(text.as_bytes()))?;
        self.calibration = Some(new);
        Ok(())
    }

    /// Removes the calibration. Returns whether there was one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_calibration(&mut self) -> Result<bool> {
        let path = self.folder().join(super::CALIBRATION);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
            _ => Ok(self.calibration.take().is_some()),
        }
    }
}
