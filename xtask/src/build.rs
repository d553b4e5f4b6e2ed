//! `cargo xtask build`: kernel program and node.

use anyhow::Result;

use crate::ebpf::{self, Built};
use crate::sh;

/// Builds what can be built here; only the node itself may fail.
pub fn build(release: bool) -> Result<()> {
    kernel_program(false);
    let binary = node(release)?;
    println!("node: {}", sh::short(&binary));
    Ok(())
}

/// Builds the kernel program if that is possible, else says why the guard will be off.
pub fn kernel_program(install: bool) {
    match ebpf::build(install) {
        Ok(Built::At(object)) => println!("kernel program: {}", sh::short(&object)),
        Ok(Built::Without(why)) => println!("kernel program not built, guard off: {why}"),
        Err(error) => println!("kernel program not built, guard off or an older one: {error:#}"),
    }
}

/// Builds the node and says where it is.
pub fn node(release: bool) -> Result<std::path::PathBuf> {
    let mut cargo = sh::cargo(["build", "-p", "edge"]);
    if release {
        cargo.arg("--release");
    }
    sh::run(&mut cargo)?;
    Ok(sh::cargo_target().join(if release { "release/edge" } else { "debug/edge" }))
}
