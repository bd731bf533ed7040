//! The program `fm`. It answers `--help`, `--version`, completion and errors in the command line within milliseconds.
//! For everything else it replaces itself with the engine in the same folder, which needs libtorch.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    fm_args::completion::answer();
    if let Err(code) = fm_args::parse() {
        return code;
    }
    // libtorch needs a working directory, and ends the engine before that can say so.
    if let Err(error) = std::env::current_dir() {
        fm_args::print_error(&format!("the working directory cannot be found ({error}): change to another one"));
        return ExitCode::FAILURE;
    }
    let failure = match engine() {
        Ok(engine) => match start(&engine) {
            Ok(code) => return code,
            Err(error) => format!("cannot start {}: {error}", engine.display()),
        },
        Err(error) => format!("cannot find the folder of this program: {error}"),
    };
    fm_args::print_error(&format!(
        "{failure}; `fm` needs its engine in the same folder: `cargo build --release -p fm-cli` builds both, and `cargo install \
         --path fm-cli` installs both"
    ));
    ExitCode::FAILURE
}

/// `fm-engine` in the folder of this executable, even if a symbolic link started it.
fn engine() -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?.canonicalize()?;
    Ok(program.with_file_name(format!("fm-engine{}", std::env::consts::EXE_SUFFIX)))
}

/// The engine with the same arguments, and the version of this program, which the engine compares with its own.
fn command(engine: &Path) -> Command {
    let mut command = Command::new(engine);
    command.args(std::env::args_os().skip(1)).env(fm_args::VERSION_VARIABLE, fm_args::VERSION);
    command
}

/// Runs the engine with the same arguments. On Unix it replaces this process, so signals and exit codes are the
/// engine's.
#[cfg(unix)]
fn start(engine: &Path) -> std::io::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command(engine).exec())
}

#[cfg(not(unix))]
fn start(engine: &Path) -> std::io::Result<ExitCode> {
    let status = command(engine).status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
