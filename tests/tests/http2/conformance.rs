//! Every case of h2spec's three suites (`generic`, `hpack`, `http2`), by their numbers there; a
//! connection each.

use edge_tests::frames::{Frames, PREFACE, frame, kind};
use edge_tests::{Content, Node, Origin, Page};

use super::cases::*;
use super::cases_http2::{FRAMES, MESSAGES};
use Expect::*;

/// Runs one case; what was seen instead when it fails.
fn run(node: &Node, (name, act, expect): &Case) -> Result<(), String> {
    let mut peer = Frames::connect(node.addr());
    act(&mut peer);
    let mut seen = Vec::new();
    if matches!(expect, Alive) {
        peer.send(kind::PING, 0, 0, b"are you?");
    }
    loop {
        let Some(frame) = peer.read() else {
            // The end without a word is a pass in h2spec; here the word is asked for.
            return Err(format!("{name}: {expect:?}, but the connection ended after {seen:?}"));
        };
        let is_good = match expect {
            Head => frame.kind == kind::HEADERS,
            Data => frame.kind == kind::DATA,
            Alive => frame.kind == kind::PING && frame.payload == b"are you?",
            Stream(codes) => frame.code().is_some_and(|code| codes.contains(&code)),
            End(codes) => {
                frame.kind == kind::GOAWAY && frame.code().is_some_and(|code| codes.contains(&code))
            }
        };
        if is_good {
            break;
        }
        seen.push((frame.kind, frame.flags, frame.stream, frame.code()));
    }
    while matches!(expect, End(_)) && peer.read().is_some() {}
    Ok(())
}

fn node() -> (Origin, Node) {
    let origin = Origin::with("/", Page::of(Content::new(9, 500)));
    let node = Node::of(&origin.url());
    (origin, node)
}

#[test]
fn every_case_of_h2spec_holds() {
    let (_origin, node) = node();
    let cases = [GENERIC, HPACK, FRAMES, MESSAGES].concat();
    let failed: Vec<_> = cases.iter().filter_map(|case| run(&node, case).err()).collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn windows_are_kept_to_the_byte() {
    // http2 6.5.3.1, 6.9.1.1, 6.9.2.1, 6.9.2.2.
    let (_origin, node) = node();
    let mut peer = Frames::connect_with(node.addr(), &[(WINDOW, 100), (WINDOW, 1)]);
    peer.credits = false;
    peer.sync();
    peer.get(1, "/", &[]);
    let data = |it: &edge_tests::frames::Frame| it.kind == kind::DATA;
    let first = peer.until(data).expect("data").pop().expect("one");
    assert_eq!(first.payload.len(), 1, "the last of several values holds");
    peer.settings(&[(WINDOW, 3)]);
    assert_eq!(peer.until(data).expect("data").pop().expect("one").payload.len(), 2);
    // Below zero: -2 after this, and nothing comes for two bytes of credit.
    peer.settings(&[(WINDOW, 1)]);
    peer.credit(1, 2);
    assert!(peer.sync().iter().all(|frame| frame.kind != kind::DATA));
    peer.credit(1, 4);
    assert_eq!(peer.until(data).expect("data").pop().expect("one").payload.len(), 4);
}

#[test]
fn what_is_not_the_preface_is_not_http2() {
    let (_origin, node) = node();
    // Sniffed on a plain listener: something else is a bad request of HTTP/1.1.
    let mut peer = node.connect();
    peer.send("INVALID CONNECTION PREFACE\r\n\r\n");
    assert_eq!(peer.response("GET").expect("an answer").head.status, 400);
    // What begins as the preface and goes on otherwise is told so.
    let mut peer = Frames::silent(node.addr());
    peer.raw(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    assert_eq!(peer.ended(), Some(PROTOCOL));
    // Settings come first (RFC 9113 §3.4).
    let mut peer = Frames::silent(node.addr());
    peer.raw(PREFACE);
    peer.send(kind::PING, 0, 0, &[0; 8]);
    assert_eq!(peer.ended(), Some(PROTOCOL));
    // However it is cut.
    let mut peer = Frames::silent(node.addr());
    let all = [PREFACE, &frame(kind::SETTINGS, 0, 0, b""), &frame(kind::HEADERS, WHOLE, 1, &get())];
    for byte in all.concat() {
        peer.raw(&[byte]);
    }
    assert_eq!(peer.answer(1).status(), 200);
}
