//! Parts: what is stored of a representation, and what answers are made of it (RFC 9111 §3.3, §3.4;
//! RFC 9110 §14, §15.3.7, §15.5.17).

use edge_tests::{Content, Node, NodeConfig, Origin, Page, RawOrigin, Response, eventually, fetch};

const LEN: u64 = 300_000;
const BODY: Content = Content::new(61, LEN);

fn node_before(page: Page) -> (Node, Origin) {
    let origin = Origin::with("/a", page);
    (Node::start(NodeConfig::of(&origin.url())), origin)
}

#[track_caller]
fn range(node: &Node, range: &str, fields: &[(&str, &str)]) -> Response {
    let fields = [&[("Range", range)], fields].concat();
    node.connect().get_with("/a", &fields)
}

#[test]
fn which_bytes_a_range_names() {
    let (node, origin) = node_before(Page::of(BODY));
    node.get("/a").expect_status(200);
    let last = LEN - 1;
    // RFC 9110 §14.1.1, §14.1.2, §14.2: what is asked for, and what comes; `None`: the whole.
    let tail = format!("bytes={last}-");
    let rows = [
        ("§14.1.2", "bytes=0-0", Some((0, 1))),
        ("§14.1.2", "bytes=100-199", Some((100, 200))),
        ("§14.1.2", &tail[..], Some((last, LEN))),
        ("§14.1.2", "bytes=-1", Some((last, LEN))),
        ("§14.1.2", "bytes=0-999999999", Some((0, LEN))),
        ("§14.1.2", "bytes=-999999999", Some((0, LEN))),
        ("§14.1.2", "bytes=5-99999999999999999999999999", Some((5, LEN))),
        ("§14.1", "BYTES=1-2", Some((1, 3))),
        ("§14.1.1", "bytes=1-2,", Some((1, 3))),
        ("§14.1.1", "bytes= 1-2 , 900000-", Some((1, 3))),
        // Near ones are one (§15.3.7.2).
        ("§15.3.7.2", "bytes=0-9,10-19,5-30", Some((0, 31))),
        // Not understood, or not well-formed: ignored (§14.2).
        ("§14.2", "items=0-1", None),
        ("§14.2", "bytes 0-1", None),
        ("§14.1.1", "bytes=2-1", None),
        ("§14.1.1", "bytes=a-b", None),
        ("§14.1.1", "bytes=-", None),
        ("§14.2", "bytes=", None),
    ];
    for (section, asked, expected) in rows {
        let response = range(&node, asked, &[]);
        let status = if expected.is_some() { 206 } else { 200 };
        assert_eq!(response.head.status, status, "9110 {section}: {asked}");
        let (start, end) = expected.unwrap_or((0, LEN));
        BODY.expect(start..end, &response.body);
        if expected.is_some() {
            assert_eq!(response.head.content_range(), (start, end, LEN), "9110 {section}: {asked}");
        }
        // §15.3.7: what a 200 would have had.
        for name in ["date", "etag", "cache-control", "last-modified"] {
            response.head.expect_field(name);
        }
        assert_eq!(response.head.content_length(), Some(end - start), "9112 §6.2: {asked}");
    }
    assert_eq!(origin.counts("/a").requests, 1);
}

#[test]
fn which_ranges_cannot_be_satisfied() {
    let (node, origin) = node_before(Page::of(BODY));
    node.get("/a").expect_status(200);
    for asked in [format!("bytes={LEN}-"), format!("bytes={LEN}-{}", LEN + 9), "bytes=-0".into()] {
        let response = range(&node, &asked, &[]).expect_status(416);
        // RFC 9110 §15.5.17
        assert_eq!(response.head.expect_field("content-range"), format!("bytes */{LEN}"));
    }
    // §14.2: only for GET; §13.2.2: conditions first.
    let mut client = node.connect();
    client.request("HEAD", "/a", &[("Range", "bytes=0-1")]);
    let head = client.response("HEAD").unwrap().expect_status(200).head;
    assert_eq!(head.content_length(), Some(LEN));
    let etag = head.expect_field("etag").to_owned();
    range(&node, "bytes=0-1", &[("If-None-Match", &etag)]).expect_status(304);
    range(&node, "bytes=900000-", &[("If-Match", "\"other\"")]).expect_status(412);
    assert_eq!(origin.counts("/a").requests, 1);
}

#[test]
fn what_if_range_must_name() {
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let page = Page { last_modified: Some(modified.into()), ..Page::of(BODY) };
    let strong = page.etag.clone().expect("a tag");
    let weak = Page { etag: Some(format!("W/{strong}")), ..page.clone() };
    let rows = [
        // RFC 9110 §13.1.5: exactly this representation, by a strong comparison
        (&page, strong.clone(), 206),
        (&page, "\"other\"".into(), 200),
        (&page, format!("W/{strong}"), 200),
        (&weak, format!("W/{strong}"), 200),
        (&weak, strong, 200),
        (&page, modified.into(), 206),
        (&page, "Sun, 06 Nov 1994 08:49:38 GMT".into(), 200),
        (&page, "Sun, 06 Nov 1994 08:49:36 GMT".into(), 200),
        (&page, "nonsense".into(), 200),
    ];
    for (page, condition, status) in rows {
        let (node, _origin) = node_before(page.clone());
        node.get("/a").expect_status(200);
        let response = range(&node, "bytes=5-9", &[("If-Range", &condition)]);
        assert_eq!(response.head.status, status, "{condition} of {:?}", page.etag);
        BODY.expect(if status == 206 { 5..10 } else { 0..LEN }, &response.body);
    }
}

#[test]
fn parts_of_one_strong_version_are_combined() {
    // RFC 9111 §3.4: they share a strong validator.
    let (node, origin) = node_before(Page::of(BODY));
    let pieces = [200_000..250_000, 0..20_000, 100_000..200_000, 20_000..100_000, 250_000..LEN];
    for piece in pieces {
        let response = fetch(node.addr(), "/a", Some(piece.clone())).expect_status(206);
        BODY.expect(piece, &response.body);
    }
    let before = origin.counts("/a");
    let whole = node.get("/a").expect_status(200);
    BODY.expect(0..LEN, &whole.body);
    // Nothing is left to be asked for, and no byte came twice.
    assert_eq!(origin.counts("/a").requests, before.requests, "{:?}", before.ranges);
    assert!(
        before.body_bytes <= LEN + LEN / 10,
        "{} of {LEN}: {:?}",
        before.body_bytes,
        before.ranges
    );
}

#[test]
fn parts_of_other_versions_or_without_a_strong_validator_are_not_combined() {
    let nameless = Page { etag: None, last_modified: None, ..Page::of(BODY) };
    let weak = Page { etag: Some("W/\"a\"".into()), last_modified: None, ..Page::of(BODY) };
    for page in [nameless, weak, Page::of(BODY)] {
        let is_strong = page.etag.as_ref().is_some_and(|tag| tag.starts_with('"'));
        let (node, origin) = node_before(page.clone());
        let first = fetch(node.addr(), "/a", Some(100_000..150_000)).expect_status(206);
        BODY.expect(100_000..150_000, &first.body);
        // The next version, under the same name but for a strong one.
        let next = Content::new(62, LEN);
        let etag = match is_strong {
            true => Page::of(next).etag,
            false => page.etag.clone(),
        };
        origin.put("/a", Page { content: next, etag, ..page });
        let mut whole = node.get("/a");
        if !whole.complete {
            // What was begun before the change was seen is cut, never mixed; whoever asks next gets all.
            let is_part = |of: &Content| of.all().starts_with(&whole.body);
            assert!(is_part(&BODY) || is_part(&next), "two versions in a cut body");
            whole = node.get("/a");
        }
        let whole = whole.expect_status(200);
        let is_old = whole.body[..] == BODY.all()[..];
        assert!(is_old || whole.body[..] == next.all()[..], "two versions in one body");
    }
}

#[test]
fn what_was_cut_is_not_taken_for_the_whole() {
    // RFC 9111 §3.3
    let page = Page { cut_at: Some(120_000), ..Page::of(BODY) };
    let (node, origin) = node_before(page);
    let cut = node.get("/a");
    assert!(!cut.complete, "an incomplete answer was sent as a complete one");
    assert!(cut.body.len() <= 120_000);
    // A range that lies within is answered …
    let part = fetch(node.addr(), "/a", Some(1_000..2_000)).expect_status(206);
    BODY.expect(1_000..2_000, &part.body);
    // … and what is missing is asked for (§3.4).
    origin.edit("/a", |page| page.cut_at = None);
    BODY.expect(0..LEN, &node.get("/a").expect_status(200).body);
    let counts = origin.counts("/a");
    let last = counts.ranges.last().cloned().flatten();
    assert!(last.is_some_and(|range| !range.starts_with("bytes=0-")), "{:?}", counts.ranges);
}

#[test]
fn chunks_that_break_off_are_not_stored() {
    let page = Page { cut_at: Some(120_000), chunked: true, ..Page::of(BODY) };
    let (node, origin) = node_before(page);
    assert!(!node.get("/a").complete);
    origin.edit("/a", |page| page.cut_at = None);
    BODY.expect(0..LEN, &node.get("/a").expect_status(200).body);
}

#[test]
fn a_body_that_ends_with_its_connection_is_stored_when_it_ended_well() {
    // RFC 9112 §6.3: no length and no coding; such a body cannot be told from one that was cut, but
    // for a reset.
    let text =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\nthe whole of it";
    let origin = RawOrigin::start(move |call| {
        call.head()?;
        call.send(text)
    });
    let node = Node::of(&origin.url());
    for _ in 0..2 {
        assert_eq!(node.get("/a").expect_status(200).body, b"the whole of it");
    }
    eventually("one request", || (origin.heads().len() == 1).then_some(()));
    let part = fetch(node.addr(), "/a", Some(4..9)).expect_status(206);
    assert_eq!(part.body, b"whole");
}
