//! The subcommands, one file each.

pub mod calibrate;
pub mod compare;
pub mod convert;
pub mod data;
pub mod doctor;
pub mod ensemble;
pub mod evaluate;
pub mod explain;
pub mod export;
pub mod man;
pub mod models;
pub mod predict;
pub mod recommend;
pub mod report;
pub mod runs;
pub mod serve;
pub mod settings;
pub mod summary;
pub mod train;
pub mod tune;
pub mod verify;

use std::io::Write;

use anyhow::Result;
use fm_core::terminal::{json, page};

/// Prints lines of text on standard output, as a terminal may show them.
pub fn print(text: impl std::fmt::Display) -> Result<()> {
    write_line(&page(&text.to_string()))
}

fn write_line(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| {
        let line = format!("cannot write to standard output: {error}");
        anyhow::Error::new(error).context(line)
    })
}

/// Prints data as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    write_line(&json(&serde_json::to_string_pretty(value)?))
}

/// `fm completions`
pub fn print_completions(shell: &str) -> Result<()> {
    write_line(String::from_utf8_lossy(&fm_args::completion::script(shell)?).trim_end())
}
