//! `fm data presets`

use anyhow::{Result, bail};
use fm_args::commands::Presets;
use fm_data::presets::{Checked, PRESETS, preset};

use super::super::print;
use crate::console::{width, wrapped};
use crate::progress::during;

pub fn run(args: &Presets) -> Result<()> {
    let Some(name) = &args.name else { return list() };
    let preset = preset(name)?;
    if args.check.is_empty() {
        return print(preset.text.trim_end());
    }
    let mut differ = 0;
    for file in &args.check {
        let says = match during("reading data", || preset.check(file))? {
            Checked::Published => "is the published file".to_owned(),
            Checked::HasColumns(why) => format!("has the columns of {name}; {why}"),
            Checked::Differs => {
                differ += 1;
                format!("has the columns of {name}, but not the bytes of the published file")
            }
        };
        print(format!("{}: {says}", file.display()))?;
    }
    match differ {
        0 => Ok(()),
        _ => bail!(
            "{differ} of {} files differ from the published ones: get them again, or expect other results",
            args.check.len()
        ),
    }
}

/// The presets with what is known of them.
fn list() -> Result<()> {
    for preset in &PRESETS {
        print(wrapped(&format!("{}: {}", preset.name, preset.title()), width(), 0, 2))?;
        for key in ["rows", "fields", "files", "from", "licence"] {
            if let Some(fact) = preset.fact(key) {
                print(wrapped(&format!("  {key}: {fact}"), width(), 0, 4))?;
            }
        }
    }
    print("Use one with `--schema NAME`; `fm data presets NAME` prints it.")
}
