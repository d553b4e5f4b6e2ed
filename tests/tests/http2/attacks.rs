//! Those who mean harm: each is told to calm down and reported, costs no memory, and nobody else
//! notices.

use std::io::Write;

use edge_tests::frames::{PREFACE, block, flag, frame, kind, request};
use edge_tests::process::eventually;
use edge_tests::{Content, Frames, MIB, Node, NodeConfig, Origin, Page};

const ENHANCE_YOUR_CALM: u32 = 11;
/// What an attack may cost, connections and all.
const MEMORY_MAX_BYTES: u64 = 16 * MIB;
/// Attacking connections, one after the other.
const ROUNDS: u64 = 4;

fn node() -> (Origin, Node) {
    let origin = Origin::with("/a", Page::of(Content::new(6, 4 * MIB)));
    origin.put("/small", Page::of(Content::new(7, 1_000)));
    let node = Node::start(NodeConfig::of(&origin.url()).server("send_timeout = \"1s\""));
    for target in ["/a", "/small"] {
        node.get(target).expect_status(200);
    }
    (origin, node)
}

fn settings() -> Vec<u8> {
    [PREFACE, &frame(kind::SETTINGS, 0, 0, b"")].concat()
}

fn get(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::WHOLE, stream, &block(&request("GET", "/a")))
}

/// Sends `attack(round of frames)` at full speed on connection after connection until the node ends
/// each; meanwhile another client is served, and afterwards nothing is left.
fn endure(node: &Node, attack: impl Fn(u32) -> Vec<u8> + Sync) {
    let before = node.sample();
    let mut peak = before.rss_bytes;
    for round in 0..ROUNDS {
        let mut peer = Frames::silent(node.addr());
        let mut writer = peer.writer();
        let code = std::thread::scope(|scope| {
            scope.spawn(|| {
                let attack = &attack;
                let bytes = (0..200_000).map(attack);
                let _ = writer.write_all(&settings());
                // Until the node has had enough.
                for bytes in bytes {
                    if writer.write_all(&bytes).is_err() {
                        break;
                    }
                }
            });
            let mut good = Frames::connect(node.addr());
            good.get(1, "/small", &[]);
            assert_eq!(good.answer(1).body.len(), 1_000, "somebody else, round {round}");
            peak = peak.max(node.sample().rss_bytes);
            peer.ended()
        });
        // The attacker may be too busy writing to hear it.
        assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "round {round}: {code:?}");
        node.wait_metric("edge_http2_floods_total", round + 1);
    }
    assert!(
        peak < before.rss_bytes + MEMORY_MAX_BYTES,
        "memory: {} before, {peak} at most",
        before.rss_bytes
    );
    node.get("/small").expect_status(200);
    assert!(node.metric("edge_http2_faults_total") >= ROUNDS);
    node.wait_all_closed();
}

#[test]
fn rapid_reset() {
    let (_origin, node) = node();
    endure(&node, |nth| {
        let stream = 2 * nth + 1;
        [get(stream), frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    });
}

#[test]
fn resets_that_the_node_is_made_to_send() {
    // CVE-2025-8671: the client breaks a rule on each stream, so that the node resets it.
    let (_origin, node) = node();
    endure(&node, |nth| {
        let stream = 2 * nth + 1;
        [get(stream), frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
    });
}

#[test]
fn a_field_block_without_end() {
    let (_origin, node) = node();
    endure(&node, |nth| match nth {
        0 => frame(kind::HEADERS, flag::END_STREAM, 1, &block(&request("GET", "/a"))),
        _ => frame(kind::CONTINUATION, 0, 1, &[]),
    });
    let (_origin, node) = self::node();
    endure(&node, |nth| match nth {
        0 => frame(kind::HEADERS, flag::END_STREAM, 1, &block(&request("GET", "/a"))),
        _ => frame(kind::CONTINUATION, 0, 1, &block(&[("x", &"y".repeat(8_000))])),
    });
}

#[test]
fn pings_settings_and_priorities() {
    for flood in [
        frame(kind::PING, 0, 0, &[0; 8]),
        frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0x10, 0]),
        frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0x10, 0].repeat(2_000)),
        frame(kind::PRIORITY, 0, 9, &[0, 0, 0, 1, 9]),
        frame(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x09u=1"),
        frame(0xfa, 0, 0, b"unknown"),
    ] {
        let (_origin, node) = node();
        endure(&node, |_| flood.clone());
    }
}

#[test]
fn frames_without_a_byte_and_windows_by_the_byte() {
    let (_origin, node) = node();
    endure(&node, |nth| match nth {
        0 => frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&request("POST", "/a"))),
        _ => frame(kind::DATA, 0, 1, b""),
    });
    let (_origin, node) = self::node();
    endure(&node, |_| frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
}

#[test]
fn a_bomb_of_fields() {
    // One long field is learnt, then named again and again: 16 KiB are to become 60 MiB.
    let (_origin, node) = node();
    endure(&node, |nth| {
        let mut fields = block(&request("GET", "/a"));
        fields.extend_from_slice(b"\x40\x01x\x7f\x81\x1e");
        fields.extend_from_slice(&[b'y'; 4_000]);
        fields.extend_from_slice(&vec![0xbe; 12_000]);
        frame(kind::HEADERS, flag::WHOLE, 2 * nth + 1, &fields)
    });
}

#[test]
fn who_opens_no_window_is_cut_and_holds_no_memory() {
    let (_origin, node) = node();
    let before = node.sample().rss_bytes;
    let mut starving: Vec<Frames> =
        (0..8).map(|_| Frames::connect_with(node.addr(), &[(4, 0)])).collect();
    for peer in &mut starving {
        for nth in 0..100 {
            peer.raw(&get(2 * nth + 1));
        }
        peer.sync();
    }
    let held = node.sample().rss_bytes.saturating_sub(before);
    assert!(held < 2 * MEMORY_MAX_BYTES, "800 streams hold {held} bytes");
    let mut good = Frames::connect(node.addr());
    good.get(1, "/a", &[]);
    assert_eq!(good.answer(1).body.len() as u64, 4 * MIB);
    for peer in &mut starving {
        let mut cut = 0;
        while cut < 100 {
            let frame = peer.read().expect("the connection goes on");
            cut += usize::from(frame.kind == kind::RST_STREAM);
        }
    }
    eventually("a line for each", || {
        let lines = node.access_log();
        (lines.iter().filter(|line| line["reason"] == "cut").count() == 800).then_some(())
    });
}
