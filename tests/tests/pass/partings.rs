//! One side leaves: early answers, cuts, refusals, and what may be tried again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use edge_tests::{Closed, Node, NodeConfig, RawOrigin, eventually};

use crate::{ask, node, ok};

/// An origin that hears nothing for so long was forgotten.
const HANG: Duration = Duration::from_secs(30);

#[test]
fn an_answer_before_the_end_of_the_body_reaches_the_client() {
    let origin = RawOrigin::start(|call| {
        call.head()?;
        call.send("HTTP/1.1 401 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwho?")?;
        call.rest().map(drop)
    });
    let node = node(&origin);
    let mut client =
        ask(&node, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nthe beginning");
    let response = client.response("POST").unwrap().expect_status(401);
    assert_eq!(response.body, b"who?");
    assert_eq!(response.head.field("connection"), Some("close"));
    // What the client sends on is not taken for requests, and does not destroy the answer.
    let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    client.closed();
    node.wait_all_closed();
    assert_eq!(origin.heads().len(), 1);
}

#[test]
fn a_client_that_leaves_ends_its_request_at_the_origin() {
    let (ended, ends) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = RawOrigin::start(move |call| {
        let Some(asked) = call.head()? else { return Ok(()) };
        let body = call.body(&asked).map(|(body, _)| body.len());
        // A whole body: then the end of the connection.
        let rest = call.rest().map(|rest| rest.len());
        let _ = ended.lock().expect("no panic").send((body.ok(), rest.is_ok()));
        Ok(())
    });
    let node = node(&origin);
    // In the middle of its body: the origin must see no end of it.
    for (asked, request) in [
        (1, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"),
        (2, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ] {
        let client = ask(&node, request);
        eventually("the origin is asked", || (origin.heads().len() == asked).then_some(()));
        drop(client);
        assert_eq!(ends.recv_timeout(HANG).expect("the origin sees an end").0, None, "{request:?}");
    }
    // While it waits for the answer.
    let client = ask(&node, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    eventually("the origin is asked", || (origin.heads().len() == 3).then_some(()));
    client.reset();
    assert_eq!(ends.recv_timeout(HANG).expect("the origin sees an end").0, Some(3));
    node.wait_all_closed();
}

#[test]
fn an_origin_that_breaks_off_is_told_or_shown() {
    let origin = RawOrigin::start(|call| {
        let Some(asked) = call.head()? else { return Ok(()) };
        match asked.target() {
            "/silent" => call.body(&asked).map(drop),
            "/garbage" => call.send("what?\r\n\r\n"),
            "/short" => call.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
            _ => call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        }
    });
    let node = node(&origin);
    let post =
        |target: &str| format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    for target in ["/silent", "/garbage"] {
        let mut client = ask(&node, post(target));
        client.response("POST").unwrap().expect_status(502);
    }
    for target in ["/short", "/chunked"] {
        let mut client = ask(&node, post(target));
        let response = client.response("POST").unwrap();
        assert_eq!((response.head.status, &response.body[..]), (200, &b"abc"[..]));
        assert!(!response.complete, "{target}: never a made-up end");
    }
    let gone = Node::of("http://127.0.0.1:1");
    let mut client = ask(&gone, post("/a"));
    client.response("POST").unwrap().expect_status(502);
}

#[test]
fn only_what_does_no_harm_twice_is_asked_twice() {
    let origin = RawOrigin::start(|call| {
        // Read, then dropped without an answer.
        call.head().map(drop)
    });
    let node = node(&origin);
    for (method, tries) in [("POST", 1), ("PATCH", 1), ("LOCK", 1), ("DELETE", 3), ("OPTIONS", 3)] {
        let before = origin.heads().len();
        let mut client = ask(&node, format!("{method} /a HTTP/1.1\r\nHost: h\r\n\r\n"));
        client.response(method).unwrap().expect_status(502);
        assert_eq!(origin.heads().len() - before, tries, "{method}");
    }
}

#[test]
fn another_address_is_tried_while_nothing_was_sent() {
    let origin = RawOrigin::answering(ok("here"));
    let sites = format!("http://127.0.0.1:1\", \"{}", origin.url());
    let node = Node::start(NodeConfig::default().site("*", &sites, &[]));
    for _ in 0..3 {
        let mut client = ask(&node, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(client.response("POST").unwrap().expect_status(200).body, b"here");
    }
    assert_eq!(origin.heads().len(), 3);
}

#[test]
fn a_body_that_cannot_be_read_ends_the_request() {
    let whole = std::sync::Arc::new(AtomicU64::new(0));
    let counted = whole.clone();
    let origin = RawOrigin::start(move |call| {
        while let Some(asked) = call.head()? {
            call.body(&asked)?;
            counted.fetch_add(1, SeqCst);
            call.send(ok("done"))?;
        }
        Ok(())
    });
    let node = node(&origin);
    for chunks in ["z\r\n", "2\r\nabc\r\n", "1\na", "-1\r\n", "11111111111111111\r\n"] {
        let mut client = ask(
            &node,
            format!("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        );
        let response = client.response("POST").unwrap().expect_status(400);
        assert_eq!(response.head.field("connection"), Some("close"), "{chunks:?}");
        assert_eq!(client.closed(), Closed::Fin);
    }
    assert_eq!(whole.load(SeqCst), 0, "no body was ended for the origin");
}
