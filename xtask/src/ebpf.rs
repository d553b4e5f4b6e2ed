//! `cargo xtask ebpf`: the kernel program, to `target/bpf/edge.bpf.o`, where the node's build finds it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sh;
use crate::toolchain::{CURE, Toolchain};

/// What became of the kernel program.
pub enum Built {
    /// It lies there, up to date.
    At(PathBuf),
    /// No toolchain: why, and the cure.
    Without(String),
}

/// Builds the kernel program, or fails.
pub fn command(install: bool) -> Result<()> {
    let toolchain = find(install).context(CURE)?;
    let object = compile(&toolchain)?;
    println!("kernel program: {}", sh::short(&object));
    Ok(())
}

/// Builds the kernel program where a toolchain is found (or installed); fails only when it does not compile.
pub fn build(install: bool) -> Result<Built> {
    match find(install) {
        Ok(toolchain) => compile(&toolchain).map(Built::At),
        Err(error) => Ok(Built::Without(format!("{error:#}; {CURE}"))),
    }
}

fn find(install: bool) -> Result<Toolchain> {
    if install { Toolchain::find_or_install() } else { Toolchain::find() }
}

fn compile(toolchain: &Toolchain) -> Result<PathBuf> {
    let target = sh::target().join("ebpf");
    // Flags that shape the object (BTF, debug information) are in ebpf/.cargo/config.toml.
    let mut cargo = toolchain.cargo(&sh::root().join("ebpf"), ["build", "--release"]);
    cargo
        .args(["-Z", "build-std=core", "--target", "bpfel-unknown-none", "--target-dir"])
        .arg(&target);
    println!("kernel program with {}, {}", toolchain.compiler, sh::short(&toolchain.linker));
    sh::run(&mut cargo)?;
    let object = sh::target().join("bpf/edge.bpf.o");
    let built = target.join("bpfel-unknown-none/release");
    copy_if_changed(&built.join("edge-ebpf"), &object)?;
    copy_if_changed(&built.join("range"), &sh::target().join("bpf/range.bpf.o"))?;
    Ok(object)
}

/// Keeps the time of an equal file, so that the node is not built anew.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("could not read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let dir = to.parent().expect("the object lies in a directory");
    fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
    fs::write(to, new).with_context(|| format!("could not write {}", to.display()))
}
