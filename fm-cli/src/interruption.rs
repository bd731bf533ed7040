//! Ctrl-C and the signals of shutdowns, batch systems and closed terminals, which end a command in a consistent state.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit code of a command that a signal ended: shells use it for Ctrl-C.
pub const EXIT_CODE: u8 = 130;

/// A signal ended a command. The text describes the remaining state.
#[derive(Debug)]
pub struct Interrupted(pub String);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// The message about an interruption for a command with several trainings.
pub fn resumable(error: anyhow::Error, which: &str) -> anyhow::Error {
    if error.is::<Interrupted>() {
        Interrupted(format!("interrupted in {which}: the same command resumes")).into()
    } else {
        error
    }
}

/// A flag that Ctrl-C, SIGTERM and SIGHUP raise. A second one ends the program at once.
pub fn stop_at_ctrl_c() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    raise_at_ctrl_c(Arc::clone(&stop))?;
    Ok(stop)
}

/// Makes Ctrl-C, SIGTERM and SIGHUP raise a flag. If the flag is already raised, they end the program at once.
pub fn raise_at_ctrl_c(stop: Arc<AtomicBool>) -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // `nohup` asks to outlive the terminal.
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        // In this order: the first signal finds the flag down, and raises it.
        flag::register_conditional_shutdown(signal, i32::from(EXIT_CODE), Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(())
}

/// Whether this process was started to ignore a signal, where the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
