//! zsync, which fetches what an older file lacks, in requests for several ranges.

use std::fs;

use edge_tests::{Content, MIB, eventually, need};
use serde_json::Value;
use tempfile::tempdir;

use super::{Mirror, run, tree};

#[test]
fn zsync_brings_an_old_file_up_to_date() {
    let (Some(zsync), Some(make)) = (need("zsync"), need("zsyncmake")) else { return };
    let Some(mirror) = Mirror::start() else { return };
    let root = mirror.nginx.root();
    let content = Content::new(11, 12 * MIB);
    content.write_to(&root.join("image.iso"));
    run(&make, &root, &["-u", "image.iso", "-o", "image.iso.zsync", "image.iso"]);
    // The older one: pieces differ, in many places, and one is missing.
    let mut old = fs::read(root.join("image.iso")).expect("it was made");
    for at in (0..old.len()).step_by(1_300_000) {
        old[at] ^= 1;
    }
    old.drain(5_000_000..5_100_000);

    mirror.thrice(|_, url| {
        let dir = tempdir().expect("a directory");
        fs::write(dir.path().join("old.iso"), &old).expect("write");
        let url = format!("{url}/image.iso.zsync");
        run(&zsync, dir.path(), &["-q", "-i", "old.iso", "-o", "new.iso", &url]);
        fs::remove_file(dir.path().join("old.iso")).expect("it is there");
        let files = tree(dir.path());
        assert_eq!(files, [("new.iso".to_owned(), content.sha256())]);
        files
    });
    eventually("an answer of several parts in the access log", || {
        let has_parts = |line: &Value| line["status"] == 206;
        mirror.node.access_log().iter().any(has_parts).then_some(())
    });
}
