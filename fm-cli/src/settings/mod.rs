//! The settings of a run: the content of `settings.toml`, from a file and the command line.

mod documented;
mod draft;
mod schema;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use fm_args::commands;
use fm_args::flags::{BadRowFlags, Folders, Given, Keys};
use fm_core::Error;
use fm_core::device::DeviceChoice;
use fm_core::metric::MetricSet;
use fm_core::optim::OptimizerConfig;
use fm_core::schema::Inheritance;
use fm_core::train::{Inherit, TrainConfig, Update};
use fm_data::table::standard_input;
use fm_data::{DataConfig, OnBadRow, TaskName};
use fm_models::run::{ModelSettings, Run};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;

pub use draft::{Draft, report, unknown};

/// Everything that determines the outcome of a run.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Device to compute on: auto, cpu, cuda or cuda:1.
    pub device: DeviceChoice,
    /// Start from the parameters of an earlier run. Values that are not in its vocabulary start from scratch. Settings that
    /// neither a file nor a flag gives are those of the run, except for the data and the device.
    pub init_from: Option<PathBuf>,
    /// State of the optimizer with `init_from`: fresh, or keep for that of the earlier run. With keep, training goes on as
    /// if it had not ended; only new values start from scratch. Both runs need the same optimizer.
    pub init_state: Inherit,
    /// Share of the kept state, above 0 and at most 1, that `init_state = "keep"` takes over. With AdaGrad, for example,
    /// 0.5 halves the sums of squares, so that newer rows change the parameters more.
    pub init_state_decay: f64,
    /// Statistics of numeric fields with `init_from`: keep for the means, deviations and bucket borders of the earlier run,
    /// so that its parameters keep their meaning, or fresh for those of the new training rows.
    pub init_statistics: Inherit,
    /// Values of the vocabularies with `init_from`: keep for those of the earlier run, even if they no longer occur, and new
    /// ones; or fresh for those of the new training rows only.
    pub init_vocabulary: Inherit,
    /// The rows, fields, label and split.
    pub data: DataConfig,
    /// The model and its options.
    pub model: ModelSettings,
    /// How the model is trained.
    pub train: TrainConfig,
}

impl Default for Settings {
    /// All defaults, without data.
    fn default() -> Settings {
        Settings {
            device: DeviceChoice::default(),
            init_from: None,
            init_state: Inherit::Fresh,
            init_state_decay: 1.0,
            init_statistics: Inherit::Keep,
            init_vocabulary: Inherit::Keep,
            data: DataConfig::default(),
            model: ModelSettings::default(),
            train: TrainConfig::default(),
        }
    }
}

/// The default of `train.l2`. It depends on the scale of the task's loss.
fn default_l2(task: TaskName) -> f64 {
    match task {
        TaskName::Regression => 0.05,
        TaskName::Binary => 0.005,
        TaskName::Ranking => 0.0,
    }
}

/// The default of `train.lr`. An online update is by the gradient of one row; the rates of AdaGrad and FTRL fall fast.
fn default_lr(train: &TrainConfig) -> f64 {
    match (train.update, train.optimizer) {
        (Update::Online, OptimizerConfig::Adagrad { .. }) | (_, OptimizerConfig::Ftrl { .. }) => 0.1,
        (Update::Online, OptimizerConfig::Sgd { .. }) => 0.01,
        (Update::Online, _) => 0.001,
        (Update::Batch, _) => train.lr,
    }
}

impl Settings {
    /// The settings of `fm train`.
    pub fn from_args(args: &commands::Train) -> Result<Settings> {
        let mut draft = args.config.as_deref().map_or_else(|| Ok(Draft::default()), Draft::open)?;
        draft.apply(args.keys())?;
        draft.declare()?;
        draft.resolve()
    }

    /// The settings of these keys, and the defaults of all others.
    pub fn from_keys(keys: Keys) -> Result<Settings> {
        let mut draft = Draft::default();
        draft.apply(keys)?;
        draft.declare()?;
        draft.resolve()
    }

    /// The settings of a run.
    pub fn of_run(run: &Run) -> Result<Settings> {
        let unusable = |error: anyhow::Error| Error::format("settings file", run.settings_path(), error.to_string());
        Ok(Settings::parse(run.settings()).map_err(unusable)?)
    }

    /// Reads the text of a `settings.toml`.
    pub fn parse(text: &str) -> Result<Settings> {
        // `Display` would also show the text, over several lines.
        toml::from_str(text).map_err(|error| anyhow!("{}", error.message()))
    }

    /// The share of the optimiser's state to take over from the run of `init_from`; none for a fresh state.
    pub fn kept_state(&self) -> Option<f64> {
        (self.init_state == Inherit::Keep).then_some(self.init_state_decay)
    }

    /// What the schema takes over from that of the run of `init_from`.
    pub fn inheritance(&self) -> Inheritance {
        let [statistics, vocabulary] = [self.init_statistics, self.init_vocabulary].map(|what| what == Inherit::Keep);
        Inheritance { statistics, vocabulary }
    }

    /// The metric that chooses the best epoch.
    pub fn monitored(&self) -> Result<Metric> {
        let task = self.data.task.of_any_threshold();
        Metric::of(task, self.train.monitor.as_deref().unwrap_or(MetricSet::of(task).monitored))
    }

    /// All settings as on the command line, by dotted key, without the declaration of a table.
    pub fn by_key(&self) -> Result<BTreeMap<String, String>> {
        fn visit(name: String, value: &serde_json::Value, found: &mut BTreeMap<String, String>) {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::Object(fields) => {
                    for (field, value) in fields {
                        visit(if name.is_empty() { field.clone() } else { format!("{name}.{field}") }, value, found);
                    }
                }
                value => {
                    found.insert(name, text(value));
                }
            }
        }
        fn text(value: &serde_json::Value) -> String {
            match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
                value => value.to_string(),
            }
        }
        let mut found = BTreeMap::new();
        visit(String::new(), &serde_json::to_value(self)?, &mut found);
        found.retain(|name, _| !name.starts_with("data.schema."));
        Ok(found)
    }

    /// The text of a `settings.toml`.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

/// What flags say about rows that cannot be read; `None` if they say nothing.
pub fn on_bad_row(flags: &Given<BadRowFlags>) -> Result<Option<OnBadRow>> {
    Ok(flags.value("on-bad-row").cloned().map(toml::Value::try_into).transpose()?)
}

/// Rows from standard input are kept beside the encoded ones. Without that folder, they are where temporary files are.
pub fn keep_standard_input(folders: &Folders) {
    if let Ok(folder) = cache_dir(folders) {
        standard_input::set_folder(folder);
    }
}

/// The folder of data sets.
pub fn data_dir(folders: &Folders) -> Result<PathBuf> {
    Ok(fm_data::movielens::data_dir(folders.data_dir.as_deref())?)
}

/// The folder of encoded data sets.
pub fn cache_dir(folders: &Folders) -> Result<PathBuf> {
    Ok(data_dir(folders)?.join("cache"))
}

#[cfg(test)]
mod tests {
    use fm_args::clap::Parser;
    use fm_args::ready_made::READY_MADE;

    use super::*;

    fn settings(line: &str) -> Result<Settings> {
        let args = fm_args::Args::try_parse_from(["fm", "train"].into_iter().chain(line.split_whitespace()))?;
        let fm_args::Command::Train(train) = &args.command else { panic!("no training") };
        Settings::from_args(train)
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let schema = folder.path().join("schema.toml");
        let declaration = "label = \"y\"\nuser = \"a\"\n[[field]]\nname = \"a\"\nkind = \"categorical\"\nmin_count = 2\n\
                           [[field]]\nname = \"b\"\nkind = \"multi-valued\"\nmax_len = 3\nhash_buckets = 10\n";
        std::fs::write(&schema, declaration).unwrap();
        for line in [
            "--data ml-100k",
            "--train a.csv --test b.csv --schema SCHEMA --task binary --threshold 0.1 --fields a,b",
            "--data ml-1m --model fm --embedding-dim 8 --optimizer adamw --l2 0 --seed 9 --device cpu",
            "--data ml-100k --model deepfm --hidden-units 8,4 --dropout 0 --set train.optimizer.beta_1=0.5",
        ] {
            let settings = settings(&line.replace("SCHEMA", &schema.display().to_string())).unwrap();
            let settings = Settings { init_from: Some("/runs/fm-1".into()), init_state_decay: 0.5, ..settings };
            assert_eq!(Settings::parse(&settings.to_toml().unwrap()).unwrap(), settings, "{line}");
            // With documentation, it is an equivalent settings file.
            let file = folder.path().join("documented.toml");
            std::fs::write(&file, settings.documented().unwrap()).unwrap();
            assert_eq!(Draft::open(file.to_str().unwrap()).unwrap().resolve().unwrap(), settings, "{line}");
        }
    }

    #[test]
    fn every_key_is_documented() {
        for entry in fm_models::MODELS {
            let settings = settings(&format!("--data ml-100k --model {}", entry.name)).unwrap();
            let text = settings.documented().unwrap();
            let (mut before, mut section) = ("", "");
            for line in text.lines() {
                section = if line.starts_with('[') { line } else { section };
                // Each model documents its own options.
                let is_of_member = section == "[model.options.members.options]";
                let is_key =
                    line.contains(" = ") && !line.starts_with("# ") && !line.starts_with("name") && !is_of_member;
                assert!(!is_key || before.starts_with('#'), "model {}: `{line}` has no documentation", entry.name);
                assert!(line.chars().count() <= 120, "{line}");
                before = line;
            }
        }
    }

    #[test]
    fn flags_override_the_file_and_its_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        let text = "[data]\ndata = \"ml-100k\"\ntask = \"binary\"\n[model]\nname = \"fm\"\noptions.embedding_dim = 8\n\
                    [train]\nlr = 0.5\noptimizer = { name = \"sgd\", momentum = 0.5 }\n";
        std::fs::write(&file, text).unwrap();
        let with = |line: &str| settings(&format!("--config {} {line}", file.display())).unwrap();
        let plain = with("");
        assert_eq!((plain.data.task, plain.train.lr, plain.train.l2), (TaskName::Binary, 0.5, 0.005));
        assert_eq!(
            (&plain.model.options["embedding_dim"], &plain.model.options["init_std"]),
            (&8.into(), &0.01.into())
        );
        let over =
            with("--lr 0.25 --optimizer sgd --embedding-dim 4 --task regression --set train.patience=9 --seed 7");
        assert_eq!((over.train.lr, over.train.patience, over.train.l2), (0.25, 9, 0.05));
        assert_eq!((over.data.seed, over.train.seed, &over.model.options["embedding_dim"]), (7, 7, &4.into()));
        assert_eq!(over.train.optimizer, plain.train.optimizer, "the same optimiser keeps the file's momentum");
        let other = with("--optimizer adam --set train.l2=0");
        assert_eq!((other.train.optimizer, other.train.l2), (fm_core::optim::OptimizerConfig::default(), 0.0));
    }

    #[test]
    fn paths_in_a_file_are_relative_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("schema.toml"), "label = \"y\"\n[[field]]\nname = \"a\"\nkind = \"categorical\"\n")
            .unwrap();
        std::fs::write(path("own.toml"), "[data]\ntrain = \"a.csv\"\nschema = \"schema.toml\"\n").unwrap();
        let settings = settings(&format!("--config {}", path("own.toml").display())).unwrap();
        assert_eq!(settings.data.train, Some(path("a.csv")));
        assert_eq!(settings.data.schema.unwrap().label, "y");
    }

    #[test]
    fn an_error_in_a_file_names_its_line_and_the_closest_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        let fails = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let error = settings(&format!("--config {}", file.display())).unwrap_err().to_string();
            error.split_once("own.toml").unwrap_or_else(|| panic!("{error}")).1.to_owned()
        };
        for (text, expected) in [
            ("[trian]\n", ", line 1: unknown setting `trian`: did you mean `train`?"),
            (
                "[train]\nepochs = 3\nbacth_size = 3\n",
                ", line 3: unknown setting `bacth_size` in [train]: did you mean `batch_size`?",
            ),
            (
                "[train]\nepochs = \"three\"\n",
                ", line 2: `train.epochs`: invalid type: string \"three\", expected usize",
            ),
            (
                "[model]\nname = \"fm\"\n[model.options]\nembeding_dim = 8\n",
                ", line 4: model fm: unknown option `embeding_dim`: did you mean `embedding_dim`?",
            ),
            (
                "[train.optimizer]\nname = \"sgd\"\nmomentun = 0.9\n",
                ", line 3: unknown setting `momentun` in [train.optimizer]: did you mean `momentum`?",
            ),
            ("train = 3\n", ", line 1: `train`: invalid type: integer `3`, expected struct TrainConfig"),
            ("[train]\nlr = \n", ", line 2: "),
        ] {
            let found = fails(text);
            assert!(found.starts_with(expected), "{found}");
            assert!(!found.contains('\n'), "{found}");
        }
    }

    #[test]
    fn an_unknown_option_is_an_error_that_lists_the_options_of_the_model() {
        let error = settings("--data ml-100k --model fm --dropout 0.1").unwrap_err().to_string();
        assert!(error.contains("dropout") && error.contains("embedding_dim"), "{error}");
        let error = settings("--data ml-100k --set model.name=depfm").unwrap_err().to_string();
        assert!(error.contains("did you mean `deepfm`?"), "{error}");
        let error = settings("--data ml-100k --set train.optimiser=sgd").unwrap_err().to_string();
        assert!(error.contains("did you mean `optimizer`?"), "{error}");
    }

    #[test]
    fn every_built_in_file_can_be_used() {
        for (name, _) in READY_MADE {
            Draft::open(name).unwrap().resolve().unwrap();
        }
    }
}
