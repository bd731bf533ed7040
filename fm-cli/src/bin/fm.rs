//! The program `fm`. It answers `--help`, `--version`, completion and errors in the command line within milliseconds.
//! For everything else it replaces itself with the engine in the same folder, which needs libtorch.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    fm_args::completion::answer();
    if let Err(code) = fm_args::parse() {
        return code;
    }
    let engine = engine();
    let error = match start(&engine) {
        Ok(code) => return code,
        Err(error) => error,
    };
    fm_args::print_error(&format!(
        "cannot start {}: {error}; `fm` needs its engine in the same folder: `cargo build --release -p fm-cli` builds both, \
         and `cargo install --path fm-cli` installs both",
        engine.display()
    ));
    ExitCode::FAILURE
}

/// `fm-engine` in the folder of this executable, even if a symbolic link started it.
fn engine() -> PathBuf {
    let program = std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
    program.parent().unwrap_or(Path::new("")).join(format!("fm-engine{}", std::env::consts::EXE_SUFFIX))
}

/// Runs the engine with the same arguments. On Unix it replaces this process, so signals and exit codes are the
/// engine's.
#[cfg(unix)]
fn start(engine: &Path) -> std::io::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(Command::new(engine).args(std::env::args_os().skip(1)).exec())
}

#[cfg(not(unix))]
fn start(engine: &Path) -> std::io::Result<ExitCode> {
    let status = Command::new(engine).args(std::env::args_os().skip(1)).status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
