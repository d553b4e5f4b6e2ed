//! Clients that ask too much, next to good ones that must not notice. Addresses of loopback stand for
//! clients.

use std::net::{IpAddr, Ipv4Addr};

use edge_tests::process::eventually;
use edge_tests::{Client, Content, MIB, Node, NodeConfig, Origin, Page, need};
use serde_json::Value;

const BODY: Content = Content::new(90, 64 * MIB);
const SMALL: Content = Content::new(91, 3_000);

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// A node under the default rules, and what `lines` of `[guard]` change of them, for loopback too.
fn node(origin: &Origin, lines: &[&str]) -> Node {
    let config = NodeConfig::of(&origin.url()).guard("exempt_loopback = false");
    Node::start(lines.iter().fold(config, |config, line| config.guard(line)))
}

fn origin() -> Origin {
    let origin = Origin::with("/iso", Page::of(BODY));
    origin.put("/small", Page::of(SMALL));
    origin
}

fn connect(node: &Node, last: u8) -> Client {
    Client::connect_from(address(last), node.addr())
}

fn why(node: &Node, last: u8) -> Value {
    let text = node.edge(&["why", &address(last).to_string(), "--json"]);
    serde_json::from_str(&text).expect("JSON")
}

/// One good client's day: every answer is whole.
fn behave(node: &Node, last: u8) {
    let mut client = connect(node, last);
    SMALL.expect(0..SMALL.len, &client.get("/small").expect_status(200).body);
    let range = client.get_with("/iso", &[("Range", "bytes=0-99999")]).expect_status(206);
    BODY.expect(0..100_000, &range.body);
    client.get("/missing").expect_status(404);
}

/// Asks until the answer has `status`; how often.
fn until(status: u16, most: usize, mut ask: impl FnMut() -> u16) -> usize {
    (1..=most).find(|_| ask() == status).unwrap_or_else(|| panic!("no {status} in {most} answers"))
}

#[test]
fn who_downloads_one_file_over_and_over_is_limited_and_told_why() {
    let origin = origin();
    let node = node(&origin, &[]);
    behave(&node, 2);
    let limited = std::cell::Cell::new(None);
    let rounds = until(429, 60, || {
        // A new connection each time: the client is its address.
        let response = connect(&node, 66).get("/iso");
        if response.head.status == 429 {
            limited.set(Some(response.head.clone()));
        }
        response.head.status
    });
    assert!(rounds > 4, "four copies of 64 MiB are what anybody may have at once: {rounds}");
    let head = limited.take().expect("a refusal");
    assert_eq!(head.field("edge-limit"), Some("object_bytes"));
    let wait_s: u64 = head.field("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=60).contains(&wait_s), "{wait_s}");
    let why = why(&node, 66);
    let decision = why["decision"].as_str().unwrap_or_default();
    let threshold = "rule object_bytes: 128MiB a second after 256MiB or 2 copies at once";
    let history = eventually("the verdict in the history", || {
        let why = self::why(&node, 66);
        why["engine"]["history"][0].is_object().then(|| why["engine"]["history"][0].clone())
    });
    assert_eq!(history["rule"], "object_bytes");
    assert!(
        history["object"].as_str().is_some_and(|object| object.ends_with(" /iso")),
        "{history}"
    );
    // It may have ended by now; while it holds, the rule and the threshold are told.
    assert!(decision.starts_with("passes") || decision.contains(threshold), "{decision}");
    connect(&node, 66).get("/small").expect_status(200);
    behave(&node, 2);
    let verdicts = node.metrics().sum("edge_limit_verdicts_total", &[("rule", "object_bytes")]);
    assert_eq!(verdicts, 1, "one verdict for the whole episode");
}

#[test]
fn two_hundred_people_behind_one_address_are_not_stopped() {
    let origin = origin();
    for number in 0..30 {
        origin.put(&format!("/page/{number}"), Page::of(SMALL));
    }
    let node = node(&origin, &[]);
    // A page and its parts each, and then, all at once, a piece of the file that all are after today.
    let mut people: Vec<_> = (0..200).map(|_| connect(&node, 77)).collect();
    std::thread::scope(|scope| {
        for some in people.chunks_mut(20) {
            scope.spawn(|| {
                for client in some {
                    for number in 0..30 {
                        client.get(&format!("/page/{number}")).expect_status(200);
                    }
                }
            });
        }
    });
    std::thread::scope(|scope| {
        for client in &mut people {
            scope.spawn(|| {
                let fields = [("Range", "bytes=0-1048575")];
                client.get_with("/iso", &fields).expect_status(206);
            });
        }
    });
    assert_eq!(node.metric("edge_limit_verdicts_total"), 0, "nobody came over a limit");
    let why = eventually("all of them in the account", || {
        let why = why(&node, 77);
        (why["engine"]["account"]["requests"] == 200 * 31).then_some(why)
    });
    assert_eq!(why["engine"]["account"]["refused"], 0);
    assert_eq!(why["decision"], "passes: within every limit");
}

#[test]
fn a_storm_of_errors_is_limited() {
    let origin = origin();
    let node = node(&origin, &[]);
    let mut bad = connect(&node, 66);
    let rounds = until(429, 6_000, || bad.get("/no-such-thing").head.status);
    assert!(rounds >= 2_000, "{rounds}: the default lets two thousand errors pass at once");
    connect(&node, 66).get("/small").expect_status(429);
    behave(&node, 2);
    eventually("both refusals in the account", || {
        (why(&node, 66)["engine"]["account"]["refused"].as_u64() >= Some(2)).then_some(())
    });
}

#[test]
fn many_small_ranges_at_a_time_are_limited() {
    let origin = origin();
    let node = node(&origin, &[]);
    let ranges: Vec<String> = (0..100).map(|n| format!("{}-{}", n * 20, n * 20)).collect();
    let field = format!("bytes={}", ranges.join(","));
    let mut bad = connect(&node, 66);
    let rounds = until(429, 1_000, || bad.get_with("/small", &[("Range", &field)]).head.status);
    assert!(rounds >= 100, "{rounds}");
    behave(&node, 2);
}

#[test]
fn who_sends_garbage_is_banned_and_an_operator_lifts_it() {
    let origin = origin();
    let node = node(&origin, &[]);
    let banned = (0..400).any(|_| {
        let mut bad = connect(&node, 66);
        let _ = bad.try_send("\0\r\n\r\n");
        bad.response("GET").is_err()
    });
    assert!(banned, "two hundred malformed requests are too many");
    assert!(node.metric("edge_conns_banned_total") >= 1);
    let why = why(&node, 66);
    let decision = why["decision"].as_str().unwrap_or_default();
    assert!(decision.starts_with("banned: rule malformed"), "{decision}");
    behave(&node, 2);
    assert_eq!(node.post_admin("/forgive?prefix=127.0.0.66/32").head.status, 200);
    behave(&node, 66);
}

#[test]
fn observing_refuses_nothing_and_tells_all() {
    let origin = origin();
    let lines = ["mode = \"observe\"", "[[guard.limit]]\non = \"requests\"\nrate = 1\nburst = 5"];
    let node = node(&origin, &lines);
    let mut busy = connect(&node, 66);
    for _ in 0..100 {
        busy.get("/small").expect_status(200);
    }
    eventually("an observed verdict", || {
        let observed = [("rule", "requests"), ("then", "observed")];
        (node.metrics().sum("edge_limit_verdicts_total", &observed) == 1).then_some(())
    });
    assert_eq!(node.metrics().sum("edge_client_refused_total", &[]), 0);
    eventually("its story", || {
        (why(&node, 66)["engine"]["history"][0]["enforced"] == false).then_some(())
    });
}

#[test]
fn slow_heads_are_cut_and_their_sender_banned_while_others_are_served() {
    let Some(tool) = need("slowhttptest") else { return };
    let origin = origin();
    let lines =
        ["[[guard.limit]]\non = \"slow\"\nrate = 1\nburst = 20\nthen = \"ban\"\nfor = \"5m\""];
    let config = NodeConfig::of(&origin.url()).guard("exempt_loopback = false");
    let config = config.guard("allow = [\"127.0.0.2\"]").server("head_timeout = \"1s\"");
    let node = Node::start(lines.iter().fold(config, |config, line| config.guard(line)));
    let url = node.url("/small");
    std::thread::scope(|scope| {
        let dir = node.dir();
        let args = ["-c", "200", "-H", "-i", "1", "-r", "100", "-l", "6", "-u", &url];
        let attack = scope.spawn(move || tool.run(dir, &args));
        while !attack.is_finished() {
            behave(&node, 2);
        }
        attack.join().expect("slowhttptest ran");
    });
    let banned = [("rule", "slow"), ("then", "banned")];
    assert!(node.metrics().sum("edge_limit_verdicts_total", &banned) >= 1);
    let decision = why(&node, 1)["decision"].as_str().unwrap_or_default().to_owned();
    assert!(decision.starts_with("banned: rule slow"), "{decision}");
    behave(&node, 2);
}
