//! `Expect: 100-continue` (RFC 9110 §10.1.1) and other interim answers (§15.2).

use edge_tests::RawOrigin;

use crate::{ask, node, ok};

const POST: &str =
    "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn the_origin_decides_whether_the_body_is_sent() {
    let origin = RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            assert_eq!(asked.field("expect"), Some("100-continue"));
            if asked.target() == "/a" {
                call.send("HTTP/1.1 100 Continue\r\n\r\n")?;
                let (body, _) = call.body(&asked)?;
                call.send(ok(&String::from_utf8_lossy(&body)))?;
            } else {
                call.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n")?;
            }
        }
        Ok(())
    });
    let node = node(&origin);
    let mut client = ask(&node, POST);
    assert_eq!(client.head().unwrap().status, 100);
    client.send("hello");
    assert_eq!(client.response("POST").unwrap().expect_status(200).body, b"hello");
    // Not asked for the body: the answer comes without it, and the connection ends, because nobody
    // knows whether the client sends it all the same.
    client.send(POST.replace("/a", "/refused"));
    let response = client.response("POST").unwrap().expect_status(413);
    assert_eq!(response.head.field("connection"), Some("close"));
    client.closed();
}

#[test]
fn an_origin_that_ignores_the_expectation_is_sent_the_body() {
    let origin = RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            let (body, _) = call.body(&asked)?;
            call.send(ok(&String::from_utf8_lossy(&body)))?;
        }
        Ok(())
    });
    let node = node(&origin);
    // The client waits for the 100 that the origin never sends.
    let mut client = ask(&node, POST);
    assert_eq!(client.head().unwrap().status, 100);
    client.send("hello");
    assert_eq!(client.response("POST").unwrap().expect_status(200).body, b"hello");
    // Or it does not wait.
    client.send(format!("{POST}hello"));
    let head = client.head().unwrap();
    let response = match head.status {
        100 => client.response("POST").unwrap(),
        status => panic!("{status} before the body was asked for"),
    };
    assert_eq!(response.expect_status(200).body, b"hello");
}

#[test]
fn interim_answers_are_passed_back() {
    let origin = RawOrigin::answering(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\n\
         X-Hop: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{}",
        ok("final")
    ));
    let node = node(&origin);
    let mut client = ask(&node, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    let hints = client.head().unwrap();
    assert_eq!((hints.status, hints.field("link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(hints.field("x-hop"), None);
    assert_eq!(client.head().unwrap().status, 102);
    assert_eq!(client.response("POST").unwrap().expect_status(200).body, b"final");
    // HTTP/1.0 knows none (RFC 9110 §15.2).
    let mut old = ask(&node, "POST /a HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(old.response("POST").unwrap().expect_status(200).body, b"final");
}
