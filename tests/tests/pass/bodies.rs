//! Bodies in both directions: framed anew, in order, at the pace of the slower side.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use edge_tests::content::hex;
use edge_tests::{Content, MIB, RawOrigin, env_number, eventually, names};
use sha2::{Digest, Sha256};

use crate::{ask, node, ok};

/// An origin that answers with what it was sent, method first.
fn echo() -> RawOrigin {
    RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            let (body, trailers) = call.body(&asked)?;
            let method = asked.line().split(' ').next().unwrap_or_default().to_owned();
            let text = [method.as_bytes(), b" ", &body, trailers.as_bytes()].concat();
            call.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len()))?;
            call.send(text)?;
        }
        Ok(())
    })
}

#[test]
fn every_method_goes_through_with_its_body() {
    let origin = echo();
    let node = node(&origin);
    let mut client = node.connect();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X!Y", "GET"] {
        for (frame, body) in [
            ("Content-Length: 5\r\n\r\nhello", "hello"),
            ("Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", "hello"),
            ("\r\n", ""),
        ] {
            if method == "GET" && body.is_empty() {
                continue;
            }
            client.send(format!("{method} /a HTTP/1.1\r\nHost: h\r\n{frame}"));
            let response = client.response(method).expect(method).expect_status(200);
            let text = String::from_utf8(response.body).expect("text");
            assert_eq!(text, format!("{method} {body}"), "{frame:?}");
        }
    }
    let passed = origin.heads().len() as u64;
    eventually("all are counted", || (node.outcomes("bypass") == passed).then_some(()));
    assert!(origin.connections() < passed, "connections to the origin are used again");
}

#[test]
fn what_follows_a_body_is_the_next_request() {
    let origin = echo();
    let node = node(&origin);
    let mut client = ask(
        &node,
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
         PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n0\r\n\r\n\
         DELETE /c HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    for body in ["POST abc", "PUT d", "DELETE "] {
        assert_eq!(client.response("POST").unwrap().expect_status(200).body, body.as_bytes());
    }
    let targets: Vec<String> = origin.heads().iter().map(|asked| asked.target().into()).collect();
    assert_eq!(targets, ["/a", "/b", "/c"]);
}

#[test]
fn fields_for_one_hop_stay_on_it() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Origin-Hop\r\nX-Origin-Hop: 1\r\n\
         Keep-Alive: timeout=9\r\nX-Kept: 1\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nhi",
    );
    let node = node(&origin);
    let mut client = ask(
        &node,
        "POST /a HTTP/1.1\r\nHost: h.test:81\r\nConnection: X-Client-Hop, close\r\nX-Client-Hop: 1\r\n\
         Keep-Alive: 1\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: websocket\r\nX-Kept: 1\r\n\
         X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nForwarded: host=evil\r\n\
         X_Under: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let response = client.response("POST").unwrap().expect_status(200);
    for name in ["x-origin-hop", "keep-alive"] {
        assert_eq!(response.head.field(name), None, "{name}");
    }
    assert_eq!(response.head.field("x-kept"), Some("1"));
    assert_eq!(response.head.field("content-range"), Some("bytes 0-1/9"));
    assert_eq!(response.head.field("connection"), Some("close"));
    let asked = origin.last();
    for name in ["x-client-hop", "keep-alive", "proxy-connection", "te", "upgrade", "x_under"] {
        assert_eq!(asked.field(name), None, "{name}: {}", asked.text);
    }
    for name in ["x-forwarded-host", "forwarded"] {
        assert_eq!(asked.field(name), None, "{name}: {}", asked.text);
    }
    assert_eq!(asked.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!((asked.field("x-kept"), asked.field("host")), (Some("1"), Some("h.test")));
    assert_eq!(asked.all("content-length"), ["0"]);
}

#[test]
fn trailers_go_both_ways_to_who_reads_them() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let origin = RawOrigin::start(move |call| {
        while let Some(asked) = call.head()? {
            noted.lock().expect("no panic").push(call.body(&asked)?.1);
            call.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                 2\r\nhi\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n",
            )?;
        }
        Ok(())
    });
    let node = node(&origin);
    let request = |te: &str| {
        format!(
            "POST /a HTTP/1.1\r\nHost: h\r\nConnection: close, TE\r\n{te}Trailer: X-A\r\n\
             Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: 1\r\nHost: evil\r\nX-B: 2\r\n\r\n"
        )
    };
    let mut client = ask(&node, request("TE: trailers\r\n"));
    let head = client.head().unwrap();
    assert!(head.is_chunked(), "{head:?}");
    let rest = b"2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n";
    assert_eq!(client.take(rest.len() as u64), rest);
    client.closed();
    let mut deaf = ask(&node, request(""));
    assert_eq!(deaf.response("POST").unwrap().expect_status(200).body, b"hi");
    // Announced ones only, and none that means something before the body.
    assert_eq!(*seen.lock().unwrap(), ["x-a: 1\r\n", "x-a: 1\r\n"]);
}

#[test]
fn http_1_0_clients_are_passed_on_too() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    );
    let node = node(&origin);
    let mut client = ask(&node, "POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");
    let head = client.head().unwrap();
    assert_eq!((head.is_chunked(), head.content_length()), (false, None), "{head:?}");
    assert_eq!(client.take(2), b"hi");
    client.closed();
    assert!(origin.last().line().ends_with("HTTP/1.1"));
}

#[test]
fn a_sender_waits_for_an_origin_that_does_not_read() {
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let received = Arc::new(AtomicU64::new(0));
    let counted = received.clone();
    let origin = RawOrigin::start(move |call| {
        let Some(asked) = call.head()? else { return Ok(()) };
        let _ = gate.lock().expect("no panic").recv();
        call.body_into(&asked, &mut |piece| {
            counted.fetch_add(piece.len() as u64, SeqCst);
        })?;
        call.send(ok("done"))
    });
    let node = node(&origin);
    let before = node.sample();
    let len = 64 * MIB;
    let content = Content::new(77, len);
    let mut client =
        ask(&node, format!("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n"));
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        content.for_each_piece(|piece| {
            std::io::Write::write_all(&mut sender, piece).expect("the node takes all of it");
        });
    });
    // It comes to a stop: what the node took does not grow any more.
    let mut last = 0;
    eventually("the node stops reading", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = node.metric(names::RECEIVED);
        let stopped = now == std::mem::replace(&mut last, now) && now > 0;
        stopped.then_some(())
    });
    assert!(last < 8 * MIB, "{last} bytes were taken for an origin that reads none");
    let grown = node.sample().rss_bytes.saturating_sub(before.rss_bytes);
    assert!(grown < 16 * MIB, "{grown} bytes of memory");
    go.send(()).expect("the origin waits");
    assert_eq!(client.response("PUT").unwrap().expect_status(200).body, b"done");
    sending.join().expect("all was sent");
    assert_eq!(received.load(SeqCst), len);
}

#[test]
fn a_large_upload_passes_through_little_memory() {
    let len = match env_number("EDGE_TEST_PUT_GIB", 0) {
        0 => 256 * MIB,
        gib => gib * 1024 * MIB,
    };
    let (sum, sums) = mpsc::channel();
    let sum = Mutex::new(sum);
    let origin = RawOrigin::start(move |call| {
        while let Some(asked) = call.head()? {
            let mut hash = Sha256::new();
            call.body_into(&asked, &mut |piece| hash.update(piece))?;
            let _ = sum.lock().expect("no panic").send(hex(&hash.finalize()));
            call.send(ok("stored"))?;
        }
        Ok(())
    });
    let node = node(&origin);
    let content = Content::new(5, len);
    let mut client =
        ask(&node, format!("PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n"));
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        let mut hash = Sha256::new();
        content.for_each_piece(|piece| {
            hash.update(piece);
            std::io::Write::write_all(&mut sender, piece).expect("the node takes all of it");
        });
        hex(&hash.finalize())
    });
    let mut peak = 0;
    while !sending.is_finished() {
        peak = peak.max(node.sample().rss_bytes);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(client.response("PUT").unwrap().expect_status(200).body, b"stored");
    assert_eq!(sums.recv().expect("a sum"), sending.join().expect("all was sent"));
    println!("{} MiB sent, {} MiB of memory at most", len / MIB, peak / MIB);
    assert!(peak < 64 * MIB, "{peak} bytes of memory");
}
