//! The `edge` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    edge::cli::run()
}
