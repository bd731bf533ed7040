//! Scoring, on threads of its own. Requests put [jobs](Job) into a bounded [`Queue`]. A worker takes a job and, up to
//! the size of a batch, the other jobs in the queue that it can score with it.

mod batch;
mod job;
mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

pub(crate) use job::{Answer, Job, Task};
pub(crate) use queue::{Limits, Queue};

use crate::app::App;

/// Starts the threads. They end when the queue is closed and empty.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn start(app: &Arc<App>, workers: usize, threads: usize) -> std::io::Result<Vec<JoinHandle<()>>> {
    (0..workers)
        .map(|number| {
            let app = Arc::clone(app);
            Builder::new().name(format!("fm-worker-{number}")).spawn(move || {
                tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
                while let Some(jobs) = app.queue.take() {
                    // A fault in one batch must not end the thread. Its jobs are dropped, which their requests notice.
                    let _ = catch_unwind(AssertUnwindSafe(|| batch::run(&app.metrics, jobs)));
                }
            })
        })
        .collect()
}
