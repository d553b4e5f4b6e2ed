//! Directories that are shown, and pages in the place of errors.

use std::os::unix::fs::symlink;

use edge_tests::process::eventually;
use edge_tests::{Content, Node, NodeConfig, Origin, Page};
use serde_json::Value;
use tempfile::TempDir;

fn tree() -> TempDir {
    let dir = tempfile::Builder::new().prefix("edge-list-").tempdir().expect("a directory");
    let root = dir.path().join("root");
    for sub in ["pub/b-dir", "pub/a-dir", "indexed"] {
        std::fs::create_dir_all(root.join(sub)).expect("a directory");
    }
    std::fs::write(dir.path().join("secret"), "the secret outside").expect("a file");
    for (name, text) in [
        ("pub/z.iso", "zzz"),
        ("pub/<b>&\".txt", "odd"),
        ("pub/.hidden", "no"),
        ("indexed/index.html", "<p>index"),
    ] {
        std::fs::write(root.join(name), text).expect("a file");
    }
    symlink("../../secret", root.join("pub/out")).expect("a link");
    symlink("z.iso", root.join("pub/latest.iso")).expect("a link");
    dir
}

#[test]
fn directories_are_shown_to_people_and_programs() {
    let dir = tree();
    let url = format!("file://{}/root", dir.path().display());
    let mut node = Node::start(NodeConfig::default().site("*", &url, &["listing = true"]));
    let mut client = node.connect();
    let page = client.get("/pub/").expect_status(200);
    assert_eq!(page.head.expect_field("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.head.expect_field("vary"), "Accept");
    let text = String::from_utf8(page.body.clone()).expect("UTF-8");
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
    assert!(at("\"../\"") < at(">a-dir/<") && at(">a-dir/<") < at(">b-dir/<"), "{text}");
    assert!(at(">b-dir/<") < at("&lt;b&gt;&amp;&quot;.txt") && at(">latest.iso<") < at(">z.iso<"));
    assert!(text.contains("href=\"./%3Cb%3E%26%22.txt\""), "{text}");
    for hidden in ["secret", ".hidden", ">out<", "<b>"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    let etag = page.head.expect_field("etag").to_owned();
    client.get_with("/pub/", &[("If-None-Match", &etag)]).expect_status(304);
    let part = client.get_with("/pub/", &[("Range", "bytes=0-14")]).expect_status(206);
    assert_eq!(part.body, page.body[..15]);
    client.request("HEAD", "/pub/", &[]);
    let head = client.response("HEAD").expect("an answer").expect_status(200).head;
    assert_eq!(head.content_length(), Some(page.body.len() as u64));

    let json = [("Accept", "application/json")];
    for (target, fields) in [("/pub/?json", &[][..]), ("/pub/", &json), ("/pub/?format=json", &[])]
    {
        let listed = client.get_with(target, fields).expect_status(200);
        assert_eq!(listed.head.expect_field("content-type"), "application/json");
        let rows: Value = serde_json::from_slice(&listed.body).expect("JSON");
        let names: Vec<&str> = rows
            .as_array()
            .expect("an array")
            .iter()
            .map(|row| row["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["a-dir", "b-dir", "<b>&\".txt", "latest.iso", "z.iso"]);
        assert_eq!((&rows[0]["type"], &rows[4]["size"]), (&"directory".into(), &3.into()));
    }
    // Each asks for its own form, also now that both are remembered.
    assert_eq!(client.get("/pub/").expect_status(200).body, page.body);

    assert_eq!(client.get("/indexed/").expect_status(200).body, b"<p>index");
    assert_eq!(
        client.get("/pub?x=1").expect_status(301).head.expect_field("location"),
        "/pub/?x=1"
    );
    client.get("/pub/z.iso/").expect_status(404);
    client.get("/pub/out").expect_status(403);
    client.get("/nowhere/").expect_status(404);
    let root = String::from_utf8(client.get("/").expect_status(200).body).expect("UTF-8");
    assert!(!root.contains("\"../\"") && root.contains("./pub/"), "{root}");

    std::fs::write(dir.path().join("root/pub/new"), "").expect("a file");
    eventually("a new file to be shown", || {
        let page = node.get("/pub/").expect_status(200);
        String::from_utf8_lossy(&page.body).contains(">new<").then_some(())
    });
    assert!(node.edge(&["explain", "http://a/pub/"]).contains("listing"), "says that it is shown");
    node.reconfigure(|_| NodeConfig::default().site("*", &url, &[]));
    node.sighup();
    eventually("a reload to end it", || (node.get("/pub/").head.status == 404).then_some(()));
}

#[test]
fn errors_are_shown_with_the_operators_pages() {
    let origin = Origin::start();
    let fields = vec!["X-Kept: 1".into(), "Content-Language: de".into()];
    origin.put("/gone", Page { status: 410, fields, ..Page::of(Content::new(1, 99_000)) });
    origin.put("/api", Page { status: 404, ..Page::of(Content::new(2, 10)) });
    origin.put("/fine", Page::of(Content::new(3, 10)));
    let mut node = Node::start(NodeConfig::of(&origin.url()));
    std::fs::write(node.dir().join("4xx.html"), "<p>not here").expect("a page");
    std::fs::write(node.dir().join("502.json"), "{\"error\":502}").expect("a page");
    let pages = "error_pages = { 4xx = \"4xx.html\", 502 = \"502.json\" }";
    let config = NodeConfig::default().site("a.test", &origin.url(), &[pages]).site(
        "b.test",
        "http://127.0.0.1:1",
        &[pages, "retries = 0"],
    );
    node.reconfigure(|_| config.clone());
    node.sighup();
    let get = |host: &str, target: &str| node.connect().with_host(host).get(target);
    let shown = eventually("the pages to be read", || {
        let response = get("a.test", "/gone");
        (response.body == b"<p>not here").then_some(response)
    });
    for response in [shown, get("a.test", "/gone")] {
        let response = response.expect_status(410);
        assert_eq!(response.body, b"<p>not here");
        let head = &response.head;
        assert_eq!(head.expect_field("content-type"), "text/html; charset=utf-8");
        assert_eq!((head.field("etag"), head.field("content-language")), (None, None), "{head:?}");
        assert_eq!(head.expect_field("x-kept"), "1");
    }
    let down = get("b.test", "/x").expect_status(502);
    assert_eq!(
        (&down.body[..], down.head.expect_field("content-type")),
        (&b"{\"error\":502}"[..], "application/json")
    );
    let mut client = node.connect().with_host("a.test");
    client.request("HEAD", "/nowhere", &[]);
    let head = client.response("HEAD").expect("an answer").expect_status(404).head;
    assert_eq!(head.content_length(), Some(11));
    // What is no GET is a program's.
    client.request("POST", "/api", &[]);
    let posted = client.response("POST").expect("an answer").expect_status(404);
    assert_eq!(posted.body, Content::new(2, 10).all());
    assert_eq!(client.get("/fine").expect_status(200).body.len(), 10);
    // A page that is gone keeps the configuration that was.
    std::fs::remove_file(node.dir().join("502.json")).expect("it was there");
    node.sighup();
    eventually("the log to name it", || {
        (node.log_count("502.json cannot be read") > 0).then_some(())
    });
    assert_eq!(get("b.test", "/x").body, b"{\"error\":502}");
}
