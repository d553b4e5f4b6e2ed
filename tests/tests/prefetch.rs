//! `edge prefetch`: objects are there before anybody asks for them.

use edge_tests::node::run_edge;
use edge_tests::{Content, MIB, Node, NodeConfig, Origin, Page};
use serde_json::Value;

const BODY: Content = Content::new(90, 5 * MIB + 7);
const OTHER: Content = Content::new(91, 100_000);

#[test]
fn what_was_prefetched_costs_the_origin_nothing_more() {
    let origin = Origin::with("/a", Page::of(BODY));
    origin.put("/b?c=d", Page::of(OTHER));
    let config = NodeConfig::default()
        .site("one.example", &origin.url(), &["finish = \"never\""])
        .site("*.two.example", &origin.url(), &[]);
    let node = Node::start(config);
    let admin = node.admin_addr().to_string();
    // A part of it is there already.
    let mut client = node.connect().with_host("one.example");
    client.get_with("/a", &[("Range", "bytes=1000000-1000999")]).expect_status(206);
    let before = origin.body_bytes();

    let list = node.dir().join("list");
    std::fs::write(&list, "# more\n\nhttp://x.two.example/b?c=d\n").expect("a list");
    let list = list.to_string_lossy();
    let url = "http://one.example/a";
    let args = ["prefetch", url, "--file", &list, "--admin", &admin, "--json"];
    let output = run_edge(node.dir(), &args);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&said["done"], &said["failed"], &said["ended"]),
        (&2.into(), &0.into(), &true.into())
    );
    assert_eq!(said["bytes"], BODY.len + OTHER.len);
    assert!(before < BODY.len && origin.counts("/a").body_bytes == BODY.len, "no byte twice");

    let requests = origin.requests();
    BODY.expect(0..BODY.len, &client.get("/a").expect_status(200).body);
    let mut client = node.connect().with_host("x.two.example");
    OTHER.expect(0..OTHER.len, &client.get("/b?c=d").expect_status(200).body);
    assert_eq!(origin.requests(), requests, "all of it was there");
}

#[test]
fn what_could_not_be_had_is_said() {
    let origin = Origin::with("/a", Page::of(OTHER));
    let node = Node::start(NodeConfig::default().site("one.example", &origin.url(), &[]));
    let admin = node.admin_addr().to_string();
    let urls = ["http://one.example/a", "http://one.example/nowhere", "http://else.example/a"];
    let args = [&["prefetch", "--admin", &admin][..], &urls].concat();
    let output = run_edge(node.dir(), &args);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("prefetched: 1 of 3 URLs"), "{said}");
    assert!(said.contains("failed: http://one.example/nowhere: refused, status 404"), "{said}");
    assert!(said.contains("failed: http://else.example/a: refused, status 421"), "{said}");
    let wrong = run_edge(node.dir(), &["prefetch", "/a", "--admin", &admin]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("write it as"), "{said}");
    assert_eq!(node.admin("/prefetch/99").head.status, 404);
}
