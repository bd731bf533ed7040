//! The executable `fm-engine`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    fm_cli::main()
}
