//! Ctrl-C ends a command in a consistent state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

/// Ctrl-C ended a command. The text describes the remaining state.
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

/// Returns a flag that Ctrl-C raises. A second Ctrl-C ends the program at once.
pub fn stop_at_ctrl_c() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    raise_at_ctrl_c(Arc::clone(&stop))?;
    Ok(stop)
}

/// Makes Ctrl-C raise a flag. If the flag is already raised, Ctrl-C ends the program at once.
pub fn raise_at_ctrl_c(stop: Arc<AtomicBool>) -> Result<()> {
    Ok(ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?)
}
