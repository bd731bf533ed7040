//! The runs of a report, with their test rows scored.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Result, bail};
use fm_args::commands::Report;
use fm_args::flags::Part;
use fm_core::metric::{MetricSet, Metrics, Scored, metric, metrics, standard_errors};
use fm_core::train::EpochRecord;
use fm_core::{Label, Records, Task};
use fm_data::table::{NO_CODE, codes};
use fm_data::{DataConfig, Moved, RawData};
use fm_models::run::BuiltModel;

use super::chart::{Paint, SERIES};
use crate::evaluation::Evaluation;
use crate::predictor::{Predictor, moved};
use crate::progress::during;
use crate::ranking::{Ranking, TestRanks};
use crate::results::Results;
use crate::targets::Targets;

/// A run with its model's predictions for the test rows.
pub struct Run {
    /// Its unique name in the report.
    pub name: String,
    pub paint: Paint,
    pub files: fm_models::Run,
    pub predictor: Predictor<BuiltModel>,
    /// `None` for a run that was interrupted.
    pub results: Option<Results>,
    pub epochs: Vec<EpochRecord>,
    /// The rows, or why they cannot be read.
    pub rows: Result<TestRows, String>,
}

/// The test rows of a run, with the data that contains them.
pub struct TestRows {
    pub source: Rc<RawData>,
    pub encoded: Records,
    pub targets: Targets,
    /// The logit of each test row.
    pub logits: Vec<f32>,
    /// Whether the test rows have changed since the run was trained.
    pub has_changed: bool,
    /// The ranks of the relevant items of a ranking.
    pub ranks: Option<TestRanks>,
}

impl TestRows {
    /// All test rows with their logits.
    pub fn scored(&self) -> Scored<'_> {
        self.targets.scored(&self.logits)
    }

    /// Whether a row has weight 0, so that metrics ignore it.
    pub fn is_ignored(&self, row: usize) -> bool {
        self.targets.weights.as_ref().is_some_and(|weights| weights[row] == 0.0)
    }

    /// The units that can be measured separately: the test rows or, for a ranking, the users with relevant items in
    /// them.
    pub fn units(&self) -> Range<usize> {
        0..self.ranks.as_ref().map_or(self.logits.len(), |ranks| ranks.model.len())
    }

    /// The model's metrics on some of the [`units`](TestRows::units).
    pub fn metrics(&self, label: &Label, units: &[usize]) -> Metrics {
        match &self.ranks {
            Some(ranks) => ranks.metrics(&ranks.model, units),
            None => self.targets.measure(&self.logits, units, |scored| metrics(label, scored)),
        }
    }

    /// The same for the baseline: the mean label, or popularity for a ranking.
    pub fn baseline(&self, label: &Label, units: &[usize]) -> Metrics {
        match &self.ranks {
            Some(ranks) => ranks.metrics(&ranks.popularity, units),
            None => {
                let mean = vec![label.prior_logit(); self.logits.len()];
                self.targets.measure(&mean, units, |scored| metrics(label, scored))
            }
        }
    }

    /// The model's metric of this name on some of the units.
    pub fn metric(&self, label: &Label, name: &str, units: &[usize]) -> Option<f64> {
        match &self.ranks {
            Some(ranks) => ranks.metrics(&ranks.model, units).remove(name),
            None => self.targets.measure(&self.logits, units, |scored| metric(label, scored, name)),
        }
    }

    /// Half the width of the 95% interval around the model's metric of this name. `None` for a metric within groups, of which a
    /// resample of rows would lose some.
    pub fn margin(&self, label: &Label, name: &str) -> Option<f64> {
        if MetricSet::of(label.task).find(name).is_ok_and(|entry| entry.is_within_groups) {
            return None;
        }
        let errors = standard_errors(self.units().len(), |units| Some([self.metric(label, name, units)?]));
        errors.map(|[error]| 1.96 * error)
    }
}

impl Run {
    /// The best epoch so far.
    pub fn best_epoch(&self) -> Option<&EpochRecord> {
        self.epochs.iter().rev().find(|epoch| epoch.best)
    }

    pub fn task(&self) -> Task {
        self.predictor.schema.label().task
    }

    /// The metric that chooses the best epoch.
    pub fn monitored(&self) -> &str {
        let monitor = &self.predictor.settings.train.monitor;
        monitor.as_deref().unwrap_or(MetricSet::of(self.task()).monitored)
    }

    /// The model's name in the literature.
    pub fn title(&self) -> &str {
        let model = &self.predictor.settings.model;
        model.entry().map_or(model.name.as_str(), |entry| entry.title)
    }

    /// The test rows with their predictions, if there are any.
    pub fn test_rows(&self) -> Option<&TestRows> {
        self.rows.as_ref().ok().filter(|rows| !rows.logits.is_empty())
    }
}

/// Opens the runs and scores their test rows.
pub fn open(args: &Report) -> Result<Vec<Run>> {
    if args.runs.len() > SERIES {
        bail!("a report shows at most {SERIES} runs, one per colour; {} were given", args.runs.len());
    }
    let mut sources: Vec<(DataConfig, Rc<RawData>)> = vec![];
    let mut runs: Vec<Run> = vec![];
    let moved = moved(args.moved.data.as_ref(), &args.moved.tables);
    let has_moved = moved != Moved::default();
    for (number, (path, name)) in args.runs.iter().zip(names(args)?).enumerate() {
        let files = fm_models::Run::open(path)?;
        let predictor = Predictor::of_run(&files, &args.device.device)?;
        let (results, epochs) = (Results::of_run(&files)?, files.files().epochs()?);
        let config = predictor.settings.data.clone().moved(moved.clone())?;
        let known = sources.iter().find(|(known, _)| *known == config).map(|(_, source)| Rc::clone(source));
        let source = match known {
            Some(source) => Ok(source),
            None => predictor.source(&moved, &args.folders).map(Rc::new),
        };
        let rows = match source {
            Ok(source) => {
                sources.push((config, Rc::clone(&source)));
                let rows = score(&files, &predictor, source)?;
                if let (true, Some(data)) = (rows.has_changed && has_moved, &args.moved.data) {
                    bail!(
                        "{data} does not have the rows that {name} was trained and tested on: `fm evaluate {} --data {data}` \
                         measures a run on new rows",
                        path.display()
                    );
                }
                if rows.has_changed {
                    tracing::warn!(
                        "{name}: the data has changed since training: the test rows may include training rows"
                    );
                }
                Ok(rows)
            }
            Err(error) if has_moved => return Err(error),
            Err(error) => {
                tracing::warn!(
                    "{name}: its rows are missing from the report: {error}; --data gives their new location"
                );
                Err(error.to_string())
            }
        };
        runs.push(Run { name, paint: Paint::Series(number), files, predictor, results, epochs, rows });
    }
    Ok(runs)
}

fn score(run: &fm_models::Run, predictor: &Predictor<BuiltModel>, source: Rc<RawData>) -> Result<TestRows> {
    let evaluation = Evaluation::new(predictor, &source, Part::Test)?;
    let has_changed = evaluation.has_changed(run);
    let logits = predictor.logits(&evaluation.rows)?;
    let test = &evaluation.rows;
    let test_ranks = |ranking: &Ranking| during("ranking all items", || ranking.test_ranks(test, &predictor.model));
    let ranks = evaluation.ranking().map(test_ranks).transpose()?;
    let targets = Targets::of(test);
    Ok(TestRows { source, encoded: evaluation.rows, targets, logits, has_changed, ranks })
}

/// The last components of each path, as many as it takes to make the names unique.
fn names(args: &Report) -> Result<Vec<String>> {
    let paths: Vec<Vec<String>> = args.runs.iter().map(|path| folders(path)).collect();
    let longest = paths.iter().map(Vec::len).max().unwrap_or(0);
    // `fm compare` names runs by their seed or fold, in a folder with the name of the model.
    let is_numbered =
        |path: &Vec<String>| path.last().is_some_and(|name| name.starts_with("seed-") || name.starts_with("fold-"));
    let shortest = if paths.iter().any(is_numbered) { 2 } else { 1 };
    for count in shortest..=longest.max(shortest) {
        let names: Vec<String> = paths.iter().map(|path| path[path.len().saturating_sub(count)..].join("/")).collect();
        if names.iter().enumerate().all(|(at, name)| !names[..at].contains(name)) {
            return Ok(names);
        }
    }
    bail!("the same run is given twice")
}

fn folders(path: &Path) -> Vec<String> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let named = |part: std::path::Component<'_>| match part {
        std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    };
    path.components().filter_map(named).collect()
}

/// Runs with the same task on the same rows. Only their models differ.
pub struct Group<'a> {
    pub runs: Vec<(&'a Run, &'a TestRows)>,
}

impl Group<'_> {
    /// The rows that they share.
    pub fn source(&self) -> &RawData {
        &self.runs[0].1.source
    }
}

/// All runs with readable rows, in groups.
pub fn groups(runs: &[Run]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = vec![];
    for run in runs {
        let Ok(rows) = &run.rows else { continue };
        let is_same = |group: &Group<'_>| {
            let (other, others) = group.runs[0];
            let (a, b) = (&rows.source, &others.source);
            // The labels of a ranking may all be equal, so also compare the training rows of users and relevant items.
            let are_known_alike = match (&rows.ranks, &others.ranks) {
                (Some(a), Some(b)) => a.user_rows == b.user_rows && a.item_rows == b.item_rows,
                (a, b) => a.is_none() && b.is_none(),
            };
            Rc::ptr_eq(a, b)
                || (run.task() == other.task()
                    && a.labels == b.labels
                    && a.parts == b.parts
                    && (&a.spec.user, &a.spec.item) == (&b.spec.user, &b.spec.item)
                    && [&a.spec.user, &a.spec.item].into_iter().flatten().all(|name| {
                        a.values(name).ok().zip(b.values(name).ok()).is_some_and(|(a, b)| a.iter().eq(b.iter()))
                    })
                    && are_known_alike)
        };
        match groups.iter_mut().find(|group| is_same(group)) {
            Some(group) => group.runs.push((run, rows)),
            None => groups.push(Group { runs: vec![(run, rows)] }),
        }
    }
    groups
}

/// The number of training rows of each value of a column.
pub struct Activity {
    /// The index of each row's value in `values`, or [`NO_CODE`] if it is missing.
    pub codes: Vec<u32>,
    pub values: Vec<String>,
    /// The number of training rows of each value.
    pub counts: Vec<usize>,
}

impl Activity {
    pub fn of(source: &RawData, column: &str) -> Result<Activity> {
        let column = source.values(column)?;
        let (codes, values) = codes(&column);
        let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
        let mut counts = vec![0; values.len()];
        for code in source.parts.train.iter().map(|&row| codes[row as usize]).filter(|&code| code != NO_CODE) {
            counts[code as usize] += 1;
        }
        Ok(Activity { codes, values, counts })
    }

    /// The number of training rows with the same value as this row.
    pub fn of_row(&self, row: u32) -> usize {
        self.counts.get(self.codes[row as usize] as usize).copied().unwrap_or(0)
    }
}
