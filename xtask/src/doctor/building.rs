//! What building and testing need.

use std::process::Command;

use super::State::{Degraded, Missing};
use super::{Finding, judge};
use crate::sh;
use crate::test::TOOLS;
use crate::toolchain::{CURE, Toolchain};

/// Every line about building and testing.
pub fn examine() -> Vec<Finding> {
    let mut findings = vec![compiler(), kernel_compiler()];
    findings.extend([cargo_part("rustfmt", "fmt"), cargo_part("clippy", "clippy")]);
    findings.extend(TOOLS.iter().map(|(_, program)| tool(program)));
    findings
}

fn compiler() -> Finding {
    let version = sh::read(Command::new("rustc").arg("--version"));
    let found = version.as_deref().unwrap_or("none").trim().to_owned();
    judge("rustc", version.is_ok(), Missing, found, "https://rustup.rs")
}

fn kernel_compiler() -> Finding {
    let toolchain = Toolchain::find();
    let found = match &toolchain {
        Ok(found) => format!("{}, {}", found.compiler, sh::short(&found.linker)),
        Err(error) => format!("{error:#}"),
    };
    judge("kernel toolchain", toolchain.is_ok(), Degraded, found, CURE)
}

fn cargo_part(what: &'static str, subcommand: &str) -> Finding {
    let version = sh::read(&mut sh::cargo([subcommand, "--version"]));
    let found = version.as_deref().unwrap_or("none").trim().to_owned();
    judge(what, version.is_ok(), Degraded, found, "rustup component add rustfmt clippy")
}

fn tool(program: &'static str) -> Finding {
    let path = sh::find(program);
    let found = path.as_ref().map_or("not here".to_owned(), |path| path.display().to_string());
    judge(program, path.is_some(), Degraded, found, "`cargo xtask test` as root installs it")
}
