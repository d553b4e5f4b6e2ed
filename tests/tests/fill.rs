//! What the fill plane owes origins and clients: no byte twice, none for nobody, no needless error.

use edge_tests::process::eventually;
use edge_tests::{Content, Gate, Hold, MIB, Node, NodeConfig, Origin, Page, Random, fetch};

const BODY: Content = Content::new(60, 64 * MIB);

fn held(at: u64) -> (Page, Gate) {
    let gate = Gate::new();
    (Page { hold: Some(Hold { at, gate: gate.clone() }), ..Page::of(BODY) }, gate)
}

fn node_that_finishes(origin: &Origin, rule: &str) -> Node {
    let line = format!("finish = \"{rule}\"");
    Node::start(NodeConfig::default().site("*", &origin.url(), &[&line]))
}

/// Waits until no fill is running.
fn wait_no_fill(node: &Node) {
    eventually("no fill running", || (node.metric("edge_fills_active") == 0).then_some(()));
}

#[test]
fn a_fill_ends_with_its_last_client_as_the_site_says() {
    for (rule, left_at, is_finished) in [
        ("never", 40 * MIB, false),
        ("50%", 8 * MIB, false),
        ("50%", 40 * MIB, true),
        ("always", 8 * MIB, true),
    ] {
        let (page, gate) = held(left_at);
        let origin = Origin::with("/a", page);
        let node = node_that_finishes(&origin, rule);
        let mut leaving = node.connect();
        leaving.start("/a");
        BODY.expect(0..left_at, &leaving.take(left_at));
        leaving.reset();
        node.wait_all_closed();
        gate.open();
        wait_no_fill(&node);
        let kept_bytes = node.metric("edge_origin_bytes_total");
        let what = format!("finish = {rule}, left at {left_at}: {kept_bytes} bytes came");
        assert_eq!(kept_bytes == BODY.len, is_finished, "{what}");
        assert!(is_finished || kept_bytes <= left_at + 3 * MIB, "{what}");
        BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    }
}

#[test]
fn a_client_that_only_follows_keeps_a_fill_alive() {
    let (page, gate) = held(4 * MIB);
    let origin = Origin::with("/a", page);
    let node = node_that_finishes(&origin, "never");
    let mut leading = node.connect();
    leading.start("/a");
    leading.take(4 * MIB);
    let mut following = node.connect();
    following.start("/a");
    BODY.expect(0..4 * MIB, &following.take(4 * MIB));
    leading.reset();
    eventually("the first client being gone", || {
        (node.metric("edge_conns_closed_total") > 0).then_some(())
    });
    gate.open();
    BODY.expect(4 * MIB..BODY.len, &following.take(BODY.len - 4 * MIB));
    assert_eq!(origin.counts("/a").requests, 1, "{:?}", origin.counts("/a").ranges);
}

#[test]
fn a_hundred_clients_cost_the_origin_one_body() {
    let body = Content::new(63, 16 * MIB);
    let gate = Gate::new();
    let hold = Some(Hold { at: MIB, gate: gate.clone() });
    let origin = Origin::with("/a", Page { hold, ..Page::of(body) });
    let node = Node::of(&origin.url());
    let mut clients: Vec<_> = (0..100).map(|_| node.connect()).collect();
    for client in &mut clients {
        client.request("GET", "/a", &[]);
    }
    for client in &mut clients {
        client.head().expect("a head while the origin holds the rest back");
    }
    gate.open();
    std::thread::scope(|scope| {
        // Some read everything, the others leave before: nobody holds anybody up.
        for (client, wanted) in clients.iter_mut().zip((1..=16).cycle()) {
            scope.spawn(move || {
                for start in (0..wanted).map(|taken| taken * MIB) {
                    body.expect(start..start + MIB, &client.take(MIB));
                }
            });
        }
    });
    let counts = origin.counts("/a");
    assert_eq!((counts.requests, counts.body_bytes), (1, body.len), "{:?}", counts.ranges);
}

#[test]
fn who_was_sent_nothing_of_a_version_that_is_gone_gets_the_next() {
    let (old, new) = (Content::new(61, 8 * MIB), Content::new(62, 9 * MIB));
    let origin = Origin::start();
    let node = Node::of(&origin.url());
    for (asked, status) in [(None, 200), (Some(2 * MIB..3 * MIB), 206)] {
        // Of the version the node knows, only what was asked for is stored.
        let target = format!("/{status}");
        origin.put(&target, Page::of(old));
        old.expect(5 * MIB..6 * MIB, &fetch(node.addr(), &target, Some(5 * MIB..6 * MIB)).body);
        origin.put(&target, Page::of(new));
        let answer = fetch(node.addr(), &target, asked.clone()).expect_status(status);
        assert_eq!(answer.head.field("etag"), Some("\"v62\""));
        new.expect(asked.unwrap_or(0..new.len), &answer.body);
    }
}

#[test]
fn ranges_that_overlap_fetch_each_byte_once() {
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::of(&origin.url());
    std::thread::scope(|scope| {
        for seed in 0..10 {
            let mut client = node.connect();
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..1_000 {
                    let start = random.below(BODY.len);
                    // Most are short; some go over many slices.
                    let longest = if random.below(20) == 0 { 6 * MIB } else { 20_000 };
                    let end = BODY.len.min(start + 1 + random.below(longest));
                    let value = format!("bytes={start}-{}", end - 1);
                    let part = client.get_with("/a", &[("Range", &value)]).expect_status(206);
                    BODY.expect(start..end, &part.body);
                }
            });
        }
    });
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
    let counts = origin.counts("/a");
    assert_eq!(counts.body_bytes, BODY.len, "each byte once: {:?}", counts.ranges);
    assert_eq!(node.metric("edge_origin_bytes_total"), BODY.len);
}

/// A page that comes slowly, in a way that more connections help.
fn throttled(body: Content, bytes_per_s: u64) -> Page {
    let fields = vec!["Accept-Ranges: bytes".to_owned()];
    Page { bytes_per_s: Some(bytes_per_s), fields, ..Page::of(body) }
}

#[test]
fn a_large_object_comes_on_several_connections_when_that_is_quicker() {
    let body = Content::new(64, 48 * MIB);
    for (streams, is_shared) in [(4, true), (1, false)] {
        let origin = Origin::with("/a", throttled(body, 12 * MIB));
        let line = format!("connections_per_object = {streams}");
        let node = Node::start(NodeConfig::default().site("*", &origin.url(), &[&line]));
        body.expect(0..body.len, &node.get("/a").expect_status(200).body);
        wait_no_fill(&node);
        let counts = origin.counts("/a");
        assert_eq!(counts.requests > 1, is_shared, "{streams}: {:?}", counts.ranges);
        // What was on its way on the connection that was cut is the price of the first split.
        assert!(counts.body_bytes <= body.len + 2 * MIB, "{counts:?}");
        assert!(node.metric("edge_origin_wasted_bytes_total") <= MIB);
        body.expect(0..body.len, &node.get("/a").expect_status(200).body);
        assert_eq!(origin.counts("/a").requests, counts.requests, "all of it was stored");
    }
}

#[test]
fn a_reader_far_ahead_does_not_wait_for_the_filler_to_come_there() {
    let origin = Origin::with("/a", throttled(BODY, 2 * MIB));
    let lines = ["connections_per_object = 1", "finish = \"never\""];
    let node = Node::start(NodeConfig::default().site("*", &origin.url(), &lines));
    let mut first = node.connect();
    first.start("/a");
    BODY.expect(0..1000, &first.take(1000));
    let part = fetch(node.addr(), "/a", Some(60 * MIB..60 * MIB + 1000)).expect_status(206);
    BODY.expect(60 * MIB..60 * MIB + 1000, &part.body);
    let counts = origin.counts("/a");
    assert_eq!(counts.requests, 2, "{:?}", counts.ranges);
    assert!(counts.body_bytes < BODY.len / 2, "{} came before", counts.body_bytes);
    first.reset();
}

#[test]
fn an_origin_is_asked_no_more_at_once_than_it_may_be() {
    let origin = Origin::start();
    let gate = Gate::new();
    for number in 0..6 {
        let hold = Some(Hold { at: 1_000, gate: gate.clone() });
        origin
            .put(&format!("/{number}"), Page { hold, ..Page::of(Content::new(70 + number, MIB)) });
    }
    let node =
        Node::start(NodeConfig::default().site("*", &origin.url(), &["max_connections = 2"]));
    std::thread::scope(|scope| {
        for number in 0..6 {
            let node = &node;
            scope.spawn(move || {
                let content = Content::new(70 + number, MIB);
                content.expect(0..MIB, &node.get(&format!("/{number}")).expect_status(200).body);
            });
        }
        let is_queue_full = || (node.metric("edge_origin_queue") == 4).then_some(());
        eventually("four that wait for their turn", is_queue_full);
        assert_eq!(origin.requests(), 2);
        gate.open();
    });
    assert_eq!((origin.requests(), node.metric("edge_origin_queue")), (6, 0));
}

#[test]
fn who_waits_too_long_for_its_turn_is_told_to_come_back() {
    for line in ["max_connections = 1", "max_fills = 1"] {
        let (page, gate) = held(MIB);
        let origin = Origin::with("/a", page);
        origin.put("/b", Page::of(BODY));
        let lines = [line, "queue_timeout = \"100ms\""];
        let node = Node::start(NodeConfig::default().site("*", &origin.url(), &lines));
        let mut first = node.connect();
        first.start("/a");
        BODY.expect(0..MIB, &first.take(MIB));
        let refused = node.get("/b").expect_status(503);
        assert!(refused.head.field("retry-after").is_some(), "{line}: {:?}", refused.head);
        assert_eq!(node.metric("edge_origin_queue_timeouts_total"), 1);
        gate.open();
        BODY.expect(MIB..BODY.len, &first.take(BODY.len - MIB));
        wait_no_fill(&node);
        assert_eq!(node.get("/b").expect_status(200).body.len() as u64, BODY.len);
    }
}
