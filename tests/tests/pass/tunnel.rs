//! Protocols that are switched to (RFC 9110 §7.8): where the site lets it, bytes go both ways as they
//! are, and each side ends for itself.

use std::io::Write;

use edge_tests::{Call, Content, Follower, MIB, RawOrigin, eventually};

use crate::{ask, node, node_with, ok};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: abc\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: xyz\r\n\r\n";

/// An origin that switches, then does `then`.
fn switching(then: fn(&mut Call) -> std::io::Result<()>) -> RawOrigin {
    RawOrigin::start(move |call| {
        let Some(asked) = call.head()? else { return Ok(()) };
        assert_eq!(asked.field("upgrade"), Some("websocket"));
        assert_eq!(asked.field("connection"), Some("upgrade"));
        assert_eq!(asked.field("sec-websocket-key"), Some("abc"));
        call.send(SWITCHING)?;
        then(call)
    })
}

#[test]
fn bytes_go_both_ways_until_both_sides_have_ended() {
    const LEN: u64 = 8 * MIB;
    let origin = switching(|call| {
        call.send("hello")?;
        let mut left = LEN;
        while left > 0 {
            let len = left.min(10_000);
            let mut piece = Vec::new();
            call.exactly(len, &mut |bytes| piece.extend_from_slice(bytes))?;
            call.send(&piece)?;
            left -= len;
        }
        assert_eq!(call.rest()?, b"last words");
        call.send("bye")
    });
    let node = node_with(&origin, &["upgrade = true"]);
    let mut client = ask(&node, UPGRADE);
    let head = client.head().unwrap();
    assert_eq!((head.status, head.field("upgrade")), (101, Some("websocket")));
    assert_eq!(head.field("connection"), Some("upgrade"));
    assert_eq!(head.field("sec-websocket-accept"), Some("xyz"));
    assert_eq!((head.field("date"), head.field("transfer-encoding")), (None, None));
    assert_eq!(client.take(5), b"hello");
    let content = Content::new(9, LEN);
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        content.for_each_piece(|piece| sender.write_all(piece).expect("the node takes it"));
        sender.write_all(b"last words").expect("the node takes it");
    });
    let mut follower = Follower::new(content, 0);
    while follower.offset() < LEN {
        follower.feed(&client.take((LEN - follower.offset()).min(1 << 16)));
    }
    sending.join().expect("all was sent");
    client.half_close();
    assert_eq!(client.take(3), b"bye");
    client.closed();
    node.wait_all_closed();
    eventually("it is logged", || {
        let log = node.access_log();
        let line = log.iter().find(|line| line["status"] == 101)?;
        assert!(line["sent_bytes"].as_u64().unwrap() > LEN, "{line}");
        assert_eq!(line["reason"], "-", "{line}");
        Some(())
    });
    assert_eq!(node.metric("edge_tunnels_total"), 1);
}

#[test]
fn a_client_goes_on_after_its_origin_has_ended() {
    let (told, heard) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let origin = RawOrigin::start(move |call| {
        call.head()?;
        call.send(SWITCHING)?;
        call.send("that is all")?;
        call.half_close()?;
        let _ = told.lock().expect("no panic").send(call.rest()?);
        Ok(())
    });
    let node = node_with(&origin, &["upgrade = true"]);
    let mut client = ask(&node, UPGRADE);
    assert_eq!(client.head().unwrap().status, 101);
    assert_eq!(client.take(11), b"that is all");
    client.closed();
    client.send("and another thing");
    client.half_close();
    let wait = std::time::Duration::from_secs(30);
    assert_eq!(heard.recv_timeout(wait).expect("an end"), b"and another thing");
    node.wait_all_closed();
}

#[test]
fn a_silent_tunnel_is_closed() {
    let origin = switching(|call| call.rest().map(drop));
    let node = node_with(&origin, &["upgrade = true", "upgrade_timeout = \"200ms\""]);
    let mut client = ask(&node, UPGRADE);
    assert_eq!(client.head().unwrap().status, 101);
    client.closed();
    eventually("it is logged", || {
        node.access_log().iter().any(|line| line["reason"] == "idle").then_some(())
    });
}

#[test]
fn nothing_is_switched_that_is_not_wanted_by_all() {
    // The site does not: the origin is not even asked for it.
    let origin = RawOrigin::answering(ok("plain"));
    let deaf = node(&origin);
    let mut client = ask(&deaf, UPGRADE);
    assert_eq!(client.response("GET").unwrap().expect_status(200).body, b"plain");
    assert_eq!((origin.last().field("upgrade"), origin.last().field("connection")), (None, None));
    // The origin does not: the connection goes on as it was.
    let willing = node_with(&origin, &["upgrade = true"]);
    let mut client = ask(&willing, UPGRADE);
    assert_eq!(client.response("GET").unwrap().expect_status(200).body, b"plain");
    assert_eq!(origin.last().field("upgrade"), Some("websocket"));
    assert_eq!(client.get("/other").expect_status(200).body, b"plain");
    // The client did not: an origin that switches all the same is broken.
    let pushy = RawOrigin::answering(SWITCHING);
    let node = node_with(&pushy, &["upgrade = true"]);
    let mut client = ask(&node, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    client.response("POST").unwrap().expect_status(502);
}
