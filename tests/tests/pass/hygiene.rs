//! Nothing that two parsers could read in two ways gets through in either direction, and nothing is
//! stored that one client could plant for another (RFC 9112 §11, RFC 9110 §17).

use edge_tests::{Node, RawOrigin};

use crate::{ask, node, ok};

const POST: &str = "POST /a HTTP/1.1\r\nHost: h\r\n";

#[test]
fn requests_that_can_be_read_in_two_ways_reach_no_origin() {
    let origin = RawOrigin::answering(ok("fine"));
    let node = node(&origin);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    let rows = [
        // RFC 9112 §6.3: one length
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
        "Content-Length: 0, 0\r\n\r\n",
        "Content-Length: +0\r\n\r\n",
        "Content-Length: 18446744073709551616\r\n\r\n",
        // §6.1: one coding, spelt in one way
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
        "X: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "X: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        // §3.2: one host
        "Host: other\r\n\r\n",
        // RFC 9110 §5.5: no line in a value
        "X: a\0b\r\n\r\n",
        "X: 1\r\n folded\r\n\r\n",
    ];
    for row in rows {
        let mut client = ask(&node, format!("{POST}{row}{hidden}"));
        let response = client.response("POST").unwrap_or_else(|e| panic!("{row:?}: {e}"));
        assert!(matches!(response.head.status, 400 | 501), "{row:?}: {:?}", response.head);
        assert!(client.response("GET").is_err(), "{row:?}: what follows was answered");
    }
    assert_eq!(origin.heads().len(), 0);
}

#[test]
fn chunks_are_made_anew() {
    let origin = RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            let (body, _) = call.body(&asked)?;
            call.send(ok(&String::from_utf8_lossy(&body)))?;
        }
        Ok(())
    });
    let node = node(&origin);
    let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    // A body that looks like the end of itself, in an extension or as data.
    for body in [
        format!("{:x};ext=\"0\"\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
        format!("{:08X}\r\n{hidden}\r\n00\r\n\r\n", hidden.len()),
    ] {
        let mut client = ask(&node, format!("{POST}Transfer-Encoding: chunked\r\n\r\n{body}"));
        let response = client.response("POST").unwrap().expect_status(200);
        assert_eq!(response.body, hidden.as_bytes());
    }
    assert_eq!(origin.heads().len(), 2);
}

/// What an origin might send to make one answer look like two.
const SMUGGLED: &str = "HTTP/1.1 299 Smuggled\r\nContent-Length: 0\r\n\r\n";

/// On one connection: `request`, then one that is well answered. What was smuggled never shows.
#[track_caller]
fn expect_clean(node: &Node, what: &str, method: &str, request: &str) -> u16 {
    let mut client = ask(node, request);
    let first = client.response(method).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_ne!(first.head.status, 299, "{what}");
    assert_eq!(first.head.field("x-split"), None, "{what}: {:?}", first.head);
    let goes_on = first.complete && first.head.field("connection") != Some("close");
    if goes_on && client.try_send("GET /fine HTTP/1.1\r\nHost: h\r\n\r\n").is_ok() {
        let second = client.response("GET").unwrap_or_else(|e| panic!("{what}: second: {e}"));
        let body = String::from_utf8_lossy(&second.body).into_owned();
        assert_eq!((second.head.status, &body[..]), (200, "fine"), "{what}");
    }
    first.head.status
}

/// What they are, what they say, and which statuses may come of them.
fn ambiguous_answers() -> [(&'static str, String, &'static [u16]); 14] {
    [
        (
            "more than its length",
            format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi{SMUGGLED}"),
            &[200],
        ),
        (
            "two lengths",
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 90\r\n\r\nhi{SMUGGLED}"
            ),
            &[502],
        ),
        (
            "length and coding",
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n{SMUGGLED}"
            ),
            &[200, 502],
        ),
        (
            "after the last chunk",
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n{SMUGGLED}"
            ),
            &[200],
        ),
        ("body of a 204", format!("HTTP/1.1 204 No\r\n\r\n{SMUGGLED}"), &[204]),
        (
            "length of a 204",
            format!("HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\n{SMUGGLED}"),
            &[204],
        ),
        (
            "coding of a 204",
            format!("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n{SMUGGLED}"),
            &[204, 502],
        ),
        ("body of a 304", format!("HTTP/1.1 304 No\r\n\r\n{SMUGGLED}"), &[304, 502]),
        (
            "folded field",
            "HTTP/1.1 200 OK\r\nX: 1\r\n X-Split: 2\r\nContent-Length: 2\r\n\r\nhi".into(),
            &[200, 502],
        ),
        (
            "CR in a value",
            "HTTP/1.1 200 OK\r\nX: 1\rX-Split: 2\r\nContent-Length: 2\r\n\r\nhi".into(),
            &[502],
        ),
        (
            "NUL in a value",
            "HTTP/1.1 200 OK\r\nX: 1\0\r\nContent-Length: 2\r\n\r\nhi".into(),
            &[502],
        ),
        (
            "space before a colon",
            "HTTP/1.1 200 OK\r\nX-Split : 2\r\nContent-Length: 2\r\n\r\nhi".into(),
            &[502],
        ),
        ("not HTTP", "hi there\r\n\r\n".into(), &[502]),
        ("a head without end", format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(700_000)), &[502]),
    ]
}

#[test]
fn answers_that_can_be_read_in_two_ways_are_made_one_or_none() {
    for (what, answer, statuses) in ambiguous_answers() {
        let evil = answer.clone();
        let origin = RawOrigin::start(move |call| {
            while let Some(asked) = call.head()? {
                call.body(&asked)?;
                match asked.target() {
                    "/fine" => call.send(ok("fine"))?,
                    _ => {
                        call.send(&evil)?;
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        let node = node(&origin);
        for method in ["POST", "GET"] {
            let request = format!("{method} /evil HTTP/1.1\r\nHost: h\r\n\r\n");
            let status = expect_clean(&node, &format!("{what}, {method}"), method, &request);
            assert!(statuses.contains(&status), "{what}, {method}: {status}");
        }
    }
}

#[test]
fn the_answer_to_head_has_no_body_whatever_the_origin_sends() {
    let origin = RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            match asked.target() {
                "/fine" => call.send(ok("fine"))?,
                _ => call.send(format!(
                    "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 40\r\n\r\n{SMUGGLED}"
                ))?,
            }
        }
        Ok(())
    });
    let node = node(&origin);
    let request = "HEAD /evil HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(expect_clean(&node, "HEAD", "HEAD", request), 200);
}

#[test]
fn nothing_a_client_says_beside_the_key_reaches_what_is_stored() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi",
    );
    let node = node(&origin);
    let mut client = ask(
        &node,
        "GET /page HTTP/1.1\r\nHost: h\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: nothttps\r\n\
         X-Forwarded-Scheme: http\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX-Host: evil\r\n\
         Forwarded: host=evil\r\nX-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\n\
         X-Method-Override: DELETE\r\nX_Forwarded_Host: evil\r\nX-Original-Host: evil\r\n\
         X-HTTP-Host-Override: evil\r\nFront-End-Https: evil\r\nClient-IP: evil\r\n\
         True-Client-IP: evil\r\n\r\n",
    );
    client.response("GET").unwrap().expect_status(200);
    let asked = origin.last();
    for word in ["evil", "admin", "nothttps", "DELETE"] {
        assert!(!asked.text.contains(word), "{word}: {}", asked.text);
    }
    client.send("GET /page HTTP/1.1\r\nHost: h\r\n\r\n");
    client.response("GET").unwrap().expect_status(200);
    // A GET whose body no key covers is neither answered from the store nor stored.
    for body in ["a", "b"] {
        client.send(format!("GET /page HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n{body}"));
        client.response("GET").unwrap().expect_status(200);
    }
    client.send("GET /fat HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    client.response("GET").unwrap().expect_status(200);
    client.send("GET /fat HTTP/1.1\r\nHost: h\r\n\r\n");
    client.response("GET").unwrap().expect_status(200);
    let targets: Vec<String> = origin.heads().iter().map(|asked| asked.target().into()).collect();
    assert_eq!(targets, ["/page", "/page", "/page", "/fat", "/fat"]);
}

#[test]
fn the_key_is_what_the_origin_sees() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi",
    );
    let node = node(&origin);
    let targets = [
        "/a/b",
        "/a//b",
        "/a/./b",
        "/a/x/../b",
        "/a%2fb",
        "/a/%62",
        "/A/b",
        "/a/b?",
        "/a/b;x",
        "/a/%2e/b",
        "/a/%2e%2e/a/b",
        "/a%2Fb",
        "/a%5cb",
        "/a/b%00",
        "/a/b%0d%0aX:1",
        "/a/b?x=%23",
    ];
    for round in 0..2 {
        for target in targets {
            node.get(target).expect_status(200);
        }
        let seen: Vec<String> = origin.heads().iter().map(|asked| asked.target().into()).collect();
        assert_eq!(seen, targets, "round {round}");
    }
    // RFC 9112 §3.2.2: an absolute target names the host, whatever the field says.
    let mut client = node.connect();
    client.send("GET http://One.test:80/h HTTP/1.1\r\nHost: two.test\r\n\r\n");
    client.response("GET").unwrap().expect_status(200);
    assert_eq!(origin.last().all("host"), ["one.test"]);
    for (host, asked) in [("one.test", 17), ("ONE.test", 17), ("two.test", 18), ("two.test", 18)] {
        client.send(format!("GET /h HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response("GET").unwrap().expect_status(200);
        assert_eq!(origin.heads().len(), asked, "{host}");
    }
}

#[test]
fn credentials_and_named_cookies_are_for_one_client() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi",
    );
    let node = crate::node_with(&origin, &["bypass_cookies = [\"session\"]"]);
    let mut client = node.connect();
    for (fields, asked) in [
        ("Authorization: Basic a\r\n", 1),
        ("Authorization: Basic b\r\n", 2),
        ("Cookie: a=1; session=2\r\n", 3),
        ("Cookie: session=3\r\n", 4),
        ("", 5),
        ("Cookie: other=1; xsession=2\r\n", 5),
        ("", 5),
    ] {
        client.send(format!("GET /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        client.response("GET").unwrap().expect_status(200);
        assert_eq!(origin.heads().len(), asked, "{fields:?}");
    }
    let heads = origin.heads();
    assert_eq!(heads[0].field("authorization"), Some("Basic a"));
    assert_eq!(heads[2].field("cookie"), Some("a=1; session=2"));
}
