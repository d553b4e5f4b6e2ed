//! Who is asked: priority, weight, ceilings; who is down, how that is found out, and when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use edge_tests::process::eventually;
use edge_tests::{Content, Gate, Origin, Page, RawOrigin};

use crate::{answer, body, explained, node, origin};

#[test]
fn weights_and_priorities_share_the_requests() {
    let (heavy, light, backup) = (origin("heavy"), origin("light"), origin("backup"));
    let node = node(&format!(
        "origin = [\n{{ url = \"{}\", weight = 3 }},\n{{ url = \"{}\" }},\n\
         {{ url = \"{}\", priority = 2 }},\n]",
        heavy.url(),
        light.url(),
        backup.url()
    ));
    for number in 0..20 {
        node.get(&format!("/{number}")).expect_status(200);
    }
    let asked = [&heavy, &light, &backup].map(|origin| origin.heads().len());
    assert_eq!(asked, [15, 5, 0]);
    let metrics = node.metrics();
    let labels = [("origin", heavy.url())];
    let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(metrics.sum("edge_origin_address_requests_total", &labels), 15);
    assert_eq!(metrics.sum("edge_origin_up", &[]), 3);
    assert!(explained(&node, "/x").contains("weight 3: up"), "{}", explained(&node, "/x"));
}

#[test]
fn urls_alone_are_asked_in_their_order() {
    let (first, second) = (origin("first"), origin("second"));
    let node = node(&format!("origin = [\"{}\", \"{}\"]", first.url(), second.url()));
    assert!((0..6).all(|number| body(&node, &format!("/{number}")) == "first"));
    assert!(second.heads().is_empty());
}

#[test]
fn an_address_has_its_own_host_and_ports_follow_the_client() {
    let origin = origin("x");
    let port = origin.addr().port();
    let node = node(&format!(
        "origin = [{{ url = \"//127.0.0.1\", http_port = {port}, https_port = 9, host = \"inner.test\" }}]"
    ));
    node.get("/a").expect_status(200);
    assert_eq!(origin.last().field("host"), Some("inner.test"));
}

#[test]
fn a_dead_address_is_left_alone_until_a_probe_finds_it() {
    let primary = Origin::with("/a", Page { cache_control: Some("no-store".into()), ..page() });
    let backup = origin("backup");
    let node = node(&format!(
        "origin = [\"{}\", \"{}\"]\nhealth = {{ path = \"/a\", interval = \"100ms\", fall = 1 }}",
        primary.url(),
        backup.url()
    ));
    assert_eq!(node.get("/a").expect_status(200).body.len(), 100);
    primary.set_down(true);
    assert_eq!(body(&node, "/a"), "backup");
    assert_eq!(node.metrics().sum("edge_origin_up", &[]), 1);
    let status = node.status();
    assert_eq!(status["origins"][0]["origins"][0]["up"], false, "{status}");
    assert!(explained(&node, "/a").contains("down for"), "{}", explained(&node, "/a"));
    eventually("the log to say it", || (node.log_count("origin is down") == 1).then_some(()));
    primary.set_down(false);
    eventually("the primary to be asked again", || {
        (node.get("/a").body.len() == 100).then_some(())
    });
    eventually("the log to say it", || (node.log_count("origin is up again") == 1).then_some(()));
}

#[test]
fn without_failback_the_backup_goes_on() {
    let primary = Origin::with("/a", Page { cache_control: Some("no-store".into()), ..page() });
    let backup = origin("backup");
    let node = node(&format!(
        "origin = [\"{}\", \"{}\"]\nhealth = {{ path = \"/a\", interval = \"100ms\", fall = 1, failback = false }}",
        primary.url(),
        backup.url()
    ));
    primary.set_down(true);
    assert_eq!(body(&node, "/a"), "backup");
    primary.set_down(false);
    eventually("the primary to be up", || {
        (node.metrics().sum("edge_origin_up", &[]) == 2).then_some(())
    });
    assert_eq!(body(&node, "/a"), "backup");
}

#[test]
fn a_path_is_probed_before_anybody_asks() {
    let sick = Arc::new(AtomicBool::new(false));
    let seen = sick.clone();
    let primary = RawOrigin::start(move |call| {
        while let Some(asked) = call.head()? {
            let bad = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned();
            let is_sick = asked.target() == "/healthz" && seen.load(SeqCst);
            call.send(if is_sick { bad } else { answer("primary") })?;
        }
        Ok(())
    });
    let backup = origin("backup");
    let node = node(&format!(
        "origin = [\"{}\", \"{}\"]\n[site.health]\npath = \"/healthz\"\ninterval = \"100ms\"\n\
         status = [200, 204]\nhost = \"probe.test\"\nrise = 2\nfall = 2",
        primary.url(),
        backup.url()
    ));
    assert_eq!(body(&node, "/a"), "primary");
    sick.store(true, SeqCst);
    eventually("the primary to be down", || {
        (node.metrics().sum("edge_origin_up", &[]) == 1).then_some(())
    });
    let asked_before = primary.heads().iter().filter(|asked| asked.target() == "/a").count();
    assert_eq!(body(&node, "/a"), "backup");
    let asked = primary.heads().iter().filter(|asked| asked.target() == "/a").count();
    assert_eq!(asked, asked_before, "nobody paid for finding out");
    let probe = primary.heads().into_iter().find(|asked| asked.target() == "/healthz");
    assert_eq!(probe.expect("it was probed").field("host"), Some("probe.test"));
    sick.store(false, SeqCst);
    eventually("the primary to be asked again", || (body(&node, "/a") == "primary").then_some(()));
}

#[test]
fn statuses_are_tried_elsewhere_as_the_site_says() {
    let missing = RawOrigin::answering("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    let failing = RawOrigin::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let good = origin("good");
    let node_with = |bad: &RawOrigin, lines: &str| {
        node(&format!("origin = [\"{}\", \"{}\"]\n{lines}", bad.url(), good.url()))
    };
    assert_eq!(node_with(&missing, "").get("/a").head.status, 404);
    assert_eq!(body(&node_with(&missing, "retry_on = [\"404\"]"), "/a"), "good");
    assert_eq!(body(&node_with(&failing, ""), "/a"), "good");
    assert_eq!(node_with(&failing, "retry_on = \"off\"").get("/a").head.status, 503);
    assert_eq!(node_with(&failing, "retries = 0").get("/a").head.status, 503);
}

#[test]
fn what_may_do_harm_twice_is_sent_once() {
    let failing = RawOrigin::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let good = origin("good");
    let node = node(&format!("origin = [\"{}\", \"{}\"]", failing.url(), good.url()));
    let send = |method: &str| {
        let mut client = node.connect();
        client.request(method, "/a", &[]);
        client.response(method).expect("an answer").head.status
    };
    assert_eq!(send("POST"), 503);
    assert_eq!(good.heads().len(), 0);
    assert_eq!(send("DELETE"), 200);
    assert_eq!(good.heads().len(), 1);
}

#[test]
fn an_address_has_a_ceiling_of_its_own() {
    let gate = Gate::new();
    let held = gate.clone();
    let slow = RawOrigin::start(move |call| {
        while let Some(_asked) = call.head()? {
            while !held.is_open() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            call.send(answer("slow"))?;
        }
        Ok(())
    });
    let other = origin("other");
    let node = node(&format!(
        "origin = [{{ url = \"{}\", max_connections = 1 }}, {{ url = \"{}\", priority = 2 }}]",
        slow.url(),
        other.url()
    ));
    let mut waiting = node.connect();
    waiting.request("GET", "/held", &[]);
    eventually("the first to be asked", || (slow.heads().len() == 1).then_some(()));
    assert_eq!(body(&node, "/a"), "other");
    gate.open();
    assert_eq!(waiting.response("GET").expect("an answer").body, b"slow");
    eventually("its place to be free", || (body(&node, "/b") == "slow").then_some(()));
}

fn page() -> Page {
    Page::of(Content::new(5, 100))
}
