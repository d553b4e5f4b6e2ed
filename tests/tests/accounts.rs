//! Every byte is accounted for: clients, metrics and log agree.

use edge_tests::process::eventually;
use edge_tests::{Content, MIB, Node, NodeConfig, Origin, Page, names};
use serde_json::Value;

const BODY: Content = Content::new(60, 3 * MIB + 11);

fn sum(log: &[Value], field: &str) -> u64 {
    let number = |line: &Value| {
        line[field].as_u64().unwrap_or_else(|| panic!("no number {field} in the log line {line}"))
    };
    log.iter().map(number).sum()
}

/// Talks to the node in every way that ends by itself; returns bytes received, how many responses
/// there were and their body bytes.
fn talk(node: &Node) -> (u64, u64, u64) {
    let (mut received, mut responses, mut bodies) = (0, 0, 0);
    let mut client = node.connect();
    let fields: [&[(&str, &str)]; 6] = [
        &[],
        &[],
        &[("Range", "bytes=5-999999")],
        &[("Range", "bytes=-10")],
        &[("Range", "bytes=99999999-")],
        &[("If-None-Match", "\"v60\"")],
    ];
    for fields in fields {
        bodies += client.get_with("/a", fields).body.len() as u64;
        responses += 1;
    }
    for (method, target) in [("HEAD", "/a"), ("GET", "/chunked"), ("GET", "/chunked")] {
        client.request(method, target, &[]);
        bodies += client.response(method).expect("an answer").expect_status(200).body.len() as u64;
        responses += 1;
    }
    for (method, target) in [("GET", "/nowhere"), ("GET", "/no-store"), ("OPTIONS", "/a")] {
        client.request(method, target, &[]);
        bodies += client.response(method).expect("an answer").body.len() as u64;
        responses += 1;
    }
    received += client.received_bytes();

    // Cut by the origin: everything that was sent arrives before the FIN.
    let mut cut = node.connect();
    cut.request("GET", "/cut", &[]);
    bodies += cut.response("GET").map_or(0, |response| response.body.len() as u64);
    cut.closed();
    (received, responses) = (received + cut.received_bytes(), responses + 1);

    let mut bad = node.connect();
    bad.send("GET /a HTTP/1.1\r\nHost : a\r\n\r\n");
    bodies += bad.response("GET").expect("a refusal").body.len() as u64;
    bad.closed();
    (received, responses) = (received + bad.received_bytes(), responses + 1);
    (received, responses, bodies)
}

#[test]
fn bytes_sent_are_bytes_received_and_bytes_logged() {
    let origin = Origin::with("/a", Page::of(BODY));
    origin.put("/chunked", Page { chunked: true, ..Page::of(BODY) });
    origin.put("/no-store", Page { cache_control: Some("no-store".into()), ..Page::of(BODY) });
    origin.put("/cut", Page { cut_at: Some(MIB + 1), ..Page::of(BODY) });
    let node = Node::start(NodeConfig::of(&origin.url()));
    let (received, responses, bodies) = talk(&node);
    node.wait_all_closed();
    node.wait_metric(names::SENT, received);

    let metrics = node.metrics();
    assert_eq!(metrics.sum(names::SENT, &[]), received, "bytes sent = bytes received");
    let log = eventually("a log line for every response", || {
        let log = node.access_log();
        (log.len() as u64 >= responses).then_some(log)
    });
    assert_eq!(log.len() as u64, responses, "lines of the log = responses");
    assert_eq!(sum(&log, "sent_bytes"), received, "bytes logged = bytes received");
    assert_eq!(sum(&log, "body_bytes"), bodies, "body bytes logged = body bytes received");
    assert_eq!(metrics.sum(names::LOG_DROPPED, &[]), 0, "dropped log lines");

    let in_log =
        |outcome: &str| log.iter().filter(|line| line["outcome"] == outcome).count() as u64;
    for outcome in ["hit", "partial", "stale", "miss", "bypass"] {
        let counted = metrics.sum(names::SITE_REQUESTS, &[("outcome", outcome)]);
        assert_eq!(counted, in_log(outcome), "requests with outcome {outcome}: metrics = log");
    }
    // Of an answer that breaks off, the last bytes may be lost with the connection.
    let (origin_bytes, sent) = (metrics.sum(names::ORIGIN_BYTES, &[]), origin.body_bytes());
    let least = sent - origin.counts("/cut").body_bytes;
    assert!((least..=sent).contains(&origin_bytes), "{origin_bytes} of {sent} bytes of the origin");
}

#[test]
fn many_connections_at_once_lose_no_byte_and_no_line() {
    let origin = Origin::with("/a", Page::of(BODY));
    let small = Content::new(61, 700);
    origin.put("/small", Page::of(small));
    let node = Node::of(&origin.url());
    let received: u64 = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|n| {
                let node = &node;
                scope.spawn(move || {
                    let mut client = node.connect();
                    for turn in 0..150 {
                        let target = if turn % 25 == n { "/a" } else { "/small" };
                        client.get(target).expect_status(200);
                    }
                    client.received_bytes()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).sum()
    });
    node.wait_all_closed();
    node.wait_metric(names::SENT, received);
    assert_eq!(node.metric(names::SENT), received);
    let log = eventually("1200 log lines", || {
        let log = node.access_log();
        (log.len() >= 1200).then_some(log)
    });
    assert_eq!((log.len(), sum(&log, "sent_bytes")), (1200, received));
    let metrics = node.metrics();
    let origin_bytes = metrics.sum(names::ORIGIN_BYTES, &[]);
    assert_eq!(origin_bytes, origin.body_bytes(), "origin bytes received = origin bytes sent");
    assert_eq!(metrics.sum(names::SITE_SENT, &[("site", "*")]), received, "by site");
    assert_eq!(metrics.sum(names::LOG_DROPPED, &[]), 0, "dropped log lines");
}

#[test]
fn a_client_that_leaves_is_never_counted_for_less_than_it_got() {
    let big = Content::new(62, 32 * MIB);
    let origin = Origin::with("/big", Page::of(big));
    let node = Node::of(&origin.url());
    let mut received = 0;
    for _ in 0..5 {
        let mut client = node.connect();
        client.start("/big");
        big.expect(0..MIB, &client.take(MIB));
        received += client.received_bytes();
        client.reset();
    }
    node.wait_all_closed();
    let sent = node.metric(names::SENT);
    assert!(sent >= received, "{sent} sent, {received} received");
    assert!(sent < 5 * big.len, "{sent}: nobody took all of it");
    let log = eventually("a line for each", || {
        let log = node.access_log();
        (log.len() >= 5).then_some(log)
    });
    assert_eq!(sum(&log, "sent_bytes"), sent, "log = metrics");
}
