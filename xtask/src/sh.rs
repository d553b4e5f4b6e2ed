//! Other programs: where they are, how they are started, what is said about it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Administrators' programs (nginx, bpftool, ip) that an ordinary user's `PATH` leaves out on Debian.
const ADMIN_DIRS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Where the workspace lies.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Where this repository's commands leave what cargo does not know of: `bpf/`, `tools/`, `sample/`, `dist/`.
pub fn target() -> PathBuf {
    root().join("target")
}

/// Where cargo left this program, and will leave the node: the user may have moved it.
pub fn cargo_target() -> PathBuf {
    let own = env::current_exe().ok();
    own.as_deref().and_then(|exe| exe.ancestors().nth(2)).map_or_else(target, Path::to_path_buf)
}

/// The path of `program`, if it is installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let listed: Vec<PathBuf> = env::split_paths(&path).collect();
    let dirs = listed.iter().map(PathBuf::as_path).chain(ADMIN_DIRS.iter().map(Path::new));
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// `PATH` with the administrators' directories at its end.
pub fn path_with_admin_dirs() -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(ADMIN_DIRS.iter().map(PathBuf::from));
    env::join_paths(dirs).unwrap_or(path)
}

/// A cargo in the workspace, free of what the cargo that started us left in the environment.
pub fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args(args);
    for (key, _) in env::vars_os() {
        if key.to_str().is_some_and(is_left_by_cargo) {
            cargo.env_remove(&key);
        }
    }
    cargo
}

/// What cargo sets for the programs it runs; build scripts would be run anew because of it.
fn is_left_by_cargo(key: &str) -> bool {
    const PREFIXES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    matches!(key, "CARGO" | "CARGO_PRIMARY_PACKAGE" | "RUST_RECURSION_COUNT")
        || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Says what is done, does it, and fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", line_of(command));
    let status =
        command.status().with_context(|| format!("could not start {}", name_of(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line_of(command));
    }
    Ok(())
}

/// What `command` writes to standard output; quiet, fails when it fails.
pub fn read(command: &mut Command) -> Result<String> {
    let output =
        command.output().with_context(|| format!("could not start {}", name_of(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}: {}", line_of(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `bytes` for people.
pub fn human(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes} B"),
    }
}

/// `path` as seen from the workspace, for messages.
pub fn short(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}

fn name_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrubs_what_cargo_leaves_and_keeps_what_people_set() {
        for key in ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_BIN_NAME"] {
            assert!(is_left_by_cargo(key), "{key}");
        }
        for key in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "CARGO_NET_OFFLINE"] {
            assert!(!is_left_by_cargo(key), "{key}");
        }
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(human(512), "512 B");
        assert_eq!(human(64 << 20), "64.0 MiB");
        assert_eq!(human(3 << 29), "1.5 GiB");
    }

    #[test]
    fn a_failing_command_says_what_it_was() {
        let error = read(Command::new("sh").args(["-c", "echo gone >&2; exit 3"])).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains("sh -c") && said.contains('3') && said.contains("gone"), "{said}");
    }
}
