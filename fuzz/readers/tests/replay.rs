//! Replays the inputs that fuzzing found.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use fm_readers::TARGETS;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_target_accepts_the_valid_inputs_that_it_starts_from() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty());
        for (number, seed) in seeds.iter().enumerate() {
            assert!((target.run)(seed), "{}, seed {number}", target.name);
            // `make fuzz` starts from them.
            if let Some(folder) = std::env::var_os("FM_FUZZ_SEEDS") {
                let folder = Path::new(&folder).join(target.name);
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
            }
        }
    }
}

#[test]
fn every_target_withstands_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let folders: Vec<PathBuf> = TARGETS.iter().map(|target| corpus.join(target.name)).collect();
    assert_eq!(files(&corpus), folders, "a folder for each target");
    for (target, folder) in TARGETS.iter().zip(&folders) {
        let inputs = files(folder);
        assert!(inputs.len() > 1, "{} has {} inputs", target.name, inputs.len());
        for input in inputs {
            let bytes = std::fs::read(&input).unwrap();
            std::panic::catch_unwind(|| (target.run)(&bytes)).unwrap_or_else(|_| panic!("{}", input.display()));
        }
    }
}

#[test]
fn every_target_is_one_of_the_fuzzer() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let expected: Vec<PathBuf> = TARGETS.iter().map(|target| targets.join(format!("{}.rs", target.name))).collect();
    assert_eq!(files(&targets), expected);
}
