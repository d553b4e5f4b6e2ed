//! Content codings: made once, served like any object, and never mixed with the plain bytes.

use std::path::Path;

use edge_tests::process::eventually;
use edge_tests::{Client, Content, Node, NodeConfig, Response, need};
use tempfile::TempDir;

const TYPES: [&str; 6] = ["a.html", "a.css", "a.js", "a.json", "a.svg", "a.txt"];
const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];

/// Text that is worth coding, another for each seed.
fn text(seed: u64, len: usize) -> Vec<u8> {
    let words = ["alpha", "beta", "gamma", "delta", "epsilon", "<p>", "{ x: 1 }", "\n"];
    let noise = Content::new(seed, len as u64).all();
    let word = |byte: &u8| words[usize::from(*byte) % words.len()];
    let text: String = noise.iter().map(word).collect::<Vec<_>>().join(" ");
    text.into_bytes()[..len].to_vec()
}

fn tree() -> TempDir {
    let dir = tempfile::Builder::new().prefix("edge-code-").tempdir().expect("a directory");
    for (seed, name) in TYPES.iter().enumerate() {
        std::fs::write(dir.path().join(name), text(seed as u64, 70_000)).expect("a file");
    }
    std::fs::write(dir.path().join("large.txt"), text(50, 3 << 20)).expect("a file");
    std::fs::write(dir.path().join("tiny.txt"), text(51, 100)).expect("a file");
    std::fs::write(dir.path().join("noise.txt"), Content::new(52, 50_000).all()).expect("a file");
    std::fs::write(dir.path().join("a.png"), text(53, 50_000)).expect("a file");
    dir
}

fn of_directory(dir: &Path, lines: &[&str]) -> NodeConfig {
    NodeConfig::default().site("*", &format!("file://{}", dir.display()), lines)
}

/// A node before an origin that serves `dir` (a node, too).
fn chain(dir: &Path, lines: &[&str]) -> (Node, Node) {
    let origin = Node::start(of_directory(
        dir,
        &["[site.headers]\nset = { Cache-Control = \"max-age=3600\" }"],
    ));
    let node = Node::start(NodeConfig::default().site("*", &origin.url(""), lines));
    (origin, node)
}

fn get(node: &Node, target: &str, coding: &str, fields: &[(&str, &str)]) -> Response {
    let all = [&[("Accept-Encoding", coding)][..], fields].concat();
    node.connect().get_with(target, &all)
}

/// The answer to a client that takes `coding`, once it is coded.
#[track_caller]
fn coded(node: &Node, target: &str, coding: &str) -> Response {
    eventually(&format!("{target} in {coding}"), || {
        let response = get(node, target, coding, &[]).expect_status(200);
        let is_it = response.head.field("content-encoding") == Some(coding);
        assert!(is_it || response.head.field("content-encoding").is_none(), "{response:?}");
        is_it.then_some(response)
    })
}

/// What a program of the host makes of `bytes`; `None` without it.
fn decoded(coding: &str, bytes: &[u8], dir: &Path) -> Option<Vec<u8>> {
    let (tool, args) = match coding {
        "gzip" => ("gzip", ["-dc", "coded"]),
        "br" => ("brotli", ["-dc", "coded"]),
        _ => ("zstd", ["-dcq", "coded"]),
    };
    let tool = need(tool)?;
    std::fs::write(dir.join("coded"), bytes).expect("a file");
    Some(tool.expect(dir, &args))
}

#[test]
fn every_type_is_the_same_after_decoding() {
    let dir = tree();
    let scratch = tempfile::tempdir().expect("a directory");
    let (_origin, node) = chain(dir.path(), &["compress = true"]);
    for name in TYPES {
        let plain = std::fs::read(dir.path().join(name)).expect("a file");
        let target = format!("/{name}");
        let first = get(&node, &target, "br, zstd, gzip", &[]).expect_status(200);
        assert_eq!(first.body, plain, "who comes first is not kept waiting");
        assert_eq!(first.head.expect_field("vary"), "Accept-Encoding");
        for coding in CODINGS {
            let response = coded(&node, &target, coding);
            assert_eq!(response.head.expect_field("vary"), "Accept-Encoding");
            assert_eq!(response.head.content_length(), Some(response.body.len() as u64));
            assert!(response.body.len() * 2 < plain.len(), "{target} {coding}");
            assert_eq!(response.head.expect_field("cache-control"), "max-age=3600");
            if let Some(decoded) = decoded(coding, &response.body, scratch.path()) {
                assert!(decoded == plain, "{target} {coding} decodes to something else");
            }
        }
        // The node's order where the client has none; its weights where it has; plain for all others.
        for (accept, expected) in [
            ("gzip, br, zstd", Some("br")),
            ("gzip, br;q=0.5, zstd;q=0.7", Some("gzip")),
            ("identity", None),
            ("deflate", None),
            ("*;q=0", None),
            ("gzip;q=0", None),
        ] {
            let response = get(&node, &target, accept, &[]).expect_status(200);
            assert_eq!(response.head.field("content-encoding"), expected, "{accept}");
        }
    }
    assert_eq!(node.get("/a.css").body, std::fs::read(dir.path().join("a.css")).expect("a file"));
}

#[test]
fn what_is_not_worth_it_stays_plain() {
    let dir = tree();
    let node = Node::start(of_directory(dir.path(), &["compress = true"]));
    for (target, varies) in [("/tiny.txt", false), ("/a.png", false), ("/noise.txt", true)] {
        for _ in 0..3 {
            let response = get(&node, target, "gzip, br", &[]).expect_status(200);
            assert_eq!(response.head.field("content-encoding"), None, "{target}");
            assert_eq!(response.head.field("vary").is_some(), varies, "{target}");
        }
    }
    // Noise was tried, and is not tried for ever.
    eventually("noise to be tried", || (node.metric("edge_coded_total") == 1).then_some(()));
    coded(&node, "/a.css", "gzip");
    for _ in 0..5 {
        get(&node, "/noise.txt", "br", &[]);
    }
    assert!(node.metric("edge_coded_total") <= 3, "br of noise, gzip of a.css, and br of noise");
}

#[test]
fn tags_ranges_and_heads_of_both_representations() {
    let dir = tree();
    let (_origin, node) = chain(dir.path(), &["compress = true"]);
    let target = "/large.txt";
    let plain = std::fs::read(dir.path().join("large.txt")).expect("a file");
    let whole = coded(&node, target, "gzip");
    let plain_tag = node.get(target).head.expect_field("etag").to_owned();
    let tag = whole.head.expect_field("etag").to_owned();
    assert_ne!(tag, plain_tag, "RFC 9110 section 8.8.3.3");
    let mut client: Client = node.connect();
    let gzip = ("Accept-Encoding", "gzip");

    client.request("HEAD", target, &[gzip]);
    let head = client.response("HEAD").expect("an answer").expect_status(200).head;
    assert_eq!(head.content_length(), Some(whole.body.len() as u64));
    assert_eq!((head.expect_field("etag"), head.expect_field("content-encoding")), (&*tag, "gzip"));

    // Either tag is known, and the answer names the one that holds.
    for known in [&tag, &plain_tag] {
        let response =
            client.get_with(target, &[gzip, ("If-None-Match", known)]).expect_status(304);
        assert_eq!(response.head.expect_field("etag"), known);
        assert_eq!(response.head.expect_field("vary"), "Accept-Encoding");
    }
    client.get_with(target, &[("If-None-Match", &tag)]).expect_status(200);
    client.get_with(target, &[gzip, ("If-Match", &tag)]).expect_status(200);
    let matched = client.get_with(target, &[gzip, ("If-Match", &plain_tag)]).expect_status(200);
    assert_eq!(matched.head.field("content-encoding"), None);
    client.get_with(target, &[gzip, ("If-Match", "\"other\"")]).expect_status(412);

    // A range is of the plain bytes, unless it is of the coded representation by name.
    let range = ("Range", "bytes=1000-2999");
    let part = client.get_with(target, &[gzip, range]).expect_status(206);
    assert_eq!(
        (part.body.as_slice(), part.head.field("content-encoding")),
        (&plain[1000..3000], None)
    );
    let part = client.get_with(target, &[gzip, range, ("If-Range", &plain_tag)]).expect_status(206);
    assert_eq!(part.body, &plain[1000..3000]);
    let part = client.get_with(target, &[gzip, range, ("If-Range", &tag)]).expect_status(206);
    assert_eq!(part.body, &whole.body[1000..3000]);
    assert_eq!(part.head.expect_field("content-encoding"), "gzip");
    assert_eq!(part.head.content_range(), (1000, 3000, whole.body.len() as u64));
    let several = [gzip, ("Range", "bytes=0-9,100-109"), ("If-Range", &tag)];
    let parts = client.get_with(target, &several).expect_status(206);
    let holds = |bytes: &[u8]| parts.body.windows(bytes.len()).any(|part| part == bytes);
    assert!(holds(&whole.body[..10]) && holds(&whole.body[100..110]), "parts of the coded bytes");
}

#[test]
fn they_go_with_what_they_were_made_of_and_survive_a_restart() {
    let dir = tree();
    let (origin, mut node) = chain(dir.path(), &["compress = true"]);
    let target = "/large.txt";
    let before = coded(&node, target, "br");
    assert!(before.body.len() > 64 << 10, "it lies in slices");
    let asked = node.metric("edge_origin_requests_total");

    node.sigterm();
    assert!(node.wait().success(), "an orderly end");
    node.start_again();
    let again = coded(&node, target, "br");
    assert_eq!(again.body, before.body);
    assert_eq!(node.metric("edge_coded_total"), 0, "found on the volume, not made again");
    assert_eq!(node.metric("edge_origin_requests_total"), 0, "{asked} before");

    std::fs::write(dir.path().join("large.txt"), text(99, 2 << 20)).expect("a file");
    eventually("the origin to see the new file", || {
        (origin.get(target).head.content_length() == Some(2 << 20)).then_some(())
    });
    node.edge(&["purge", &node.url(target)]);
    let first = get(&node, target, "br", &[]).expect_status(200);
    assert_eq!(first.body, text(99, 2 << 20), "nothing of the old version");
    let new = coded(&node, target, "br");
    assert_ne!(new.head.expect_field("etag"), before.head.expect_field("etag"));
    let scratch = tempfile::tempdir().expect("a directory");
    if let Some(decoded) = decoded("br", &new.body, scratch.path()) {
        assert!(decoded == text(99, 2 << 20), "the new version, coded");
    }
}

#[test]
fn coded_files_beside_the_plain_ones_are_sent_at_once() {
    let dir = tree();
    std::fs::write(dir.path().join("a.css.br"), b"made by the site's owner").expect("a file");
    std::fs::write(dir.path().join("a.png.gz"), b"also of what the node would not code")
        .expect("a file");
    let node = Node::start(of_directory(dir.path(), &["[site.compress]\nprecompressed = true"]));
    let first = get(&node, "/a.css", "br", &[]).expect_status(200);
    assert_eq!(first.body, b"made by the site's owner");
    assert_eq!(first.head.expect_field("content-type"), "text/css; charset=utf-8");
    assert_eq!(get(&node, "/a.png", "gzip", &[]).body, b"also of what the node would not code");
    assert_eq!(node.get("/a.png").body, text(53, 50_000));
    // The owner changes the file, and forgets the one beside it.
    let newer = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let file = std::fs::File::options().write(true).open(dir.path().join("a.css")).expect("a file");
    file.set_modified(newer).expect("a date");
    eventually("the stale file beside it to be left alone", || {
        let response = get(&node, "/a.css", "br", &[]).expect_status(200);
        (response.body != b"made by the site's owner").then_some(())
    });
}

#[test]
fn curl_decodes_what_it_asked_for() {
    let Some(curl) = need("curl") else { return };
    let dir = tree();
    let (_origin, node) = chain(dir.path(), &["compress = true"]);
    coded(&node, "/a.html", "gzip");
    let plain = std::fs::read(dir.path().join("a.html")).expect("a file");
    let args = [
        "-sS",
        "--compressed",
        "-H",
        "Accept-Encoding: gzip",
        "-H",
        "Host: edge.test",
        "-w",
        "%{size_download}",
        "-o",
        "got",
    ];
    let url = node.url("/a.html");
    let said = curl.expect(node.dir(), &[&args[..], &[&url]].concat());
    let size: usize = String::from_utf8_lossy(&said).trim().parse().expect("a number");
    assert_eq!(std::fs::read(node.dir().join("got")).expect("a file"), plain);
    assert!(size * 2 < plain.len(), "{size} bytes came for {}", plain.len());
}
