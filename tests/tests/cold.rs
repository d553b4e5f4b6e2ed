//! What is not stored yet: fan-out, leaving, resuming, and origins that fail or change.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use edge_tests::origin::Cuts;
use edge_tests::process::eventually;
use edge_tests::{
    Closed, Content, Follower, Gate, Hold, MIB, Node, NodeConfig, Origin, Page, fetch, names,
};

const BODY: Content = Content::new(50, 8 * MIB);

fn held(content: Content, at: u64) -> (Page, Gate) {
    let gate = Gate::new();
    (Page { hold: Some(Hold { at, gate: gate.clone() }), ..Page::of(content) }, gate)
}

#[test]
fn many_clients_of_one_cold_object_cost_the_origin_one_body() {
    let origin = Origin::start();
    let node = Node::of(&origin.url());
    for clients in 2..=10 {
        let target = format!("/{clients}");
        let (page, gate) = held(BODY, MIB);
        origin.put(&target, page);
        let started = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let mut client = node.connect();
                    let head = client.start(&target);
                    assert_eq!(head.content_length(), Some(BODY.len));
                    let mut follower = Follower::new(BODY, 0);
                    follower.feed(&client.take(1000));
                    // Everybody has bytes while the origin still holds most of them back.
                    started.fetch_add(1, SeqCst);
                    eventually("every client having bytes", || {
                        (started.load(SeqCst) == clients).then_some(())
                    });
                    gate.open();
                    follower.feed(&client.take(BODY.len - 1000));
                    assert_eq!(follower.offset(), BODY.len);
                });
            }
        });
        let counts = origin.counts(&target);
        assert_eq!(counts.body_bytes, BODY.len, "{clients} clients: origin bytes 1.00x");
        assert_eq!(counts.requests, 1, "{clients} clients: {:?}", counts.ranges);
    }
}

#[test]
fn a_late_joiner_gets_its_first_bytes_while_the_origin_still_sends() {
    let (page, gate) = held(BODY, 5 * MIB + 100_000);
    let origin = Origin::with("/a", page);
    let node = Node::of(&origin.url());
    let mut early = node.connect();
    early.start("/a");
    BODY.expect(0..5 * MIB, &early.take(5 * MIB));

    let mut late = node.connect();
    late.start("/a");
    BODY.expect(0..5 * MIB, &late.take(5 * MIB));
    // A slice that is being filled is readable up to its watermark, not only when it is full.
    let mut ranged = node.connect();
    ranged.request("GET", "/a", &[("Range", "bytes=5242880-5300000")]);
    let part = ranged.response("GET").expect("an answer").expect_status(206);
    BODY.expect(5 * MIB..5_300_001, &part.body);
    assert!(!gate.is_open(), "all of this came before the origin had sent the rest");

    gate.open();
    for client in [&mut early, &mut late] {
        BODY.expect(5 * MIB..BODY.len, &client.take(3 * MIB));
    }
    assert_eq!(origin.counts("/a").requests, 1, "{:?}", origin.counts("/a"));
}

#[test]
fn what_a_client_left_behind_is_kept_and_the_resume_fetches_the_rest() {
    let (page, gate) = held(BODY, 5 * MIB);
    let origin = Origin::with("/a", page);
    let config = NodeConfig::default().site("*", &origin.url(), &["finish = \"never\""]);
    let node = Node::start(config);
    let mut leaving = node.connect();
    leaving.start("/a");
    BODY.expect(0..5 * MIB, &leaving.take(5 * MIB));
    leaving.reset();
    node.wait_all_closed();
    gate.open();

    let rest = fetch(node.addr(), "/a", Some(4 * MIB..BODY.len)).expect_status(206);
    BODY.expect(4 * MIB..BODY.len, &rest.body);
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    let counts = origin.counts("/a");
    // A slice that was cut through may be fetched again, and what was under way when the client left.
    assert!(counts.body_bytes <= BODY.len + 2 * MIB, "the rest, not all again: {counts:?}");
}

#[test]
fn a_fill_outlives_its_client_when_told_so() {
    let (page, gate) = held(BODY, 2 * MIB);
    let origin = Origin::with("/a", page);
    let config = NodeConfig::default().site("*", &origin.url(), &["finish = \"always\""]);
    let node = Node::start(config);
    let mut leaving = node.connect();
    leaving.start("/a");
    BODY.expect(0..MIB, &leaving.take(MIB));
    leaving.reset();
    node.wait_all_closed();
    gate.open();
    eventually("the fill being finished without its client", || {
        (origin.counts("/a").body_bytes == BODY.len).then_some(())
    });
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    assert_eq!(origin.counts("/a").requests, 1);
}

#[test]
fn a_cold_range_does_not_pull_the_whole_object() {
    let big = Content::new(51, 64 * MIB);
    let origin = Origin::with("/a", Page::of(big));
    let node = Node::of(&origin.url());
    for (start, end) in [(40 * MIB, 40 * MIB + 1000), (63 * MIB + 5, 64 * MIB), (0, 10)] {
        let part = fetch(node.addr(), "/a", Some(start..end)).expect_status(206);
        assert_eq!(part.head.content_range(), (start, end, big.len));
        big.expect(start..end, &part.body);
    }
    let first = origin.counts("/a").ranges.first().cloned().flatten();
    assert!(first.is_some(), "the origin was asked for a range: {:?}", origin.counts("/a"));
    let again = fetch(node.addr(), "/a", Some(40 * MIB..40 * MIB + 1000)).expect_status(206);
    big.expect(40 * MIB..40 * MIB + 1000, &again.body);
}

#[test]
fn a_body_of_unknown_length_is_relayed_and_stored() {
    let (page, gate) = held(BODY, MIB);
    let origin = Origin::with("/a", Page { chunked: true, ..page });
    let node = Node::of(&origin.url());
    let mut client = node.connect();
    let head = client.start("/a");
    assert!(head.is_chunked(), "nobody knows the length yet: {head:?}");
    let mut old = node.connect();
    old.send("GET /a HTTP/1.0\r\nHost: edge.test\r\n\r\n");
    gate.open();
    let mut follower = Follower::new(BODY, 0);
    client.body(&head, "GET", &mut |piece| follower.feed(piece)).expect("a last chunk");
    assert_eq!(follower.offset(), BODY.len);
    let by_close = old.response("GET").expect("an answer").expect_status(200);
    assert!(!by_close.head.is_chunked(), "HTTP/1.0 knows no chunks: {:?}", by_close.head);
    BODY.expect(0..BODY.len, &by_close.body);
    assert_eq!(origin.counts("/a").requests, 1);

    let stored = node.get("/a").expect_status(200);
    assert_eq!(stored.head.content_length(), Some(BODY.len), "now it is known");
    BODY.expect(0..BODY.len, &stored.body);
    let part = fetch(node.addr(), "/a", Some(7..9)).expect_status(206);
    BODY.expect(7..9, &part.body);
    assert_eq!(origin.counts("/a").requests, 1);
}

#[test]
fn what_may_not_be_stored_is_asked_for_each_time() {
    let origin = Origin::start();
    for (target, cache_control) in [("/no-store", "no-store"), ("/private", "private")] {
        let cache_control = Some(cache_control.to_owned());
        origin.put(target, Page { cache_control, ..Page::of(BODY) });
    }
    // With a cookie on it, a lifetime is not guessed.
    let cookie = vec!["Set-Cookie: a=b".to_owned()];
    origin.put("/cookie", Page { fields: cookie, cache_control: None, ..Page::of(BODY) });
    let node = Node::of(&origin.url());
    for target in ["/no-store", "/private", "/cookie"] {
        for pass in 1..=2 {
            BODY.expect(0..BODY.len, &node.get(target).expect_status(200).body);
            assert_eq!(origin.counts(target).requests, pass, "{target}");
            assert_eq!(origin.counts(target).body_bytes, pass * BODY.len, "{target}");
        }
    }
    assert_eq!(node.outcomes("hit"), 0);
    assert_eq!(node.outcomes("bypass"), 6);
}

#[test]
fn an_error_of_the_origin_is_passed_on_and_not_kept() {
    let origin = Origin::with("/a", Page { failures_left: u32::MAX, ..Page::of(BODY) });
    let node = Node::of(&origin.url());
    let status = node.get("/a").head.status;
    assert!([502, 503, 504].contains(&status), "{status}");
    origin.edit("/a", |page| page.failures_left = 0);
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    let missing = node.get("/nowhere").expect_status(404);
    assert_eq!(missing.body, Content::new(404, 16).all());
}

#[test]
fn an_origin_that_is_not_there_is_a_502_and_comes_back() {
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::of(&origin.url());
    origin.set_down(true);
    let status = node.get("/a").head.status;
    assert!([502, 503, 504].contains(&status), "{status}");
    origin.set_down(false);
    eventually("the origin being used again", || {
        let response = node.get("/a");
        (response.head.status == 200).then(|| BODY.expect(0..BODY.len, &response.body))
    });
}

#[test]
fn a_body_that_breaks_off_once_is_completed() {
    let page = Page { cut_at: Some(3 * MIB + 5), cuts: Cuts::times(1), ..Page::of(BODY) };
    let origin = Origin::with("/a", page);
    let node = Node::of(&origin.url());
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    let counts = origin.counts("/a");
    assert!(counts.body_bytes < BODY.len + 4 * MIB, "it went on where it broke: {counts:?}");
}

#[test]
fn a_body_that_always_breaks_off_is_cut_never_padded() {
    let origin = Origin::with("/a", Page { cut_at: Some(3 * MIB + 5), ..Page::of(BODY) });
    let chunked =
        Page { cut_at: Some(3 * MIB + 5), chunked: true, ranges: false, ..Page::of(BODY) };
    origin.put("/chunked", chunked);
    let node = Node::of(&origin.url());
    for target in ["/a", "/chunked"] {
        for pass in 0..2 {
            let mut client = node.connect();
            let Ok(response) = ({
                client.request("GET", target, &[]);
                client.response("GET")
            }) else {
                continue; // Cut before its head: honest as well.
            };
            if response.head.status >= 500 {
                continue;
            }
            assert!(!response.complete, "{target}, pass {pass}: looks whole: {:?}", response.head);
            let len = response.body.len() as u64;
            assert!(len <= 3 * MIB + 5, "{target}, pass {pass}: {len} bytes");
            BODY.expect(0..len, &response.body);
            let closed = client.closed();
            assert!(matches!(closed, Closed::Fin | Closed::Reset));
        }
    }
    for target in ["/a", "/chunked"] {
        // Two clients, each worth a first try and a few more: a sick origin is not hammered.
        let requests = origin.counts(target).requests;
        assert!(requests <= 20, "{target}: two clients made the node ask {requests} times");
    }
    origin.edit("/a", |page| page.cut_at = None);
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
}

#[test]
fn no_response_mixes_two_versions() {
    let (old, new) = (Content::new(52, 8 * MIB), Content::new(53, 8 * MIB));
    let origin = Origin::with("/a", Page::of(old));
    let node = Node::of(&origin.url());
    old.expect(0..MIB, &fetch(node.addr(), "/a", Some(0..MIB)).expect_status(206).body);
    old.expect(5 * MIB..6 * MIB, &fetch(node.addr(), "/a", Some(5 * MIB..6 * MIB)).body);
    origin.put("/a", Page::of(new));
    // The node believes in the old version until it needs bytes of it that it does not have.
    let first = node.get("/a");
    let len = first.body.len() as u64;
    let is_old = old.first_difference(0, &first.body).is_none();
    let is_new = new.first_difference(0, &first.body).is_none();
    assert!(is_old || is_new, "the first {len} bytes mix two versions");
    assert!(!first.complete || is_new, "old bytes cannot have been completed");
    let next = node.get("/a").expect_status(200);
    new.expect(0..new.len, &next.body);
    assert_eq!(next.head.field("etag"), Some("\"v53\""));
    new.expect(0..9, &fetch(node.addr(), "/a", Some(0..9)).expect_status(206).body);
}

#[test]
fn a_liar_about_ranges_is_not_believed() {
    let lying = Page { wrong_content_range: true, ..Page::of(BODY) };
    let origin = Origin::with("/liar", lying);
    origin.put("/deaf", Page { ranges: false, ..Page::of(BODY) });
    let node = Node::of(&origin.url());
    for target in ["/liar", "/deaf"] {
        let range = 2 * MIB + 10..2 * MIB + 2000;
        let response = fetch(node.addr(), target, Some(range.clone()));
        let (status, len) = (response.head.status, response.body.len() as u64);
        if response.complete && status == 206 {
            BODY.expect(range, &response.body);
            continue;
        }
        // What the liar sent is not used: an error, or a cut when the head was gone already.
        assert_eq!(
            (target, status == 206 || status >= 500),
            ("/liar", true),
            "{:?}",
            response.head
        );
        if status == 206 {
            BODY.expect(range.start..range.start + len, &response.body);
        }
    }
    let part = fetch(node.addr(), "/deaf", Some(100..200)).expect_status(206);
    BODY.expect(100..200, &part.body);
}

#[test]
fn expired_objects_are_revalidated_not_fetched_again() {
    let short = || Page { cache_control: Some("max-age=1".into()), ..Page::of(BODY) };
    let origin = Origin::with("/a", short());
    let node = Node::of(&origin.url());
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    eventually("a conditional request once the object is expired", || {
        BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
        (origin.counts("/a").not_modified > 0).then_some(())
    });
    assert_eq!(origin.counts("/a").body_bytes, BODY.len, "{:?}", origin.counts("/a"));
}

#[test]
fn a_stale_copy_is_better_than_none() {
    let short = Page { cache_control: Some("max-age=1".into()), ..Page::of(BODY) };
    let origin = Origin::with("/a", short);
    let node = Node::of(&origin.url());
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    origin.set_down(true);
    eventually("the copy being served stale, the origin being down", || {
        BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
        (node.outcomes("stale") > 0).then_some(())
    });
    origin.set_down(false);
    origin.edit("/a", |page| page.failures_left = u32::MAX);
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    assert_eq!(node.metric(names::ORIGIN_BYTES), BODY.len);
}
