//! Brings the kernel program into the build: `$EDGE_BPF_OBJECT`, else what `cargo xtask ebpf` made,
//! else an empty file, which the guard reports.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=EDGE_BPF_OBJECT");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let object = find().unwrap_or_default();
    fs::write(out.join("edge.bpf.o"), object).expect("OUT_DIR can be written");
}

fn find() -> Option<Vec<u8>> {
    if let Some(path) = env::var_os("EDGE_BPF_OBJECT") {
        let path = PathBuf::from(path);
        println!("cargo::rerun-if-changed={}", path.display());
        return match fs::read(&path) {
            Ok(object) => Some(object),
            Err(error) => panic!("EDGE_BPF_OBJECT={}: {error}", path.display()),
        };
    }
    let dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join("../target/bpf");
    watch(&dir);
    fs::read(dir.join("edge.bpf.o")).ok()
}

/// Has cargo run this again when the object appears or changes. A path that does not exist would
/// have it run, and the crate built, every time: so the folder is made, older than this run.
fn watch(dir: &Path) {
    if !dir.exists() {
        let made = fs::create_dir_all(dir)
            .and_then(|()| fs::File::open(dir))
            .and_then(|folder| folder.set_modified(SystemTime::UNIX_EPOCH));
        if made.is_err() {
            return;
        }
    }
    println!("cargo::rerun-if-changed={}", dir.display());
}
