//! The folder of a run: created, opened, locked, replaced.

use fm_core::train::{TrainConfig, Trainer};
use fm_core::{Field, FieldKind, Label, Side, Task};

use super::*;

fn schema(users: usize) -> Schema {
    let names = (0..users).map(|user| user.to_string()).collect();
    let user = Field::new("user", FieldKind::Categorical, Side::User, names);
    Schema::new(Label::fit("stars", Task::Regression, [1.0, 5.0]), vec![user]).unwrap()
}

const SETTINGS_TEXT: &str = "device = \"cpu\"\n[model]\nname = \"lr\"\n[train]\nlr = 0.5\n";

/// Calls `with` with a trainer of a new model.
fn with_trainer<T>(schema: &Schema, with: impl FnOnce(&Trainer<'_>) -> Result<T>) -> Result<T> {
    let built = ModelSettings { name: "lr".into(), ..ModelSettings::default() }.build(schema, Device::Cpu)?;
    with(&Trainer::new(built.model.as_ref(), &built.store, schema.label(), TrainConfig::default())?)
}

type Make = fn(PathBuf, &NewRun<'_>, &mut dyn FnMut(&TrainFiles) -> Result<()>) -> Result<Run>;
const CREATE: Make = |folder, new, start| Run::create(folder, new, start);
const REPLACE: Make = |folder, new, start| Run::replace(folder, new, start);

fn make(how: Make, folder: &Path, schema: &Schema, rows: &str) -> Result<Run> {
    let digests = BTreeMap::from([("train".to_owned(), rows.to_owned())]);
    let new = NewRun { settings: SETTINGS_TEXT, schema, digests: &digests, values: None };
    how(folder.to_owned(), &new, &mut |files| with_trainer(schema, |trainer| files.save_last(trainer)))
}

fn create(folder: &Path, schema: &Schema) -> Result<Run> {
    make(CREATE, folder, schema, "abc")
}

#[test]
fn a_run_opens_with_what_it_was_created_with() {
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
fn files_of_two_runs_do_not_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    create(&one, &schema(3)).unwrap();
    create(&other, &schema(4)).unwrap();
    let name = "checkpoints/last.safetensors";
    let own = std::fs::read(one.join(name)).unwrap();
    std::fs::copy(other.join(name), one.join(name)).unwrap();
    assert!(matches!(Run::open(&one).unwrap().load(Device::Cpu), Err(Error::Format { .. })));
    // One that fits, trained on other rows.
    let third = folder.path().join("third");
    make(CREATE, &third, &schema(3), "abd").unwrap();
    std::fs::copy(third.join(name), one.join(name)).unwrap();
    let error = Run::open(&one).unwrap().load(Device::Cpu).err().unwrap().to_string();
    assert!(error.ends_with("it belongs to another run"), "{error}");
    std::fs::write(one.join(name), own).unwrap();
    assert!(Run::open(&one).unwrap().load(Device::Cpu).is_ok());
    std::fs::copy(other.join(SCHEMA), one.join(SCHEMA)).unwrap();
    let error = Run::open(&one).unwrap_err().to_string();
    assert!(error.contains("schema.json has changed since the run was created"), "{error}");
}

#[test]
fn a_run_that_cannot_start_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let new = NewRun { settings: "", schema: &schema(1), digests: &BTreeMap::new(), values: None };
    let failed = Run::create(&path, &new, |_| Err(Error::Torch("no disk".into())));
    assert!(failed.is_err() && !path.exists());
}

#[test]
fn another_model_in_the_settings_is_an_error_and_other_settings_may_be_edited() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    create(&path, &schema(3)).unwrap();
    std::fs::write(path.join(SETTINGS), SETTINGS_TEXT.replace("lr = 0.5", "lr = 0.25")).unwrap();
    assert!(Run::open(&path).is_ok());
    std::fs::write(path.join(SETTINGS), SETTINGS_TEXT.replace("\"lr\"", "\"fm\"")).unwrap();
    assert!(Run::open(&path).unwrap().load(Device::Cpu).is_err(), "other parameters");
    std::fs::write(path.join(SETTINGS), SETTINGS_TEXT.replace("\"lr\"\n", "\"lr\"\noptions = { }\n")).unwrap();
    assert!(Run::open(&path).unwrap().load(Device::Cpu).is_ok(), "the same model");
}

#[test]
fn changed_results_and_digests_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = create(&path, &schema(3)).unwrap();
    let results = BTreeMap::from([("auc".to_owned(), 0.75)]);
    run.save_summary(&results).unwrap();
    assert_eq!(Run::open(&path).unwrap().summary().unwrap(), Some(results));
    std::fs::write(path.join(SUMMARY), "{\n  \"auc\": 0.95\n}\n").unwrap();
    let error = Run::open(&path).unwrap().summary::<BTreeMap<String, f64>>().unwrap_err().to_string();
    assert!(error.contains("has been changed"), "{error}");
    let rows = std::fs::read_to_string(path.join(ROWS)).unwrap();
    std::fs::write(path.join(ROWS), rows.replace("\"abc\"", "\"abd\"")).unwrap();
    assert!(Run::open(&path).unwrap().load(Device::Cpu).is_err());
}

#[test]
fn parameters_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = create(&path, &schema(3)).unwrap();
    let saved = with_trainer(&schema(3), |trainer| {
        let (_, parameter) = trainer.store.variables().into_iter().next().unwrap();
        let _ = fm_core::tch::no_grad(|| parameter.shallow_clone().fill_(f64::INFINITY));
        run.files().save_last(trainer)
    });
    assert!(matches!(saved, Err(Error::Diverged { .. })), "{saved:?}");
    assert!(run.load(Device::Cpu).is_ok(), "the checkpoint before stays");
}

#[test]
fn a_run_is_locked_while_it_is_there_to_be_trained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = create(&path, &schema(3)).unwrap();
    let mut other = Run::open(&path).unwrap();
    assert!(matches!(other.lock(), Err(Error::InUse { .. })));
    assert!(matches!(make(REPLACE, &path, &schema(3), "abc"), Err(Error::InUse { .. })));
    drop(run);
    other.lock().unwrap();
    assert!(matches!(Run::open(&path).unwrap().lock(), Err(Error::InUse { .. })));
}

/// A run that has been trained, with a note beside it.
fn trained(path: &Path) -> Vec<u8> {
    let run = create(path, &schema(3)).unwrap();
    with_trainer(&schema(3), |trainer| run.files().save_best(trainer)).unwrap();
    std::fs::write(path.join("notes.txt"), "years of work").unwrap();
    std::fs::read(run.files().best()).unwrap()
}

#[test]
fn a_replaced_run_is_kept_until_the_new_one_has_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let best = trained(&path);
    let aside = folder.path().join("run.replaced");
    let is_there = |path: &Path| {
        std::fs::read(path.join("checkpoints/best.safetensors")).is_ok_and(|bytes| bytes == best)
            && path.join("notes.txt").exists()
    };

    // It never gets one.
    let mut run = make(REPLACE, &path, &schema(4), "abd").unwrap();
    run.settle();
    assert!(is_there(&aside) && Run::open(&aside).is_ok() && !run.files().best().exists());
    run.abandon().unwrap();
    assert!(is_there(&path) && !aside.exists() && Run::open(&path).unwrap().load(Device::Cpu).is_ok());
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 5, "four files and the checkpoints");

    // It cannot start.
    let new = NewRun { settings: "", schema: &schema(1), digests: &BTreeMap::new(), values: None };
    assert!(Run::replace(&path, &new, |_| Err(Error::Torch("no disk".into()))).is_err());
    assert!(is_there(&path) && !aside.exists());

    // The program is killed, twice, and then the new run is resumed and gets one.
    drop(make(REPLACE, &path, &schema(4), "abd").unwrap());
    drop(make(REPLACE, &path, &schema(4), "abd").unwrap());
    assert!(is_there(&aside));
    let mut run = Run::open(&path).unwrap();
    run.lock().unwrap();
    run.settle();
    assert!(is_there(&aside));
    with_trainer(&schema(4), |trainer| run.files().save_best(trainer)).unwrap();
    run.settle();
    assert!(!aside.exists());
    assert_eq!(std::fs::read_to_string(path.join("notes.txt")).unwrap(), "years of work");
    assert!(run.load(Device::Cpu).is_ok());
}

#[test]
fn a_folder_that_only_has_the_name_of_one_set_aside_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("run"), folder.path().join("run.replaced"));
    trained(&path);
    trained(&other);
    let mut run = make(REPLACE, &path, &schema(4), "abd").unwrap();
    assert!(folder.path().join("run.replaced-2").exists());
    with_trainer(&schema(4), |trainer| run.files().save_best(trainer)).unwrap();
    run.settle();
    assert!(Run::open(&other).is_ok() && !folder.path().join("run.replaced-2").exists());
}

#[test]
fn a_run_without_a_checkpoint_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    assert!(Run::is_unbegun(&path));
    drop(create(&path, &schema(3)).unwrap());
    assert!(!Run::is_unbegun(&path));
    std::fs::remove_file(path.join("checkpoints/last.safetensors")).unwrap();
    assert!(Run::is_unbegun(&path));
    std::fs::write(path.join("notes.txt"), "years of work").unwrap();
    assert!(!Run::is_unbegun(&path));
}

#[test]
fn only_a_run_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    assert!(Run::is_replaceable(&path));
    assert!(matches!(Run::open(&path), Err(Error::Format { .. })));
    for created in [&path, &path.join("checkpoints")] {
        std::fs::create_dir(created).unwrap();
        assert!(matches!(Run::open(&path), Err(Error::NotResumable { .. })));
        assert!(Run::is_replaceable(&path));
    }
    std::fs::write(path.join("thesis.txt"), "years of work").unwrap();
    assert!(!Run::is_replaceable(&path) && make(REPLACE, &path, &schema(3), "abc").is_err());
    assert!(path.join("thesis.txt").exists());
    assert!(matches!(Run::open(&path), Err(Error::Format { .. })));
}
