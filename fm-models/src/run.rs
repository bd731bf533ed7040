//! The folder of a run. Only this module knows the files of a run and how they belong together.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use fm_core::atomic_file::write_atomically;
use fm_core::model::Options;
use fm_core::ranking::Candidates;
use fm_core::tch::nn::VarStore;
use fm_core::tch::{Device, Tensor};
use fm_core::train::{TrainFiles, checkpoint, is_free};
use fm_core::{Error, Features, Model, ModelEntry, Result, Schema, Score};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

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
        Ok(ModelSettings { name: self.name.clone(), options: self.entry()?.resolve(&self.options)? })
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
/// | `rows.json` | a digest of the rows of each part, and one of the schema |
/// | `summary.json` | the results, after the end of training |
/// | the others | see [`TrainFiles`] |
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
    digests: BTreeMap<String, String>,
}

const SETTINGS: &str = "settings.toml";
const SCHEMA: &str = "schema.json";
const ROWS: &str = "rows.json";
const SUMMARY: &str = "summary.json";
/// The digest of the schema among those of the rows.
const OF_SCHEMA: &str = "schema";

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
        let schema = Schema::load(folder.join(SCHEMA))?;
        let digests: BTreeMap<String, String> = serde_json::from_str(&read(ROWS)?)
            .map_err(|error| Error::format("list of digests", folder.join(ROWS), error.to_string()))?;
        if digests.get(OF_SCHEMA) != Some(&digest(&read(SCHEMA)?)) {
            return Err(Error::format("run", folder, format!("its {SCHEMA} has changed since the run was created")));
        }
        Ok(Run { files: TrainFiles::new(folder), settings, model, schema, digests })
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
            let model = new.model()?;
            new.schema.save(path(SCHEMA))?;
            let text = std::fs::read_to_string(path(SCHEMA)).map_err(Error::io("read", path(SCHEMA)))?;
            let mut digests = new.digests.clone();
            digests.insert(OF_SCHEMA.into(), digest(&text));
            write_atomically(path(ROWS), |file| Ok(serde_json::to_writer_pretty(file, &digests)?))?;
            // Without settings, the folder is not a run yet.
            write_atomically(path(SETTINGS), |file| file.write_all(new.settings.as_bytes()))?;
            start(&files)?;
            let (settings, schema) = (new.settings.to_owned(), new.schema.clone());
            Ok(Run { files: files.clone(), settings, model, schema, digests })
        };
        fill().inspect_err(|_| {
            // Best effort: the error above is the one to report.
            let _ = std::fs::remove_dir_all(files.folder());
        })
    }

    /// Checks that a new run can use this folder.
    ///
    /// # Errors
    /// [`Error::RunExists`] if it is not empty.
    pub fn check_free(folder: &Path) -> Result<()> {
        if is_free(folder) { Ok(()) } else { Err(Error::RunExists { path: folder.to_owned() }) }
    }

    /// Whether a new run may replace a folder: if it is empty, a run, or an incomplete run. Nothing else may be
    /// removed.
    pub fn is_replaceable(folder: &Path) -> bool {
        let is_run = [SETTINGS, SCHEMA].iter().all(|name| folder.join(name).is_file());
        is_free(folder) || is_run || is_begun(folder)
    }

    /// Removes a run.
    ///
    /// # Errors
    /// [`Error::Format`] for a folder that is not [replaceable](Run::is_replaceable); [`Error::Io`].
    pub fn remove(folder: &Path) -> Result<()> {
        if !Run::is_replaceable(folder) {
            return Err(Error::format("run", folder, "it contains other files"));
        }
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
            _ => Ok(()),
        }
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
        self.digests
            .iter()
            .map(|(part, digest)| (part.as_str(), digest.as_str()))
            .filter(|(part, _)| *part != OF_SCHEMA)
    }

    /// The digest of the rows of a part, or of the catalogue, at the time of training.
    pub fn digest(&self, part: &str) -> Option<&str> {
        self.digests.get(part).map(String::as_str)
    }

    /// Whether the data is the same as at the time of training.
    pub fn is_of(&self, schema: &Schema, digests: &BTreeMap<String, String>) -> bool {
        let digests = digests.iter().map(|(part, digest)| (part.as_str(), digest.as_str()));
        self.schema == *schema && self.digests().eq(digests)
    }

    /// The model with the parameters of its best epoch, or the last parameters if no epoch is finished.
    ///
    /// # Errors
    /// Errors of building the model; [`Error::Format`] for a checkpoint that is damaged or of another model.
    pub fn load(&self, device: Device) -> Result<BuiltModel> {
        let built = self.model.build(&self.schema, device)?;
        checkpoint::load(&self.files.checkpoint(), &built.store)?;
        Ok(built)
    }

    /// The results; `None` before the end of training.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] for results that are not `R`.
    pub fn summary<R: for<'a> Deserialize<'a>>(&self) -> Result<Option<R>> {
        let path = self.folder().join(SUMMARY);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let unusable = |error: serde_json::Error| Error::format("file of results", &path, error.to_string());
                serde_json::from_str(&text).map(Some).map_err(unusable)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    /// Writes the results.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_summary(&self, results: &impl Serialize) -> Result<()> {
        write_atomically(self.folder().join(SUMMARY), |file| {
            serde_json::to_writer_pretty(&mut *file, results)?;
            file.write_all(b"\n")
        })
    }

    /// The files with fixed names, whether they exist or not.
    pub fn all_files(&self) -> Vec<PathBuf> {
        let own = [SETTINGS, SCHEMA, ROWS, SUMMARY].map(|name| self.folder().join(name));
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

fn digest(text: &str) -> String {
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

/// Whether a folder contains an incomplete run, because the program was killed while creating it.
fn is_begun(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_ours = |name: std::ffi::OsString| {
        let name = name.to_string_lossy();
        [TrainFiles::CHECKPOINTS, SCHEMA, ROWS].contains(&&*name) || name.ends_with(".partial")
    };
    folder.join(TrainFiles::CHECKPOINTS).is_dir() && names.into_iter().all(is_ours)
}

#[cfg(test)]
mod tests {
    use fm_core::{Field, FieldKind, Label, Side, Task};

    use super::*;

    fn schema(users: usize) -> Schema {
        let names = (0..users).map(|user| user.to_string()).collect();
        let user = Field::new("user", FieldKind::Categorical, Side::User, names);
        Schema::new(Label::fit("stars", Task::Regression, [1.0, 5.0]), vec![user]).unwrap()
    }

    fn create(folder: &Path, schema: &Schema) -> Result<Run> {
        let digests = BTreeMap::from([("train".to_owned(), "abc".to_owned())]);
        let settings = "device = \"cpu\"\n[model]\nname = \"lr\"\n";
        Run::create(folder, &NewRun { settings, schema, digests: &digests }, |files| {
            let built = ModelSettings { name: "lr".into(), ..ModelSettings::default() }.build(schema, Device::Cpu)?;
            checkpoint::save(&files.last(), &built.store, &Default::default())
        })
    }

    #[test]
    fn a_run_opens_with_the_content_that_it_was_created_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        create(&path, &schema(3)).unwrap();
        let run = Run::open(&path).unwrap();
        assert_eq!((run.model().name.as_str(), run.schema(), run.digest("train")), ("lr", &schema(3), Some("abc")));
        assert!(run.load(Device::Cpu).is_ok());
        assert_eq!(run.summary::<serde_json::Value>().unwrap(), None);
        assert!(run.holds(&path.join("schema.json")) && !run.holds(&path.join("model.pt")));
        assert!(matches!(create(&path, &schema(3)), Err(Error::RunExists { .. })));
    }

    #[test]
    fn files_of_different_runs_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        create(&one, &schema(3)).unwrap();
        create(&other, &schema(4)).unwrap();
        let name = "checkpoints/last.safetensors";
        std::fs::copy(other.join(name), one.join(name)).unwrap();
        assert!(matches!(Run::open(&one).unwrap().load(Device::Cpu), Err(Error::Format { .. })));
        std::fs::copy(other.join(SCHEMA), one.join(SCHEMA)).unwrap();
        let error = Run::open(&one).unwrap_err().to_string();
        assert!(error.contains("schema.json has changed since the run was created"), "{error}");
    }

    #[test]
    fn a_run_that_cannot_start_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let new = NewRun { settings: "", schema: &schema(1), digests: &BTreeMap::new() };
        let failed = Run::create(&path, &new, |_| Err(Error::Torch("no disk".into())));
        assert!(failed.is_err() && !path.exists());
    }

    #[test]
    fn only_a_run_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        assert!(Run::is_replaceable(&path));
        std::fs::create_dir_all(path.join("checkpoints")).unwrap();
        assert!(matches!(Run::open(&path), Err(Error::NotResumable { .. })));
        assert!(Run::is_replaceable(&path));
        std::fs::write(path.join("thesis.txt"), "years of work").unwrap();
        assert!(!Run::is_replaceable(&path) && Run::remove(&path).is_err());
        assert!(matches!(Run::open(&path), Err(Error::Format { .. })));
    }
}
