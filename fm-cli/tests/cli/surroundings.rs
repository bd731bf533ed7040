//! What surrounds the program: its folder, the machine, where its output goes, and how much memory there is.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::scene::{FM_ON_BOOKS, Scene, assert_holds};

const FM: &str = env!("CARGO_BIN_EXE_fm");
const ENGINE: &str = env!("CARGO_BIN_EXE_fm-engine");

/// `fm` in a shell, after other commands.
fn in_shell(scene: &Scene, before: &str, line: &str) -> Command {
    let mut shell = scene.command("sh");
    shell.args(["-c", &format!("{before}; exec \"$0\" {line}"), FM]);
    shell
}

#[test]
fn a_deleted_working_directory_is_an_error() {
    let scene = Scene::new();
    let error = scene.command_fails(&mut in_shell(&scene, "mkdir gone && cd gone && rmdir ../gone", "models"));
    assert_holds(&error, &["the working directory cannot be found", "change to another one"]);
}

#[test]
fn more_threads_than_processors_are_not_started() {
    let scene = Scene::new();
    let warnings = scene.warnings("--threads 100000 models");
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_holds(warning, &["`--threads 100000` is more than this machine's", "processors"]);
    assert_eq!(scene.warnings("--threads 1 models"), [""; 0]);
    let processors = std::thread::available_parallelism().unwrap();
    assert_holds(
        &scene.ok("--threads 100000 doctor"),
        &[&format!("{processors} for libtorch, {processors} processors")],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let scene = Scene::new();
    for line in ["--help", "-h", "--version", "train --help", "models", "completions bash", "man"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = scene.fm(line).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "fm {line}: {error}");
        assert_holds(&error, &["error: cannot write to standard output: No space left on device"]);
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn an_engine_of_another_version_does_not_run() {
    let scene = Scene::new();
    let mut engine = scene.command(ENGINE);
    let error = scene.command_fails(engine.arg("models").env("FM_VERSION_OF_PROGRAM", "0.0.9"));
    assert_holds(&error, &["`fm` has version 0.0.9, but its engine has 0.", "install both together"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_table_that_does_not_fit_into_memory_is_named_with_its_largest_field() {
    let scene = Scene::new();
    scene.write("large.toml", crate::hashed::schema(&[("reader", 20_000_000), ("tags", 1000)]));
    let line = format!("{} --set model.options.embedding_dim=5000", FM_ON_BOOKS.replace("schema.toml", "large.toml"));
    let error = scene.command_fails(&mut in_shell(&scene, "ulimit -v 30000000", &line));
    assert_holds(
        &error,
        &["there is not enough memory for the table of Embedding, 400.0 GB: 5000 numbers in each of 20,00"],
    );
    assert_holds(&error, &["20,000,001 of them for field `reader`", "lower `--embedding-dim`"]);
}

#[test]
fn a_table_of_one_row_is_not_measured() {
    let scene = Scene::new();
    let table: String = scene.text("books.csv").split_inclusive('\n').take(2).collect();
    scene.write("one.csv", table);
    let output = scene.run("train --data one.csv --schema schema.toml --model lr --epochs 1 --run run");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_holds(&error, &["WARN there are no validation or test rows: nothing is measured"]);
}

#[test]
fn there_are_not_more_folds_than_rows() {
    let scene = Scene::new();
    let line = "train --data books.csv --schema schema.toml --split kfold:1000000:0";
    scene.fails_with(line, &["`kfold:1000000:0`: there are only 3000 rows, so K can be at most 3000"]);
}

#[test]
fn a_report_replaces_only_reports() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    scene.write("report.html", "<html>mine</html>");
    scene.fails_with("report run", &["report.html exists and is not a report", "choose another `--output`"]);
    std::fs::remove_file(scene.path("report.html")).unwrap();
    let said = || String::from_utf8(scene.run("report run").stderr).unwrap();
    assert!(!said().contains("in place of"));
    assert_holds(&said(), &["wrote report.html", "in place of an earlier report"]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_setup_puts_data_where_the_program_looks_for_them() {
    let scene = Scene::new();
    let script = include_str!("../../../scripts/setup.sh");
    let start = script.find("data_directory() {").unwrap();
    let function = &script[start..start + script[start..].find("\n}").unwrap() + 2];
    let command = |program: &str, variables: &[(&str, &str)]| {
        let mut command = scene.command(program);
        command.env_remove("FM_DATA_DIR").env_remove("XDG_DATA_HOME").env("HOME", "/home/ann");
        command.envs(variables.iter().copied());
        command
    };
    for variables in [&[][..], &[("XDG_DATA_HOME", "/data")], &[("XDG_DATA_HOME", "data")], &[("FM_DATA_DIR", "/mine")]]
    {
        let setup = command("sh", variables).args(["-c", &format!("{function}\ndata_directory")]).output().unwrap();
        let doctor = command(FM, variables).arg("doctor").output().unwrap();
        let folder = String::from_utf8(setup.stdout).unwrap();
        assert_holds(&String::from_utf8(doctor.stdout).unwrap(), &[&format!("\ndata         {folder}")]);
    }
}
