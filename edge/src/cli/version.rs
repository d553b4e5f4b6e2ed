//! `edge version`: what this binary is.

use super::CliError;
use crate::guard;

/// Show the version, and whether the kernel program is built in
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: Args) -> Result<(), CliError> {
    super::print(&text(guard::is_built_in()))
}

fn text(kernel_program: bool) -> String {
    let kernel_program = match kernel_program {
        true => "built in",
        false => "not built in, the guard stays off; `cargo xtask build` makes it",
    };
    let version = env!("CARGO_PKG_VERSION");
    format!("edge {version} {}\nkernel program: {kernel_program}\n", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_whether_there_can_be_a_guard() {
        assert!(text(true).ends_with("kernel program: built in\n"));
        assert!(text(false).contains("the guard stays off"));
        assert!(text(false).starts_with(concat!("edge ", env!("CARGO_PKG_VERSION"))));
    }
}
