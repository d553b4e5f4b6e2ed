//! git over the dumb protocol: a repository that is only files.

use std::fs;
use std::path::Path;

use edge_tests::{Content, MIB, Tool, need};
use tempfile::{TempDir, tempdir};

use super::{Mirror, run, tree};

/// A repository, published as files.
struct Source {
    git: Tool,
    work: TempDir,
}

impl Source {
    fn new(git: Tool) -> Source {
        let work = tempdir().expect("a directory");
        let source = Source { git, work };
        source.git(&["init", "-q", "-b", "main", "."]);
        source
    }

    fn git(&self, args: &[&str]) -> Vec<u8> {
        let who = ["-c", "user.name=n", "-c", "user.email=n@edge.test", "-c", "gc.auto=0"];
        run(&self.git, self.work.path(), &[&who[..], args].concat()).stdout
    }

    /// Commits a file of `bytes` bytes.
    fn commit(&self, name: &str, bytes: u64) {
        Content::new(bytes, bytes).write_to(&self.work.path().join(name));
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", name]);
    }

    /// Brings what is there to `bare`.
    fn publish(&self, bare: &Path) {
        let bare = bare.display().to_string();
        self.git(&["push", "-q", &bare, "main"]);
        self.git(&["--git-dir", &bare, "update-server-info"]);
    }

    fn head(&self) -> Vec<u8> {
        self.git(&["rev-parse", "HEAD"])
    }
}

#[test]
fn git_clones_and_pulls() {
    let Some(git) = need("git") else { return };
    let Some(mirror) = Mirror::start() else { return };
    let source = Source::new(git.clone());
    let bare = mirror.nginx.root().join("demo.git");
    source.git(&["init", "-q", "--bare", "-b", "main", &bare.display().to_string()]);
    for turn in 0..8 {
        source.commit(&format!("packed-{turn}"), 1 + turn * 90_000);
    }
    source.commit("large", 3 * MIB);
    source.publish(&bare);
    // Some of it in a pack, some of it an object a file.
    source.git(&["--git-dir", &bare.display().to_string(), "repack", "-q", "-a", "-d"]);
    for turn in 0..8 {
        source.commit(&format!("loose-{turn}"), 2 + turn * 10_000);
    }
    source.publish(&bare);

    let clones = tempdir().expect("a directory");
    mirror.thrice(|number, url| {
        let name = number.to_string();
        let url = format!("{url}/demo.git");
        run(&git, clones.path(), &["clone", "-q", "-b", "main", &url, &name]);
        let clone = clones.path().join(&name);
        run(&git, &clone, &["fsck", "--strict"]);
        fs::remove_file(clone.join(".git/config")).expect("it names the URL");
        let head = fs::read(clone.join(".git/refs/heads/main")).expect("a head");
        let mut files = tree(&clone);
        files.retain(|(path, _)| !path.starts_with(".git/"));
        (head, files)
    });

    // Objects never change; for the list of heads git asks past caches, so that a pull sees what is new.
    let clone = clones.path().join("after");
    let url = format!("http://{}/demo.git", mirror.node.addr());
    run(&git, clones.path(), &["clone", "-q", "-b", "main", &url, "after"]);
    source.commit("new", 5);
    source.publish(&bare);
    // As long as the old one and of the same second, it would have the old one's tag.
    let refs = fs::File::options().write(true).open(bare.join("info/refs")).expect("the heads");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    refs.set_modified(later).expect("a later time");
    run(&git, &clone, &["pull", "-q", "--ff-only"]);
    assert_eq!(run(&git, &clone, &["rev-parse", "HEAD"]).stdout, source.head());
}
