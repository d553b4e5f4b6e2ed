//! Clients that mean harm, or cannot speak: each gets its status, and costs the others nothing.

use std::io::Write;

use edge_tests::{Client, Content, Node, NodeConfig, Origin, Page, Random};

const BODY: Content = Content::new(30, 10_000);

fn node_and_origin() -> (Node, Origin) {
    let origin = Origin::with("/a", Page::of(BODY));
    let config = NodeConfig::of(&origin.url()).server("head_timeout = \"1s\"");
    (Node::start(config), origin)
}

/// Sends `bytes` on a connection of its own and expects `status` and a close, then shows that the
/// node lives.
#[track_caller]
fn expect_refusal(node: &Node, what: &str, bytes: &[u8], status: u16) {
    let mut client = node.connect();
    // The node may have answered and closed before all was sent.
    let _ = client.try_send(bytes);
    let response = client.response("GET").unwrap_or_else(|e| panic!("{what}: no answer: {e}"));
    assert_eq!(response.head.status, status, "{what}: {:?}", response.head);
    let connection = response.head.field("connection").map(str::to_lowercase);
    assert_eq!(connection.as_deref(), Some("close"), "{what}: a refusal says that it closes");
    client.closed();
}

#[track_caller]
fn expect_alive(node: &Node) {
    BODY.expect(0..BODY.len, &node.get("/a").expect_status(200).body);
}

#[test]
fn smuggling_is_refused_and_closed() {
    let (node, origin) = node_and_origin();
    let after = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let table: [(&str, &str, u16); 28] = [
        ("both lengths", "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("both, other order", "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("two lengths", "Host: a\r\nContent-Length: 5\r\nContent-Length: 6", 400),
        ("two equal lengths", "Host: a\r\nContent-Length: 5\r\nContent-Length: 5", 400),
        ("list of lengths", "Host: a\r\nContent-Length: 5, 5", 400),
        ("signed length", "Host: a\r\nContent-Length: +5", 400),
        ("negative length", "Host: a\r\nContent-Length: -5", 400),
        ("hexadecimal length", "Host: a\r\nContent-Length: 0x5", 400),
        ("empty length", "Host: a\r\nContent-Length: ", 400),
        ("overflowing length", "Host: a\r\nContent-Length: 99999999999999999999", 400),
        ("unknown coding", "Host: a\r\nTransfer-Encoding: gzip, chunked", 501),
        ("not chunked", "Host: a\r\nTransfer-Encoding: gzip", 400),
        ("chunked twice", "Host: a\r\nTransfer-Encoding: chunked, chunked", 400),
        ("chunked not last", "Host: a\r\nTransfer-Encoding: chunked, gzip", 400),
        ("space before colon", "Host : a", 400),
        ("space before colon of a length", "Host: a\r\nContent-Length : 5", 400),
        ("obs-fold", "Host: a\r\nX: 1\r\n 2", 400),
        ("leading space", " Host: a", 400),
        ("bare LF", "Host: a\nContent-Length: 5", 400),
        ("bare CR", "Host: a\r\nX: a\rContent-Length: 5", 400),
        ("NUL", "Host: a\r\nX: a\0b", 400),
        ("control character", "Host: a\r\nX: a\u{1}b", 400),
        ("empty name", "Host: a\r\n: b", 400),
        ("no colon", "Host: a\r\nnonsense", 400),
        ("name with a space", "Host: a\r\nX Y: b", 400),
        ("no host", "X: a", 400),
        ("two hosts", "Host: a\r\nHost: a", 400),
        ("host with a path", "Host: a/b@c", 400),
    ];
    for (what, fields, status) in table {
        let bytes = format!("GET /a HTTP/1.1\r\n{fields}{after}");
        expect_refusal(&node, what, bytes.as_bytes(), status);
    }
    expect_refusal(
        &node,
        "chunked in HTTP/1.0",
        b"GET /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    );
    assert_eq!(origin.requests(), 0, "nothing of it reached the origin");
    expect_alive(&node);
}

#[test]
fn request_lines_that_are_none_are_refused() {
    let (node, origin) = node_and_origin();
    let table: [(&[u8], u16); 15] = [
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a\r\n\r\n", 400),
        (b" GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"G(T /a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /a HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /a HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n", 413),
    ];
    for (bytes, status) in table {
        expect_refusal(&node, &String::from_utf8_lossy(bytes), bytes, status);
    }
    assert_eq!(origin.requests(), 0, "nothing of it reached the origin");
    expect_alive(&node);
}

#[test]
fn what_is_too_long_is_refused_by_its_kind() {
    let (node, _origin) = node_and_origin();
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000));
    expect_refusal(&node, "a long target", target.as_bytes(), 414);
    let endless = format!("GET /{}", "a".repeat(20_000));
    expect_refusal(&node, "a target without end", endless.as_bytes(), 414);
    let field = format!("GET /a HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(33_000));
    expect_refusal(&node, "a long field", field.as_bytes(), 431);
    let many = format!("GET /a HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(101));
    expect_refusal(&node, "many fields", many.as_bytes(), 431);
    let many = format!("GET /a HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(90));
    let mut client = node.connect();
    client.send(many);
    client.response("GET").expect("an answer").expect_status(200);
}

#[test]
fn a_head_that_does_not_come_ends_in_408() {
    let (node, _origin) = node_and_origin();
    let started = b"GET /a HTTP/1.1\r\nHo";
    expect_refusal(&node, "half a head", started, 408);
    // The time is for the whole head: a byte now and then does not renew it.
    let mut client = node.connect();
    let mut sender = client.sender();
    let dribble = std::thread::spawn(move || {
        for byte in b"GET /a HTTP/1.1\r\nHost: a\r\nX: ".iter().cycle() {
            std::thread::sleep(std::time::Duration::from_millis(100));
            if sender.write_all(&[*byte]).is_err() {
                return;
            }
        }
    });
    let response = client.response("GET").expect("an answer");
    assert_eq!(response.head.status, 408);
    client.closed();
    drop(client);
    dribble.join().expect("it ends with the connection");
    expect_alive(&node);
}

#[test]
fn garbage_never_kills() {
    let (node, _origin) = node_and_origin();
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let count = 1 + random.below(3000) as usize;
        let mut bytes: Vec<u8> = (0..count).map(|_| random.number() as u8).collect();
        if seed % 2 == 0 {
            bytes.splice(0..0, *b"GET /a HTTP/1.1\r\nHost: a\r\n");
        }
        let mut client = node.connect();
        let _ = client.try_send(&bytes);
        client.half_close();
        // Whatever it answers, it is HTTP, and the connection ends.
        while let Ok(response) = client.response("GET") {
            let status = response.head.status;
            assert!((400..600).contains(&status), "seed {seed}: {status}");
        }
        client.closed();
    }
    expect_alive(&node);
    node.wait_all_closed();
}

#[test]
fn three_hundred_slow_heads_cost_the_others_nothing() {
    let origin = Origin::with("/a", Page::of(BODY));
    let config = NodeConfig::of(&origin.url()).server("head_timeout = \"20s\"");
    let node = Node::start(config);
    let mut slow: Vec<Client> = (0..300).map(|_| node.connect()).collect();
    let mut others = node.connect();
    for byte in b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n" {
        slow.iter_mut().for_each(|client| client.send([*byte]));
        BODY.expect(0..BODY.len, &others.get("/a").expect_status(200).body);
    }
    for client in &mut slow {
        let response = client.response("GET").expect("slow, but a request").expect_status(200);
        BODY.expect(0..BODY.len, &response.body);
    }
}

#[test]
fn stalled_readers_cost_the_others_nothing() {
    let big = Content::new(31, 32 << 20);
    let (node, origin) = node_and_origin();
    origin.put("/big", Page::of(big));
    let mut stalled: Vec<Client> = (0..40).map(|_| node.connect()).collect();
    stalled.iter_mut().for_each(|client| client.request("GET", "/big", &[]));
    for _ in 0..20 {
        expect_alive(&node);
    }
    let (last, others) = stalled.split_last_mut().expect("forty");
    others.iter_mut().for_each(|client| drop(client.head().expect("an answer")));
    big.expect(0..big.len, &last.response("GET").expect("an answer").expect_status(200).body);
}

#[test]
fn request_bodies_are_drained_and_the_connection_goes_on() {
    let (node, _origin) = node_and_origin();
    let mut client = node.connect();
    let bodies = [
        "Content-Length: 5\r\n\r\nhello".to_owned(),
        format!("Content-Length: 50000\r\n\r\n{}", "x".repeat(50_000)),
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n".to_owned(),
    ];
    for body in &bodies {
        client.send(format!("GET /a HTTP/1.1\r\nHost: a\r\n{body}"));
        let response = client.response("GET").unwrap_or_else(|e| panic!("{body:.80}: {e}"));
        BODY.expect(0..BODY.len, &response.expect_status(200).body);
    }
    // A request hidden in a body stays body.
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let len = hidden.len();
    client.send(format!("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{hidden}"));
    client.response("GET").expect("an answer").expect_status(200);
    client.get("/a").expect_status(200);
}

#[test]
fn uploads_are_refused_and_never_taken_for_requests() {
    let origin = Origin::with("/a", Page::of(BODY));
    let reading = "methods = [\"GET\", \"HEAD\"]";
    let node = Node::start(NodeConfig::default().site("*", &origin.url(), &[reading]));
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let len = hidden.len();
    for body in [
        format!("Content-Length: {len}\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{len:x}\r\n{hidden}\r\n0\r\n\r\n"),
        format!("Content-Length: 900000\r\n\r\n{hidden}"),
    ] {
        let mut client = node.connect();
        client.send(format!("POST /a HTTP/1.1\r\nHost: a\r\n{body}"));
        let response = client.response("POST").unwrap_or_else(|e| panic!("{body:.60}: {e}"));
        assert_eq!(response.head.status, 405, "POST: {:?}", response.head);
        assert_eq!(response.head.field("allow"), Some("GET, HEAD"));
        client.half_close();
        let second = client.response("GET");
        assert!(second.is_err(), "{body:.60}: its body was answered: {second:?}");
    }
    assert_eq!(origin.counts("/hidden").requests, 0);
    let mut client = node.connect();
    client.request("GET", "/a", &[("Content-Length", "5"), ("Expect", "100-continue")]);
    let status = client.response("GET").expect("an answer").head.status;
    assert!([100, 200, 417].contains(&status), "an expectation: {status}");
    expect_alive(&node);
}

#[test]
fn broken_chunks_are_refused() {
    let (node, _origin) = node_and_origin();
    for chunks in ["zz\r\n", "-1\r\n", "5\r\nhello!!\r\n", "ffffffffffffffffff\r\n", "5\nhello\n"] {
        for method in ["GET", "POST"] {
            let mut client = node.connect();
            let head = format!("{method} /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked");
            let after = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
            let _ = client.try_send(format!("{head}\r\n\r\n{chunks}{after}"));
            let response = client.response(method).unwrap_or_else(|e| panic!("{chunks:?}: {e}"));
            let status = response.head.status;
            assert!([400, 405, 413, 501].contains(&status), "{method} {chunks:?}: {status}");
            let second = client.response("GET");
            assert!(second.is_err(), "{method} {chunks:?}: what follows was answered: {second:?}");
        }
    }
    expect_alive(&node);
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    let (node, origin) = node_and_origin();
    let small: Vec<Content> = (0..7).map(|n| Content::new(40 + n, 100 + 300 * n)).collect();
    for (n, content) in small.iter().enumerate() {
        origin.put(&format!("/{n}"), Page::of(*content));
    }
    let requests: String =
        (0..3000).map(|n| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", n % 7)).collect();
    let mut client = node.connect();
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || sender.write_all(requests.as_bytes()));
    for n in 0..3000 {
        let response = client.response("GET").unwrap_or_else(|e| panic!("answer {n}: {e}"));
        let content = small[n % 7];
        content.expect(0..content.len, &response.expect_status(200).body);
    }
    sending.join().expect("no panic").expect("all sent");
}

#[test]
fn options_and_unknown_methods() {
    let (node, _origin) = node_and_origin();
    let mut client = node.connect();
    // The node itself, by name or as the last that may be asked (RFC 9110 §7.6.2, §9.3.7).
    for (target, fields) in [("*", &[][..]), ("/a", &[("Max-Forwards", "0")])] {
        client.request("OPTIONS", target, fields);
        let response = client.response("OPTIONS").expect("an answer");
        assert!([200, 204].contains(&response.head.status), "{target}: {:?}", response.head);
        let allow = response.head.expect_field("allow");
        assert!(allow.contains("GET") && allow.contains("HEAD"), "Allow: {allow}");
    }
    for method in ["TRACE", "CONNECT"] {
        let mut client = node.connect();
        client.request(method, "/a", &[]);
        let status = client.response(method).expect("an answer").head.status;
        assert!([405, 501].contains(&status), "{method}: {status}");
    }
    expect_alive(&node);
}
