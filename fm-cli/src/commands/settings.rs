//! `fm settings`

use anyhow::{Result, anyhow};

use super::print;
use crate::settings::ready_made::{READY_MADE, find, unknown};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// One of them, to print: a file for `fm train --config`
    pub name: Option<String>,
}

pub fn run(args: &Settings) -> Result<()> {
    if let Some(name) = &args.name {
        let text = find(name).ok_or_else(|| anyhow!("{}", unknown(name)))?;
        return print(text.trim_end());
    }
    for (name, text) in READY_MADE {
        let purpose = text.lines().next().unwrap_or_default();
        print(format!("{name:<24} {}", purpose.trim_start_matches("# ")))?;
    }
    Ok(())
}
