//! How fast answers leave, and how many at once: what the kernel was told, by `ss`.

use std::path::Path;

use edge_tests::process::eventually;
use edge_tests::tools::Tool;
use edge_tests::{Client, Content, Node, NodeConfig, Origin, Page, tools};

const LARGE: Content = Content::new(84, 64 << 20);

/// Rates that the sockets of `node` are held to, bytes a second, in order; those without are left out.
fn paces(ss: &Tool, node: &Node) -> Vec<u64> {
    let filter = format!("( sport = :{} )", node.addr().port());
    let text = ss.expect(Path::new("/"), &["-tinH", "state", "established", &filter]);
    let text = String::from_utf8(text).expect("text");
    // `pacing_rate 8Mbps/16Mbps`: now, and at most.
    let most = |word: &str| word.split_once('/').map(|(_, most)| most.to_owned());
    let rates = text.split("pacing_rate ").skip(1);
    let mut rates: Vec<u64> = rates
        .filter_map(|rest| most(rest.split_whitespace().next()?))
        .map(|rate| bits(&rate) / 8)
        .collect();
    rates.sort_unstable();
    rates
}

/// `8Mbps`, `800kbps`, `1.5Gbps` or `800000bps`.
fn bits(text: &str) -> u64 {
    let number = text.trim_end_matches("bps");
    let (number, factor) = match number.char_indices().last() {
        Some((at, 'k' | 'K')) => (&number[..at], 1e3),
        Some((at, 'M')) => (&number[..at], 1e6),
        Some((at, 'G')) => (&number[..at], 1e9),
        _ => (number, 1.0),
    };
    (number.parse::<f64>().unwrap_or_else(|e| panic!("{text}: {e}")) * factor).round() as u64
}

#[track_caller]
fn expect_paces(ss: &Tool, node: &Node, expected: &[u64]) {
    eventually(&format!("sockets held to {expected:?}, now {:?}", paces(ss, node)), || {
        (paces(ss, node) == expected).then_some(())
    });
}

/// A node whose large file is on its disk; its site has these keys.
fn node(keys: &[&str]) -> (Node, Origin) {
    let origin = Origin::with("/large", Page::of(LARGE));
    origin.put("/dir/large", Page::of(LARGE));
    let node = Node::start(NodeConfig::default().site("*", &origin.url(), keys));
    (node, origin)
}

/// A client that has asked and read the head; the rest waits for it.
fn begin(node: &Node, target: &str) -> Client {
    let mut client = node.connect();
    assert_eq!(client.start(target).status, 200, "{target}");
    client
}

#[test]
fn rates_come_from_site_rule_and_link() {
    let Some(ss) = tools::need("ss") else { return };
    let (node, origin) = node(&[
        "[[site.rule]]\npath = \"/dir\"\nrate = \"400kB\"",
        "[site.shape]\nrate = \"1MB\"\nrate_argument = \"rate\"",
    ]);
    for (target, rate) in [
        ("/large", 1_000_000),
        ("/dir/large", 400_000),
        ("/large?rate=200k", 204_800),
        ("/dir/large?rate=3000000", 3_000_000),
        ("/large?rate=5", 100_000),
        // Not a rate: as without, and taken off all the same.
        ("/large?rate=fast", 1_000_000),
    ] {
        let client = begin(&node, target);
        expect_paces(&ss, &node, &[rate]);
        client.reset();
        expect_paces(&ss, &node, &[]);
    }
    for target in ["/large", "/dir/large"] {
        assert_eq!(origin.counts(target).requests, 1, "{target}: the rate is in no key");
    }
    assert_eq!(origin.requests(), 2, "and the origin does not see it");
    let explained = node.edge(&["explain", "http://a/dir/large"]);
    assert!(explained.contains("400000B a second"), "{explained}");
}

#[test]
fn a_rate_holds_after_its_bytes_and_for_its_answer() {
    let Some(ss) = tools::need("ss") else { return };
    let (node, origin) =
        node(&["[[site.rule]]\npath = \"/dir\"\nrate = \"50MB\"\nrate_after = \"8MiB\""]);
    origin.put("/small", Page::of(Content::new(85, 100)));
    let mut client = begin(&node, "/dir/large");
    let (head, len) = (LARGE, 64 << 20);
    expect_paces(&ss, &node, &[]);
    head.expect(0..32 << 20, &client.take(32 << 20));
    expect_paces(&ss, &node, &[50_000_000]);
    head.expect(32 << 20..len, &client.take(32 << 20));
    // The next answer on the connection is held to nothing.
    assert_eq!(client.get("/small").head.status, 200);
    expect_paces(&ss, &node, &[]);
}

#[test]
fn a_cap_is_shared() {
    let Some(ss) = tools::need("ss") else { return };
    let (node, _origin) = node(&["[site.shape]\ncap = \"12MB\"\nrate = \"8MB\""]);
    let mut clients = vec![begin(&node, "/large")];
    expect_paces(&ss, &node, &[8_000_000]);
    for share in [6_000_000, 4_000_000, 3_000_000] {
        clients.push(begin(&node, "/large"));
        expect_paces(&ss, &node, &vec![share; clients.len()]);
    }
    clients.drain(..2).for_each(Client::reset);
    expect_paces(&ss, &node, &[6_000_000; 2]);
}

#[test]
fn hours_hold_by_their_own_clock() {
    let Some(ss) = tools::need("ss") else { return };
    let hour = |ahead: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        (now.expect("after 1970").as_secs() / 3600 + ahead) % 24
    };
    // Two hours around now, four hours from it, and by a clock four hours ahead.
    let window = |ahead: u64| format!("{}:00-{}:00", hour(ahead + 23), hour(ahead + 2));
    for (hours, holds) in [
        (format!("hours = \"{}\"", window(0)), true),
        (format!("hours = \"{}\"", window(4)), false),
        (format!("hours = \"{}\"\nutc_offset = \"+04:00\"", window(4)), true),
    ] {
        let (node, _origin) = node(&[&format!("[site.shape]\nrate = \"2MB\"\n{hours}")]);
        let _client = begin(&node, "/large");
        let expected: &[u64] = if holds { &[2_000_000] } else { &[] };
        expect_paces(&ss, &node, expected);
    }
}

#[test]
fn answers_under_way_are_counted() {
    let (node, _origin) = node(&["[site.shape]\nmax_per_client = 3\nmax_answers = 5"]);
    let from = |last: u8| {
        let mut client = Client::connect_from([127, 0, 0, last].into(), node.addr());
        (client.start("/large").status, client)
    };
    let mut first: Vec<_> = (0..3).map(|_| from(2)).collect();
    assert!(first.iter().all(|(status, _)| *status == 200));
    let mut refused = Client::connect_from([127, 0, 0, 2].into(), node.addr());
    let answer = refused.get("/large");
    assert_eq!(answer.head.status, 429);
    assert_eq!(answer.head.expect_field("edge-reason"), "client_concurrency");
    assert!(answer.head.field("retry-after").is_some());
    let others = [from(3), from(4)];
    assert!(others.iter().all(|(status, _)| *status == 200));
    let answer = Client::connect_from([127, 0, 0, 5].into(), node.addr()).get("/large");
    assert_eq!(answer.head.status, 503);
    assert_eq!(answer.head.expect_field("edge-reason"), "site_concurrency");
    // Who leaves makes room.
    first.pop().expect("one").1.reset();
    eventually("room for another", || (from(5).0 == 200).then_some(()));
    assert_eq!(
        node.metrics().sum("edge_site_denied_total", &[("reason", "client_concurrency")]),
        1
    );
    drop((first, others, refused));
    node.wait_all_closed();
    let explained = node.edge(&["explain", "http://a/large"]);
    assert!(explained.contains("3 answers of one client, 5 in all; 0 under way"), "{explained}");
}
