//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{Semaphore, oneshot};

use crate::http::{Places, Tls, Token};
use crate::metrics::Metrics;
use crate::model::Model;
use crate::models::{Models, Slot};
use crate::options::Options;
use crate::problem::Problem;
use crate::work::{Answer, Job, Limits, Queue, Task};

/// What all requests share.
pub(crate) struct App {
    pub models: Models,
    pub queue: Queue,
    pub metrics: Metrics,
    pub options: Options,
    pub token: Option<Token>,
    /// `None` for connections without TLS.
    pub tls: Option<Tls>,
    /// Bytes that bodies may still take.
    pub bodies: Arc<Semaphore>,
    /// The places of connections.
    pub places: Arc<Places>,
    /// Whether the server takes no new connections.
    pub is_stopping: AtomicBool,
}

impl App {
    pub fn new(models: Models, token: Option<Token>, tls: Option<Tls>, options: Options) -> App {
        let limits = Limits { rows: options.queue_rows, batch: options.max_batch, wait: options.batch_wait };
        App {
            models,
            queue: Queue::new(limits),
            metrics: Metrics::new(),
            token,
            tls,
            bodies: Arc::new(Semaphore::new(options.max_bodies.min(Semaphore::MAX_PERMITS))),
            places: Arc::new(Places::new(options.max_connections)),
            is_stopping: AtomicBool::new(false),
            options,
        }
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.places.taken()
    }

    /// The bytes of bodies that are read or answered.
    pub fn body_bytes(&self) -> usize {
        self.options.max_bodies.saturating_sub(self.bodies.available_permits())
    }

    /// Whether the server is ready for requests.
    pub fn is_ready(&self) -> bool {
        !self.is_stopping.load(Ordering::Relaxed)
    }

    /// Lets a worker do a task, and waits for the answer.
    ///
    /// # Errors
    /// 503 if the queue is full or the answer takes too long; 500 if the model fails.
    pub async fn work(&self, slot: &Arc<Slot>, model: Arc<Model>, task: Task) -> Result<Answer, Problem> {
        let (sender, answer) = oneshot::channel();
        let job = Job { slot: Arc::clone(slot), model, task, queued: Instant::now(), answer: sender };
        if self.queue.push(job).is_err() {
            return Err(Problem::overloaded("the queue is full: try again later, or send fewer requests"));
        }
        // When this function returns, the receiver is dropped, and a worker skips the job.
        match tokio::time::timeout(self.options.timeout, answer).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => {
                tracing::error!(model = slot.name, "the model fails: {}", error.0);
                Err(Problem::failed(format!("model `{}` fails: {}", slot.name, error.0)))
            }
            Ok(Err(_)) => Err(Problem::failed(format!("model `{}` fails: see the server's log", slot.name))),
            Err(_) => Err(Problem::overloaded(format!(
                "no answer within {} s: try again later, or send fewer rows",
                self.options.timeout.as_secs_f32()
            ))),
        }
    }
}
