//! A batch of jobs.

use std::time::Instant;

use fm_core::Result;

use super::job::{Answer, Job, Task, WorkError};
use crate::metrics::Metrics;
use crate::raw_rows::RawRows;

/// Computes the answers of jobs that fit together, and sends them.
pub(super) fn run(metrics: &Metrics, mut jobs: Vec<Job>) {
    jobs.retain(|job| !job.answer.is_closed());
    let Some(first) = jobs.first() else { return };
    let start = Instant::now();
    for job in &jobs {
        metrics.queue_seconds.observe((start - job.queued).as_secs_f64());
    }
    let answers = match &first.task {
        Task::Raw(_) | Task::Encoded { .. } => {
            metrics.batch_rows.observe(jobs.iter().map(Job::rows).sum::<usize>() as f64);
            score(&jobs)
        }
        Task::Recommend { user, k, exclude } => {
            first.model.recommend(user, *k, exclude).map(|items| vec![Answer::Items(items)])
        }
        Task::Explain(row) => {
            first.model.explain(row).map(|(prediction, terms)| vec![Answer::Terms(prediction, terms)])
        }
    };
    metrics.work_seconds.observe(start.elapsed().as_secs_f64());
    match answers {
        Ok(answers) => {
            for (job, answer) in jobs.into_iter().zip(answers) {
                // A client that has gone away needs no answer.
                let _ = job.answer.send(Ok(answer));
            }
        }
        Err(error) => {
            let error = WorkError(error.to_string());
            for job in jobs {
                let _ = job.answer.send(Err(error.clone()));
            }
        }
    }
}

/// Scores the rows of all jobs at once.
fn score(jobs: &[Job]) -> Result<Vec<Answer>> {
    let (slot, model) = (&jobs[0].slot, &jobs[0].model);
    let raw: Vec<&RawRows> =
        jobs.iter().filter_map(|job| if let Task::Raw(rows) = &job.task { Some(rows) } else { None }).collect();
    let (features, is_raw) = if raw.is_empty() {
        let (mut all_ids, mut all_values) = (vec![], vec![]);
        for job in jobs {
            if let Task::Encoded { ids, values, .. } = &job.task {
                all_ids.extend_from_slice(ids);
                all_values.extend_from_slice(values);
            }
        }
        (model.encoded(&all_ids, &all_values)?, false)
    } else {
        (model.features(raw)?, true)
    };
    let mut predictions = model.predict(&features)?.into_iter();
    let mut unknown = if is_raw { model.unknown(&features)? } else { vec![] }.into_iter();
    let answers = jobs.iter().map(|job| {
        let mut counts = if is_raw { vec![0; model.schema().num_fields()] } else { vec![] };
        for row in unknown.by_ref().take(job.rows()) {
            counts.iter_mut().zip(row).for_each(|(count, is_unknown)| *count += usize::from(is_unknown));
        }
        slot.metrics.count_rows(job.rows(), model.schema(), &counts);
        Answer::Predictions { predictions: predictions.by_ref().take(job.rows()).collect(), unknown: counts }
    });
    Ok(answers.collect())
}
