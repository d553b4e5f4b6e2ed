//! Programs that people really download with, through the node, cold and warm, beside the same
//! program without the node: what they end up with is the same.

use std::path::Path;
use std::process::{Command, Output};

use edge_tests::{Nginx, Node, NodeConfig, Tool};

mod apt;
mod git;
mod media;
mod pip;
mod zsync;

/// nginx as the origin, and a node in front of it.
struct Mirror {
    nginx: Nginx,
    node: Node,
}

impl Mirror {
    fn start() -> Option<Mirror> {
        let nginx = Nginx::start()?;
        let node = Node::start(NodeConfig::of(&nginx.url()));
        Some(Mirror { nginx, node })
    }

    /// Runs `client` straight from the origin, then cold and warm through the node, and expects what
    /// it makes of it to be the same thrice. `client` gets a number of its own and the URL of the root.
    /// Warm, the origin sends no body; clients may well have it asked whether something is new.
    #[track_caller]
    fn thrice<T: PartialEq + std::fmt::Debug>(&self, client: impl Fn(u32, &str) -> T) {
        let direct = client(0, &self.nginx.url());
        let node = format!("http://{}", self.node.addr());
        assert_eq!(client(1, &node), direct, "cold");
        let (misses, sent) = (self.node.outcomes("miss"), self.nginx.sent());
        assert!(misses > 0, "the node was asked for nothing");
        assert_eq!(client(2, &node), direct, "warm");
        assert!(self.node.outcomes("hit") > 0, "warm, nothing was a hit");
        let again: Vec<String> = self.nginx.sent().split_off(sent.len());
        assert!(again.is_empty(), "warm, the origin sent {again:?}");
    }
}

/// Runs a client in `dir`, which is also its home, with nothing of this host's settings.
#[track_caller]
fn run(tool: &Tool, dir: &Path, args: &[&str]) -> Output {
    let output = Command::new(tool.path())
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|e| panic!("run {:?}: {e}", tool.path()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{tool:?} {args:?}: {}\n{out}\n{err}", output.status);
    output
}

/// Every file beneath `dir`: its path there, and its SHA-256.
fn tree(dir: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|e| panic!("{next:?}: {e}")) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).expect("beneath it").display().to_string();
            let hash = edge_tests::sha256_file(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            files.push((name, hash));
        }
    }
    files.sort();
    files
}
