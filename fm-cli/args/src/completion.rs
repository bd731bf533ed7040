//! Shell completion: the values that a shell suggests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::Shells;

use crate::documentation::Setting;
use crate::ready_made::{READY_MADE, purpose};

/// Maximum depth of a run below `runs`: `fm compare` nests runs by model and seed.
const DEPTH: usize = 3;
/// Maximum number of runs to suggest.
const MAX_RUNS: usize = 200;

/// Answers the shell and ends the program, if this process was started by a completion script.
pub fn answer() {
    CompleteEnv::with_factory(crate::command).bin("fm").complete();
}

/// The names of the shells that have a completion script.
pub fn shells() -> Vec<&'static str> {
    Shells::builtins().names().collect()
}

/// The completion script of a shell. It calls `fm` for each completion, so suggestions include the current runs.
///
/// # Errors
/// For an unknown shell.
pub fn script(shell: &str) -> std::io::Result<Vec<u8>> {
    let shells = Shells::builtins();
    let completer = shells.completer(shell).ok_or_else(|| std::io::Error::other(format!("unknown shell `{shell}`")))?;
    let mut script = Vec::new();
    completer.write_registration("COMPLETE", "fm", "fm", "fm", &mut script)?;
    Ok(script)
}

/// Values of a setting.
pub fn setting(key: &'static str) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| matching(current, Setting::of(key).suggestions()))
}

/// A data set by name, or a file or folder.
pub fn data() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut found = matching(current, Setting::of("data.data").suggestions());
        found.extend(PathCompleter::any().complete(current));
        found
    })
}

/// A data set by name.
pub fn releases() -> ArgValueCompleter {
    setting("data.data")
}

/// A built-in settings file.
pub fn settings() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| matching(current, ready_made()))
}

/// A built-in settings file, or another file.
pub fn configs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut found = matching(current, ready_made());
        found.extend(PathCompleter::any().complete(current));
        found
    })
}

/// A run below `runs`, or another file or folder.
pub fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut runs = Vec::new();
        find_runs(Path::new("runs"), DEPTH, &mut runs);
        let names = runs.into_iter().map(|run| (run.to_string_lossy().into_owned(), "run".to_owned()));
        let mut found = matching(current, names.collect());
        found.extend(PathCompleter::any().complete(current));
        found
    })
}

fn ready_made() -> Vec<(&'static str, String)> {
    READY_MADE.iter().map(|(name, text)| (*name, purpose(text).to_owned())).collect()
}

/// The candidates that start with the text typed so far.
fn matching<N: Into<String>>(current: &OsStr, all: Vec<(N, String)>) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return vec![] };
    let all = all.into_iter().map(|(name, help)| (name.into(), help));
    let fits = all.filter(|(name, _)| name.starts_with(current));
    fits.map(|(name, help)| CompletionCandidate::new(name).help((!help.is_empty()).then(|| help.into()))).collect()
}

fn find_runs(folder: &Path, depth: usize, runs: &mut Vec<PathBuf>) {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for path in folders {
        if runs.len() >= MAX_RUNS {
            return;
        }
        // As in fm-models, which this crate does not depend on.
        if path.join("settings.toml").is_file() {
            runs.push(path);
        } else if depth > 1 && path.is_dir() {
            find_runs(&path, depth - 1, runs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_calls_fm() {
        for shell in shells() {
            let script = String::from_utf8(script(shell).unwrap()).unwrap();
            assert!(script.contains("fm") && script.contains("COMPLETE"), "{shell}");
        }
        assert!(script("csh").is_err());
    }

    #[test]
    fn a_candidate_begins_with_the_text_so_far() {
        let found = matching(OsStr::new("ml-100k/f"), ready_made());
        let names: Vec<&str> = found.iter().filter_map(|candidate| candidate.get_value().to_str()).collect();
        assert_eq!(names, ["ml-100k/fm", "ml-100k/ffm"]);
    }

    #[test]
    fn models_splits_and_releases_are_suggested() {
        for (key, name) in [("model.name", "deepfm"), ("data.split", "leave-last-out"), ("data.data", "ml-100k")] {
            assert!(Setting::of(key).suggestions().iter().any(|(known, _)| *known == name), "{key}");
        }
    }
}
