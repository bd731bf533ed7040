//! The queue between requests and workers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::job::Job;

/// The limits of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Maximum number of rows that wait.
    pub rows: usize,
    /// Maximum number of rows of a batch of several jobs.
    pub batch: usize,
    /// How long a batch waits for more rows.
    pub wait: Duration,
}

/// A bounded queue. Nobody waits to put something into it.
pub(crate) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    rows: usize,
    is_closed: bool,
}

impl Queue {
    pub fn new(limits: Limits) -> Queue {
        Queue { limits, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Appends a job, or returns it if there is no room. An empty queue has room for any job.
    pub fn push(&self, job: Job) -> Result<(), Job> {
        let mut state = self.lock();
        let rows = state.rows + job.rows();
        if state.is_closed || (rows > self.limits.rows && !state.jobs.is_empty()) {
            return Err(job);
        }
        state.rows = rows;
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The next batch: waits for a job, and takes those that fit to it. `None` if the queue is closed and empty.
    pub fn take(&self) -> Option<Vec<Job>> {
        let mut state = self.lock();
        let first = loop {
            match state.pop(0) {
                // The client has gone away, or has waited too long.
                Some(job) if job.answer.is_closed() => {}
                Some(job) => break job,
                None if state.is_closed => return None,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let (mut rows, until) = (first.rows(), first.queued + self.limits.wait);
        let mut batch = vec![first];
        loop {
            state.take_fitting(&mut batch, &mut rows, self.limits.batch);
            let left = until.saturating_duration_since(Instant::now());
            // A job that is left does not fit, and must not wait for this batch to fill.
            let is_full = rows >= self.limits.batch || !state.jobs.is_empty() || !batch[0].fits(&batch[0]);
            if left.is_zero() || is_full || state.is_closed {
                break;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        // What is left is for another worker, whom this one may have kept from noticing.
        if !state.jobs.is_empty() {
            self.changed.notify_one();
        }
        Some(batch)
    }

    /// Ends `take` once the queue is empty.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// The number of rows that wait.
    pub fn rows(&self) -> usize {
        self.lock().rows
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self, at: usize) -> Option<Job> {
        let job = self.jobs.remove(at)?;
        self.rows -= job.rows();
        Some(job)
    }

    /// Moves jobs that fit to the first one into a batch, in their order.
    fn take_fitting(&mut self, batch: &mut Vec<Job>, rows: &mut usize, most: usize) {
        let mut at = 0;
        while *rows < most && at < self.jobs.len() {
            let job = &self.jobs[at];
            if batch[0].fits(job) && *rows + job.rows() <= most {
                *rows += job.rows();
                batch.extend(self.pop(at));
            } else {
                at += 1;
            }
        }
    }
}
