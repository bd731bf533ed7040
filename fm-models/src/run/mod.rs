//! The folder of a run. Only this module knows the files of a run and how they belong together.

mod calibration;
mod identity;
mod replacement;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use fm_core::atomic_file::write_atomically;
use fm_core::calibration::Calibrated;
use fm_core::device::compiled_libtorch;
use fm_core::folder_lock::{FolderLock, is_read_only};
use fm_core::model::Options;
use fm_core::ranking::Candidates;
use fm_core::script::Origin;
use fm_core::tch::nn::VarStore;
use fm_core::tch::{Device, Tensor};
use fm_core::train::{TrainFiles, is_free};
use fm_core::{Error, Features, Model, ModelEntry, Result, Schema, Score};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::calibration::RunCalibration;
use self::identity::Identity;
use self::replacement::{SetAside, is_begun, is_run, remove_own_files};
use crate::models::ensemble;

/// The option of an ensemble whose value is a list of [`ModelSettings`].
const MEMBERS: &str = "members";

/// A registered model and its options: the `[model]` of a run's settings.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// Name of the model (see `fm models`).
    pub name: String,
    /// Options of the model.
    pub options: Options,
}

impl Default for ModelSettings {
    fn default() -> ModelSettings {
        ModelSettings { name: "deepfm".into(), options: Options::new() }
    }
}

impl ModelSettings {
    /// The model with all its options: the given ones, and the defaults of the others.
    ///
    /// # Errors
    /// An unknown model, or an unknown option.
    pub fn resolved(&self) -> Result<ModelSettings> {
        let mut options = self.entry()?.resolve(&self.options)?;
        let members = self.members()?.iter().map(ModelSettings::resolved).collect::<Result<Vec<_>>>()?;
        if !members.is_empty() {
            let members = serde_json::to_value(members).map_err(Error::json("the members of an ensemble"))?;
            options.insert(MEMBERS.to_owned(), members);
        }
        Ok(ModelSettings { name: self.name.clone(), options })
    }

    /// The members of an ensemble; empty for other models.
    ///
    /// # Errors
    /// Those of [`ModelSettings::resolved`].
    pub fn members(&self) -> Result<Vec<ModelSettings>> {
        if self.name != ensemble::ENTRY.name {
            return Ok(vec![]);
        }
        let members = self.entry()?.resolve(&self.options)?.remove(MEMBERS).unwrap_or_default();
        serde_json::from_value(members).map_err(Error::json("the members of an ensemble"))
    }

    /// The entry of the registry.
    ///
    /// # Errors
    /// An unknown model.
    pub fn entry(&self) -> Result<&'static ModelEntry> {
        crate::find(&self.name)
    }

    /// Builds the model with initial parameters.
    ///
    /// # Errors
    /// An unknown model, options out of range, or a schema that the model does not support.
    pub fn build(&self, schema: &Schema, device: Device) -> Result<BuiltModel> {
        let store = VarStore::new(device);
        let model = self.entry()?.build(&self.options, &store.root(), schema)?;
        Ok(BuiltModel { model, store })
    }
}

/// A model and its parameters.
pub struct BuiltModel {
    /// The model.
    pub model: Box<dyn Model>,
    /// Its parameters, by name.
    pub store: VarStore,
}

impl Score for BuiltModel {
    fn score_rows(&self, features: &Features) -> Result<Tensor> {
        self.model.score_rows(features)
    }

    fn score_candidates(&self, candidates: &Candidates<'_>) -> Result<Tensor> {
        self.model.score_candidates(candidates)
    }
}

/// The content of a new run.
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'a> {
    /// The text of `settings.toml`. Its `[model]` is a [`ModelSettings`].
    pub settings: &'a str,
    /// Fields and vocabularies.
    pub schema: &'a Schema,
    /// A digest of the rows of each part, by name, which reveals changed data.
    pub digests: &'a BTreeMap<String, String>,
    /// The text of `values.json`: what a later run needs to know of the training rows.
    pub values: Option<&'a str>,
}

impl NewRun<'_> {
    /// The model in the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that are not TOML.
    pub fn model(&self) -> Result<ModelSettings> {
        model_of(self.settings).map_err(Error::Setting)
    }
}

/// The folder of a run: settings, schema, digests of its rows, results, and the files of training.
///
/// | file | content |
/// |---|---|
/// | `settings.toml` | the resolved settings |
/// | `schema.json` | fields and vocabularies |
/// | `rows.json` | digests of the rows of each part and of the other files here, and the date of creation |
/// | `values.json` | the distribution of the training rows' values, and what has changed since an earlier run |
/// | `summary.json` | the results, after the end of training |
/// | `calibration.json` | the calibration of the model, if it has one |
/// | `lock` | who trains it, while it is trained |
/// | the others | see [`TrainFiles`] |
///
/// Files of different runs cannot be mixed: checkpoints carry a digest of the model, the schema and the rows, which
/// `rows.json` has, and `rows.json` has digests of the other files.
///
/// A run that is created is locked, so that no other process trains it, until it is dropped; [`Run::lock`] locks one
/// that is opened.
///
/// ```no_run
/// use fm_core::tch::Device;
/// use fm_models::Run;
///
/// let run = Run::open("runs/deepfm-1")?;
/// let trained = run.load(Device::Cpu)?;
/// println!("{}: {} fields", run.model().name, run.schema().num_fields());
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Run {
    files: TrainFiles,
    settings: String,
    model: ModelSettings,
    schema: Schema,
    identity: Identity,
    calibration: Option<RunCalibration>,
    lock: Option<FolderLock>,
    /// The run that this one replaces, until this one has a checkpoint.
    replaced: Option<SetAside>,
}

const SETTINGS: &str = "settings.toml";
const SCHEMA: &str = Schema::FILE;
const ROWS: &str = "rows.json";
const VALUES: &str = "values.json";
const SUMMARY: &str = "summary.json";
const CALIBRATION: &str = "calibration.json";

/// How deep runs are nested in a folder of runs.
const NESTED: usize = 3;
impl Run {
    /// Opens the folder of a run, and checks that its files belong together.
    ///
    /// # Errors
    /// [`Error::Format`] for a folder that is not a run, or whose files do not belong together; [`Error::NotResumable`]
    /// if the program that created it was killed before the run was complete; [`Error::Io`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Run> {
        let folder = folder.as_ref();
        for name in [SETTINGS, SCHEMA] {
            if !folder.join(name).is_file() {
                return Err(match is_begun(folder) {
                    true => Error::NotResumable {
                        path: folder.to_owned(),
                        reason: format!("the program ended before it wrote {name}"),
                    },
                    false => Error::format("run", folder, format!("it has no {name}")),
                });
            }
        }
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(Error::io("read", path))
        };
        let settings = read(SETTINGS)?;
        let model =
            model_of(&settings).map_err(|reason| Error::format("settings file", folder.join(SETTINGS), reason))?;
        let identity = Identity::load(&folder.join(ROWS))?;
        let text = read(SCHEMA)?;
        let schema = Schema::from_json(&text)
            .map_err(|error| Error::format("schema", folder.join(SCHEMA), error.to_string()))?;
        if !identity.has_schema(&text) {
            return Err(Error::format("run", folder, format!("its {SCHEMA} has changed since the run was created")));
        }
        let files = TrainFiles::new(folder).of_run(identity.digest());
        let calibration = RunCalibration::read(&folder.join(CALIBRATION))?;
        Ok(Run { files, settings, model, schema, identity, calibration, lock: None, replaced: None })
    }

    /// The folders of the runs in a folder, in the order of their names: itself if it is a run, or those in it and in its
    /// folders, as `fm compare` nests them. Folders that cannot be read have none.
    pub fn all_in(folder: impl AsRef<Path>) -> Vec<PathBuf> {
        fn find(folder: &Path, depth: usize, runs: &mut Vec<PathBuf>) {
            if folder.join(SETTINGS).is_file() && folder.join(SCHEMA).is_file() {
                return runs.push(folder.to_owned());
            }
            if depth == 0 {
                return;
            }
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            // Links to folders, which may lead back, are not followed.
            let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            let mut folders: Vec<PathBuf> = entries.filter(is_folder).map(|entry| entry.path()).collect();
            folders.sort();
            folders.iter().for_each(|folder| find(folder, depth - 1, runs));
        }
        let mut runs = vec![];
        find(folder.as_ref(), NESTED, &mut runs);
        runs
    }

    /// When the run was created, in UTC, such as `2026-01-31T12:00:00Z`.
    pub fn created(&self) -> &str {
        &self.identity.created
    }

    /// Creates a run. `start` writes the first checkpoint, so that training can resume after any interruption. Leaves
    /// nothing behind if it fails.
    ///
    /// # Errors
    /// [`Error::RunExists`] if the folder is not empty; [`Error::Setting`] for settings that are not TOML;
    /// [`Error::Io`]; those of `start`.
    pub fn create(
        folder: impl Into<PathBuf>,
        new: &NewRun<'_>,
        start: impl FnOnce(&TrainFiles) -> Result<()>,
    ) -> Result<Run> {
        let files = TrainFiles::create(folder)?;
        let path = |name: &str| files.folder().join(name);
        let fill = || -> Result<Run> {
            let lock = Some(FolderLock::acquire(files.folder())?);
            let model = new.model()?;
            new.schema.save(path(SCHEMA))?;
            let schema_text = std::fs::read_to_string(path(SCHEMA)).map_err(Error::io("read", path(SCHEMA)))?;
            let identity = Identity::new(new.digests, &schema_text, new.settings, &model).with_values(new.values);
            if let Some(values) = new.values {
                write_atomically(path(VALUES), |file| file.write_all(values.as_bytes()))?;
            }
            identity.save(&path(ROWS))?;
            let files = files.clone().of_run(identity.digest());
            start(&files)?;
            // Without settings, the folder is not a run yet.
            write_atomically(path(SETTINGS), |file| file.write_all(new.settings.as_bytes()))?;
            let (settings, schema) = (new.settings.to_owned(), new.schema.clone());
            Ok(Run { files, settings, model, schema, identity, calibration: None, lock, replaced: None })
        };
        fill().inspect_err(|_| {
            // Best effort: the error above is the one to report.
            let _ = std::fs::remove_dir_all(files.folder());
        })
    }

    /// [Creates](Run::create) a run in place of an earlier one, which is set aside beside the folder until the new one
    /// has a checkpoint: [`Run::settle`] removes it then, and [`Run::abandon`] or an error here puts it back. Files
    /// that are not the run's are kept.
    ///
    /// # Errors
    /// As [`Run::create`]; [`Error::Format`] for a folder that is not [replaceable](Run::is_replaceable);
    /// [`Error::InUse`] for a run that is being trained.
    pub fn replace(
        folder: impl Into<PathBuf>,
        new: &NewRun<'_>,
        start: impl FnOnce(&TrainFiles) -> Result<()>,
    ) -> Result<Run> {
        let folder = folder.into();
        let replaced = SetAside::make_room(&folder)?;
        match Run::create(&folder, new, start) {
            Ok(run) => Ok(Run { replaced, ..run }),
            Err(error) => {
                replaced.into_iter().for_each(SetAside::put_back);
                Err(error)
            }
        }
    }

    /// Locks the run, so that no other process trains it. A run that cannot be written to needs no lock and gets none.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has locked it; [`Error::Io`].
    pub fn lock(&mut self) -> Result<()> {
        if self.lock.is_none() {
            self.lock = match FolderLock::acquire(self.folder()) {
                Err(error) if is_read_only(&error) => None,
                acquired => Some(acquired?),
            };
            self.replaced = SetAside::left_behind(self.folder());
        }
        Ok(())
    }

    /// Removes the run that this one replaces, once this one has a checkpoint with progress. To be called after each
    /// checkpoint.
    pub fn settle(&mut self) {
        if self.replaced.is_some() && self.files.has_progress() {
            self.replaced.take().into_iter().for_each(SetAside::remove);
        }
    }

    /// Removes this run, and puts back the one that it replaces.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn abandon(mut self) -> Result<()> {
        let (folder, replaced) = (self.folder().to_owned(), self.replaced.take());
        remove_own_files(&folder)?;
        // The lock ends after its folder.
        drop(self);
        replaced.into_iter().for_each(SetAside::put_back);
        Ok(())
    }

    /// Checks that a new run can have this folder.
    ///
    /// # Errors
    /// [`Error::RunExists`] if it is not empty.
    pub fn check_free(folder: &Path) -> Result<()> {
        if is_free(folder) { Ok(()) } else { Err(Error::RunExists { path: folder.to_owned() }) }
    }

    /// Whether a new run may replace a folder: if it is empty, a run, or an incomplete run. Nothing else may be
    /// removed.
    pub fn is_replaceable(folder: &Path) -> bool {
        is_free(folder) || is_run(folder) || is_begun(folder)
    }

    /// Whether a folder is empty, or has only a run that was never trained because the program was killed before it had
    /// created the run.
    pub fn is_unbegun(folder: &Path) -> bool {
        let files = TrainFiles::new(folder);
        is_free(folder)
            || (Run::is_replaceable(folder)
                && (!files.has_checkpoint() || (is_begun(folder) && !files.has_progress()))
                && replacement::foreign_files(folder).is_empty())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.files.folder()
    }

    /// The files of its training.
    pub fn files(&self) -> &TrainFiles {
        &self.files
    }

    /// The text of `settings.toml`.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// The model and its options.
    pub fn model(&self) -> &ModelSettings {
        &self.model
    }

    /// Fields and vocabularies.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The path of `settings.toml`.
    pub fn settings_path(&self) -> PathBuf {
        self.folder().join(SETTINGS)
    }

    /// The digests of the rows of each part, and of the catalogue, at the time of training.
    pub fn digests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.identity.rows.iter().map(|(part, digest)| (part.as_str(), digest.as_str()))
    }

    /// The digest of the rows of a part, or of the catalogue, at the time of training.
    pub fn digest(&self, part: &str) -> Option<&str> {
        self.identity.rows.get(part).map(String::as_str)
    }

    /// What an exported file tells of the run.
    pub fn origin(&self) -> Origin {
        let name = self.folder().canonicalize().ok();
        let name = name.as_deref().unwrap_or(self.folder()).file_name().unwrap_or_default();
        let (epoch, checkpoint) = self.files.stamp().unwrap_or_default();
        Origin {
            model: self.model.name.clone(),
            run: name.to_string_lossy().into_owned(),
            created: self.identity.created.clone(),
            epoch,
            checkpoint,
            calibration: self.calibration().map(|of_run| of_run.calibration.name().to_owned()),
            schema: self.identity.schema().to_owned(),
            rows: self.identity.rows.clone(),
            fm: env!("CARGO_PKG_VERSION").into(),
            libtorch: compiled_libtorch().0.into(),
        }
    }

    /// Whether the data is the same as at the time of training.
    pub fn is_of(&self, schema: &Schema, digests: &BTreeMap<String, String>) -> bool {
        self.schema == *schema && self.has_rows(digests)
    }

    /// Whether the rows of each part, and the catalogue, are the same as at the time of training.
    pub fn has_rows(&self, digests: &BTreeMap<String, String>) -> bool {
        self.digests().eq(digests.iter().map(|(part, digest)| (part.as_str(), digest.as_str())))
    }

    /// The model with the parameters of its best epoch, or the last parameters if no epoch is finished, and with its
    /// [calibration](Run::calibration) if it has one.
    ///
    /// # Errors
    /// Errors of building the model; [`Error::Format`] for a checkpoint that is damaged or of another model, or a
    /// calibration of another checkpoint.
    pub fn load(&self, device: Device) -> Result<BuiltModel> {
        let BuiltModel { model, store } = self.load_uncalibrated(device)?;
        let model = match self.current_calibration()? {
            Some(calibration) => Box::new(Calibrated::new(model, calibration)?),
            None => model,
        };
        Ok(BuiltModel { model, store })
    }

    /// As [`Run::load`], without the calibration.
    ///
    /// # Errors
    /// Those of [`Run::load`].
    pub fn load_uncalibrated(&self, device: Device) -> Result<BuiltModel> {
        let built = self.model.build(&self.schema, device)?;
        self.files.load(&built.store)?;
        self.check_settings()?;
        Ok(built)
    }

    /// Checks that the settings are those that the run was created with. Checkpoints tell models apart by the shapes of
    /// their parameters, and some options change none. Other settings than the model's may be edited, with a warning.
    ///
    /// # Errors
    /// [`Error::Format`] for another model.
    pub fn check_settings(&self) -> Result<()> {
        let path = self.settings_path();
        if !self.identity.has_model(&self.model) {
            let reason = "its [model] has changed since the run was created";
            return Err(Error::format("settings file", path, reason));
        }
        if !self.identity.has_settings(&self.settings) {
            tracing::warn!("{} has been edited since the run was created", path.display());
        }
        Ok(())
    }

    /// The results; `None` before the end of training.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] for results that are not `R` or have been changed.
    pub fn summary<R: for<'a> Deserialize<'a>>(&self) -> Result<Option<R>> {
        let is_ours = |text: &str| Ok(Identity::load(&self.folder().join(ROWS))?.has_summary(text));
        self.written(SUMMARY, "file of results", is_ours)
    }

    /// The content of `values.json`; `None` if the run has none.
    ///
    /// # Errors
    /// As [`Run::summary`].
    pub fn values<V: for<'a> Deserialize<'a>>(&self) -> Result<Option<V>> {
        self.written(VALUES, "file of values", |text| Ok(self.identity.has_values(text)))
    }

    /// The content of a JSON file, which must be as it was written.
    fn written<T: for<'a> Deserialize<'a>>(
        &self,
        name: &str,
        what: &'static str,
        is_ours: impl FnOnce(&str) -> Result<bool>,
    ) -> Result<Option<T>> {
        let path = self.folder().join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let unusable = |reason: String| Error::format(what, &path, reason);
                let content = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
                if !is_ours(&text)? {
                    return Err(unusable("it has been changed since it was written".into()));
                }
                Ok(Some(content))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    /// Writes the results.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Json`].
    pub fn save_summary(&self, results: &impl Serialize) -> Result<()> {
        let path = self.folder().join(SUMMARY);
        let text = serde_json::to_string_pretty(results).map_err(Error::json("results"))? + "\n";
        let identity = self.identity.clone().with_summary(&text);
        // A finished run stays as it is.
        if std::fs::read_to_string(&path).is_ok_and(|found| found == text)
            && Identity::load(&self.folder().join(ROWS))?.has_summary(&text)
        {
            return Ok(());
        }
        // The digest comes first: without results, it says nothing.
        identity.save(&self.folder().join(ROWS))?;
        write_atomically(path, |file| file.write_all(text.as_bytes()))
    }

    /// The files with fixed names, whether they exist or not.
    pub fn all_files(&self) -> Vec<PathBuf> {
        let own = [SETTINGS, SCHEMA, ROWS, VALUES, SUMMARY, CALIBRATION].map(|name| self.folder().join(name));
        own.into_iter().chain(self.files.all()).collect()
    }

    /// Whether a path is one of the run's files, which nothing else may overwrite.
    pub fn holds(&self, path: &Path) -> bool {
        let path = path.canonicalize().ok();
        path.is_some() && self.all_files().iter().any(|file| file.canonicalize().ok() == path)
    }
}

/// The `[model]` of a settings file; the other settings belong to the program.
fn model_of(settings: &str) -> Result<ModelSettings, String> {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(default)]
        model: ModelSettings,
    }
    toml::from_str::<Settings>(settings).map(|settings| settings.model).map_err(|error| error.message().to_owned())
}

#[cfg(test)]
mod tests;
