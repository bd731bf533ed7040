//! Event files for TensorBoard: a curve for the training loss, for each validation metric and for the learning rate, by
//! epoch.
//!
//! A file is a sequence of TFRecords, each an `Event` of protobuf: its length (u64), the masked CRC-32C of the length's
//! bytes (u32), the event, and its masked CRC-32C (u32), all little-endian. Source: TensorFlow's `event.proto`,
//! `summary.proto` and `record_writer.cc`, <https://github.com/tensorflow/tensorflow>.

mod messages;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fm_core::train::EpochRecord;
use fm_core::{Error, Result};
use prost::Message;

use messages::{Event, SessionLog, Summary, Value};

/// The prefix by which TensorBoard recognizes event files.
const PREFIX: &str = "events.out.tfevents.";

/// `SessionLog.SessionStatus.START`: TensorBoard discards this step and later ones from earlier files.
const START: i32 = 1;

/// An event file open for writing.
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Whether a folder contains an event file.
    pub fn is_in(folder: &Path) -> bool {
        let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.any(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
    }

    /// Starts a file in a folder. It replaces the epochs from `first_epoch` on in the folder's other files.
    pub fn create(folder: &Path, first_epoch: usize) -> Result<EventFile> {
        // TensorBoard reads the files of a folder in the order of their names.
        let path = folder.join(format!("{PREFIX}{:020.9}", now()));
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let mut events = EventFile { path, file };
        events.write(Event { file_version: Some("brain.Event:2".into()), ..Event::default() })?;
        let session_log = Some(SessionLog { status: START });
        events.write(Event { step: first_epoch as i64, session_log, ..Event::default() })?;
        Ok(events)
    }

    /// Adds an epoch.
    pub fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let scalar = |tag: String, value: f64| Value { tag, simple_value: Some(value as f32) };
        let mut value =
            vec![scalar("loss/train".into(), record.train_loss), scalar("learning_rate".into(), record.learning_rate)];
        value.extend(record.valid.iter().map(|(name, value)| scalar(format!("valid/{name}"), *value)));
        self.write(Event { step: record.epoch as i64, summary: Some(Summary { value }), ..Event::default() })
    }

    fn write(&mut self, event: Event) -> Result<()> {
        let record = record(&Event { wall_time: now(), ..event });
        self.file.write_all(&record).map_err(Error::io("write", &self.path))
    }
}

/// An event as a record of a file.
fn record(event: &Event) -> Vec<u8> {
    let event = event.encode_to_vec();
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), &event, &masked_crc(&event).to_le_bytes()].concat()
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A CRC-32C, rotated and shifted as in TFRecords, where checksums may cover data that contains checksums.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_tensorboards_own_to_the_bit() {
        let value = vec![Value { tag: "loss/train".into(), simple_value: Some(0.25) }];
        let event = Event { wall_time: 1.5, step: 3, summary: Some(Summary { value }), ..Event::default() };
        let hex: String = record(&event).iter().map(|byte| format!("{byte:02x}")).collect();
        // From RecordWriter and event_pb2 of the Python package tensorboard 2.21.
        let expected =
            "200000000000000029eda95009000000000000f83f10032a130a110a0a6c6f73732f747261696e150000803e4a2d8635";
        assert_eq!(hex, expected);
    }

    #[test]
    fn later_files_sort_after_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!EventFile::is_in(folder.path()));
        let files: Vec<PathBuf> = (1..5).map(|epoch| EventFile::create(folder.path(), epoch).unwrap().path).collect();
        assert!(EventFile::is_in(folder.path()) && files.is_sorted(), "{files:?}");
    }
}
