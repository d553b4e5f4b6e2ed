//! What a case is, and h2spec's suites `generic` and `hpack`.

use edge_tests::frames::{Frames, block, flag, kind, request};

use Expect::*;

pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL: u32 = 1;
pub(super) const FLOW_CONTROL: u32 = 3;
pub(super) const CLOSED: u32 = 5;
pub(super) const FRAME_SIZE: u32 = 6;
pub(super) const REFUSED: u32 = 7;
pub(super) const COMPRESSION: u32 = 9;

pub(super) const WHOLE: u8 = flag::WHOLE;
pub(super) const OPEN: u8 = flag::END_HEADERS;
pub(super) const WINDOW: u16 = 4;

/// What has to come of a case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expect {
    /// An answer's head on stream 1 (or 3).
    Head,
    /// A piece of a body.
    Data,
    /// An answer to PING: the connection goes on.
    Alive,
    /// RST_STREAM or GOAWAY with one of these.
    Stream(&'static [u32]),
    /// GOAWAY with one of these, then the end of the connection.
    End(&'static [u32]),
}

pub(super) type Case = (&'static str, fn(&mut Frames), Expect);

pub(super) fn get() -> Vec<u8> {
    block(&request("GET", "/"))
}

pub(super) fn post() -> Vec<u8> {
    block(&request("POST", "/"))
}

pub(super) fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    block(&[&request("GET", "/")[..], fields].concat())
}

pub(super) fn post_with(fields: &[(&str, &str)]) -> Vec<u8> {
    block(&[&request("POST", "/")[..], fields].concat())
}

pub(super) fn without(name: &str) -> Vec<u8> {
    let all = request("GET", "/");
    block(&all.iter().filter(|(other, _)| *other != name).copied().collect::<Vec<_>>())
}

/// A request whose last field is written by hand.
pub(super) fn hand(bytes: &[u8]) -> Vec<u8> {
    [get(), bytes.to_vec()].concat()
}

pub(super) fn headers(peer: &mut Frames, flags: u8, stream: u32, block: &[u8]) {
    peer.send(kind::HEADERS, flags, stream, block);
}

/// Sends a whole request and waits for the end of its answer.
pub(super) fn closed(peer: &mut Frames) {
    headers(peer, WHOLE, 1, &get());
    peer.answer(1);
}

/// HEADERS that lack END_HEADERS.
pub(super) fn begun(peer: &mut Frames) {
    headers(peer, flag::END_STREAM, 1, &get()[..10]);
}

pub(super) const DEPENDS_ON_1: &[u8] = &[0, 0, 0, 1, 15];

pub(super) const GENERIC: &[Case] = &[
    ("generic 1", |_| {}, Alive),
    ("generic 2.1", |p| _ = p.send(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 9]), Alive),
    (
        "generic 2.2",
        |p| {
            headers(p, WHOLE, 1, &get());
            p.credit(1, 100);
        },
        Data,
    ),
    (
        "generic 2.3",
        |p| {
            headers(p, WHOLE, 1, &get());
            p.send(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 9]);
        },
        Data,
    ),
    (
        "generic 2.4",
        |p| {
            headers(p, WHOLE, 1, &get());
            p.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        },
        Alive,
    ),
    (
        "generic 2.5",
        |p| {
            closed(p);
            p.send(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 9]);
        },
        Alive,
    ),
    (
        "generic 3.1",
        |p| {
            headers(p, OPEN, 1, &post());
            p.send(kind::DATA, flag::END_STREAM, 1, b"test");
        },
        Head,
    ),
    (
        "generic 3.1 many",
        |p| {
            headers(p, OPEN, 1, &post());
            p.send(kind::DATA, 0, 1, b"test");
            p.send(kind::DATA, flag::END_STREAM, 1, b"test");
        },
        Head,
    ),
    (
        "generic 3.1 padded",
        |p| {
            headers(p, OPEN, 1, &post());
            p.send(kind::DATA, flag::END_STREAM | flag::PADDED, 1, b"\x02test\0\0");
        },
        Head,
    ),
    ("generic 3.2", |p| headers(p, WHOLE, 1, &get()), Head),
    (
        "generic 3.2 padded",
        |p| {
            let padded = [&[3], &get()[..], &[0, 0, 0]].concat();
            headers(p, WHOLE | flag::PADDED, 1, &padded);
        },
        Head,
    ),
    (
        "generic 3.2 priority",
        |p| {
            let block = [&[0, 0, 0, 0, 255], &get()[..]].concat();
            headers(p, WHOLE | flag::PRIORITY, 1, &block);
        },
        Head,
    ),
    (
        "generic 3.3",
        |p| {
            for weight in [&[0, 0, 0, 0, 0][..], &[0, 0, 0, 0, 255], &[0x80, 0, 0, 3, 9]] {
                p.send(kind::PRIORITY, 0, 1, weight);
            }
            p.send(kind::PRIORITY, 0, 5, DEPENDS_ON_1);
            headers(p, WHOLE, 1, &get());
        },
        Head,
    ),
    (
        "generic 3.4",
        |p| {
            headers(p, OPEN, 1, &get());
            p.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        },
        Alive,
    ),
    ("generic 3.5", |p| _ = p.settings(&[(3, 100)]), Alive),
    ("generic 3.7", |p| _ = p.send(kind::PING, 0, 0, b"h2spec__"), Alive),
    ("generic 3.8", |p| _ = p.send(kind::GOAWAY, 0, 0, &[0; 8]), End(&[NO_ERROR])),
    ("generic 3.9", |p| _ = p.credit(0, 1), Alive),
    (
        "generic 3.9 stream",
        |p| {
            headers(p, OPEN, 1, &get());
            p.credit(1, 1);
            p.send(kind::DATA, flag::END_STREAM, 1, b"");
        },
        Head,
    ),
    (
        "generic 3.10",
        |p| {
            let (first, rest) = (&get()[..10], &get()[10..]);
            headers(p, flag::END_STREAM, 1, first);
            p.send(kind::CONTINUATION, 0, 1, &rest[..5]);
            p.send(kind::CONTINUATION, 0, 1, &rest[5..9]);
            p.send(kind::CONTINUATION, OPEN, 1, &rest[9..]);
        },
        Head,
    ),
    ("generic 4.2", |p| headers(p, WHOLE, 1, &block(&request("HEAD", "/"))), Head),
    (
        "generic 4.4 trailers",
        |p| {
            headers(p, OPEN, 1, &post_with(&[("trailer", "x-test")]));
            p.send(kind::DATA, 0, 1, b"test");
            headers(p, WHOLE, 1, &block(&[("x-test", "ok")]));
        },
        Head,
    ),
    // RFC 7541 §6: every form of a field, plain and Huffman-coded ("accept", "*/*").
    ("generic 5 indexed", |p| headers(p, WHOLE, 1, &hand(&[0x90])), Head),
    ("generic 5 indexing", |p| headers(p, WHOLE, 1, &hand(b"\x53\x03*/*")), Head),
    ("generic 5 indexing, coded", |p| headers(p, WHOLE, 1, &hand(b"\x53\x83\xf9\x63\xe7")), Head),
    ("generic 5 new name", |p| headers(p, WHOLE, 1, &hand(b"\x40\x01x\x01y")), Head),
    ("generic 5 new name, coded", |p| headers(p, WHOLE, 1, &hand(b"\x40\x81\xf3\x81\xf5")), Head),
    ("generic 5 without", |p| headers(p, WHOLE, 1, &hand(b"\x0f\x04\x03*/*")), Head),
    ("generic 5 without, new", |p| headers(p, WHOLE, 1, &hand(b"\x00\x01x\x81\xf5")), Head),
    ("generic 5 never", |p| headers(p, WHOLE, 1, &hand(b"\x1f\x04\x83\xf9\x63\xe7")), Head),
    ("generic 5 never, new", |p| headers(p, WHOLE, 1, &hand(b"\x10\x81\xf3\x01y")), Head),
    ("generic 5 size", |p| headers(p, WHOLE, 1, &[&[0x20], &get()[..]].concat()), Head),
    ("generic 5 sizes", |p| headers(p, WHOLE, 1, &[&[0x20, 0x30], &get()[..]].concat()), Head),
];

pub(super) const HPACK: &[Case] = &[
    ("hpack 2.3.3.1", |p| headers(p, WHOLE, 1, &hand(&[0xc6])), End(&[COMPRESSION])),
    ("hpack 2.3.3.2", |p| headers(p, WHOLE, 1, &hand(b"\x7f\x07\x01x")), End(&[COMPRESSION])),
    ("hpack 4.2.1", |p| headers(p, WHOLE, 1, &hand(&[0x20])), End(&[COMPRESSION])),
    (
        "hpack 5.2.1 long padding",
        |p| headers(p, WHOLE, 1, &hand(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")),
        End(&[COMPRESSION]),
    ),
    (
        "hpack 5.2.2 padded by zero",
        |p| headers(p, WHOLE, 1, &hand(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")),
        End(&[COMPRESSION]),
    ),
    (
        "hpack 5.2.3 end of string",
        |p| {
            let bytes = b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f";
            headers(p, WHOLE, 1, &hand(bytes));
        },
        End(&[COMPRESSION]),
    ),
    ("hpack 6.1.1", |p| headers(p, WHOLE, 1, &hand(&[0x80])), End(&[COMPRESSION])),
    (
        "hpack 6.3.1",
        |p| headers(p, WHOLE, 1, &[b"\x3f\xe2\x1f", &get()[..]].concat()),
        End(&[COMPRESSION]),
    ),
];
