//! Downloads, uploads and partings, with curl, nghttp, h2load and by hand.

use std::fs;
use std::path::PathBuf;

use edge_tests::frames::{block, flag, kind, request};
use edge_tests::process::eventually;
use edge_tests::{Content, Frames, MIB, Node, NodeConfig, Origin, Page, RawOrigin, Tool, need};
use tempfile::TempDir;

const BODY: Content = Content::new(81, 12 * MIB);
const WINDOW: u16 = 4;

/// A certificate for `a.test`, and a node that has it.
fn secure(origin: &str) -> (TempDir, PathBuf, Node) {
    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).expect("a pair");
    let (cert, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
    fs::write(&cert, made.cert.pem()).expect("write the certificate");
    fs::write(&key, made.signing_key.serialize_pem()).expect("write the key");
    let node = Node::start(NodeConfig::of(origin).tls(&[(&cert, &key)]));
    (dir, cert, node)
}

/// curl over TLS and over plain text with prior knowledge.
fn curl(tool: &Tool, (node, cert): (&Node, &PathBuf), tls: bool, args: &[&str]) -> Vec<u8> {
    let (scheme, port) = match tls {
        true => ("https", node.addr_of(1).port()),
        false => ("http", node.addr().port()),
    };
    let (resolve, cert) = (format!("a.test:{port}:127.0.0.1"), cert.display().to_string());
    let version = if tls { "--http2" } else { "--http2-prior-knowledge" };
    let url = format!("{scheme}://a.test:{port}/a");
    let common = ["-sS", version, "--resolve", &resolve, "--cacert", &cert];
    tool.expect(std::path::Path::new("/"), &[&common[..], args, &[&url]].concat())
}

#[test]
fn curl_gets_the_whole_ranges_heads_and_nothing_new() {
    let Some(tool) = need("curl") else { return };
    let origin = Origin::with("/a", Page::of(BODY));
    let (_dir, cert, node) = secure(&origin.url());
    for tls in [true, false, true] {
        let ask = |args: &[&str]| curl(&tool, (&node, &cert), tls, args);
        assert!(ask(&[]) == BODY.bytes(0..BODY.len), "tls {tls}");
        for (range, start, end) in [("0-0", 0, 1), ("1048570-5000000", 1_048_570, 5_000_001)] {
            assert!(ask(&["-r", range]) == BODY.bytes(start..end), "{range}");
        }
        let several = String::from_utf8_lossy(&ask(&["-r", "0-9,50000-50009"])).into_owned();
        assert!(several.contains("Content-Range: bytes 50000-50009/"), "{several}");
        let head = String::from_utf8(ask(&["-I"])).expect("text");
        assert!(head.starts_with("HTTP/2 200 \r\n"), "{head}");
        for field in [&format!("content-length: {}\r\n", BODY.len), "accept-ranges: bytes\r\n"] {
            assert!(head.contains(field), "{head}");
        }
        for field in ["connection", "transfer-encoding", "keep-alive"] {
            assert!(!head.to_lowercase().contains(&format!("\r\n{field}:")), "{head}");
        }
        let etag = format!("If-None-Match: \"v{}\"", BODY.seed);
        assert_eq!(ask(&["-H", &etag, "-w", "%{http_code} %{http_version}"]), b"304 2");
    }
    assert_eq!(origin.counts("/a").body_bytes, BODY.len, "one cache for both protocols");
    let log = node.access_log();
    assert!(log.iter().all(|line| line["version"] == "HTTP/2.0"), "{log:?}");
    node.wait_metric("edge_http2_requests_total", 18);
    assert_eq!(node.metric("edge_http2_faults_total"), 0);
}

#[test]
fn one_listener_speaks_both_and_h2load_is_served() {
    let Some(tool) = need("h2load") else { return };
    let origin = Origin::with("/a", Page::of(Content::new(3, 4_000)));
    let (_dir, _cert, node) = secure(&origin.url());
    node.get("/a").expect_status(200);
    for url in [node.url("/a"), format!("https://{}/a", node.addr_of(1))] {
        let args = ["-n", "2000", "-c", "4", "-m", "100", &url];
        let said = tool.expect(std::path::Path::new("/"), &args);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
        assert!(said.contains("status codes: 2000 2xx"), "{said}");
    }
    node.get("/a").expect_status(200);
    node.wait_all_closed();
}

#[test]
fn bodies_go_up_in_any_framing_and_come_back() {
    let Some(tool) = need("curl") else { return };
    let origin = RawOrigin::start(|call| {
        while let Some(asked) = call.head()? {
            let (body, trailers) = call.body(&asked)?;
            let text = [&body[..], trailers.as_bytes()].concat();
            call.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len()))?;
            call.send(text)?;
        }
        Ok(())
    });
    let (dir, cert, node) = secure(&origin.url());
    let content = BODY.bytes(0..5 * MIB);
    let file = dir.path().join("upload");
    fs::write(&file, &content).expect("write");
    for tls in [true, false] {
        let ask = |args: &[&str]| curl(&tool, (&node, &cert), tls, args);
        let name = file.display().to_string();
        assert!(ask(&["-T", &name]) == content, "with a length");
        assert_eq!(origin.last().field("content-length"), Some("5242880"));
        let data = format!("@{name}");
        assert!(ask(&["--data-binary", &data, "-H", "Expect: 100-continue"]) == content);
    }
    // Without a length, and with trailers.
    let mut peer = Frames::connect(node.addr());
    let fields = [&request("POST", "/a")[..], &[("trailer", "x-sum")]].concat();
    peer.send(kind::HEADERS, flag::END_HEADERS, 1, &block(&fields));
    for piece in content[..40_000].chunks(10_000) {
        peer.send(kind::DATA, 0, 1, piece);
    }
    peer.send(kind::HEADERS, flag::WHOLE, 1, &block(&[("x-sum", "7")]));
    let answer = peer.answer(1);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body[..40_000], content[..40_000]);
    assert_eq!(String::from_utf8_lossy(&answer.body[40_000..]).to_lowercase(), "x-sum: 7\r\n");
    assert_eq!(origin.last().field("transfer-encoding"), Some("chunked"));
}

#[test]
fn hints_come_first_and_trailers_last() {
    let origin = RawOrigin::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let node = Node::of(&origin.url());
    let mut peer = Frames::connect(node.addr());
    let fields = [&request("POST", "/a")[..], &[("te", "trailers")]].concat();
    peer.send(kind::HEADERS, flag::WHOLE, 1, &block(&fields));
    let answer = peer.answer(1);
    assert_eq!((answer.status(), &answer.body[..]), (200, &b"hello"[..]));
    assert_eq!(answer.interim, [":status: 103\nlink: </s.css>; rel=preload\n"]);
    assert_eq!(answer.trailers, "x-sum: 7\n");
    assert!(!answer.head.contains("transfer-encoding"), "{}", answer.head);
}

#[test]
fn a_hundred_streams_are_served_at_once_cold_and_warm() {
    let origin = Origin::start();
    let pages: Vec<_> = (0..100).map(|nth| Content::new(nth, 1_000 + nth * 700)).collect();
    for (nth, content) in pages.iter().enumerate() {
        origin.put(&format!("/{nth}"), Page { chunked: nth % 3 == 0, ..Page::of(*content) });
    }
    let node = Node::of(&origin.url());
    let mut peer = Frames::connect(node.addr());
    for round in 0..3 {
        let streams: Vec<u32> = (0..100).map(|nth| round * 200 + nth * 2 + 1).collect();
        for (nth, stream) in streams.iter().enumerate() {
            peer.get(*stream, &format!("/{nth}"), &[]);
        }
        for (answer, content) in peer.answers(&streams).iter().zip(&pages) {
            assert_eq!((answer.status(), answer.reset), (200, None), "{}", answer.head);
            assert!(answer.body == content.bytes(0..content.len), "round {round}, {content:?}");
        }
    }
    drop(peer);
    node.wait_all_closed();
}

#[test]
fn who_resets_a_stream_loses_that_one_and_frees_it() {
    let origin = Origin::with("/a", Page::of(BODY));
    origin.put("/b", Page::of(Content::new(4, 100)));
    let node = Node::of(&origin.url());
    let mut peer = Frames::connect(node.addr());
    peer.get(1, "/a", &[]);
    peer.until(|frame| frame.kind == kind::DATA).expect("data");
    peer.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    peer.get(3, "/b", &[]);
    assert_eq!(peer.answer(3).body.len(), 100);
    eventually("the line of the one that was given up", || {
        let log = node.access_log();
        log.iter().any(|line| line["reason"] == "client_left").then_some(())
    });
    drop(peer);
    node.wait_all_closed();
}

#[test]
fn what_the_client_wants_first_comes_first() {
    let origin = Origin::with("/a", Page::of(BODY));
    let node = Node::of(&origin.url());
    node.get("/a").expect_status(200);
    let mut peer = Frames::connect_with(node.addr(), &[(WINDOW, 0)]);
    peer.get(1, "/a", &[("priority", "u=5, i")]);
    peer.get(3, "/a", &[("priority", "u=1")]);
    peer.get(5, "/a", &[("priority", "u=6")]);
    // The frame overrules the field (RFC 9218 §7.1), also for a request under way.
    peer.send(kind::PRIORITY_UPDATE, 0, 0, &[&[0, 0, 0, 5], &b"u=0"[..]].concat());
    peer.sync();
    peer.credits = false;
    peer.settings(&[(WINDOW, 40_000)]);
    let mut data = Vec::new();
    // The connection's window ends in the second stream.
    while data.iter().map(|(_, len)| len).sum::<usize>() < 65_535 {
        let frame = peer.read().expect("data");
        if frame.kind == kind::DATA {
            data.push((frame.stream, frame.payload.len()));
        }
    }
    let mut order: Vec<u32> = data.iter().map(|(stream, _)| *stream).collect();
    order.dedup();
    assert_eq!(order, [5, 3], "{data:?}");
}

#[test]
fn a_draining_node_ends_what_it_began_and_says_goodbye() {
    let origin = Origin::with("/a", Page::of(BODY));
    let mut node = Node::of(&origin.url());
    node.get("/a").expect_status(200);
    let mut peer = Frames::connect(node.addr());
    let mut idle = Frames::connect(node.addr());
    peer.credits = false;
    peer.get(1, "/a", &[]);
    let mut got: u64 = 0;
    let mut take = |frame: &edge_tests::frames::Frame| {
        got += if frame.kind == kind::DATA { frame.payload.len() as u64 } else { 0 };
        got
    };
    while take(&peer.read().expect("data")) < 65_535 {}
    node.sigterm();
    let frame = peer.read().expect("a word of the drain");
    assert_eq!((frame.kind, frame.code()), (kind::GOAWAY, Some(0)), "{frame:?}");
    assert_eq!(frame.payload[..4], [0x7f, 0xff, 0xff, 0xff], "what is on its way is taken");
    let ping = peer.until(|frame| frame.kind == kind::PING).expect("a PING").pop().expect("it");
    // Sent before the second GOAWAY is known: still answered.
    peer.get(3, "/a", &[("range", "bytes=0-9")]);
    peer.send(kind::PING, flag::ACK, 0, &ping.payload);
    let last = peer.until(|frame| frame.kind == kind::GOAWAY).expect("the last word");
    assert_eq!(last.last().expect("it").payload[..4], [0, 0, 0, 3]);
    last.iter().for_each(|frame| _ = take(frame));
    peer.credit(0, 1 << 30);
    peer.credit(1, 1 << 30);
    while let Some(frame) = peer.read() {
        take(&frame);
    }
    assert_eq!(got, BODY.len + 10, "both answers are whole");
    assert_eq!(idle.ended(), Some(0));
    assert!(node.wait().success());
}

#[test]
fn heads_have_a_limit_and_connect_is_not_offered() {
    let origin = Origin::with("/a", Page::of(Content::new(1, 10)));
    let node = Node::of(&origin.url());
    let mut peer = Frames::connect(node.addr());
    let long = "x".repeat(9_000);
    let fields: Vec<_> = ["a", "b", "c", "d"].map(|name| (name, &*long)).to_vec();
    let whole = block(&[&request("GET", "/a")[..], &fields].concat());
    peer.send(kind::HEADERS, flag::END_STREAM, 1, &whole[..16_000]);
    peer.send(kind::CONTINUATION, 0, 1, &whole[16_000..32_000]);
    peer.send(kind::CONTINUATION, flag::END_HEADERS, 1, &whole[32_000..]);
    assert_eq!(peer.answer(1).status(), 431);
    let connect = block(&[(":method", "CONNECT"), (":authority", "h:80")]);
    peer.send(kind::HEADERS, flag::END_HEADERS, 3, &connect);
    assert_eq!(peer.answer(3).status(), 501);
    let many: Vec<_> = (0..120).map(|_| ("x", "y")).collect();
    peer.get(5, "/a", &many);
    assert_eq!(peer.answer(5).status(), 431);
    peer.get(7, "/a", &[("cookie", "a=1"), ("cookie", "b=2")]);
    assert_eq!(peer.answer(7).status(), 200);
}

#[test]
fn nghttp_and_the_frames_it_shows() {
    let Some(tool) = need("nghttp") else { return };
    let origin = Origin::with("/a", Page::of(Content::new(5, 100_000)));
    let node = Node::of(&origin.url());
    let (url, again) = (node.url("/a"), node.url("/a?b"));
    let said = tool.expect(std::path::Path::new("/"), &["-nv", "--no-dep", &url, &url, &again]);
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("SETTINGS_MAX_CONCURRENT_STREAMS(0x03):128"), "{said}");
    assert!(said.contains(":status: 200") && said.contains("END_STREAM"), "{said}");
    assert!(!said.contains("PROTOCOL_ERROR"), "{said}");
}
