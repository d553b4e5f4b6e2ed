//! Names of origins: asked again when their time is over, kept when nobody answers, never this node.

use std::net::{SocketAddr, TcpListener};

use edge_tests::node::run_edge;
use edge_tests::process::eventually;
use edge_tests::{Dns, NodeConfig, RawOrigin};

use crate::{answering, body, node_of};

/// Two origins at one port of two addresses of this host.
fn pair() -> (RawOrigin, RawOrigin, u16) {
    for _ in 0..32 {
        let free = TcpListener::bind("127.0.0.2:0").expect("a loopback port");
        let port = free.local_addr().expect("it is bound").port();
        if TcpListener::bind(("127.0.0.3", port)).is_err() {
            continue;
        }
        drop(free);
        let at = |ip: &str| format!("{ip}:{port}").parse::<SocketAddr>().expect("an address");
        let one = RawOrigin::on(at("127.0.0.2"), answering("two"));
        return (one, RawOrigin::on(at("127.0.0.3"), answering("three")), port);
    }
    panic!("no port is free at both addresses");
}

fn config(dns: &Dns) -> NodeConfig {
    NodeConfig::default()
        .server(&format!("resolver = [\"{}\"]", dns.addr()))
        .server("fill_threads = 1")
}

#[test]
fn a_name_is_asked_for_again_when_its_time_is_over() {
    let dns = Dns::start();
    let (_two, _three, port) = pair();
    dns.set("origin.test", &["127.0.0.2"], 1);
    let node = node_of(config(&dns), &format!("origin = \"http://origin.test:{port}\""));
    assert_eq!(body(&node, "/a"), "two");
    let asked = dns.asked("origin.test");
    assert_eq!(body(&node, "/a"), "two");
    assert_eq!(dns.asked("origin.test"), asked, "not while it holds");
    dns.set("origin.test", &["127.0.0.3"], 1);
    eventually("the new address to be asked", || (body(&node, "/a") == "three").then_some(()));
    // Nobody answers: what was known holds.
    dns.fail(true);
    eventually("the last answer to be used", || {
        assert_eq!(body(&node, "/a"), "three");
        (node.metric("edge_dns_stale_total") > 0).then_some(())
    });
    assert!(node.log_count("its last addresses are used") > 0);
}

#[test]
fn every_address_of_a_name_is_used() {
    let dns = Dns::start();
    let (two, three, port) = pair();
    dns.set("origin.test", &["127.0.0.2", "127.0.0.3"], 60);
    let node = node_of(config(&dns), &format!("origin = \"http://origin.test:{port}\""));
    eventually("both to be connected to", || {
        // Requests at once need connections of their own.
        let mut clients: Vec<_> = (0..4).map(|_| node.connect()).collect();
        clients.iter_mut().for_each(|client| client.request("GET", "/a", &[]));
        clients.iter_mut().for_each(|client| {
            client.response("GET").expect("an answer");
        });
        (two.connections() > 0 && three.connections() > 0).then_some(())
    });
    drop(two);
    (0..8).for_each(|_| assert_eq!(body(&node, "/b"), "three"));
}

#[test]
fn a_name_that_nobody_knows_is_said() {
    let dns = Dns::start();
    let node = node_of(config(&dns), "origin = \"http://nowhere.test:80\"");
    assert_eq!(node.get("/a").head.status, 502);
    let log = node.log_tail();
    assert!(log.contains("nowhere.test"), "{log}");
    let failures = node.metrics().sum("edge_origin_failures_total", &[("reason", "name")]);
    assert!(failures > 0);
}

#[test]
fn a_name_that_leads_to_this_node_is_refused() {
    let dns = Dns::start();
    dns.set("self.test", &["127.0.0.1"], 60);
    let free = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let config = config(&dns).section(&format!("[[listen]]\naddr = \"127.0.0.1:{port}\""));
    let node = node_of(config, &format!("origin = \"http://self.test:{port}\""));
    assert_eq!(node.get("/a").head.status, 508);
    assert!(node.log_count("leads to this node itself") > 0);
    assert_eq!(node.metrics().sum("edge_origin_failures_total", &[("reason", "loop")]), 1);
}

#[test]
fn names_of_the_hosts_table_are_refused_before_anything_starts() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("edge.toml");
    let text = "[[listen]]\naddr = \"127.0.0.1:8123\"\n[[site]]\nhosts = \"*\"\n\
                origin = \"http://localhost:8123\"\n";
    std::fs::write(&path, text).expect("write");
    let output = run_edge(dir.path(), &["check", "--config", path.to_str().expect("UTF-8")]);
    assert_ne!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("edge.toml:5: site.origin") && said.contains("a loop"), "{said}");
}
