//! Training as the program does it: a run's folder, its checkpoints, its results beside baselines.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use fm_args::flags::{Folders, Part};
use fm_core::atomic_file::write_atomically;
use fm_core::metric::Metrics;
use fm_core::seed::{Stream, seed_torch};
use fm_core::summary::{Summary, grouped};
use fm_core::train::{Ending, EpochRecord, Observer, RunDir, TakenValues, Trainer, checkpoint, evaluate};
use fm_core::{Error, Rows, Schema};
use fm_data::{Dataset, Prepared, TaskName};
use serde::{Deserialize, Serialize};
use tch::Device;
use tch::nn::VarStore;

use crate::baselines::{Baselines, label_baselines};
use crate::interruption::{Interrupted, raise_at_ctrl_c};
use crate::progress::{EpochProgress, during};
use crate::ranking::{self, Ranking};
use crate::settings::{Settings, cache_dir, data_dir};
use crate::tensorboard::EventFile;

/// `summary.json`.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub model: String,
    pub task: TaskName,
    pub best_epoch: usize,
    pub epochs: usize,
    pub valid: Metrics,
    pub test: Metrics,
    /// The same metrics of predictions that any model must beat, over the test rows.
    pub baselines: Baselines,
    /// Those over the validation rows, where they are measured: of a ranking.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub valid_baselines: Baselines,
    pub parameters: i64,
    pub seconds: f64,
    /// The number of rows of each part.
    pub rows: BTreeMap<String, usize>,
    pub device: String,
}

impl Results {
    /// Those of a run; none if it was interrupted.
    pub fn load(run: &RunDir) -> Result<Option<Results>> {
        let path = run.summary();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let unusable = |error: serde_json::Error| Error::format("file of results", &path, error.to_string());
                Ok(Some(serde_json::from_str(&text).map_err(unusable)?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error).into()),
        }
    }
}

/// What a training takes from the machine that it runs on.
pub struct Machine {
    data_dir: PathBuf,
    cache_dir: PathBuf,
    /// Raised, training stops at the next step, ready to be resumed: by Ctrl-C, or by who watches.
    pub stop: Arc<AtomicBool>,
    is_listening: Cell<bool>,
    /// Whether event files for TensorBoard are written into a run's folder.
    pub tensorboard: bool,
}

impl Machine {
    /// Finds the folders of data sets and of encoded ones.
    pub fn new(folders: &Folders) -> Result<Machine> {
        let stop = Arc::new(AtomicBool::new(false));
        let (data_dir, cache_dir) = (data_dir(folders)?, cache_dir(folders)?);
        Ok(Machine { data_dir, cache_dir, stop, is_listening: Cell::new(false), tensorboard: false })
    }

    /// Hears Ctrl-C from now on. Until then, it ends the program at once, which has nothing to lose.
    fn listen(&self) -> Result<()> {
        if self.is_listening.replace(true) { Ok(()) } else { raise_at_ctrl_c(Arc::clone(&self.stop)) }
    }
}

/// Where training starts.
pub enum Start {
    /// In a folder that is made, or replaced, when all settings have proved to be usable.
    New { path: Option<PathBuf>, force: bool },
    /// Where an earlier run has stopped.
    Resume(RunDir),
}

/// Trains, measures the best epoch on all rows, and writes the results down.
///
/// [`Interrupted`] if the machine's flag is raised before it is finished.
pub fn train(settings: &Settings, start: Start, machine: &Machine) -> Result<(RunDir, Results)> {
    train_watched(settings, start, machine, &mut |_| {})
}

/// As [`train`], for someone who looks at each epoch.
pub fn train_watched(
    settings: &Settings,
    start: Start,
    machine: &Machine,
    watch: &mut dyn FnMut(&EpochRecord),
) -> Result<(RunDir, Results)> {
    let device = settings.device.resolve()?;
    let data = during("reading data", || settings.data.prepare(&machine.data_dir, &machine.cache_dir))?;
    let schema = &data.schema.clone();

    seed_torch(settings.train.seed, Stream::Parameters);
    let store = VarStore::new(device);
    let model = settings.model.entry()?.build(&settings.model.options, &store.root(), schema)?;
    let parameters = Summary::new(&settings.model.name, model.as_ref(), &store).total();
    let ranking = data.ranking.as_ref().map(|ranking| Ranking::new(ranking, schema, settings, device)).transpose()?;
    let objective = ranking.as_ref().map(Ranking::objective).transpose()?;
    let mut trainer =
        Trainer::new(model.as_ref(), &store, schema.label(), settings.train.clone())?.with_fields_of(schema);
    if let Some(objective) = &objective {
        trainer = trainer.with_ranking(objective);
    }
    tracing::info!(
        "{}: {parameters} parameters, {} training rows of {} fields, on {device:?}",
        settings.model.name,
        data.train.len(),
        schema.num_fields(),
    );

    machine.listen()?;
    let is_new = matches!(start, Start::New { .. });
    let run = open_run(settings, start, &data, &mut trainer)?;
    let nothing_validates = match &objective {
        Some(objective) => objective.valid().queries().is_empty(),
        None => data.valid.is_empty(),
    };
    if nothing_validates && model.sampler().is_none() {
        tracing::warn!(
            "there are no validation rows: training does not stop early, and the last epoch counts as the best"
        );
    }
    if let Some(ranking) = &data.ranking {
        ranking::warn_of_leaks(ranking, schema, &data.train);
    }
    let [valid_baselines, baselines] = match &ranking {
        Some(ranking) => during("measuring baselines", || ranking.baselines())?,
        None => [Baselines::new(), label_baselines(&data)],
    };
    let rows = [("train", &data.train), ("valid", &data.valid), ("test", &data.test)];
    let rows = rows.into_iter().map(|(part, rows)| (part.to_owned(), rows.len())).collect();
    let Prepared { train, valid, test, .. } = data;
    let (train, valid) = (on_device(train, schema, device), on_device(valid, schema, device));
    let events = event_file(&run, &trainer, machine.tensorboard)?;
    let progress = EpochProgress::new(settings.monitored()?.name, settings.train.batch_size);
    let mut observer = Recorder { run: &run, watch, events, progress };
    let ending = trainer.fit(train.as_ref(), valid.as_ref(), &mut observer, &machine.stop);
    observer.progress.finish();
    if matches!(ending, Err(Error::Diverged { .. } | Error::Setting(_))) && is_new && trainer.state.epoch == 0 {
        // No epoch has left anything to use, and going on would end here again.
        let _ = std::fs::remove_dir_all(run.path());
    }
    if let Err(error @ Error::Io { .. }) = ending {
        let run = shell_word(&run.path().to_string_lossy());
        bail!("{error}; when that is mended, go on with `fm train --resume {run}`");
    }
    if ending? == Ending::Interrupted {
        run.save_last(&trainer)?;
        return Err(Interrupted(format!(
            "interrupted in epoch {}, step {}: go on with `fm train --resume {}`",
            trainer.state.epoch + 1,
            trainer.state.step,
            shell_word(&run.path().to_string_lossy())
        ))
        .into());
    }
    let state = trainer.state.clone();
    let best_epoch = state.best.map_or(0, |(epoch, _)| epoch);
    if run.best().exists() {
        checkpoint::load(&run.best(), &store, None)?;
    }
    let measure = |part: Part, rows: &dyn Rows| match &ranking {
        Some(ranking) => ranking.evaluate(part, rows, |candidates| model.candidate_logits(candidates, false)),
        None => Ok(evaluate(model.as_ref(), schema.label(), rows, device)?),
    };
    let results = Results {
        model: settings.model.name.clone(),
        task: settings.data.task,
        best_epoch,
        epochs: state.epoch,
        valid: measure(Part::Valid, valid.as_ref())?,
        test: measure(Part::Test, &test)?,
        baselines,
        valid_baselines,
        parameters,
        seconds: state.seconds,
        rows,
        device: format!("{device:?}"),
    };
    run.save_summary(&results)?;
    Ok((run, results))
}

/// The folder of a run that starts or goes on, with the trainer where its training does.
fn open_run(settings: &Settings, start: Start, data: &Prepared, trainer: &mut Trainer<'_>) -> Result<RunDir> {
    match start {
        Start::Resume(run) => {
            if Schema::load(run.schema())? != data.schema || load_digests(&run)? != digests(data) {
                bail!("the data is not what {} was trained on: it cannot be resumed", run.path().display());
            }
            run.resume(trainer)?;
            match trainer.is_done() {
                true => tracing::info!("the run is finished: these are its results"),
                false => tracing::info!("going on after epoch {}, step {}", trainer.state.epoch, trainer.state.step),
            }
            Ok(run)
        }
        Start::New { path, force } => {
            if let Some(earlier) = &settings.init_from {
                take_over(trainer, &data.schema, &RunDir::open(earlier)?)?;
            }
            new_run(settings, data, trainer, path, force)
        }
    }
}

/// Makes the folder of a run, with all that resuming needs; or leaves nothing behind.
fn new_run(
    settings: &Settings,
    data: &Prepared,
    trainer: &Trainer<'_>,
    path: Option<PathBuf>,
    force: bool,
) -> Result<RunDir> {
    let path = path.unwrap_or_else(|| default_run(&settings.model.name));
    if force {
        check_replaceable(&path)?;
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(Error::io("replace", &path))?;
        }
    }
    let run = RunDir::create(&path)?;
    let fill = || -> Result<()> {
        let text = settings.to_toml()?;
        data.schema.save(run.schema())?;
        write_atomically(run.rows(), |file| Ok(serde_json::to_writer_pretty(file, &digests(data))?))?;
        write_atomically(run.settings(), |file| std::io::Write::write_all(file, text.as_bytes()))?;
        Ok(run.save_last(trainer)?)
    };
    match fill() {
        Ok(()) => Ok(run),
        Err(error) => {
            let _ = std::fs::remove_dir_all(run.path());
            Err(error)
        }
    }
}

/// Starts from the parameters of an earlier run, and says what was taken over.
fn take_over(trainer: &mut Trainer<'_>, schema: &Schema, earlier: &RunDir) -> Result<()> {
    let taken = trainer.start_from(schema, &earlier.checkpoint(), &Schema::load(earlier.schema())?)?;
    let count = |TakenValues { field, taken, all }: &TakenValues| {
        format!("{} of {} values of {field}", grouped(*taken as i64), grouped(*all as i64))
    };
    tracing::info!("taken over: {}", taken.values.iter().map(count).collect::<Vec<_>>().join(", "));
    for (parameter, reason) in &taken.fresh {
        tracing::warn!("`{parameter}` starts fresh: {reason}");
    }
    Ok(())
}

/// What tells whether the rows of a part are those of the run.
fn digests(data: &Prepared) -> BTreeMap<String, String> {
    let parts = [("train", &data.train), ("valid", &data.valid), ("test", &data.test)];
    let parts = parts.into_iter().map(|(name, rows)| (name.to_owned(), rows.digest()));
    parts.chain(data.ranking.iter().map(|ranking| ("catalogue".to_owned(), ranking.digest()))).collect()
}

/// The digests of the rows that a run was started with, by part.
pub fn load_digests(run: &RunDir) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(run.rows()).map_err(Error::io("read", run.rows()))?;
    Ok(serde_json::from_str(&text).map_err(|error| Error::format("list of digests", run.rows(), error.to_string()))?)
}

/// A text as a word of a shell's command line.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    let quoted = || format!("'{}'", text.replace('\'', r"'\''"));
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { quoted() }
}

/// All rows as tensors on the GPU if they fit; else batches are gathered from the file.
fn on_device(rows: Dataset, schema: &Schema, device: Device) -> Box<dyn Rows> {
    if device == Device::Cpu {
        return Box::new(rows);
    }
    match rows.to_tensor_rows(schema, device) {
        Ok(resident) => Box::new(resident),
        Err(error) => {
            tracing::warn!("the rows stay in the main memory, which is slower: {error}");
            Box::new(rows)
        }
    }
}

/// Writes down what happens: checkpoints, metrics, progress.
struct Recorder<'a> {
    run: &'a RunDir,
    watch: &'a mut dyn FnMut(&EpochRecord),
    events: Option<EventFile>,
    progress: EpochProgress,
}

impl Observer for Recorder<'_> {
    fn step(&mut self, epoch: usize, step: usize, steps: usize, loss: f64) {
        self.progress.step(epoch, step, steps, loss);
    }

    fn checkpoint(&mut self, trainer: &Trainer<'_>) -> fm_core::Result<()> {
        self.run.save_last(trainer)
    }

    fn epoch(&mut self, record: &EpochRecord, trainer: &Trainer<'_>) -> fm_core::Result<()> {
        if record.best {
            checkpoint::save(&self.run.best(), trainer.store, None, &trainer.state)?;
        }
        // The last checkpoint comes last: a run killed before repeats this epoch, and resuming drops the line.
        self.run.append(record, &trainer.timing())?;
        if let Some(events) = &mut self.events {
            events.epoch(record)?;
        }
        self.run.save_last(trainer)?;
        self.progress.epoch(record, &trainer.timing());
        (self.watch)(record);
        Ok(())
    }
}

/// An event file for TensorBoard, if one is asked for, or if the run has some already and goes on. What the run has done without
/// one is written first.
fn event_file(run: &RunDir, trainer: &Trainer<'_>, is_asked_for: bool) -> Result<Option<EventFile>> {
    let has_some = EventFile::is_in(run.path());
    if (!is_asked_for && !has_some) || (has_some && trainer.is_done()) {
        return Ok(None);
    }
    let mut events = EventFile::create(run.path(), trainer.state.epoch + 1)?;
    if !has_some {
        run.epochs()?.iter().try_for_each(|record| events.epoch(record))?;
    }
    Ok(Some(events))
}

/// runs/MODEL-1, or the first number that is free.
fn default_run(model: &str) -> PathBuf {
    let numbered = |number: usize| Path::new("runs").join(format!("{model}-{number}"));
    (1..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| numbered(0))
}

/// Checks that a folder is free, or an earlier run: nothing else is replaced.
pub fn check_replaceable(path: &Path) -> Result<()> {
    if RunDir::check_free(path).is_err() && RunDir::open(path).is_err() && !RunDir::is_begun(path) {
        bail!("{} is not a run: `--force` does not replace it; choose another `--run`", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_spaces_is_quoted_for_the_shell() {
        assert_eq!(shell_word("runs/fm-1"), "runs/fm-1");
        assert_eq!(shell_word("my runs/é"), "'my runs/é'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
