//! The program `fm`: answers `--help`, `--version`, completion and mistakes in the command line itself, within milliseconds, and
//! replaces itself with the engine beside it, which needs libtorch, for everything else.

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
        "cannot start {}: {error}; `fm` needs its engine in the same folder: `cargo build --release -p fm-cli` builds both, and \
         `cargo install --path fm-cli` installs both",
        engine.display()
    ));
    ExitCode::FAILURE
}

/// `fm-engine` in the folder of this executable, also where this one was called by a symbolic link.
fn engine() -> PathBuf {
    let program = std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
    program.parent().unwrap_or(Path::new("")).join(format!("fm-engine{}", std::env::consts::EXE_SUFFIX))
}

/// Runs the engine with the same arguments, in the same process where the system can: signals and exit codes are its own.
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
