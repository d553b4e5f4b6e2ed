//! What may not be stored is still sought in and resumed: the client's own range and conditions reach
//! the origin, and what comes of them reaches the client (RFC 9110 §13, §14).

use edge_tests::{Client, Content, Node, NodeConfig, Origin, Page};

const LEN: u64 = 300_000;
const BODY: Content = Content::new(81, LEN);

fn private() -> Page {
    let fields = vec!["Accept-Ranges: bytes".into()];
    Page { cache_control: Some("no-store".into()), fields, ..Page::of(BODY) }
}

fn node_before(page: Page) -> (Node, Origin) {
    let origin = Origin::with("/a", page);
    (Node::start(NodeConfig::of(&origin.url())), origin)
}

#[track_caller]
fn expect_part(client: &mut Client, fields: &[(&str, &str)], part: (u64, u64)) {
    let response = client.get_with("/a", fields).expect_status(206);
    assert_eq!(response.head.content_range(), (part.0, part.1, LEN), "{fields:?}");
    BODY.expect(part.0..part.1, &response.body);
}

#[test]
fn ranges_of_what_is_not_stored_are_sent_and_nothing_else() {
    let (node, origin) = node_before(private());
    let mut client = node.connect();
    // The first asks in the node's way, learns that it is for one, and asks again as the client did.
    expect_part(&mut client, &[("Range", "bytes=200000-200009")], (200_000, 200_010));
    let first = origin.counts("/a").body_bytes;
    assert!(first < LEN, "the whole was fetched for ten bytes: {first}");
    let rows =
        [("bytes=5-9", (5, 10)), ("bytes=100000-", (100_000, LEN)), ("bytes=-7", (LEN - 7, LEN))];
    for (range, (start, end)) in rows {
        let before = origin.counts("/a");
        expect_part(&mut client, &[("Range", range)], (start, end));
        let after = origin.counts("/a");
        assert_eq!(after.requests, before.requests + 1, "{range}: asked once");
        assert_eq!(after.body_bytes - before.body_bytes, end - start, "{range}");
        assert_eq!(after.ranges.last().cloned().flatten().as_deref(), Some(range));
    }
    let response = client.get_with("/a", &[("Range", "bytes=900000-")]).expect_status(416);
    assert_eq!(response.head.field("content-range"), Some("bytes */300000"));
    let whole = client.get("/a").expect_status(200);
    assert_eq!(whole.head.field("accept-ranges"), Some("bytes"), "a client must know that it may");
    BODY.expect(0..LEN, &whole.body);
}

#[test]
fn conditions_on_what_is_not_stored_are_the_origins_to_decide() {
    let (node, origin) = node_before(private());
    let mut client = node.connect();
    let etag = client.get("/a").expect_status(200).head.expect_field("etag").to_owned();
    let before = origin.counts("/a").body_bytes;
    let held = client.get_with("/a", &[("If-None-Match", &etag)]).expect_status(304);
    assert_eq!(held.head.field("etag"), Some(&etag[..]));
    assert_eq!(origin.counts("/a").body_bytes, before);
    client.get_with("/a", &[("If-None-Match", "\"other\"")]).expect_status(200);
    let range = ("Range", "bytes=5-9");
    expect_part(&mut client, &[range, ("If-Range", &etag)], (5, 10));
    client.get_with("/a", &[range, ("If-Range", "\"other\"")]).expect_status(200);
}

#[test]
fn credentials_get_their_own_parts() {
    let (node, origin) = node_before(Page::of(BODY));
    let mut client = node.connect();
    for _ in 0..2 {
        let own = [("Authorization", "Basic YTpi"), ("Range", "bytes=250000-250004")];
        expect_part(&mut client, &own, (250_000, 250_005));
    }
    // Nothing of it is there for others.
    assert_eq!(origin.counts("/a").requests, 3, "twice to learn, once to know");
    expect_part(&mut client, &[("Range", "bytes=250000-250004")], (250_000, 250_005));
    assert!(origin.counts("/a").requests > 3);
}

#[test]
fn what_may_be_stored_from_now_on_is_stored() {
    let (node, origin) = node_before(private());
    let mut client = node.connect();
    let range = [("Range", "bytes=10-19")];
    for _ in 0..2 {
        expect_part(&mut client, &range, (10, 20));
    }
    origin.put("/a", Page::of(BODY));
    expect_part(&mut client, &range, (10, 20));
    let asked = origin.counts("/a").requests;
    expect_part(&mut client, &range, (10, 20));
    BODY.expect(0..LEN, &client.get("/a").expect_status(200).body);
    assert_eq!(origin.counts("/a").requests, asked, "it was stored whole");
}
