//! How messages are framed, and connections kept (RFC 9112), as clients of both versions see it.

use edge_tests::{Closed, Content, Node, NodeConfig, Origin, Page, RawOrigin, Response};

const BODY: Content = Content::new(71, 50_000);

fn node_before(page: Page) -> (Node, Origin) {
    let origin = Origin::with("/a", page);
    (Node::start(NodeConfig::of(&origin.url())), origin)
}

/// Sends `head`, reads the answer, and whether the connection goes on.
#[track_caller]
fn ask(node: &Node, method: &str, version: &str, fields: &str) -> (Response, bool) {
    let mut client = node.connect();
    client.send(format!("{method} /a {version}\r\nHost: h\r\n{fields}\r\n"));
    let response = client.response(method).unwrap_or_else(|e| panic!("{version} {fields}: {e}"));
    let says_close = response.head.field("connection") == Some("close");
    if says_close || response.head.field("connection").is_none() && version == "HTTP/1.0" {
        assert_eq!(client.closed(), Closed::Fin, "{version} {fields}");
        return (response, false);
    }
    client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    client.response("GET").expect("the next answer").expect_status(200);
    (response, true)
}

#[test]
fn who_is_kept_connected() {
    let (node, _origin) = node_before(Page::of(BODY));
    // RFC 9112 §9.3
    let rows = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: keep-alive\r\n", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: X-A, Close\r\n", false),
        ("HTTP/1.1", "Connection: close, keep-alive\r\n", false),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: keep-alive\r\n", true),
        ("HTTP/1.0", "Connection: Keep-Alive, close\r\n", false),
    ];
    for (version, fields, stays) in rows {
        let (response, stayed) = ask(&node, "GET", version, fields);
        assert_eq!(stayed, stays, "{version} {fields}: {:?}", response.head);
        BODY.expect(0..BODY.len, &response.expect_status(200).body);
        // §2.3: the version is the node's own, not the client's.
        let line = node.get("/a").head.version;
        assert_eq!(line, "HTTP/1.1");
    }
}

#[test]
fn a_length_that_is_not_known_is_framed_by_the_clients_version() {
    // Not stored, so that it is never known.
    let unstored = Some("no-store".into());
    let (node, _origin) =
        node_before(Page { chunked: true, cache_control: unstored, ..Page::of(BODY) });
    // RFC 9112 §6.1: no coding to who does not know it; §6.3: then the end of the connection is the end.
    for (version, chunked) in [("HTTP/1.1", true), ("HTTP/1.0", false)] {
        let (response, stayed) = ask(&node, "GET", version, "Connection: keep-alive\r\n");
        assert_eq!((response.head.is_chunked(), stayed), (chunked, chunked), "{version}");
        assert_eq!(response.head.content_length(), None, "{version}");
        BODY.expect(0..BODY.len, &response.expect_status(200).body);
    }
    // Stored, its length is known to whoever comes after it ended.
    let (node, _origin) = node_before(Page { chunked: true, ..Page::of(BODY) });
    node.get("/a").expect_status(200);
    let head = node.get("/a").expect_status(200).head;
    assert_eq!((head.is_chunked(), head.content_length()), (false, Some(BODY.len)));
}

#[test]
fn trailers_are_not_made_fields() {
    // RFC 9111 §3.1, RFC 9110 §6.5.1
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTrailer: X-Late\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Late: 1\r\nCache-Control: no-store\r\nContent-Length: 9\r\n\r\n",
    );
    let node = Node::of(&origin.url());
    for _ in 0..3 {
        let response = node.get("/a").expect_status(200);
        assert_eq!((&response.body[..], response.head.field("x-late")), (&b"hi"[..], None));
        assert_eq!(response.head.field("cache-control"), Some("max-age=60"));
    }
    assert_eq!(origin.heads().len(), 1);
}

#[test]
fn what_has_no_body_has_none() {
    let (node, origin) = node_before(Page::of(BODY));
    let etag = node.get("/a").expect_status(200).head.expect_field("etag").to_owned();
    // RFC 9112 §6.3: HEAD, 304, 204; RFC 9110 §8.6: a HEAD may tell the length, a 204 may not.
    let (head, _) = ask(&node, "HEAD", "HTTP/1.1", "");
    assert_eq!((head.head.status, head.head.content_length()), (200, Some(BODY.len)));
    let (response, _) = ask(&node, "GET", "HTTP/1.1", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!(response.head.status, 304);
    assert!([None, Some(BODY.len)].contains(&response.head.content_length()));
    origin.put("/a", Page { status: 204, ..Page::of(Content::new(1, 0)) });
    let mut client = node.connect();
    client.request("GET", "/a", &[("Cache-Control", "no-cache")]);
    let head = client.response("GET").expect("an answer").head;
    assert_eq!((head.status, head.content_length(), head.is_chunked()), (204, None, false));
    client.request("GET", "/none", &[]);
    client.response("GET").expect("the next answer").expect_status(404);
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    // RFC 9112 §9.3.2; also an empty line before a request is passed over (§2.2).
    let (node, _origin) = node_before(Page::of(BODY));
    let mut client = node.connect();
    client.send("\r\nHEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    client.response("HEAD").expect("the first").expect_status(200);
    client.response("GET").expect("the second").expect_status(404);
    BODY.expect(0..BODY.len, &client.response("GET").expect("the third").expect_status(200).body);
}
