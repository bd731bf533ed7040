//! Loads files again when they change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::app::App;
use crate::model::{Model, Stamp};
use crate::models::Slot;

/// How often the thread looks whether the server stops.
const TICK: Duration = Duration::from_millis(50);

/// A file that is watched.
struct Watched {
    /// The stamp of the file that was loaded, or could not be loaded.
    done: Option<Stamp>,
    /// The stamp that the file had last time.
    last: Option<Stamp>,
}

/// Checks all files every `interval` until the server stops.
pub(crate) fn watch(app: &App, stamps: Vec<Option<Stamp>>, interval: Duration, stop: &AtomicBool) {
    let mut files: Vec<Watched> = stamps.into_iter().map(|stamp| Watched { done: stamp, last: stamp }).collect();
    let mut checked = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(TICK.min(interval));
        if checked.elapsed() >= interval {
            for (slot, file) in app.models.slots().iter().zip(&mut files) {
                check(slot, file);
            }
            checked = Instant::now();
        }
    }
}

/// Loads a file that has changed and is the same as last time: one that is still being written is left alone. The old
/// model answers until the new one has answered warm-up requests, and goes on if the new file cannot be loaded.
fn check(slot: &Slot, file: &mut Watched) {
    let now = Stamp::of(&slot.path);
    let is_stable = now == std::mem::replace(&mut file.last, now);
    if now.is_none() || now == file.done || !is_stable {
        return;
    }
    // A panic must not end the thread that watches the other files.
    let load = std::panic::AssertUnwindSafe(|| Model::load(&slot.path).map_err(|error| error.to_string()));
    let loaded = std::panic::catch_unwind(load).unwrap_or_else(|_| Err("loading it ended unexpectedly".into()));
    if Stamp::of(&slot.path) != now {
        return;
    }
    file.done = now;
    slot.metrics.count_reload(loaded.is_ok());
    match loaded {
        Ok(model) => {
            slot.replace(model);
            tracing::info!(model = slot.name, "reloaded {}", slot.path.display());
        }
        Err(error) => {
            tracing::error!(model = slot.name, "the new file cannot be loaded, and the old model goes on: {error}");
        }
    }
}
