//! `fm train`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use fm_core::atomic_file::write_atomically;
use fm_core::baseline::UserItemBias;
use fm_core::metric::{Metrics, metrics_of_rows};
use fm_core::seed::{Stream, seed_torch};
use fm_core::summary::{Summary, grouped};
use fm_core::train::{Ending, EpochRecord, Observer, RunDir, TakenValues, Trainer, checkpoint, evaluate};
use fm_core::{Error, Rows, Schema};
use fm_data::source::TaskName;
use fm_data::{Dataset, Prepared};
use serde::{Deserialize, Serialize};
use tch::Device;
use tch::nn::VarStore;

use super::print;
use crate::args;
use crate::interruption::{Interrupted, stop_at_ctrl_c};
use crate::progress::{EpochProgress, during};
use crate::ranking::{self, Baselines, Ranking};
use crate::settings::{Settings, cache_dir, data_dir};

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

pub fn run(args: &args::Train) -> Result<()> {
    let device = args.device.resolve()?;
    let folders = &args.data.selection.folders;
    if let Some(run) = &args.resume {
        let run = RunDir::open(run)?;
        return train(&Settings::load(&run.settings())?, Start::Resume(run), device, folders);
    }
    let settings = Settings::from_args(args)?;
    // Before anyone waits for data.
    match &args.run {
        Some(path) if args.force => check_replaceable(path)?,
        Some(path) => RunDir::check_free(path)?,
        None => {}
    }
    train(&settings, Start::New { path: args.run.clone(), force: args.force }, device, folders)
}

/// Where training starts.
enum Start {
    /// In a folder that is made, or replaced, when all settings have proved to be usable.
    New { path: Option<PathBuf>, force: bool },
    /// Where an earlier run has stopped.
    Resume(RunDir),
}

fn train(settings: &Settings, start: Start, device: Device, folders: &args::Folders) -> Result<()> {
    let (data_dir, cache_dir) = (data_dir(folders)?, cache_dir(folders)?);
    let data = during("reading data", || settings.data.prepare(&data_dir, &cache_dir))?;
    let schema = &data.schema.clone();

    seed_torch(settings.train.seed, Stream::Parameters);
    let store = VarStore::new(device);
    let model = settings.model.entry()?.build(&settings.model.options, &store.root(), schema)?;
    let parameters = Summary::new(&settings.model.name, model.as_ref(), &store).total();
    let ranking =
        data.catalogue.as_ref().map(|catalogue| Ranking::new(catalogue, schema, settings, device)).transpose()?;
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

    let stop = stop_at_ctrl_c()?;
    let is_new = matches!(start, Start::New { .. });
    let run = &match start {
        Start::Resume(run) => {
            if Schema::load(run.schema())? != *schema || load_digests(&run)? != digests(&data) {
                bail!("the data is not what {} was trained on: it cannot be resumed", run.path().display());
            }
            run.resume(&mut trainer)?;
            match trainer.is_done() {
                true => tracing::info!("the run is finished: these are its results"),
                false => tracing::info!("going on after epoch {}, step {}", trainer.state.epoch, trainer.state.step),
            }
            run
        }
        Start::New { path, force } => {
            if let Some(earlier) = &settings.init_from {
                take_over(&mut trainer, schema, &RunDir::open(earlier)?)?;
            }
            new_run(settings, &data, &trainer, path, force)?
        }
    };

    let nothing_validates = match &objective {
        Some(objective) => objective.valid().queries().is_empty(),
        None => data.valid.is_empty(),
    };
    if nothing_validates {
        tracing::warn!(
            "there are no validation rows: training does not stop early, and the last epoch counts as the best"
        );
    }
    if let Some(catalogue) = &data.catalogue {
        ranking::warn_of_leaks(catalogue, schema, &data.train);
    }
    let [valid_baselines, baselines] = match &ranking {
        Some(ranking) => during("measuring baselines", || ranking.baselines())?,
        None => [Baselines::new(), baselines(&data)],
    };
    let rows = [("train", &data.train), ("valid", &data.valid), ("test", &data.test)];
    let rows = rows.into_iter().map(|(part, rows)| (part.to_owned(), rows.len())).collect();
    let Prepared { train, valid, test, .. } = data;
    let (train, valid) = (on_device(train, schema, device), on_device(valid, schema, device));
    let mut observer = Recorder { run, progress: EpochProgress::new(trainer.monitor()) };
    let ending = trainer.fit(train.as_ref(), valid.as_ref(), &mut observer, &stop);
    observer.progress.finish();
    if matches!(ending, Err(Error::Diverged { .. } | Error::Setting(_))) && is_new && trainer.state.epoch == 0 {
        // No epoch has left anything to use, and going on would end here again.
        let _ = std::fs::remove_dir_all(run.path());
    }
    if let Err(error @ Error::Io { .. }) = ending {
        bail!("{error}; when that is mended, go on with `fm train --resume {}`", shell_word(run.path()));
    }
    if ending? == Ending::Interrupted {
        run.save_last(&trainer)?;
        return Err(Interrupted(format!(
            "interrupted in epoch {}, step {}: go on with `fm train --resume {}`",
            trainer.state.epoch + 1,
            trainer.state.step,
            shell_word(run.path())
        ))
        .into());
    }
    let state = trainer.state.clone();
    let best_epoch = state.best.map_or(0, |(epoch, _)| epoch);
    if run.best().exists() {
        checkpoint::load(&run.best(), &store, None)?;
    }
    let measure = |part: args::Part, rows: &dyn Rows| match &ranking {
        Some(ranking) => ranking.evaluate(part, rows, |features| model.logits(features, false)),
        None => Ok(evaluate(model.as_ref(), schema.label(), rows, device)?),
    };
    let results = Results {
        model: settings.model.name.clone(),
        task: settings.data.task,
        best_epoch,
        epochs: state.epoch,
        valid: measure(args::Part::Valid, valid.as_ref())?,
        test: measure(args::Part::Test, &test)?,
        baselines,
        valid_baselines,
        parameters,
        seconds: state.seconds,
        rows,
        device: format!("{device:?}"),
    };
    run.save_summary(&results)?;
    print_results(&results, run)
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
    parts.chain(data.catalogue.iter().map(|catalogue| ("catalogue".to_owned(), catalogue.digest()))).collect()
}

/// The digests of the rows that a run was started with, by part.
pub fn load_digests(run: &RunDir) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(run.rows()).map_err(Error::io("read", run.rows()))?;
    Ok(serde_json::from_str(&text).map_err(|error| Error::format("list of digests", run.rows(), error.to_string()))?)
}

/// A path as a word of a shell's command line.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
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
        self.run.save_last(trainer)?;
        self.progress.epoch(record, trainer.timing().rows_per_second);
        Ok(())
    }
}

/// Test metrics of the mean label and, where user and item are known, of their biases.
fn baselines(data: &Prepared) -> BTreeMap<String, Metrics> {
    let label = data.schema.label();
    let mut baselines = BTreeMap::new();
    if data.test.is_empty() {
        return baselines;
    }
    let mut measure = |name: &str, logits: &[f32]| {
        baselines.insert(name.to_owned(), metrics_of_rows(label, logits, &data.test));
    };
    measure("mean", &vec![label.prior_logit(); data.test.len()]);
    let slot = |role: Option<&str>| Some(data.schema.slots(data.schema.field_index(role?)?).start);
    if let (Some(user), Some(item)) = (slot(data.schema.user()), slot(data.schema.item())) {
        let unknown = data.schema.unknown_ids();
        // Values outside the vocabulary share an id, but no taste.
        let known = |id: i32| if unknown.contains(&i64::from(id)) { -1 } else { id };
        let ids = |rows: &Dataset, slot| rows.ids_of_slot(slot).map(known).collect::<Vec<i32>>();
        let (users, items) = (ids(&data.train, user), ids(&data.train, item));
        let weights = data.train.weights();
        let fitted = UserItemBias::fit(&users, &items, data.train.targets(), weights.as_deref());
        let (users, items) = (ids(&data.test, user), ids(&data.test, item));
        let logits: Vec<f32> = users.iter().zip(&items).map(|(&u, &i)| fitted.logit(label, u, i)).collect();
        measure("user and item bias", &logits);
    }
    baselines
}

fn print_results(results: &Results, run: &RunDir) -> Result<()> {
    // Of lists of several lengths, a row has room for one.
    let is_shown = |name: &&String| name.split_once('@').is_none_or(|(_, k)| k == "10");
    let names = results.test.keys().chain(results.valid.keys()).filter(is_shown);
    let names: Vec<&String> = names.collect::<BTreeSet<_>>().into_iter().collect();
    let row = |name: &str, cells: Vec<String>| {
        print(format!("{name:<26}{}", cells.iter().map(|cell| format!("{cell:>12}")).collect::<String>()))
    };
    // Long names take two lines, so that a row takes one.
    let words = |name: &str| name.rsplit_once('_').map_or(("".into(), name.into()), |(a, b)| (a.into(), b.into()));
    let (above, below): (Vec<String>, Vec<String>) = names.iter().map(|name| words(name)).unzip();
    if above.iter().any(|word| !word.is_empty()) {
        row("", above)?;
    }
    row("", below)?;
    let line = |name: &str, metrics: &Metrics| {
        let cell = |name: &&String| metrics.get(*name).map_or("-".to_owned(), |value| format!("{value:.4}"));
        row(name, names.iter().map(cell).collect())
    };
    line(&format!("{}, validation", results.model), &results.valid)?;
    line(&format!("{}, test", results.model), &results.test)?;
    for (name, metrics) in &results.valid_baselines {
        line(&format!("{name}, validation"), metrics)?;
    }
    for (name, metrics) in &results.baselines {
        line(&format!("{name}, test"), metrics)?;
    }
    tracing::info!(
        "best epoch {} of {}, {} parameters, {:.1} s; the run is in {}",
        results.best_epoch,
        results.epochs,
        results.parameters,
        results.seconds,
        run.path().display()
    );
    Ok(())
}

/// runs/MODEL-1, or the first number that is free.
fn default_run(model: &str) -> PathBuf {
    let numbered = |number: usize| Path::new("runs").join(format!("{model}-{number}"));
    (1..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| numbered(0))
}

/// Checks that a folder is free, or an earlier run: nothing else is replaced.
fn check_replaceable(path: &Path) -> Result<()> {
    if RunDir::check_free(path).is_err() && RunDir::open(path).is_err() && !RunDir::is_begun(path) {
        bail!("{} is not a run: `--force` does not replace it; choose another `--run`", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_is_quoted_for_the_shell() {
        assert_eq!(shell_word(Path::new("runs/fm-1")), "runs/fm-1");
        assert_eq!(shell_word(Path::new("my runs/é")), "'my runs/é'");
        assert_eq!(shell_word(Path::new("it's")), r"'it'\''s'");
    }
}
