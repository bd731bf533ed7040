//! Hands any bytes to the readers of outside data. A reader returns what it read or an error; it never panics, hangs, or
//! allocates much more than its input. What it accepts, it must have understood: targets also check that.
//!
//! The fuzzer (`make fuzz`) searches inputs and keeps those that reach new code in `fuzz/corpus`, a folder per target. A
//! test of this crate replays them, and shows that each target accepts the valid inputs that it starts from.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a fuzz target fails by panicking")]

mod archives;
mod declarations;
mod files;
mod requests;
mod tables;
mod texts;

use std::cell::OnceCell;
use std::path::PathBuf;

use tempfile::TempDir;

/// A reader that is fuzzed.
pub struct Target {
    /// The name of the target and of the folder of its corpus.
    pub name: &'static str,
    /// Reads an input; whether it is valid.
    pub run: fn(&[u8]) -> bool,
    /// Valid inputs, from which the fuzzer starts.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All readers.
pub const TARGETS: [Target; 17] = [
    Target { name: "arrow", run: tables::arrow, seeds: tables::arrow_files },
    Target { name: "checkpoint", run: files::checkpoint, seeds: files::checkpoints },
    Target { name: "csv", run: tables::csv, seeds: tables::csv_files },
    Target { name: "exported", run: archives::exported, seeds: archives::exported_files },
    Target { name: "json_lines", run: tables::json_lines, seeds: tables::json_lines_files },
    Target { name: "list", run: texts::list, seeds: texts::lists },
    Target { name: "movielens", run: tables::movielens, seeds: tables::movielens_releases },
    Target { name: "number", run: texts::number, seeds: texts::numbers },
    Target { name: "parquet", run: tables::parquet, seeds: tables::parquet_files },
    Target { name: "pickle", run: archives::pickle, seeds: archives::pickles },
    Target { name: "request", run: requests::request, seeds: requests::requests },
    Target { name: "rows", run: files::rows, seeds: files::rows_files },
    Target { name: "schema_json", run: declarations::schema_json, seeds: declarations::schemas },
    Target { name: "schema_toml", run: declarations::schema_toml, seeds: declarations::table_specs },
    Target { name: "settings", run: declarations::settings, seeds: declarations::settings_files },
    Target { name: "sparse", run: tables::sparse, seeds: tables::sparse_files },
    Target { name: "zip", run: archives::zip, seeds: archives::zip_files },
];

/// Reads an input of the target with this name.
///
/// # Panics
/// If there is no such target, or the reader has a fault.
pub fn run(name: &str, bytes: &[u8]) -> bool {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the name of a target");
    (target.run)(bytes)
}

/// The path of a file in a folder of this thread, which later calls overwrite.
fn file(name: &str, content: &[u8]) -> PathBuf {
    thread_local!(static FOLDER: OnceCell<TempDir> = const { OnceCell::new() });
    FOLDER.with(|folder| {
        let path = folder.get_or_init(|| tempfile::tempdir().unwrap()).path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    })
}
