//! A model on the ladder, and its way up.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Result;
use fm_core::Error;
use fm_core::metric::Metrics;
use fm_core::train::EpochRecord;
use fm_models::Run;
use serde::Serialize;
use serde_json::Value;
use tch::Device;

use crate::commands::compare::{bundle_bytes, bundle_of, finished};
use crate::commands::export::latency;
use crate::console::decimal;
use crate::interruption::Interrupted;
use crate::metric::{Metric, best_so_far, follow};
use crate::results::Results;
use crate::settings::Settings;
use crate::training::{Machine, Start, train_watched};

/// How much an epoch improves a model compared with the epoch before, as long as only one improvement is known.
const DECAY: f64 = 0.7;
/// The same at most.
const SLOWEST_DECAY: f64 = 0.8;

/// A model of the ladder.
#[derive(Serialize)]
pub struct Rung {
    pub model: String,
    pub run: PathBuf,
    #[serde(flatten)]
    pub ending: Ending,
    /// The best validation result so far.
    pub valid: Option<f64>,
    /// The best validation result up to each epoch.
    pub curve: Vec<f64>,
    pub epochs: usize,
    /// The rest is of a finished run.
    pub test: Metrics,
    pub parameters: Option<i64>,
    pub seconds: Option<f64>,
    pub file_bytes: Option<u64>,
    /// The time to score one row of a thousand.
    pub seconds_per_row: Option<f64>,
}

/// How the training of a rung ended.
#[derive(Serialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    Finished,
    /// Its curve would not have reached the best model.
    Behind {
        heads_for: f64,
    },
    OutOfTime,
    Diverged,
    /// The model does not take this data.
    Unsuitable {
        reason: String,
    },
}

/// What a model of the ladder runs against.
pub struct Race<'a> {
    pub metric: &'a Metric,
    /// The curve of the best model so far.
    pub leader: Option<&'a [f64]>,
    /// The number of epochs after which a model's curve says where it heads for.
    pub warmup: usize,
    /// Whether the budget of time is spent.
    pub is_late: &'a dyn Fn() -> bool,
}

impl Race<'_> {
    /// Why a model with this curve cannot become the best one. A model that is ahead of what the best one was after as many
    /// epochs still can.
    fn behind(&self, curve: &[f64]) -> Option<Ending> {
        if curve.len() < self.warmup {
            return None;
        }
        let (heads_for, leader, now) = (heads_for(self.metric, curve)?, self.leader?, *curve.last()?);
        let then = leader.get(curve.len() - 1).or(leader.last())?;
        let is_behind = self.metric.is_better(*then, now) && self.metric.is_better(*leader.last()?, heads_for);
        is_behind.then_some(Ending::Behind { heads_for })
    }
}

impl Rung {
    fn new(model: &str, run: &Path) -> Rung {
        Rung {
            model: model.to_owned(),
            run: run.to_owned(),
            ending: Ending::Finished,
            valid: None,
            curve: vec![],
            epochs: 0,
            test: Metrics::new(),
            parameters: None,
            seconds: None,
            file_bytes: None,
            seconds_per_row: None,
        }
    }

    /// Trains a model until its end, or until it cannot become the best one any more. A run in `folder` is resumed.
    pub fn climb(
        folder: &Path,
        settings: &Settings,
        machine: &Machine<'_>,
        race: &Race<'_>,
    ) -> Result<(Rung, Option<Results>)> {
        let mut rung = Rung::new(&settings.model.name, folder);
        match settings.model.build(&machine.prepare(settings, None)?.schema, Device::Cpu) {
            Ok(_) => {}
            Err(Error::Model { source, .. }) => {
                rung.ending = Ending::Unsuitable { reason: source.to_string() };
                return Ok((rung, None));
            }
            Err(error) => return Err(error.into()),
        }
        // The mean over the draws of a sampler improves after its burn-in.
        let burn_in = settings.model.resolved()?.options.get("burn_in").and_then(Value::as_u64);
        let race = Race { warmup: burn_in.map_or(0, |epochs| epochs as usize + 4), ..*race };
        let results = rung.train(settings, machine, &race)?;
        rung.valid = rung.curve.last().copied();
        rung.epochs = rung.curve.len();
        if let Some(results) = &results {
            rung.measure(results, race.metric)?;
        }
        Ok((rung, results))
    }

    /// Trains the run, and sets its curve and how it ends. Returns its results if that is at the end.
    fn train(&mut self, settings: &Settings, machine: &Machine<'_>, race: &Race<'_>) -> Result<Option<Results>> {
        let folder = &self.run;
        let run = Run::open(folder).ok();
        if let Some(run) = &run {
            self.curve = best_so_far(race.metric, &run.files().epochs()?);
        }
        let is_finished = match &run {
            Some(run) if !Run::is_unbegun(folder) => run.summary::<Results>()?.is_some(),
            _ => false,
        };
        if is_finished {
            return finished(folder, settings, machine).map(Some);
        }
        // An earlier comparison may have stopped it.
        if let Some(ending) = (1..=self.curve.len()).find_map(|epochs| race.behind(&self.curve[..epochs])) {
            self.ending = ending;
            return Ok(None);
        }
        let start = match run {
            Some(run) if run.files().has_checkpoint() => Start::Resume(Box::new(run)),
            _ => Start::New { path: Some(folder.clone()), force: folder.exists() },
        };
        let (curve, mut stopped) = (&mut self.curve, None);
        let mut watch = |record: &EpochRecord| {
            follow(race.metric, curve, record);
            stopped = race.behind(curve).or((race.is_late)().then_some(Ending::OutOfTime));
            if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match (train_watched(settings, start, machine, &mut watch), stopped) {
            (Ok((_, results)), _) => return Ok(Some(results)),
            (Err(error), Some(ending)) if error.is::<Interrupted>() && !machine.is_stopping() => self.ending = ending,
            (Err(error), _) if matches!(error.downcast_ref(), Some(Error::Diverged { .. })) => {
                self.ending = Ending::Diverged;
            }
            (Err(error), _) => return Err(error),
        }
        Ok(None)
    }

    /// Adds what a finished run has: its results, size and speed.
    fn measure(&mut self, results: &Results, metric: &Metric) -> Result<()> {
        let run = Run::open(&self.run)?;
        let bundle = bundle_of(&run)?;
        let [_, of_many] = latency(&bundle, run.schema())?;
        self.valid = metric.among(&results.valid).filter(|value| value.is_finite());
        self.epochs = results.epochs;
        self.test = results.test.clone();
        self.parameters = Some(results.parameters);
        self.seconds = Some(results.seconds);
        self.file_bytes = Some(bundle_bytes(&run, &bundle)?);
        self.seconds_per_row = Some(of_many.seconds / of_many.rows as f64);
        Ok(())
    }

    /// What became of the model, if that needs words.
    pub fn note(&self, race: &Race<'_>) -> Option<String> {
        let Rung { model, epochs, .. } = self;
        Some(match &self.ending {
            Ending::Finished => return None,
            Ending::Behind { heads_for } => format!(
                "{model} is stopped after epoch {epochs}: its {} heads for {}, and the best is {}",
                race.metric.name,
                decimal(*heads_for, 4),
                decimal(*race.leader?.last()?, 4)
            ),
            Ending::OutOfTime => format!("{model} is stopped after epoch {epochs}, because the time is up"),
            Ending::Diverged => format!("{model} diverged: it needs a lower learning rate"),
            Ending::Unsuitable { reason } => format!("{model} is left out: {reason}"),
        })
    }
}

/// The value that a curve of best validation results heads for if each epoch improves it by the same share of the
/// improvement before; `None` before its second epoch.
fn heads_for(metric: &Metric, curve: &[f64]) -> Option<f64> {
    let [.., before, last] = *curve else { return None };
    let latest = metric.cost(before) - metric.cost(last);
    let decay = match curve {
        [.., earlier, before, _] => {
            let earlier = metric.cost(*earlier) - metric.cost(*before);
            if earlier > 0.0 { (latest / earlier).clamp(0.0, SLOWEST_DECAY) } else { SLOWEST_DECAY }
        }
        _ => DECAY,
    };
    let rest = latest * decay / (1.0 - decay);
    // The cost of a cost is the value.
    Some(metric.cost(metric.cost(last) - rest))
}

#[cfg(test)]
mod tests {
    use fm_core::Task;

    use super::*;

    #[test]
    fn a_curve_heads_for_the_limit_of_its_improvements() {
        let rmse = Metric::of(Task::Regression, "rmse").unwrap();
        let auc = Metric::of(Task::Binary { threshold: 1.0 }, "auc").unwrap();
        assert_eq!(heads_for(&rmse, &[1.0]), None);
        // Improvements of 0.2 and 0.1 continue with 0.05, 0.025, ...
        assert!((heads_for(&rmse, &[1.0, 0.8, 0.7]).unwrap() - 0.6).abs() < 1e-9);
        assert!((heads_for(&auc, &[0.5, 0.7, 0.8]).unwrap() - 0.9).abs() < 1e-9);
        // A curve that has stopped improving stays where it is.
        assert_eq!(heads_for(&rmse, &[1.0, 0.8, 0.8]), Some(0.8));
        assert!(heads_for(&rmse, &[1.0, 0.9]).unwrap() < 0.7);
        // Improvements that grow are not continued forever.
        assert!((heads_for(&rmse, &[1.0, 0.95, 0.85]).unwrap() - 0.45).abs() < 1e-9);
    }
}
