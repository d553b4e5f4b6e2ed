//! `cargo xtask dist`: binary, unit file and example configuration in one tarball.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, sh};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What goes with the binary, by path in the workspace.
const FILES: [&str; 6] = [
    "xtask/assets/edge.service",
    "edge.example.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

/// Builds and packs.
pub fn dist() -> Result<()> {
    build::kernel_program(false);
    let binary = static_binary().or_else(|error| {
        println!("not static: {error:#}");
        build::node(true)
    })?;
    println!("node: {}, {}", sh::short(&binary), linkage(&binary));
    let name = format!("edge-{VERSION}-{ARCH}-linux");
    let tarball = pack(&binary, &FILES, &sh::target().join("dist"), &name)?;
    let sum = sh::read(Command::new("sha256sum").arg("--binary").arg(&tarball))?;
    let bytes = fs::metadata(&tarball).context("the tarball is gone")?.len();
    println!("{}  {}", sh::short(&tarball), sh::human(bytes));
    println!("sha256 {}", sum.split_whitespace().next().unwrap_or_default());
    Ok(())
}

/// A node that needs no library of the host it runs on. With glibc names are then resolved by its
/// built-in `files` and `dns`; other services of `nsswitch.conf` are not asked.
fn static_binary() -> Result<PathBuf> {
    let said = sh::read(Command::new("rustc").arg("-vV"))?;
    let host =
        said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc has no host")?;
    // Naming the target keeps the flag away from build scripts and procedural macros.
    let mut cargo = sh::cargo(["build", "--release", "-p", "edge", "--target", host]);
    cargo.arg("--target-dir").arg(sh::target().join("static"));
    cargo
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    sh::run(&mut cargo)?;
    Ok(sh::target().join("static").join(host).join("release/edge"))
}

fn linkage(binary: &Path) -> String {
    // ldd fails on a static program, or says so.
    let listed = sh::read(Command::new("ldd").arg(binary)).unwrap_or_default();
    let libraries: Vec<_> = listed
        .lines()
        .filter(|line| line.contains(".so"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    if libraries.is_empty() {
        "static".to_owned()
    } else {
        format!("needs {}", libraries.join(" "))
    }
}

/// The same tree gives the same tarball: sorted, owned by root, dated by the last commit.
fn pack(binary: &Path, files: &[&str], dist: &Path, name: &str) -> Result<PathBuf> {
    let dir = dist.join(name);
    let tarball = dist.join(format!("{name}.tar.gz"));
    fs::remove_dir_all(&dir).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
    copy(binary, &dir.join("edge"))?;
    for file in files {
        let from = sh::root().join(file);
        copy(&from, &dir.join(from.file_name().context("a directory was listed")?))?;
    }
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=go=rX,u+rw,a-s"]);
    tar.arg(format!("--mtime=@{}", last_change())).args(["--use-compress-program", "gzip -9n"]);
    sh::run(
        tar.arg("--create").arg("--file").arg(&tarball).arg("--directory").arg(dist).arg(name),
    )?;
    Ok(tarball)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("could not copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Seconds since the epoch; zero outside a clone.
fn last_change() -> String {
    let mut git = Command::new("git");
    git.current_dir(sh::root()).args(["log", "-1", "--format=%ct"]);
    sh::read(&mut git).map_or("0".to_owned(), |seconds| seconds.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tarball_holds_all_and_is_the_same_twice() {
        let dist = sh::target().join(format!("dist-test-{}", std::process::id()));
        let binary = std::env::current_exe().unwrap();
        let files = ["xtask/assets/edge.service", "LICENSE-MIT"];
        let packed = || fs::read(pack(&binary, &files, &dist, "edge-test").unwrap()).unwrap();
        assert!(packed() == packed());
        let tarball = dist.join("edge-test.tar.gz");
        let list = sh::read(Command::new("tar").arg("-tvf").arg(tarball)).unwrap();
        fs::remove_dir_all(&dist).unwrap();
        for line in ["edge-test/edge", "edge-test/edge.service", "edge-test/LICENSE-MIT"] {
            assert!(
                list.lines().any(|entry| entry.ends_with(line) && entry.contains(" 0/0 ")),
                "{list}"
            );
        }
        let runs = |line: &str| line.starts_with("-rwxr-xr-x") && line.ends_with("/edge");
        assert!(list.lines().any(runs), "{list}");
    }
}
