//! A directory as the origin: straight from its files, and nothing outside of it.

use std::os::unix::fs::symlink;
use std::path::Path;

use edge_tests::process::eventually;
use edge_tests::{Content, Follower, MIB, Node, NodeConfig, names};
use tempfile::TempDir;

const BODY: Content = Content::new(20, 5 * MIB + 3);
const SECRET: &str = "root:x:0:0 the secret outside";

/// `served/` with some files, and a secret beside it.
fn tree() -> TempDir {
    let dir = tempfile::Builder::new().prefix("edge-tree-").tempdir().expect("a directory");
    let root = dir.path().join("served");
    std::fs::create_dir_all(root.join("sub/deep")).expect("a directory");
    std::fs::write(dir.path().join("secret"), SECRET).expect("a file");
    BODY.write_to(&root.join("a.bin"));
    std::fs::write(root.join("index.html"), "<p>top").expect("a file");
    std::fs::write(root.join("sub/index.html"), "<p>sub").expect("a file");
    std::fs::write(root.join("empty"), "").expect("a file");
    std::fs::write(root.join("with space & ü.txt"), "odd").expect("a file");
    dir
}

fn node_for(dir: &TempDir) -> Node {
    let origin = format!("file://{}/served", dir.path().display());
    Node::start(NodeConfig::default().site("*", &origin, &["index = \"index.html\""]))
}

#[test]
fn files_and_ranges_are_equal_and_no_origin_is_asked() {
    let dir = tree();
    let node = node_for(&dir);
    let mut client = node.connect();
    for _ in 0..2 {
        let whole = client.get("/a.bin").expect_status(200);
        BODY.expect(0..BODY.len, &whole.body);
        assert_eq!(whole.head.content_length(), Some(BODY.len));
    }
    let part = client.get_with("/a.bin", &[("Range", "bytes=1000-1999999")]).expect_status(206);
    BODY.expect(1000..2_000_000, &part.body);
    let suffix = client.get_with("/a.bin", &[("Range", "bytes=-7")]).expect_status(206);
    BODY.expect(BODY.len - 7..BODY.len, &suffix.body);
    let past = format!("bytes={}-", BODY.len);
    client.get_with("/a.bin", &[("Range", &past)]).expect_status(416);

    let odd = client.get("/with%20space%20&%20%C3%BC.txt").expect_status(200);
    assert_eq!(odd.body, b"odd");
    let empty = client.get("/empty").expect_status(200);
    assert_eq!((empty.head.content_length(), empty.body.len()), (Some(0), 0));
    assert_eq!(client.get("/a.bin?query=ignored").expect_status(200).body.len() as u64, BODY.len);

    let metrics = node.metrics();
    assert_eq!(metrics.sum(names::ORIGIN_REQUESTS, &[]), 0, "a directory is no HTTP origin");
    assert_eq!(metrics.sum(names::ORIGIN_BYTES, &[]), 0, "a directory is no HTTP origin");
}

#[test]
fn index_types_and_conditions() {
    let dir = tree();
    let node = node_for(&dir);
    let mut client = node.connect();
    let top = client.get("/").expect_status(200);
    assert_eq!(top.body, b"<p>top");
    assert!(top.head.expect_field("content-type").starts_with("text/html"), "{:?}", top.head);
    assert_eq!(client.get("/sub/").expect_status(200).body, b"<p>sub");
    let etag = top.head.expect_field("etag").to_owned();
    assert!(etag.starts_with('"'), "a strong ETag, not {etag}");
    client.get_with("/", &[("If-None-Match", &etag)]).expect_status(304);
    let date = top.head.expect_field("last-modified").to_owned();
    client.get_with("/", &[("If-Modified-Since", &date)]).expect_status(304);
    client.request("HEAD", "/a.bin", &[]);
    let head = client.response("HEAD").expect("an answer").expect_status(200).head;
    assert_eq!(head.content_length(), Some(BODY.len));
}

#[test]
fn what_is_no_file_is_not_served() {
    let dir = tree();
    let root = dir.path().join("served");
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), rustix::fs::Mode::from(0o644))
        .expect("a FIFO");
    let node = node_for(&dir);
    let mut client = node.connect();
    for target in ["/nowhere", "/a.bin/", "/a.bin/x", "/sub/deep/", "/sub/nowhere/x"] {
        let status = client.get(target).head.status;
        assert_eq!(status, 404, "{target}");
    }
    // A directory without its slash may be found elsewhere, or not.
    let status = client.get("/sub").head.status;
    assert!([301, 308, 404].contains(&status), "/sub: {status}");
    // Nobody writes to the FIFO: to open it must not wait.
    let status = client.get("/fifo").head.status;
    assert!([403, 404].contains(&status), "/fifo: {status}");
    client.get("/index.html").expect_status(200);
}

#[test]
fn nothing_outside_the_directory_is_served() {
    let dir = tree();
    let root = dir.path().join("served");
    let secret = dir.path().join("secret");
    symlink(&secret, root.join("absolute")).expect("a link");
    symlink("../secret", root.join("relative")).expect("a link");
    symlink("..", root.join("up")).expect("a link");
    symlink("/", root.join("sub/root")).expect("a link");
    symlink("/proc/self/root", root.join("magic")).expect("a link");
    let node = node_for(&dir);
    let inside_root = format!("/sub/root{}", secret.display());
    let inside_magic = format!("/magic{}", secret.display());
    let targets = [
        "/../secret",
        "/%2e%2e/secret",
        "/.%2E/secret",
        "/sub/../../secret",
        "/sub/%2e%2e/%2e%2e/secret",
        "/..%2fsecret",
        "/sub/..%2f..%2fsecret",
        "/..%5csecret",
        "/%252e%252e/secret",
        "/%00/../secret",
        "/secret%00.bin",
        "//../secret",
        "/./../secret",
        "/absolute",
        "/relative",
        "/up/secret",
        inside_root.as_str(),
        inside_magic.as_str(),
    ];
    for target in targets {
        // One connection each: some of these may be refused with a close.
        let response = node.get(target);
        let status = response.head.status;
        assert!([400, 403, 404].contains(&status), "{target}: {status}");
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert!(!body.contains("the secret outside"), "{target} leaks: {body:?}");
    }
    node.get("/index.html").expect_status(200);
}

#[test]
fn a_file_replaced_while_it_is_sent_is_sent_as_it_was() {
    let dir = tree();
    let root = dir.path().join("served");
    let (old, new) = (Content::new(21, 32 * MIB), Content::new(22, 32 * MIB));
    old.write_to(&root.join("big.bin"));
    let node = node_for(&dir);
    let mut slow = node.connect();
    let head = slow.start("/big.bin");
    let mut follower = Follower::new(old, 0);
    follower.feed(&slow.take(MIB));

    replace(&root, new);
    let etag = head.expect_field("etag").to_owned();
    let fresh = eventually("the new file being served under a new ETag", || {
        let response = node.get("/big.bin").expect_status(200);
        (response.head.expect_field("etag") != etag).then_some(response)
    });
    new.expect(0..new.len, &fresh.body);
    follower.feed(&slow.take(31 * MIB));
    assert_eq!(follower.offset(), old.len, "the running download keeps the old file");

    let resumed = [("Range", "bytes=1048576-"), ("If-Range", etag.as_str())];
    let response = node.connect().get_with("/big.bin", &resumed).expect_status(200);
    new.expect(0..new.len, &response.body);
}

/// Replaces `big.bin` the way package mirrors do: written beside, then renamed.
fn replace(root: &Path, content: Content) {
    content.write_to(&root.join(".big.bin.new"));
    std::fs::rename(root.join(".big.bin.new"), root.join("big.bin")).expect("renamed");
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_cut_not_padded() {
    let dir = tree();
    let path = dir.path().join("served/big.bin");
    let content = Content::new(23, 64 * MIB);
    content.write_to(&path);
    let node = node_for(&dir);
    let mut client = node.connect();
    let head = client.start("/big.bin");
    let mut follower = Follower::new(content, 0);
    follower.feed(&client.take(MIB));
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
    file.set_len(2 * MIB).expect("truncated");
    // The head is gone with the full length: what is missing cannot be made up.
    let rest = client.body(&head, "GET", &mut |piece| follower.feed(piece));
    rest.expect_err("the file has no such bytes any more");
    assert!(follower.offset() < content.len);
    node.get("/index.html").expect_status(200);
}
