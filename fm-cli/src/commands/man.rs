//! `fm man`

use std::io::Write;

use anyhow::{Context, Result};
use fm_args::commands::Man;
use fm_args::manual;
use fm_core::atomic_file::write_atomically;

use super::print;

pub fn run(args: &Man) -> Result<()> {
    let Some(folder) = &args.output else {
        return print(String::from_utf8_lossy(&manual::page()?).trim_end());
    };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, page) in manual::pages()? {
        let path = folder.join(name);
        let written = write_atomically(&path, |file| file.write_all(&page));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
