//! `fm settings`

use anyhow::Result;
use fm_args::commands::Settings;
use fm_args::ready_made::{READY_MADE, find, purpose};

use super::print;
use crate::console::{width, wrapped};
use crate::settings::unknown;

pub fn run(args: &Settings) -> Result<()> {
    if let Some(name) = &args.name {
        let text = find(name).ok_or_else(|| unknown(name))?;
        return print(text.trim_end());
    }
    for (name, text) in READY_MADE {
        print(format!("{name:<24} {}", wrapped(purpose(text), width(), 25, 25)))?;
    }
    Ok(())
}
