//! What the node says of itself (RFC 9211, RFC 9110 §7.6.3).

use edge_tests::{Content, Node, NodeConfig, Origin, Page};

use super::stage::Stage;

#[test]
fn every_answer_says_how_it_was_come_by() {
    let stage = Stage::with(&["x_cache = true"]);
    let stale = "200|Cache-Control: max-age=60|Age: 70|ETag: \"a\"";
    let target = stage.target(&[stale, "304|Cache-Control: max-age=60", "cut"]);
    let private = stage.target(&["200|Cache-Control: no-store"]);
    let changing = stage.target(&[stale, "200|Cache-Control: max-age=60|ETag: \"b\""]);
    let rows = [
        (&target, "fwd=uri-miss", "MISS TCP_MISS"),
        (&target, "fwd=stale; fwd-status=304", "HIT TCP_REFRESH_HIT"),
        (&target, "hit", "HIT TCP_MEM_HIT"),
        (&private, "fwd=uri-miss", "MISS TCP_MISS"),
        (&changing, "fwd=uri-miss", "MISS TCP_MISS"),
        (&changing, "fwd=stale; stored", "MISS TCP_REFRESH_MISS"),
    ];
    for (target, status, x_cache) in rows {
        let head = stage.get(target, "").head;
        let found = head.expect_field("cache-status");
        assert!(found.starts_with("edge; ") && found.contains(status), "{found} {status}");
        assert_eq!(head.expect_field("x-cache"), x_cache);
        assert_eq!(head.expect_field("via"), "1.1 edge");
        // RFC 9211 §2.2, §2.5: either a hit or forwarded; what was stored has a lifetime left.
        assert!(found.contains("; hit") != found.contains("; fwd="), "{found}");
        assert_eq!(found.contains("ttl="), target != &private, "{found}");
    }
    assert_eq!(stage.asked(&target)[0].field("via"), Some("1.1 edge"));
}

#[test]
fn bodies_in_memory_are_told_from_those_on_disk() {
    let origin = Origin::start();
    for (target, len) in [("/small", 1_000), ("/large", 1_000_000)] {
        origin.put(target, Page::of(Content::new(len, len)));
    }
    let config = NodeConfig::default();
    let node = Node::start(config.site("*", &origin.url(), &["x_cache = true"]));
    for (target, x_cache) in [("/small", "HIT TCP_MEM_HIT"), ("/large", "HIT TCP_HIT")] {
        assert_eq!(node.get(target).head.expect_field("x-cache"), "MISS TCP_MISS");
        assert_eq!(node.get(target).head.expect_field("x-cache"), x_cache);
    }
}

#[test]
fn why_the_origin_was_asked_is_told() {
    let stage = Stage::with(&["bypass_cookies = [\"session\"]"]);
    let fresh = "200|Cache-Control: max-age=60|Vary: Foo";
    let target = stage.target(&[fresh]);
    let stale = stage.target(&["200|Cache-Control: max-age=60|Age: 70|ETag: \"a\"", "cut"]);
    let parted = stage.target(&["200|Cache-Control: no-store"]);
    let rows = [
        // RFC 9211 §2.2
        ("GET", &target, "Foo: 1", "fwd=uri-miss; stored"),
        ("GET", &target, "Foo: 1", "hit; ttl="),
        ("GET", &target, "Foo: 2", "fwd=vary-miss; stored"),
        ("GET", &target, "Foo: 1|Cache-Control: no-cache", "fwd=request; stored"),
        ("GET", &target, "Foo: 1|Cookie: session=1", "fwd=bypass"),
        ("POST", &target, "Content-Length: 0", "fwd=method"),
        ("GET", &stale, "", "fwd=uri-miss; stored; ttl=-1"),
        // §2.5: what is stale has less than nothing left.
        ("GET", &stale, "", "hit; ttl=-1"),
        ("GET", &parted, "", "fwd=uri-miss"),
    ];
    for (method, target, fields, expected) in rows {
        let head = stage.ask(method, target, fields).head;
        let found = head.expect_field("cache-status");
        let rest = found.strip_prefix("edge; ").unwrap_or_else(|| panic!("{found}"));
        assert!(rest.starts_with(expected), "{method} {fields}: {found}");
        assert_eq!(rest.contains("stored"), expected.contains("stored"), "{found}");
    }
    // §2: not on what the node says by itself.
    let own = stage.get(&stage.target(&["cut"]), "Cache-Control: only-if-cached");
    assert_eq!((own.head.status, own.head.field("cache-status")), (504, None));
}

#[test]
fn what_others_said_stays_in_front() {
    let stage = Stage::start();
    let target =
        stage.target(&["200|Cache-Control: max-age=60|Via: 1.1 other|Cache-Status: other; hit"]);
    for _ in 0..2 {
        let head = stage.get(&target, "").head;
        let all = |name: &str| -> Vec<String> {
            let fields = head.fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            fields.map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(all("via"), ["1.1 other", "1.1 edge"]);
        let status = all("cache-status");
        assert!(status[0] == "other; hit" && status[1].starts_with("edge; "), "{status:?}");
        assert_eq!(head.field("x-cache"), None);
    }
}

#[test]
fn interim_answers_go_on_and_are_not_stored() {
    let stage = Stage::start();
    let hints = "103|Link: </a.css>; rel=preload|X-Hint: 1";
    let target = stage.target(&[&format!("102||{hints}||200|Cache-Control: max-age=60")]);
    let mut client = stage.node.connect();
    client.request("GET", &target, &[]);
    // RFC 9110 §15.2, RFC 8297 §2
    assert_eq!(client.head().expect("an interim answer").status, 102);
    let early = client.head().expect("another");
    assert_eq!((early.status, early.field("x-hint")), (103, Some("1")));
    assert_eq!(early.field("link"), Some("</a.css>; rel=preload"));
    for _ in 0..2 {
        let last = client.response("GET").expect("the answer").expect_status(200);
        assert_eq!((&last.body[..], last.head.field("x-hint")), (&b"answer 1"[..], None));
        // RFC 9111 §3: only final answers are stored.
        client.request("GET", &target, &[]);
    }
    // HTTP/1.0 knows none.
    let old = stage.target(&[&format!("{hints}||200|Cache-Control: max-age=60")]);
    let mut client = stage.node.connect();
    client.send(format!("GET {old} HTTP/1.0\r\nHost: edge.test\r\n\r\n"));
    assert_eq!(client.head().expect("the answer").status, 200);
    assert_eq!(stage.asked(&target).len(), 1);
}
