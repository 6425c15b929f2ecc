//! Parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    panfuse::cli::main(std::env::args_os())
}
