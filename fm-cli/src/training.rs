//! The training of the program: opens a run, fits its model, and measures it beside baselines.

mod ensemble;
mod observers;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use fm_args::flags::{Folders, Part, Tables};
use fm_core::group::Group;
use fm_core::objective::{Objective, Pointwise};
use fm_core::seed::{Stream, seed_torch};
use fm_core::shards::{Shards, divide};
use fm_core::summary::Summary;
use fm_core::terminal::grouped;
use fm_core::train::{Ending, EpochRecord, TakenValues, TrainFiles, TrainState, Trainer, WarmStart};
use fm_core::{Error, Records, Rows, Schema, Score};
use fm_data::{Earlier, Prepared};
use fm_models::run::{BuiltModel, NewRun, Run};
use tch::Device;

pub use self::ensemble::assemble;
use self::observers::{Follower, Recorder};
use crate::baselines::{Baselines, label_baselines};
use crate::changes::{self, Changes, Values};
use crate::evaluation::{metrics, warn_if_not_finite};
use crate::extremes::warn_of_clamped;
use crate::interruption::{Interrupted, raise_at_ctrl_c};
use crate::labels::{warn_of_labels, warn_of_other_labels};
use crate::processes::{agree, together};
use crate::progress::{EpochProgress, during};
use crate::ranking::{self, Ranking};
use crate::results::Results;
use crate::settings::{Settings, cache_dir, data_dir};
use crate::suspicions;
use crate::tensorboard::EventFile;
use crate::values::{Unknown, warn_of_training_rows};

/// The parts of training that depend on this machine.
pub struct Machine<'a> {
    data_dir: PathBuf,
    cache_dir: PathBuf,
    /// Stops training at the next step, ready to resume: raised by Ctrl-C, SIGTERM and SIGHUP.
    stop: Arc<AtomicBool>,
    is_listening: Cell<bool>,
    /// Warnings that several trainings on the same rows would repeat.
    warned: RefCell<HashSet<String>>,
    /// Whether to write event files for TensorBoard.
    pub tensorboard: bool,
    /// The processes that train together, if there are several. This is rank 0, except in [`follow`].
    group: Option<&'a Group>,
    /// What each of them keeps of the tables.
    tables: Tables,
}

impl<'a> Machine<'a> {
    /// Finds the folders of data sets and of encoded data sets.
    pub fn new(folders: &Folders) -> Result<Machine<'a>> {
        let stop = Arc::new(AtomicBool::new(false));
        let (data_dir, cache_dir) = (data_dir(folders)?, cache_dir(folders)?);
        let (is_listening, warned) = (Cell::new(false), RefCell::default());
        let (group, tables) = (None, Tables::Replicated);
        Ok(Machine { data_dir, cache_dir, stop, is_listening, warned, tensorboard: false, group, tables })
    }

    /// The same machine, as one of several processes if there is a group.
    pub fn in_group(self, group: Option<&'a Group>, tables: Tables) -> Machine<'a> {
        Machine { group, tables, ..self }
    }

    /// Reads and encodes the rows of a run, or opens the encoded rows.
    pub fn prepare(&self, settings: &Settings, run: Option<&Run>) -> Result<Prepared> {
        self.prepare_after(settings, earlier_schema(settings, run)?)
    }

    /// As [`Machine::prepare`], with the schema of the run of `init_from`, if there is one.
    fn prepare_after(&self, settings: &Settings, earlier: Option<Schema>) -> Result<Prepared> {
        let earlier = earlier.map(|schema| Earlier { schema, inheritance: settings.inheritance() });
        let is_sequential = settings.train.progressive;
        let prepare = || settings.data.prepare_after(earlier.as_ref(), is_sequential, &self.data_dir, &self.cache_dir);
        Ok(during("reading data", prepare)?)
    }

    /// As [`Machine::prepare`], in a group. Rank 0 encodes the rows first; the others open the encoded ones if they share its
    /// disk. Only rank 0 needs the run, and that of `init_from`.
    fn prepare_together(&self, settings: &Settings, run: Option<&Run>) -> Result<Prepared> {
        let Some(group) = self.group else { return self.prepare(settings, run) };
        let earlier = || if group.is_first() { earlier_schema(settings, run) } else { Ok(None) };
        let earlier = serde_json::to_string(&group.all_succeed(earlier())?)?;
        let earlier: Option<Schema> = serde_json::from_str(&group.text_of_first(&earlier)?)?;
        let prepare = || self.prepare_after(settings, earlier.clone());
        let first = group.all_succeed(group.is_first().then(prepare).transpose())?;
        group.all_succeed(first.map_or_else(prepare, Ok))
    }

    /// Whether the user or the system has asked the program to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Warns, unless an earlier training has done so in the same words.
    fn warn_once(&self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if !self.warned.borrow().contains(&warning) {
                tracing::warn!("{warning}");
                self.warned.borrow_mut().insert(warning);
            }
        }
    }

    /// Handles Ctrl-C and its like from now on. Before, it ends the program at once, which has nothing to lose.
    fn listen(&self) -> Result<()> {
        if self.is_listening.replace(true) { Ok(()) } else { raise_at_ctrl_c(Arc::clone(&self.stop)) }
    }
}

/// Where training starts.
pub enum Start {
    /// In a new folder, created once all settings have proved valid; `force` replaces an earlier run, which is kept
    /// until the new one has a checkpoint.
    New { path: Option<PathBuf>, force: bool },
    /// Where an earlier run stopped.
    Resume(Box<Run>),
}

/// Trains, measures the best epoch on all rows, and writes the results.
///
/// Returns the error [`Interrupted`] if the machine's flag is raised before the end.
pub fn train(settings: &Settings, start: Start, machine: &Machine) -> Result<(Run, Results)> {
    train_watched(settings, start, machine, &mut |_| ControlFlow::Continue(()))
}

/// An observer of each epoch, which can stop training.
pub type Watch<'a> = dyn FnMut(&EpochRecord) -> ControlFlow<()> + 'a;

/// Like [`train`], with an observer of each epoch. If it stops training, the error is [`Interrupted`], too.
pub fn train_watched(
    settings: &Settings,
    start: Start,
    machine: &Machine,
    watch: &mut Watch<'_>,
) -> Result<(Run, Results)> {
    let group = machine.group;
    let device = together(group, settings.device.resolve().map_err(Into::into))?;
    let resumed = match &start {
        Start::Resume(run) => Some(run.as_ref()),
        Start::New { .. } => None,
    };
    let mut data = machine.prepare_together(settings, resumed)?;
    let scale = together(group, label_scale(settings, &start))?;
    let digests = digests(&data);
    scale_labels(&mut data, scale, &digests, group)?;
    let schema = &data.schema.clone();
    let built = Built::to_train(settings, &data, device, machine)?;
    let ranking = built.ranking.as_ref();
    let mut trainer = trainer(settings, schema, &built, group)?;
    tracing::info!(
        "{}: {} parameters, {} training rows, {} fields, {device:?}",
        settings.model.name,
        grouped(built.parameters(settings)),
        grouped(data.train.len() as i64),
        schema.num_fields(),
    );

    machine.listen()?;
    let is_new = matches!(start, Start::New { .. });
    let mut run = together(group, open_run(settings, start, &data, &digests, &mut trainer))?;
    warn(&data, &trainer);
    machine.warn_once(suspicions::of_rows(&data, settings));
    let progress = EpochProgress::new(settings.monitored()?.name, settings.train.batch_size, settings.train.epochs);
    let trained = || -> Result<_> {
        let before = together(group, Before::measure(&data, ranking))?;
        let events = together(group, event_file(run.files(), &trainer, machine.tensorboard))?;
        let Prepared { train, valid, test, .. } = data;
        let (train, valid) = (on_device(train, device), on_device(valid, device));
        let rows = [train.as_ref(), valid.as_ref()];
        fit(&mut run, &mut trainer, rows, (events, progress), machine, watch)?;
        Ok((before, valid, test))
    };
    let (before, valid, test) = match trained() {
        Ok(found) => found,
        Err(error) => {
            // Without progress, there is nothing to resume.
            if is_new && !run.files().has_progress() {
                run.abandon()?;
            }
            return Err(error);
        }
    };
    run.settle();

    let state = trainer.state.clone();
    let measure = || -> Result<Results> {
        if run.files().best().exists() {
            run.files().load_into(&trainer)?;
        }
        let (valid, test) = (valid.as_ref(), &test);
        let measured = Measured { built: &built, model: &trainer.score(), valid, test, device };
        let results = measured.results(settings, schema, &state, before)?;
        run.save_summary(&results)?;
        Ok(results)
    };
    let results = trainer.end(measure())?;
    Ok((run, results))
}

/// A model, and the rows that it is measured on.
struct Measured<'a> {
    built: &'a Built<'a>,
    model: &'a dyn Score,
    valid: &'a dyn Rows,
    test: &'a dyn Rows,
    device: Device,
}

impl Measured<'_> {
    /// The results of a model after its training, with a warning if some are not finite.
    fn results(&self, settings: &Settings, schema: &Schema, state: &TrainState, before: Before) -> Result<Results> {
        let measure =
            |part, rows| metrics(self.model, (part, rows), self.built.ranking.as_ref(), schema.label(), self.device);
        let results = Results {
            model: settings.model.name.clone(),
            task: settings.data.task,
            best_epoch: state.best.map_or(0, |(epoch, _)| epoch),
            // An ensemble of trained models has no epochs of its own.
            epochs: if state.epochs.is_empty() { 0 } else { state.epoch },
            valid: measure(Part::Valid, self.valid)?,
            test: measure(Part::Test, self.test)?,
            progressive: state.epochs.last().map(|record| record.progressive.clone()).unwrap_or_default(),
            baselines: before.test,
            valid_baselines: before.valid,
            parameters: self.built.parameters(settings),
            seconds: state.seconds,
            rows: before.rows,
            device: format!("{:?}", self.device),
        };
        for (part, metrics) in [(Part::Valid, &results.valid), (Part::Test, &results.test)] {
            warn_if_not_finite(&format!("{} rows", part.name()), metrics);
        }
        Ok(results)
    }
}

/// Trains with the others of a group for rank 0, which writes the run.
///
/// Returns [`Interrupted`] if a process was asked to stop; rank 0 says how to resume.
pub fn follow(settings: &Settings, machine: &Machine) -> Result<()> {
    let group = machine.group;
    let device = together(group, settings.device.resolve().map_err(Into::into))?;
    let mut data = machine.prepare_together(settings, None)?;
    // Rank 0 knows the scale of an earlier run.
    together(group, Ok(()))?;
    let digests = digests(&data);
    scale_labels(&mut data, None, &digests, group)?;
    let schema = &data.schema.clone();
    let built = Built::to_train(settings, &data, device, machine)?;
    let mut trainer = trainer(settings, schema, &built, group)?;
    machine.listen()?;
    // Rank 0 opens the run, measures baselines and opens an event file.
    for _ in 0..3 {
        trainer.serve()?;
    }
    let (train, valid) = (on_device(data.train, device), on_device(data.valid, device));
    let ending = trainer.fit(train.as_ref(), valid.as_ref(), &mut Follower { stop: &machine.stop })?;
    if trainer.is_divided() {
        // Rank 0 writes a checkpoint, or measures the best epoch.
        trainer.serve()?;
    }
    match ending {
        Ending::Interrupted => Err(Interrupted("interrupted".into()).into()),
        Ending::Finished | Ending::EarlyStopped => Ok(()),
    }
}

/// Sets the unit of a regression's logits, as rank 0 has it. Fails unless all processes have the same rows.
fn scale_labels(
    data: &mut Prepared,
    scale: Option<f32>,
    digests: &BTreeMap<String, String>,
    group: Option<&Group>,
) -> Result<()> {
    let scale = match group {
        None => scale,
        Some(group) => serde_json::from_str(&group.text_of_first(&serde_json::to_string(&scale)?)?)?,
    };
    if let Some(scale) = scale {
        data.schema = data.schema.clone().with_label_scale(scale)?;
    }
    if group.is_some() {
        agree(group, "data", &serde_json::to_string(&(&data.schema, digests))?)?;
    }
    Ok(())
}

/// A model, and what its training needs beside it.
struct Built<'a> {
    built: BuiltModel,
    ranking: Option<Ranking>,
    /// The tables, if they are divided among processes.
    shards: Option<Shards<'a>>,
}

impl<'a> Built<'a> {
    fn new(settings: &Settings, data: &Prepared, device: Device) -> Result<Built<'a>> {
        let schema = &data.schema;
        seed_torch(settings.train.seed, Stream::Parameters);
        let built = settings.model.build(schema, device)?;
        let ranking = data.ranking.as_ref().map(|ranking| Ranking::new(ranking, schema, settings, device));
        Ok(Built { built, ranking: ranking.transpose()?, shards: None })
    }

    /// As [`Built::new`], in a group, for a model that can be trained.
    fn to_train(settings: &Settings, data: &Prepared, device: Device, machine: &Machine<'a>) -> Result<Built<'a>> {
        let build = || {
            ensemble::check_members(&settings.model, &data.schema)?;
            match machine.group.filter(|_| machine.tables == Tables::Sharded) {
                Some(group) => {
                    let (built, shards) = divide(group, || Built::new(settings, data, device))?;
                    Ok(Built { shards: Some(shards), ..built })
                }
                None => Built::new(settings, data, device),
            }
        };
        together(machine.group, build())
    }

    /// The number of parameters of the model.
    fn parameters(&self, settings: &Settings) -> i64 {
        let [whole, now] = self.shards.as_ref().map_or([0, 0], Shards::numbers);
        Summary::new(&settings.model.name, self.built.model.as_ref(), &self.built.store).total() - now + whole
    }
}

/// The training of a model.
fn trainer<'a>(
    settings: &Settings,
    schema: &Schema,
    Built { built: BuiltModel { model, store }, ranking, shards }: &'a Built<'a>,
    group: Option<&'a Group>,
) -> Result<Trainer<'a>> {
    let prepare = || -> Result<Trainer<'a>> {
        let config = settings.train.clone();
        let objective: Box<dyn Objective + 'a> = match ranking {
            Some(ranking) => Box::new(ranking.objective()?),
            None => Box::new(Pointwise::new(schema.label(), config.binary_loss())?),
        };
        let trainer = Trainer::in_group(model.as_ref(), store, objective, config, (group, shards.as_ref()))?;
        Ok(trainer.with_fields_of(schema))
    };
    let trainer = together(group, prepare())?;
    trainer.begin();
    Ok(trainer)
}

/// Results that do not need training: the baselines, and the number of rows of each part.
struct Before {
    valid: Baselines,
    test: Baselines,
    rows: BTreeMap<String, usize>,
}

impl Before {
    fn measure(data: &Prepared, ranking: Option<&Ranking>) -> Result<Before> {
        let [valid, test] = match ranking {
            Some(ranking) => during("measuring baselines", || ranking.baselines())?,
            None => [Baselines::new(), label_baselines(data)],
        };
        let rows = [(Part::Train, &data.train), (Part::Valid, &data.valid), (Part::Test, &data.test)];
        let rows = rows.into_iter().map(|(part, rows)| (part.name().to_owned(), rows.len())).collect();
        Ok(Before { valid, test, rows })
    }
}

fn warn(data: &Prepared, trainer: &Trainer<'_>) {
    warn_of_labels(data.schema.label(), &data.train.labels());
    let is_validated = trainer.objective().can_validate(&data.valid) || trainer.config().progressive;
    if !is_validated && trainer.learner().can_overfit() {
        tracing::warn!("no validation rows: training does not stop early, and the last epoch counts as the best");
    }
    warn_of_training_rows(&data.schema, &data.train);
    for (part, rows) in [("validation", &data.valid), ("test", &data.test)] {
        Unknown::of(&data.schema, rows).warn(part, &[]);
        warn_of_clamped(&data.schema, rows, &format!("{part} rows"));
        warn_of_other_labels(data.schema.label(), &rows.labels(), &format!("{part} rows"));
    }
    if let Some(ranking) = &data.ranking {
        ranking::warn_of_leaks(ranking, &data.schema, &data.train);
    }
}

/// Trains to the end, and records every epoch.
fn fit(
    run: &mut Run,
    trainer: &mut Trainer<'_>,
    [train, valid]: [&dyn Rows; 2],
    (events, progress): (Option<EventFile>, EpochProgress),
    machine: &Machine,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let mut observer = Recorder { run: &mut *run, watch, events, progress, stop: &machine.stop };
    let ending = trainer.fit(train, valid, &mut observer);
    observer.progress.finish();
    let resume = format!("fm train --resume {}", shell_word(&run.folder().to_string_lossy()));
    match ending {
        Ok(Ending::Interrupted) => {
            trainer.end(run.files().save_last(trainer))?;
            run.settle();
            let (epoch, step) = (trainer.state.epoch + 1, trainer.state.step);
            Err(Interrupted(format!("interrupted in epoch {epoch}, step {step}: resume with `{resume}`")).into())
        }
        Err(error @ Error::Io { .. }) if run.files().has_progress() => {
            bail!("{error}; once that is fixed, resume with `{resume}`")
        }
        // The rows of the lost process are lost, too.
        Err(Error::Group(reason)) if trainer.is_divided() && run.files().has_progress() => {
            bail!("{reason}; resume from the last checkpoint with `{resume}`")
        }
        Err(error @ Error::PeerFailed { .. }) if trainer.is_divided() && run.files().has_progress() => {
            tracing::warn!(
                "another process has failed: once that is fixed, resume from the last checkpoint with `{resume}`"
            );
            Err(error.into())
        }
        Err(error) if trainer.is_divided() => Err(error.into()),
        // The last step is complete on all processes.
        Err(error @ (Error::Group(_) | Error::PeerFailed { .. })) if trainer.learner().steps() > 0 => {
            if let Err(unsaved) = run.files().save_last(trainer) {
                bail!("{error}, and {unsaved}; once that is fixed, resume with `{resume}`");
            }
            if let Error::Group(reason) = error {
                bail!("{reason}; resume with `{resume}`");
            }
            tracing::warn!("another process has failed: once that is fixed, resume with `{resume}`");
            Err(error.into())
        }
        ending => Ok(ending.map(drop)?),
    }
}

/// The schema of the run of `init_from`, if there is one. A run that is resumed has all that it has taken over from that run,
/// which may be gone.
fn earlier_schema(settings: &Settings, resumed: Option<&Run>) -> Result<Option<Schema>> {
    Ok(match (&settings.init_from, resumed) {
        (None, _) => None,
        (Some(_), Some(run)) => Some(run.schema().clone()),
        (Some(earlier), None) => Some(Run::open(earlier)?.schema().clone()),
    })
}

/// The unit of a regression's logits that the parameters of an earlier run have, if training starts with some.
fn label_scale(settings: &Settings, start: &Start) -> Result<Option<f32>> {
    let of = |run: &Run| run.schema().label().scale;
    match (start, &settings.init_from) {
        (Start::Resume(run), _) => Ok(Some(of(run))),
        (Start::New { .. }, Some(earlier)) => Ok(Some(of(&Run::open(earlier)?))),
        (Start::New { .. }, None) => Ok(None),
    }
}

/// Creates or opens the folder of a run, and sets the trainer to its state.
fn open_run(
    settings: &Settings,
    start: Start,
    data: &Prepared,
    digests: &BTreeMap<String, String>,
    trainer: &mut Trainer<'_>,
) -> Result<Run> {
    match start {
        Start::Resume(mut run) => {
            if !run.is_of(&data.schema, digests) {
                bail!("the data has changed since {} was trained: it cannot be resumed", run.folder().display());
            }
            run.lock()?;
            run.files().resume(trainer)?;
            run.check_settings()?;
            match trainer.is_done() {
                true if run.calibration().is_some() => tracing::info!(
                    "the run is finished: these are its results before its calibration, which `fm evaluate` measures"
                ),
                true => tracing::info!("the run is finished: these are its results"),
                false => {
                    tracing::info!("resuming after epoch {}, step {}", trainer.state.epoch, trainer.state.step);
                    if run.remove_calibration()? {
                        tracing::info!("its calibration is removed, because training changes the model");
                    }
                }
            }
            Ok(*run)
        }
        Start::New { path, force } => {
            let mut values = Values::of(&data.schema, &data.train);
            if let Some(earlier) = &settings.init_from {
                let earlier = Run::open(earlier)?;
                let taken = take_over(trainer, &data.schema, &earlier, settings.kept_state())?;
                let changes =
                    during("comparing with the earlier run", || Changes::since(&earlier, data, trainer, &taken))?;
                tell(&changes);
                values.changes = Some(changes);
            }
            create_run(settings, (path, force), (data, digests), &values, trainer)
        }
    }
}

/// Creates the folder of a run with a first checkpoint.
fn create_run(
    settings: &Settings,
    (path, force): (Option<PathBuf>, bool),
    (data, digests): (&Prepared, &BTreeMap<String, String>),
    values: &Values,
    trainer: &Trainer<'_>,
) -> Result<Run> {
    let path = path.unwrap_or_else(|| default_run(&settings.model.name));
    let (text, values) = (settings.to_toml()?, serde_json::to_string_pretty(values)? + "\n");
    let new = NewRun { settings: &text, schema: &data.schema, digests, values: Some(&values) };
    let start = |files: &TrainFiles| files.save_last(trainer);
    if !force {
        return Ok(Run::create(path, &new, start)?);
    }
    check_replaceable(&path)?;
    Ok(Run::replace(path, &new, start)?)
}

/// Starts from the parameters of an earlier run, and from a share of its optimiser's state if there is one. Reports which
/// parameters it takes.
fn take_over(trainer: &mut Trainer<'_>, schema: &Schema, earlier: &Run, keep: Option<f64>) -> Result<WarmStart> {
    earlier.files().check()?;
    let files = earlier.files();
    let checkpoint = if keep.is_some() { files.checkpoint_with_state()? } else { files.checkpoint() };
    let taken = trainer.start_from(schema, &checkpoint, earlier.schema(), keep)?;
    let count = |TakenValues { field, taken, all }: &TakenValues| {
        format!("{} of {} values of {field}", grouped(*taken as i64), grouped(*all as i64))
    };
    let state = match keep {
        None => String::new(),
        Some(1.0) => ", and the optimizer's state".into(),
        Some(share) => format!(", and the optimizer's state times {share}"),
    };
    tracing::info!(
        "initialized from {}: {}{state}",
        earlier.folder().display(),
        taken.values.iter().map(count).collect::<Vec<_>>().join(", ")
    );
    for (parameter, reason) in &taken.fresh {
        tracing::warn!("`{parameter}` starts from scratch: {reason}");
    }
    Ok(taken)
}

/// Tells how the new rows differ from those of the earlier run.
fn tell(changes: &Changes) {
    if changes.fields.is_empty() {
        tracing::info!("{} has not stored the distribution of its values: nothing to compare with", changes.run);
        return;
    }
    tracing::info!("the training rows beside those of {}:", changes.run);
    changes::table(&changes.fields).lines().for_each(|line| tracing::info!("  {line}"));
}

/// Digests that reveal changed rows, by part.
pub fn digests(data: &Prepared) -> BTreeMap<String, String> {
    let parts = [(Part::Train, &data.train), (Part::Valid, &data.valid), (Part::Test, &data.test)];
    let parts = parts.into_iter().map(|(part, rows)| (part.name().to_owned(), rows.digest()));
    parts.chain(data.ranking.iter().map(|ranking| ("catalogue".to_owned(), ranking.digest()))).collect()
}

/// A text as one word of a shell command, quoted if necessary.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    let quoted = || format!("'{}'", text.replace('\'', r"'\''"));
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { quoted() }
}

/// All rows as tensors on the GPU if they fit; otherwise the file, which batches are gathered from.
fn on_device(rows: Records, device: Device) -> Box<dyn Rows> {
    if device == Device::Cpu {
        return Box::new(rows);
    }
    match rows.to_tensor_rows(device) {
        Ok(resident) => Box::new(resident),
        Err(error) => {
            tracing::warn!("the rows stay in main memory, which is slower: {error}");
            Box::new(rows)
        }
    }
}

/// An event file for TensorBoard, if requested or if a resumed run already has one. A run's first file starts with the
/// earlier epochs.
fn event_file(files: &TrainFiles, trainer: &Trainer<'_>, is_asked_for: bool) -> Result<Option<EventFile>> {
    let has_some = EventFile::is_in(files.folder());
    if (!is_asked_for && !has_some) || (has_some && trainer.is_done()) {
        return Ok(None);
    }
    let mut events = EventFile::create(files.folder(), trainer.state.epoch + 1)?;
    if !has_some {
        files.epochs()?.iter().try_for_each(|record| events.epoch(record))?;
    }
    Ok(Some(events))
}

/// `runs/MODEL-1`, or the first free number.
fn default_run(model: &str) -> PathBuf {
    let numbered = |number: usize| Path::new("runs").join(format!("{model}-{number}"));
    (1..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| numbered(0))
}

/// Checks that `--force` may replace a folder.
pub fn check_replaceable(path: &Path) -> Result<()> {
    if !Run::is_replaceable(path) {
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
