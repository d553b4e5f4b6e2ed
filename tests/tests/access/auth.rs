//! A service of the site's own that is asked who comes in.

use edge_tests::{Content, Node, NodeConfig, Origin, Page, RawOrigin, Response};

const BODY: Content = Content::new(83, 3000);

/// A service that answers as the question's target says: `status=N`, or nothing at all for `mute`.
fn service() -> RawOrigin {
    RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            if asked.target().contains("mute") {
                call.rest()?;
            }
            let status = asked.target().split("status=").nth(1).map_or("200", |text| &text[..3]);
            call.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno"))?;
        }
        Ok(())
    })
}

/// A node whose site asks `service`, with further keys of `[site.auth]`.
fn node(origin: &Origin, service: &str, keys: &str) -> Node {
    let auth = format!("[site.auth]\naddress = \"{service}\"\ntimeout = \"300ms\"\n{keys}");
    Node::start(NodeConfig::default().site("*", &origin.url(), &[&auth]))
}

fn origin() -> Origin {
    let origin = Origin::start();
    for target in ["/a", "/a?status=200", "/a?status=204", "/a?status=403&x=1", "/a?mute", "/b"] {
        origin.put(target, Page::of(BODY));
    }
    origin
}

#[track_caller]
fn expect(got: Response, status: u16, reason: Option<&str>) {
    assert_eq!((got.head.status, got.head.field("edge-reason")), (status, reason), "{got:?}");
    if status == 200 {
        BODY.expect(0..3000, &got.body);
    }
}

#[test]
fn the_service_decides() {
    let (origin, service) = (origin(), service());
    let node = node(&origin, &service.url(), "success = [200, 204]");
    for (target, status, reason) in [
        ("/a", 200, None),
        ("/a?status=204", 200, None),
        ("/a?status=403&x=1", 403, Some("remote_auth")),
        ("/a?status=500", 403, Some("remote_auth")),
        ("/a?mute", 403, Some("remote_auth_failed")),
    ] {
        // Twice: nothing is remembered, and a hit is asked about, too.
        for _ in 0..2 {
            expect(node.get(target), status, reason);
        }
    }
    assert_eq!(service.heads().len(), 10);
    assert_eq!(origin.requests(), 2, "who is turned away costs the origin nothing");
    let denied = |reason| node.metrics().sum("edge_site_denied_total", &[("reason", reason)]);
    assert_eq!((denied("remote_auth"), denied("remote_auth_failed")), (4, 2));
    let explained = node.edge(&["explain", "http://x.test/a"]);
    assert!(explained.contains("would be asked, not remembered"), "{explained}");
}

#[test]
fn other_answers_and_silence_may_pass() {
    let (origin, service) = (origin(), service());
    let node = node(&origin, &service.url(), "others = \"pass\"\non_failure = \"pass\"");
    expect(node.get("/a?status=403&x=1"), 200, None);
    expect(node.get("/a?mute"), 200, None);
    // A service that is not there.
    let gone = RawOrigin::answering("").url();
    let nobody = |keys| Node::start(NodeConfig::default().site("*", &origin.url(), &[keys]));
    let auth = format!("[site.auth]\naddress = \"{gone}\"\n");
    expect(nobody(&auth).get("/a"), 403, Some("remote_auth_failed"));
    expect(nobody(&format!("{auth}on_failure = \"pass\"")).get("/a"), 200, None);
}

#[test]
fn what_is_sent_along() {
    let (origin, service) = (origin(), service());
    let keys =
        "method = \"HEAD\"\narguments = [\"token\", \"status\"]\nheaders = [\"Cookie\", \"X-Key\"]";
    let address = format!("{}/check/it", service.url());
    let node = node(&origin, &address, keys);
    let fields =
        [("Cookie", "a=1"), ("X-Key", "k"), ("X-Other", "o"), ("X-Forwarded-For", "9.9.9.9")];
    let mut client = node.connect().with_host("dl.test");
    let got = client.get_with("/b?x=1&token=t%20t&y", &fields);
    assert_eq!(got.head.status, 404, "the origin has no such page, but was asked");
    let asked = service.last();
    assert_eq!(asked.line(), "HEAD /check/it?token=t%20t HTTP/1.1");
    for (name, expected) in [
        ("cookie", Some("a=1")),
        ("x-key", Some("k")),
        ("x-other", None),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-host", Some("dl.test")),
        ("x-forwarded-method", Some("GET")),
        ("x-forwarded-uri", Some("/b?x=1&token=t%20t&y")),
    ] {
        assert_eq!(asked.field(name), expected, "{name}: {}", asked.text);
    }
}

#[test]
fn answers_are_remembered_as_configured() {
    let (origin, service) = (origin(), service());
    let keys = "arguments = [\"token\"]\nheaders = [\"Cookie\"]\ncache = \"1h\"";
    let node = node(&origin, &service.url(), keys);
    let mut client = node.connect();
    for (target, cookie, asked) in [
        ("/a", "a=1", 1),
        ("/a", "a=1", 1),
        ("/a?other=1", "a=1", 1),
        ("/a", "a=2", 2),
        ("/a?token=1", "a=1", 3),
        ("/b", "a=1", 4),
        ("/a", "a=1", 4),
    ] {
        client.get_with(target, &[("Cookie", cookie)]);
        assert_eq!(service.heads().len(), asked, "{target} {cookie}");
    }
    // A refusal is remembered as well; silence is not.
    for (target, more) in [("/a?token=status=403", 1), ("/a?token=mute", 2)] {
        let before = service.heads().len();
        for _ in 0..2 {
            assert_eq!(client.get_with(target, &[]).head.status, 403, "{target}");
        }
        assert_eq!(service.heads().len() - before, more, "{target}");
    }
}

#[test]
fn a_worker_serves_others_while_a_service_is_slow() {
    let (origin, service) = (origin(), service());
    let auth = format!("[site.auth]\naddress = \"{}\"\ntimeout = \"3s\"", service.url());
    let config =
        NodeConfig::default().server("fill_threads = 1").site("slow.test", &origin.url(), &[&auth]);
    let node = Node::start(config.site("*", &origin.url(), &[]));
    let mut waiting: Vec<_> = (0..32).map(|_| node.connect().with_host("slow.test")).collect();
    waiting.iter_mut().for_each(|client| client.request("GET", "/a?mute", &[]));
    // Each of two workers has some that wait; others do not.
    for _ in 0..8 {
        expect(node.get("/a"), 200, None);
    }
    assert_eq!(node.metrics().sum("edge_site_denied_total", &[]), 0, "they still waited");
    for client in &mut waiting {
        expect(client.response("GET").expect("an answer"), 403, Some("remote_auth_failed"));
    }
}

#[test]
fn a_body_waits_for_the_service_and_is_passed_on() {
    let (origin, service) =
        (RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), service());
    let auth = format!("[site.auth]\naddress = \"{}\"", service.url());
    let node = Node::start(NodeConfig::default().site("*", &origin.url(), &[&auth]));
    let mut client = node.connect();
    client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response("POST").expect("an answer").head.status, 200);
    assert_eq!(origin.last().field("content-length"), Some("5"));
    client.send("POST /up?status=403 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response("POST").expect("an answer").head.status, 403);
    assert_eq!(origin.heads().len(), 1);
}
