//! What a worker does for a request.

use std::sync::Arc;
use std::time::Instant;

use fm_core::explain::Shapley;
use tokio::sync::oneshot;

use crate::model::Model;
use crate::models::Slot;
use crate::raw_rows::RawRows;

/// Number of rows that an explanation scores, about, and the most that a recommendation counts as: one must not fill the queue,
/// however large the catalogue.
const EXPLANATION: usize = 4096;
const RECOMMENDATION: usize = 4096;

/// A task, and where its answer goes.
pub(crate) struct Job {
    pub slot: Arc<Slot>,
    pub model: Arc<Model>,
    pub task: Task,
    pub queued: Instant,
    pub answer: oneshot::Sender<Result<Answer, WorkError>>,
}

/// What to compute.
pub(crate) enum Task {
    /// Predictions of raw rows.
    Raw(RawRows),
    /// Predictions of encoded rows.
    Encoded { rows: usize, ids: Vec<i64>, values: Vec<f32> },
    /// The best items for a user.
    Recommend { user: Vec<(String, String)>, k: usize, exclude: Vec<String> },
    /// What each field of a row adds.
    Explain(RawRows),
}

/// The result of a task.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Of rows. `unknown` is `[F]`, the number of rows without a known value in each field, if they were raw.
    Predictions { predictions: Vec<f32>, unknown: Vec<usize> },
    /// Of a recommendation.
    Items(Vec<(String, f32)>),
    /// Of an explanation.
    Terms(f32, Shapley),
}

/// A failure of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkError(pub(crate) String);

impl Job {
    /// The number of rows that the job counts as in the queue: about those to score.
    pub fn rows(&self) -> usize {
        match &self.task {
            Task::Raw(rows) => rows.len(),
            Task::Encoded { rows, .. } => *rows,
            Task::Recommend { .. } => self.model.items.min(RECOMMENDATION),
            Task::Explain(_) => EXPLANATION,
        }
    }

    /// Whether a batch can have the rows of both.
    pub fn fits(&self, other: &Job) -> bool {
        let is_same_form = matches!(
            (&self.task, &other.task),
            (Task::Raw(_), Task::Raw(_)) | (Task::Encoded { .. }, Task::Encoded { .. })
        );
        is_same_form && Arc::ptr_eq(&self.model, &other.model)
    }
}
