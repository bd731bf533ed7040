//! `fm doctor`

use std::path::PathBuf;

use anyhow::Result;
use fm_args::commands::Doctor;
use fm_core::device::{compiled_libtorch, cuda_devices, libtorch_version, loaded_libtorch};
use fm_data::movielens::{Release, read};

use super::print;
use crate::settings::data_dir;

pub fn run(args: &Doctor) -> Result<()> {
    let mut advice: Vec<String> = Vec::new();
    let line = |name: &str, value: String| print(format!("{name:<12} {value}"));
    line("fm", env!("CARGO_PKG_VERSION").into())?;
    let engine = std::env::current_exe();
    line("engine", engine.as_ref().map_or("unknown".into(), |path| path.display().to_string()))?;
    let program = engine.ok().map(|engine| engine.with_file_name(format!("fm{}", std::env::consts::EXE_SUFFIX)));
    match program.filter(|program| program.is_file()) {
        Some(program) => line("program", program.display().to_string())?,
        None => {
            line("program", "none beside the engine".into())?;
            advice.push("the engine has no `fm` beside it: install both with `cargo install --path fm-cli`".into());
        }
    }

    let (version, built_for) = compiled_libtorch();
    let loaded = loaded_libtorch();
    let folder = loaded.as_ref().map_or("unknown folder".to_owned(), |path| path.display().to_string());
    // As a part of PyTorch, libtorch may be anywhere, but it must have the version of the headers.
    let found = loaded.as_deref().and_then(libtorch_version);
    line("libtorch", format!("{}, from {folder}", found.as_deref().unwrap_or(version)))?;
    let is_elsewhere = loaded.is_some_and(|loaded| canonical(&loaded) != canonical(&PathBuf::from(built_for)));
    if is_elsewhere && found.as_deref() != Some(version) {
        let found = found.map_or("of an unknown version".to_owned(), |found| format!("of version {found}"));
        advice.push(format!(
            "the program loaded a libtorch {found} from {folder}, but was built with {version}: unset LD_LIBRARY_PATH, \
             or build again"
        ));
    }

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let omp = std::env::var("OMP_NUM_THREADS").map_or(String::new(), |n| format!(", OMP_NUM_THREADS={n}"));
    line("threads", format!("{} for libtorch, {cores} processors{omp}", tch::get_num_threads()))?;
    if tch::get_num_threads() as usize > cores {
        advice.push(format!("libtorch uses more threads than processors: set OMP_NUM_THREADS={cores}"));
    }

    let has_driver = PathBuf::from("/proc/driver/nvidia/version").exists();
    match cuda_devices() {
        0 => line(
            "CUDA",
            format!("none; an NVIDIA driver is {}", if has_driver { "installed" } else { "not installed" }),
        )?,
        n => line("CUDA", format!("{n} device{}: cuda:0 is the default", if n == 1 { "" } else { "s" }))?,
    }
    if has_driver && cuda_devices() == 0 {
        advice.push(
            "an NVIDIA driver is installed, but libtorch finds no device: this may be the CPU build of libtorch; remove \
                     .libtorch, run `make setup` and build again, or check `nvidia-smi`"
                .into(),
        );
    }

    let data_dir = data_dir(&args.folders)?;
    line("data", data_dir.display().to_string())?;
    let mut any = false;
    for release in Release::ALL {
        let folder = data_dir.join(release.name());
        if folder.is_dir() {
            any = true;
            match read(&folder) {
                Ok(data) => line("", format!("{}: {} ratings", release.name(), data.ratings.height()))?,
                Err(error) => {
                    line("", format!("{}: unusable", release.name()))?;
                    advice.push(format!(
                        "{error}; remove {} and run `fm data download {}`",
                        folder.display(),
                        release.name()
                    ));
                }
            }
        }
    }
    if !any {
        advice.push("no data set is installed: run `fm data download ml-100k`".into());
    }
    for text in &advice {
        print(format!("→ {text}"))?;
    }
    if advice.is_empty() { print("No problems found.") } else { Ok(()) }
}

fn canonical(path: &PathBuf) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())
}
