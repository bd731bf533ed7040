//! Ctrl-C and the signals of shutdowns, batch systems and closed terminals, which end a command in a consistent state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use fm_core::hangup::{ignore_hangup, is_hangup_ignored};

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
    let outlives_the_terminal = is_hangup_ignored();
    ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(EXIT_CODE));
        }
    })?;
    // `nohup` asked for that.
    if outlives_the_terminal {
        ignore_hangup();
    }
    Ok(())
}
