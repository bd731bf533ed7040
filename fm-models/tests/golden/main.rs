//! Compares layers and models with the original Keras code: `make golden`.
//!
//! `data/` has inputs, weights, outputs, gradients and training trajectories of the notebooks' own classes, computed with
//! Keras 2.15 and TensorFlow 2.15.1. `data/README.md` describes the format. `FM_GOLDEN_DIR` names another folder of such files,
//! and `FM_TEST_DEVICE` a device.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the test shows what it compared")]

mod case;
mod check;
mod counts;
mod port;
mod ports;

use std::path::{Path, PathBuf};

use case::{Case, Result};
use check::Report;

#[path = "../device/mod.rs"]
mod device;

/// Checks one file of a folder with the cases `all`.
fn check_file(path: &Path, all: &[String], report: &mut Report) -> Result<()> {
    let json = case::read(path)?;
    let case = Case::new(&json, device::under_test());
    match case.find("case").map(|case| case.as_text()).transpose()? {
        Some("param_counts") => counts::check(case, report),
        Some("notebook_printed") => check::check_printed(case, report),
        Some(_) => check::check_case(case, report),
        None => {
            // The list of cases in the other files.
            for listed in case.part("cases")?.elements() {
                let name = listed.text("case")?;
                if !all.iter().any(|case| case == name) {
                    report.failures.push(format!("no file has the case {name}"));
                }
                report.compared += 1;
            }
            Ok(())
        }
    }
}

/// Checks every `*.json` of a folder, and returns the failures of each file.
fn check_folder(folder: &Path) -> Result<Vec<(String, Vec<String>)>> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    if files.is_empty() {
        return Err(format!("{} contains no *.json", folder.display()));
    }
    let case_of = |path: &PathBuf| Some(case::read(path).ok()?.get("case")?.as_str()?.to_owned());
    let all: Vec<String> = files.iter().filter_map(case_of).collect();
    let mut failed = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut report = Report::default();
        if let Err(reason) = check_file(&path, &all, &mut report) {
            report.failures.push(reason);
        }
        if report.compared == 0 && report.failures.is_empty() {
            report.failures.push("nothing was compared".into());
        }
        let verdict = if report.failures.is_empty() { "ok" } else { "FAILED" };
        let Report { compared, worst, failures } = report;
        println!("{name:<28}{verdict:<8}{compared:>4} compared, at most {:>5.1} % of the tolerance", worst * 100.0);
        if !failures.is_empty() {
            failed.push((name, failures));
        }
    }
    Ok(failed)
}

#[test]
fn every_case_agrees_with_keras() {
    tch::set_num_threads(1);
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = match std::env::var_os("FM_GOLDEN_DIR") {
        // Relative to the root of the workspace, where `make` runs. Cargo runs this test in the folder of the package.
        Some(folder) => package.join("..").join(folder),
        None => package.join("tests/golden/data"),
    };
    let failed = check_folder(&folder).unwrap();
    let list: Vec<String> =
        failed.iter().flat_map(|(name, failures)| failures.iter().map(move |f| format!("{name}: {f}"))).collect();
    assert!(list.is_empty(), "{} numbers disagree:\n{}", list.len(), list.join("\n"));
}

#[test]
fn unknown_and_missing_keys_fail() {
    let known = include_str!("data/fm_layer.json");
    let fails = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("case.json"), text).unwrap();
        check_folder(folder.path()).unwrap().pop().map(|(_, failures)| failures.join("; ")).unwrap_or_default()
    };
    assert_eq!(fails(known), "");
    assert!(fails(&known.replace("\"FM_Layer\"", "\"FM_Layer_v3\"")).contains("unknown class `FM_Layer_v3`"));
    assert!(fails(&known.replace("\"second_order\"", "\"third_order\"")).contains("third_order"));
    assert!(
        fails(&known.replace("\"Adam lr=0.01\"", "\"Lion lr=0.01\"")).contains("unknown training label `Lion lr=0.01`")
    );
    assert!(fails(&known.replace("\"V\"", "\"U\"")).contains("`V` is missing"));
    assert!(fails(&known.replacen("\"grads_mse\"", "\"grads_mae\"", 1)).contains("`grads_mse`"));
    assert!(fails(&known.replacen("\"runs\"", "\"walks\"", 1)).contains("`runs`"));
    assert!(fails(&known.replacen("\"mse\":", "\"mae\":", 2)).contains("`mse`"));
    assert!(fails(&known.replacen("\"param_count\":373", "\"param_count\":374", 1)).contains("373 is not 374"));
    assert!(fails("{").contains("EOF"));
    assert!(check_folder(tempfile::tempdir().unwrap().path()).is_err());
}
