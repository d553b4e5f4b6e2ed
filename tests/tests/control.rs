//! The control plane: reload, drain, doors and exit codes.

use std::io::ErrorKind;

use edge_tests::node::run_edge;
use edge_tests::process::eventually;
use edge_tests::{
    Client, Content, Follower, Gate, Hold, MIB, Node, NodeConfig, Origin, Page, names,
};

const BODY: Content = Content::new(90, 16 * MIB);

fn held_origin(at: u64) -> (Origin, Gate) {
    let gate = Gate::new();
    let hold = Some(Hold { at, gate: gate.clone() });
    (Origin::with("/a", Page { hold, ..Page::of(BODY) }), gate)
}

#[test]
fn health_status_and_metrics_answer() {
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::of(&origin.url());
    node.admin("/healthz").expect_status(200);
    let status = node.status();
    assert!(status.is_object(), "{status}");
    assert_eq!(node.metric(names::SENT), 0);
    node.get("/a").expect_status(200);
    node.wait_metric(names::SENT, BODY.len);
    node.admin("/nowhere").expect_status(404);
    // What the control plane shows is not for clients.
    node.get("/metrics").expect_status(404);
}

#[test]
fn a_reload_adds_a_site_and_harms_no_download() {
    let (origin, gate) = held_origin(2 * MIB);
    let other = Origin::with("/b", Page::of(Content::new(91, 1000)));
    let first = NodeConfig::default().site("a.test", &origin.url(), &[]);
    let mut node = Node::start(first);
    let mut running = node.connect().with_host("a.test");
    let head = running.start("/a");
    let mut follower = Follower::new(BODY, 0);
    follower.feed(&running.take(MIB));
    let status = node.connect().with_host("b.test").get("/b").head.status;
    assert!([404, 421].contains(&status), "an unknown host: {status}");
    origin.put("/small", Page::of(Content::new(92, 10)));
    let mut kept = node.connect().with_host("a.test");
    kept.get("/small").expect_status(200);

    node.reconfigure(|config| config.site("b.test", &other.url(), &[]));
    node.sighup();
    eventually("the added site being served", || {
        let mut client = node.connect().with_host("b.test");
        (client.get("/b").head.status == 200).then_some(())
    });
    // A connection from before the reload sees it too.
    kept.with_host("b.test").get("/b").expect_status(200);
    gate.open();
    follower.feed(&running.take(BODY.len - MIB));
    assert_eq!((follower.offset(), head.content_length()), (BODY.len, Some(BODY.len)));
    running.get("/a").expect_status(200);
    let requests = node.metrics().sum(names::SITE_REQUESTS, &[("site", "a.test")]);
    assert!(requests >= 1, "counters of a site go on over a reload: {requests}");
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_kept() {
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::of(&origin.url());
    let good = node.config_text();
    for (bad, hint) in [
        (good.replace("slice =", "slize ="), "slize"),
        (format!("{good}\n[[[not toml"), "edge.toml"),
        (good.replace(&origin.url(), "gopher://x"), "gopher"),
    ] {
        let before = node.log_count(hint);
        node.write_config(&bad);
        node.sighup();
        eventually(&format!("a log line about {hint:?}"), || {
            (node.log_count(hint) > before).then_some(())
        });
        BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
        node.admin("/healthz").expect_status(200);
    }
    assert_eq!(origin.counts("/a").requests, 1, "the cache was kept as well");
}

#[test]
fn sigterm_lets_downloads_end_and_takes_no_new_ones() {
    let (origin, gate) = held_origin(2 * MIB);
    let config = NodeConfig::of(&origin.url()).server("drain_timeout = \"50s\"");
    let mut node = Node::start(config);
    let mut idle = node.connect();
    origin.put("/small", Page::of(Content::new(92, 10)));
    idle.get("/small").expect_status(200);
    let mut running = node.connect();
    running.start("/a");
    let mut follower = Follower::new(BODY, 0);
    follower.feed(&running.take(MIB));

    node.sigterm();
    eventually("new connections being refused", || refused(&node).then_some(()));
    idle.closed();
    assert!(node.is_running(), "it waits for the running download");
    gate.open();
    follower.feed(&running.take(BODY.len - MIB));
    assert_eq!(follower.offset(), BODY.len);
    running.closed();
    let status = node.wait();
    assert_eq!(status.code(), Some(0), "exit code after a drain");
}

fn refused(node: &Node) -> bool {
    let Ok(mut client) = Client::try_connect(node.addr()) else { return true };
    // What waited in the backlog when the listener was closed is reset.
    let _ = client.try_send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head().is_err_and(|error| error.kind() != ErrorKind::TimedOut)
}

#[test]
fn the_deadline_ends_a_drain() {
    let (origin, _never_opened) = held_origin(2 * MIB);
    let config = NodeConfig::of(&origin.url()).server("drain_timeout = \"1s\"");
    let mut node = Node::start(config);
    let mut running = node.connect();
    let head = running.start("/a");
    node.sigterm();
    let status = node.wait();
    assert_eq!(status.code(), Some(0), "exit code after a drain that reached its deadline");
    let mut follower = Follower::new(BODY, 0);
    let cut = running.body(&head, "GET", &mut |piece| follower.feed(piece));
    cut.expect_err("what is not there cannot have been sent");
    assert!(follower.offset() <= 2 * MIB);
}

#[test]
fn check_names_file_line_and_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = NodeConfig::of("http://127.0.0.1:1").text(dir.path());
    let path = dir.path().join("edge.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).expect("written");
        let output = run_edge(dir.path(), &["check", "--config", "edge.toml"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = check(&good);
    assert_eq!(code, Some(0), "a good configuration: {said}");

    let line_of = |key: &str| good.lines().position(|line| line.starts_with(key)).unwrap() + 1;
    let line = line_of("volumes");
    let (code, said) = check(&good.replace("volumes", "volums"));
    assert!(code.is_some_and(|code| code == 1 || code == 2), "a wrong key: {code:?}: {said}");
    for part in [format!("edge.toml:{line}"), "volums".into(), "volumes".into()] {
        assert!(said.contains(&part), "expected {part:?} in: {said}");
    }
    let (code, said) = check(&good.replace("workers = 2", "workers = \"many\""));
    assert!(code.is_some_and(|code| code == 1 || code == 2), "a wrong type: {code:?}: {said}");
    assert!(said.contains(&format!("edge.toml:{}", line_of("workers"))), "{said}");

    let missing = run_edge(dir.path(), &["check", "--config", "nowhere.toml"]);
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_ne!(missing.status.code(), Some(0));
    assert!(said.contains("nowhere.toml"), "{said}");
    let usage = run_edge(dir.path(), &["no-such-command"]);
    assert_eq!(usage.status.code(), Some(2), "a usage error");
}

#[test]
fn serve_refuses_a_bad_configuration_and_a_taken_port() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = NodeConfig::of("http://127.0.0.1:1").text(dir.path());
    let path = dir.path().join("edge.toml");
    std::fs::write(&path, good.replace("volumes", "volums")).expect("written");
    let output = run_edge(dir.path(), &["serve", "--config", "edge.toml"]);
    assert_eq!(output.status.code(), Some(2), "a configuration error is 2");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let addr = taken.local_addr().expect("it is bound").to_string();
    let text = good.replacen("127.0.0.1:0", &addr, 1);
    std::fs::write(&path, text).expect("written");
    let output = run_edge(dir.path(), &["serve", "--config", "edge.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "a taken port is a failure at run time: {said}");
    assert!(said.contains(&addr), "it names the address: {said}");
}
