//! A BPF file system of a test's own.

use std::path::{Path, PathBuf};

use edge::config;
use edge::guard::{self, GuardError, GuardNote, Program};
use edge::sys::mount;
use tempfile::TempDir;

/// Mounted in a temporary folder, unmounted at the end; its pins go with it.
pub struct Bpffs {
    dir: TempDir,
}

impl Bpffs {
    /// `None`, with a line that says why, where the kernel program cannot be tested.
    pub fn mount() -> Option<Bpffs> {
        if !guard::is_built_in() {
            println!("SKIP: built without the kernel program: run `cargo xtask ebpf` first");
            return None;
        }
        let dir = TempDir::new().expect("a temporary folder");
        if let Err(error) = mount::mount_bpffs(dir.path()) {
            println!("SKIP: cannot mount a bpf file system ({error}): run as root");
            return None;
        }
        Some(Bpffs { dir })
    }

    pub fn pin_dir(&self) -> PathBuf {
        self.dir.path().join("edge")
    }

    /// A guard that pins here and is attached to nothing.
    pub fn config(&self) -> config::Guard {
        config::Guard {
            limits: Vec::new(),
            exempt_loopback: true,
            interfaces: Vec::new(),
            mode: config::GuardMode::Enforce,
            flows: 1024,
            clients: 1024,
            rules: rules(),
            allow: Vec::new(),
            deny: Vec::new(),
            pin_dir: self.pin_dir(),
        }
    }
}

/// Rules as a configuration without any has them.
pub fn rules() -> config::GuardRules {
    let text =
        "[[listen]]\naddr = \"0.0.0.0:80\"\n[[site]]\nhosts = \"*\"\norigin = \"file:///srv\"";
    config::Config::parse(text, "/etc/edge/edge.toml").expect("a configuration").guard.rules
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        if let Err(error) = mount::unmount(self.dir.path()) {
            eprintln!("left mounted: {}: {error}", self.dir.path().display());
        }
    }
}

/// Loads the program; `None`, with a line, where this user may not. A refusal by the verifier is a
/// failure.
pub fn load(config: &config::Guard) -> Option<(Program, Vec<GuardNote>)> {
    let mut notes = Vec::new();
    match Program::load(config, &mut notes) {
        Ok(program) => Some((program, notes)),
        Err(GuardError::NotPermitted { op }) => {
            println!("SKIP: {op}: not permitted: run as root");
            None
        }
        Err(error) => panic!("loading into {}: {error}", Path::display(&config.pin_dir)),
    }
}
