//! `fm completions`

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{Args, Completions};

pub fn run(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "fm", &mut script);
    super::print(String::from_utf8_lossy(&script).trim_end())
}
