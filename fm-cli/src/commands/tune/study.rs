//! A study: the trials so far, and the choice of the next one.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fm_args::commands::Sampler;
use fm_core::Error;
use fm_core::atomic_file::write_atomically;
use fm_core::folder_lock::FolderLock;
use fm_core::seed::{Stream, derive};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::space::Dimension;
use crate::metric::Metric;

/// Number of random trials before the estimators choose.
const RANDOM_TRIALS: usize = 10;

/// The question of a study. Trials of a study with another question cannot be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The fixed settings, as a settings file.
    pub settings: String,
    pub space: Vec<Dimension>,
    pub metric: String,
    pub sampler: Sampler,
    /// The first epoch after which an unpromising trial can be stopped, and the ratio of trials to those that continue.
    pub halving: Option<(usize, usize)>,
    pub seed: u64,
    /// Digests of the rows of each part, with the first values of the space.
    pub rows: BTreeMap<String, String>,
}

/// A trial that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Counted from 1.
    pub number: usize,
    /// The position of each value in its range.
    pub positions: Vec<f64>,
    /// The values of the settings, in the order of the space.
    pub values: Vec<Value>,
    /// The best validation result; `None` for a trial that diverged.
    pub result: Option<f64>,
    /// The best validation result up to each epoch.
    pub curve: Vec<f64>,
    pub ending: Ending,
    pub seconds: f64,
}

/// How a trial has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Training ended by its own settings.
    Finished,
    /// Successive halving stopped it.
    Stopped,
    /// The loss became NaN or infinite.
    Diverged,
}

/// A folder with a question and its trials.
pub struct Study {
    folder: PathBuf,
    pub question: Question,
    pub trials: Vec<Trial>,
    /// One process at a time adds trials.
    _lock: FolderLock,
}

impl Study {
    /// Starts a study, or continues one with the same question.
    pub fn open(folder: &Path, question: Question) -> Result<Study> {
        let path = folder.join("study.json");
        let foreign = |entry: std::fs::DirEntry| entry.file_name() != FolderLock::FILE;
        if !path.exists() {
            if folder.read_dir().is_ok_and(|entries| entries.flatten().any(foreign)) {
                bail!("{} contains other files: choose another --study", folder.display());
            }
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let lock = FolderLock::acquire(folder)?;
        let study = Study { folder: folder.to_owned(), question, trials: vec![], _lock: lock };
        if !path.exists() {
            let json = serde_json::to_string_pretty(&study.question)?;
            write_atomically(&path, |file| file.write_all(json.as_bytes()))?;
            return Ok(study);
        }
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let found: Question = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        if found.rows != study.question.rows
            && (Question { rows: BTreeMap::new(), ..found.clone() }
                == Question { rows: BTreeMap::new(), ..study.question.clone() })
        {
            bail!(
                "the data has changed since {} began, so its trials cannot be compared with new ones: choose another --study",
                study.folder.display()
            );
        }
        if found != study.question {
            bail!(
                "{} is a study of another space, other settings or another seed: choose another --study",
                study.folder.display()
            );
        }
        let trials = study.read_trials()?;
        Ok(Study { trials, ..study })
    }

    fn file(&self) -> PathBuf {
        self.folder.join("trials.jsonl")
    }

    fn read_trials(&self) -> Result<Vec<Trial>> {
        let text = match std::fs::read_to_string(self.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(Error::io("read", self.file())(error).into()),
        };
        let mut trials = Vec::new();
        for (number, line) in text.lines().enumerate() {
            match serde_json::from_str::<Trial>(line) {
                Ok(trial) if trial.positions.len() == self.question.space.len() => trials.push(trial),
                // The program was killed while writing this line: the trial runs again.
                _ if number + 1 == text.lines().count() && !text.ends_with('\n') => {
                    let kept = &text[..text.len() - line.len()];
                    write_atomically(self.file(), |file| file.write_all(kept.as_bytes()))?;
                }
                _ => bail!("{}, line {}: not a trial of this study", self.file().display(), number + 1),
            }
        }
        Ok(trials)
    }

    /// Appends a trial.
    pub fn add(&mut self, trial: Trial) -> Result<()> {
        let mut line = serde_json::to_string(&trial)?;
        line.push('\n');
        let file = OpenOptions::new().create(true).append(true).open(self.file());
        file.and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_data()
        })
        .map_err(Error::io("write", self.file()))?;
        self.trials.push(trial);
        Ok(())
    }

    /// The folder of a trial's run.
    pub fn run(&self, number: usize) -> PathBuf {
        self.folder.join(format!("trial-{number}"))
    }

    /// The positions of the next trial. They follow from the seed and the previous trials.
    pub fn propose(&self, metric: &Metric) -> Result<Vec<f64>> {
        let number = self.trials.len() + 1;
        let mut random = Pcg64::seed_from_u64(derive(self.question.seed, Stream::Trial(number)));
        let is_random = self.question.sampler == Sampler::Random || self.trials.len() < RANDOM_TRIALS;
        let propose = |(at, dimension): (usize, &Dimension)| {
            if is_random {
                return Ok(dimension.draw(&mut random));
            }
            let (low, high) = dimension.interval();
            let estimator = if dimension.is_choice() { tpe::histogram_estimator() } else { tpe::parzen_estimator() };
            let mut optimizer = tpe::TpeOptimizer::new(estimator, tpe::range(low, high)?);
            for trial in &self.trials {
                // A diverged trial is worse than all others.
                let cost = trial.result.map_or(f64::INFINITY, |result| metric.cost(result));
                optimizer.tell(trial.positions[at], cost)?;
            }
            Ok(optimizer.ask(&mut random)?)
        };
        self.question.space.iter().enumerate().map(propose).collect()
    }

    /// The best trial so far.
    pub fn best(&self, metric: &Metric) -> Option<&Trial> {
        let with_result = |trial: &&Trial| trial.result.is_some();
        let key = |trial: &&Trial| metric.cost(trial.result.unwrap_or(f64::NAN));
        self.trials.iter().filter(with_result).min_by(|a, b| key(a).total_cmp(&key(b)))
    }

    /// Whether to stop a trial with this curve. Halving (m, r) stops at epochs m, m r, m r², ... unless the trial is
    /// among the best 1/r of all trials so far.
    ///
    /// Source: Li et al., A system for massively parallel hyperparameter tuning, MLSys 2020,
    /// <https://arxiv.org/abs/1810.05934>, algorithm 2, for one worker and without later promotions.
    pub fn is_behind(&self, metric: &Metric, curve: &[f64]) -> bool {
        let (Some((first, ratio)), Some(&now)) = (self.question.halving, curve.last()) else { return false };
        let epoch = curve.len();
        let is_rung = std::iter::successors(Some(first), |rung| rung.checked_mul(ratio))
            .take_while(|&rung| rung <= epoch)
            .any(|rung| rung == epoch);
        let others: Vec<f64> = self.trials.iter().filter_map(|trial| trial.curve.get(epoch - 1)).copied().collect();
        let better = others.iter().filter(|&&other| metric.is_better(other, now)).count();
        is_rung && others.len() + 1 >= ratio && better >= (others.len() + 1) / ratio
    }
}
