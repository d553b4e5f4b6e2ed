//! The stories under the guard: with `EDGE_TEST_GUARD=1`, in a network namespace of one's own, every node
//! has it on the loopback, enforcing its defaults, and no packet of any story may be dropped.
//!
//! ```text
//! unshare --net sh -c "ip link set lo up; EDGE_TEST_GUARD=1 cargo test -p edge-tests --test download \\
//!     -- --test-threads=1"
//! ```

use std::path::{Path, PathBuf};

use edge::guard::Maps;

/// Where BPF file systems are.
const PINS: &str = "/sys/fs/bpf";

/// The configuration of a node that lives in `dir`, with the guard on where that is wanted.
pub fn text(text: String, dir: &Path) -> String {
    let on = format!("interfaces = [\"lo\"]\npin_dir = \"{}\"", pins(dir).display());
    if is_wanted() { text.replace("interfaces = []", &on) } else { text }
}

/// Panics if the guard of the node in `dir` dropped anything, and takes its maps away.
pub fn check(dir: &Path) {
    if !is_wanted() || std::thread::panicking() {
        return;
    }
    let pins = pins(dir);
    let totals = Maps::open(&pins).and_then(|maps| maps.totals()).expect("the guard's totals");
    let judged: u64 = totals.iter().map(|row| row.packets).sum();
    let against: Vec<String> = totals
        .iter()
        .filter(|row| row.drops && row.packets > 0)
        .map(|row| format!("{} {}", row.packets, row.reason))
        .collect();
    println!("GUARD: {judged} packets, dropped: {against:?}");
    let _ = std::fs::remove_dir_all(&pins);
    assert!(judged > 0, "the guard saw nothing");
    assert!(against.is_empty(), "{against:?}");
}

fn is_wanted() -> bool {
    crate::env_number("EDGE_TEST_GUARD", 0) != 0
}

fn pins(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    Path::new(PINS).join(format!("edge-test-{}", name.trim_start_matches('.')))
}
