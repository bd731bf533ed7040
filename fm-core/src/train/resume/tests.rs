//! Every state in which a killed or interrupted program or a full or damaged disk can leave a run's folder.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use tch::Device;
use tch::nn::VarStore;

use super::super::tests::{config, label, model, rows};
use super::super::{Observer, TrainConfig};
use super::*;

/// Five steps per epoch, a checkpoint after every second step, and a best epoch that is not the last.
fn settings() -> TrainConfig {
    TrainConfig { checkpoint_steps: 2, ..config(5, 0) }
}

/// Writes a run's folder like the program, and stops training after this number of events.
struct Recorder<'a> {
    run: &'a TrainFiles,
    events: usize,
    after_each: &'a mut dyn FnMut(&Path),
}

impl Recorder<'_> {
    /// Fails after the last event, like a program that is killed.
    fn event(&mut self) -> Result<()> {
        (self.after_each)(self.run.folder());
        self.events = self.events.checked_sub(1).ok_or_else(|| Error::Rows("killed".into()))?;
        Ok(())
    }
}

impl Observer for Recorder<'_> {
    fn checkpoint(&mut self, trainer: &Trainer<'_>) -> Result<()> {
        self.run.save_last(trainer)?;
        self.event()
    }

    fn epoch(&mut self, record: &EpochRecord, trainer: &Trainer<'_>) -> Result<ControlFlow<()>> {
        if record.best {
            checkpoint::save(&self.run.best(), trainer.store, &trainer.state)?;
        }
        self.event()?;
        self.run.append(record, &trainer.timing())?;
        self.event()?;
        self.run.save_last(trainer)?;
        self.event()?;
        Ok(ControlFlow::Continue(()))
    }
}

/// Trains from the state in a folder until training is done or `events` events have occurred.
fn train(run: &TrainFiles, config: &TrainConfig, events: usize, after_each: &mut dyn FnMut(&Path)) -> Result<()> {
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let mut trainer = Trainer::new(&model, &store, &label(), config.clone())?;
    match std::fs::read_dir(run.folder().join("checkpoints")).unwrap().next() {
        None => run.save_last(&trainer)?,
        Some(_) => run.resume(&mut trainer)?,
    }
    // The training labels are beyond the validation labels, which a middle epoch comes nearest to.
    let (learnt, validated) = (rows(|id| (id % 3) as f32), rows(|id| 1.0 + 0.2 * (id % 3 - 1) as f32));
    trainer.fit(&learnt, &validated, &mut Recorder { run, events, after_each })?;
    Ok(())
}

fn new_run(folder: &tempfile::TempDir, name: &str) -> TrainFiles {
    TrainFiles::create(folder.path().join(name)).unwrap()
}

/// The files that equal runs have in common, by name.
fn outcome(run: &TrainFiles) -> BTreeMap<String, Vec<u8>> {
    let files = [run.best(), run.last(), run.metrics()];
    let mut outcome: BTreeMap<String, Vec<u8>> =
        files.into_iter().map(|file| (file.display().to_string(), std::fs::read(&file).unwrap())).collect();
    let names = std::fs::read_dir(run.folder().join("checkpoints")).unwrap();
    let mut names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    outcome.insert("checkpoints".into(), names.concat().into_bytes());
    outcome.into_iter().map(|(name, bytes)| (name.rsplit('/').next().unwrap_or_default().to_owned(), bytes)).collect()
}

/// The outcome of an uninterrupted run.
fn expected(folder: &tempfile::TempDir, config: &TrainConfig) -> BTreeMap<String, Vec<u8>> {
    let run = new_run(folder, "whole");
    train(&run, config, usize::MAX, &mut |_| {}).unwrap();
    let best = Checkpoint::open(&run.best()).unwrap().state().unwrap();
    assert!((2..5).contains(&best.epoch), "the best epoch is {}", best.epoch);
    outcome(&run)
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(from, to).map(|_| ()).unwrap() }
    }
}

/// Calls `check` with a copy of a run's folder after each write that a kill can follow.
fn for_each_moment(config: &TrainConfig, check: &mut dyn FnMut(&TrainFiles)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (run, moment) = (new_run(&folder, "run"), new_run(&folder, "moment"));
    train(&run, config, usize::MAX, &mut |path| {
        copy(path, moment.folder());
        check(&moment);
    })
    .unwrap();
    folder
}

#[test]
fn a_run_killed_between_any_two_files_ends_like_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected(&folder, &settings());
    let mut moments = 0;
    for_each_moment(&settings(), &mut |run| {
        train(run, &settings(), usize::MAX, &mut |_| {}).unwrap();
        assert!(outcome(run) == expected, "after {moments} moments");
        moments += 1;
    });
    // Two checkpoints during an epoch, and three writes at its end.
    assert_eq!(moments, 5 * 5);
}

#[test]
fn a_run_killed_again_and_again_ends_like_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected(&folder, &settings());
    // With fewer events, no epoch ever ends.
    for events in 2..=4 {
        let run = new_run(&folder, &events.to_string());
        while train(&run, &settings(), events, &mut |_| {}).is_err() {}
        assert!(outcome(&run) == expected, "killed after each {events}");
    }
}

#[test]
fn the_number_of_checkpoints_does_not_change_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let files = |outcome: BTreeMap<String, Vec<u8>>| {
        outcome.into_iter().filter(|(name, _)| name != "checkpoints").collect::<BTreeMap<_, _>>()
    };
    let expected = expected(&folder, &settings());
    // The state after the best epoch is always kept: a warm start may need it.
    let best =
        Checkpoint::open(&new_run(&folder, "other").folder().with_file_name("whole/checkpoints/best.safetensors"));
    let best = format!("step-{}.safetensors", 5 * best.unwrap().state().unwrap().epoch);
    for (checkpoint_steps, keep, names) in [(0, 1, ""), (1, 3, "step-23.safetensorsstep-24.safetensors")] {
        let config = TrainConfig { checkpoint_steps, keep, ..settings() };
        let run = new_run(&folder, &keep.to_string());
        train(&run, &config, usize::MAX, &mut |_| {}).unwrap();
        let outcome = outcome(&run);
        let found = String::from_utf8(outcome["checkpoints"].clone()).unwrap();
        assert_eq!(found, format!("best.safetensorslast.safetensors{best}{names}"));
        let with_state = Checkpoint::open(&run.checkpoint_with_state().unwrap()).unwrap();
        assert_eq!(run.checkpoint_with_state().unwrap(), run.last().with_file_name(&best));
        assert!(with_state.learner().unwrap().is_some());
        assert_eq!(with_state.parameters().unwrap(), Checkpoint::open(&run.best()).unwrap().parameters().unwrap());
        assert!(files(outcome) == files(expected.clone()));
    }
}

#[test]
fn partial_files_of_a_killed_program_are_removed_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected(&folder, &settings());
    for_each_moment(&TrainConfig { keep: 2, ..settings() }, &mut |run| {
        let whole = std::fs::read(run.last()).unwrap();
        for name in [".last.safetensors.77.partial", ".best.safetensors.77.partial"] {
            std::fs::write(run.last().with_file_name(name), &whole[..whole.len() / 2]).unwrap();
        }
        // The kernel may have written only a part of the lines.
        for file in [run.metrics(), run.timings()] {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            std::fs::write(file, format!("{text}{{\"epoch\":")).unwrap();
        }
        train(run, &settings(), usize::MAX, &mut |_| {}).unwrap();
        assert!(outcome(run) == expected);
    });
}

/// Damages a file: truncates, empties or removes it, or changes a byte anywhere.
fn damage(file: &Path, kind: usize) {
    let whole = std::fs::read(file).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    match kind {
        0 => std::fs::remove_file(file).unwrap(),
        1 => std::fs::write(file, &whole[..whole.len() - 1]).unwrap(),
        2 => std::fs::write(file, &whole[..kind]).unwrap(),
        3 => std::fs::write(file, b"").unwrap(),
        _ => std::fs::write(file, changed(kind * 1_000_003 % whole.len())).unwrap(),
    }
}

#[test]
fn a_damaged_or_missing_last_checkpoint_is_replaced_by_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected(&folder, &settings());
    let mut kind = 0;
    for_each_moment(&settings(), &mut |run| {
        if !run.all_earlier().is_empty() {
            damage(&run.last(), kind % 12);
            train(run, &settings(), usize::MAX, &mut |_| {}).unwrap();
            assert!(outcome(run) == expected, "damage {kind}");
            kind += 1;
        }
    });
    assert!(kind > 12);
}

#[test]
fn a_damaged_or_missing_best_checkpoint_is_restored_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let expected = expected(&folder, &settings());
    let (mut found, mut lost, mut moments) = (0, 0, 0);
    for_each_moment(&settings(), &mut |run| {
        if !run.best().exists() {
            return;
        }
        damage(&run.best(), moments % 12);
        moments += 1;
        // Its state is lost, too.
        let is_whole = moments % 2 == 0;
        if !is_whole {
            run.all_earlier().iter().for_each(|file| std::fs::remove_file(file).unwrap());
        }
        match train(run, &settings(), usize::MAX, &mut |_| {}) {
            Ok(()) => {
                assert!(outcome(run) == expected);
                found += 1;
            }
            Err(error) => {
                assert!(matches!(error, Error::NotResumable { .. }) && !is_whole, "{error}");
                lost += 1;
            }
        }
    });
    assert!(found > 12 && lost > 2, "{found} and {lost}");
}

#[test]
fn a_run_without_an_intact_checkpoint_is_an_error_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&folder, "run");
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let mut trainer = Trainer::new(&model, &store, &label(), settings()).unwrap();
    let error = run.resume(&mut trainer).unwrap_err().to_string();
    assert!(error.contains("ended before it wrote a checkpoint"), "{error}");
    run.save_last(&trainer).unwrap();
    damage(&run.last(), 1);
    let error = run.resume(&mut trainer).unwrap_err().to_string();
    assert!(error.contains("none of its checkpoints is usable"), "{error}");
    assert!(run.last().exists(), "an unusable checkpoint is not removed");
}

#[test]
fn a_checkpoint_of_another_model_is_not_damaged_and_remains() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(&folder, "run");
    let store = VarStore::new(Device::Cpu);
    let other = store.root().var("other", &[1], tch::nn::Init::Const(0.0));
    let state = TrainState::default();
    checkpoint::save(&run.last(), &store, &state).unwrap();
    drop(other);
    let store = VarStore::new(Device::Cpu);
    let model = model(&store);
    let mut trainer = Trainer::new(&model, &store, &label(), settings()).unwrap();
    let error = run.resume(&mut trainer).unwrap_err().to_string();
    assert!(error.contains("it contains `model/other`, which the model does not have"), "{error}");
    assert!(run.last().exists());
}
