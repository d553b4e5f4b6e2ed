//! h2spec's suite `http2`.

use edge_tests::frames::{block, flag, kind, request};

use super::cases::*;
use Expect::*;

pub(super) const FRAMES: &[Case] = &[
    ("http2 4.1.1", |p| _ = p.send(0x16, 0, 0, b"????"), Alive),
    ("http2 4.1.2", |p| _ = p.send(kind::PING, 0x16, 0, b"h2spec__"), Alive),
    ("http2 4.1.3", |p| _ = p.send(kind::PING, 0, 0x8000_0000, b"h2spec__"), Alive),
    (
        "http2 4.2.1",
        |p| {
            headers(p, OPEN, 1, &post());
            p.send(kind::DATA, flag::END_STREAM, 1, &[0; 16_384]);
        },
        Head,
    ),
    (
        "http2 4.2.2",
        |p| {
            headers(p, OPEN, 1, &post());
            p.send(kind::DATA, flag::END_STREAM, 1, &[0; 16_385]);
        },
        Stream(&[FRAME_SIZE]),
    ),
    (
        "http2 4.2.3",
        |p| headers(p, WHOLE, 1, &with(&[("x-dummy", &"x".repeat(16_384))])),
        End(&[FRAME_SIZE]),
    ),
    ("http2 4.3.1", |p| headers(p, WHOLE, 1, b"\x40"), End(&[COMPRESSION])),
    (
        "http2 4.3.2, 6.2.1",
        |p| {
            begun(p);
            p.send(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 9]);
        },
        End(&[PROTOCOL]),
    ),
    (
        "http2 4.3.3, 6.2.2",
        |p| {
            begun(p);
            headers(p, WHOLE, 3, &get());
        },
        End(&[PROTOCOL]),
    ),
    ("http2 5.1 idle 1", |p| _ = p.send(kind::DATA, 1, 1, b"test"), Stream(&[PROTOCOL, CLOSED])),
    ("http2 5.1 idle 2", |p| _ = p.send(kind::RST_STREAM, 0, 1, &[0; 4]), End(&[PROTOCOL])),
    ("http2 5.1 idle 3", |p| _ = p.credit(1, 100), End(&[PROTOCOL])),
    ("http2 5.1 idle 4", |p| _ = p.send(kind::CONTINUATION, 4, 1, &get()), End(&[PROTOCOL])),
    (
        "http2 5.1.5 half-closed, 6.1.2",
        |p| {
            headers(p, WHOLE, 1, &get());
            p.send(kind::DATA, flag::END_STREAM, 1, b"test");
        },
        Stream(&[CLOSED]),
    ),
    (
        "http2 5.1.6 half-closed",
        |p| {
            headers(p, WHOLE, 1, &get());
            headers(p, WHOLE, 1, &get());
        },
        Stream(&[CLOSED]),
    ),
    (
        "http2 5.1.7 half-closed",
        |p| {
            headers(p, WHOLE, 1, &get());
            p.send(kind::CONTINUATION, OPEN, 1, &get());
        },
        Stream(&[CLOSED, PROTOCOL]),
    ),
    (
        "http2 5.1.8 reset",
        |p| {
            headers(p, OPEN, 1, &get());
            p.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
            p.send(kind::DATA, flag::END_STREAM, 1, b"test");
        },
        Stream(&[CLOSED]),
    ),
    (
        "http2 5.1.9 reset",
        |p| {
            headers(p, OPEN, 1, &get());
            p.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
            headers(p, WHOLE, 1, &get());
        },
        Stream(&[CLOSED]),
    ),
    (
        "http2 5.1.10 reset",
        |p| {
            headers(p, OPEN, 1, &get());
            p.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
            p.send(kind::CONTINUATION, OPEN, 1, &get());
        },
        Stream(&[CLOSED, PROTOCOL]),
    ),
    (
        "http2 5.1.11 closed",
        |p| {
            closed(p);
            p.send(kind::DATA, flag::END_STREAM, 1, b"test");
        },
        Stream(&[CLOSED]),
    ),
    (
        "http2 5.1.12 closed",
        |p| {
            closed(p);
            headers(p, WHOLE, 1, &get());
        },
        End(&[CLOSED]),
    ),
    (
        "http2 5.1.13 closed",
        |p| {
            closed(p);
            p.send(kind::CONTINUATION, OPEN, 1, &get());
        },
        End(&[CLOSED, PROTOCOL]),
    ),
    ("http2 5.1.1.1", |p| headers(p, WHOLE, 2, &get()), End(&[PROTOCOL])),
    (
        "http2 5.1.1.2",
        |p| {
            headers(p, WHOLE, 5, &get());
            headers(p, WHOLE, 3, &get());
        },
        End(&[PROTOCOL]),
    ),
    (
        "http2 5.1.2.1",
        |p| {
            p.settings(&[(WINDOW, 0)]);
            p.sync();
            for stream in 0..=128 {
                headers(p, WHOLE, 2 * stream + 1, &get());
            }
        },
        Stream(&[PROTOCOL, REFUSED]),
    ),
    (
        "http2 5.3.1.1",
        |p| headers(p, WHOLE | flag::PRIORITY, 1, &[DEPENDS_ON_1, &get()[..]].concat()),
        Stream(&[PROTOCOL]),
    ),
    ("http2 5.3.1.2", |p| _ = p.send(kind::PRIORITY, 0, 1, DEPENDS_ON_1), Stream(&[PROTOCOL])),
    ("http2 5.4.1", |p| _ = p.send(kind::PING, 0, 3, &[0; 8]), End(&[PROTOCOL])),
    (
        "http2 5.5.2",
        |p| {
            begun(p);
            p.send(0x16, 0, 0, b"????");
        },
        End(&[PROTOCOL]),
    ),
    ("http2 6.1.1", |p| _ = p.send(kind::DATA, 1, 0, b"test"), End(&[PROTOCOL])),
    (
        "http2 6.1.3",
        |p| {
            headers(p, OPEN, 1, &post());
            p.send(kind::DATA, flag::END_STREAM | flag::PADDED, 1, b"\x06Test");
        },
        End(&[PROTOCOL]),
    ),
    ("http2 6.2.3", |p| headers(p, WHOLE, 0, &get()), End(&[PROTOCOL])),
    (
        "http2 6.2.4",
        |p| headers(p, WHOLE | flag::PADDED, 1, &[&[200], &get()[..]].concat()),
        Stream(&[PROTOCOL]),
    ),
    ("http2 6.3.1", |p| _ = p.send(kind::PRIORITY, 0, 0, &[0; 5]), End(&[PROTOCOL])),
    (
        "http2 6.3.2",
        |p| {
            headers(p, WHOLE, 1, &get());
            p.send(kind::PRIORITY, 0, 1, &[0x80, 0, 0, 1]);
        },
        Stream(&[FRAME_SIZE]),
    ),
    ("http2 6.4.1", |p| _ = p.send(kind::RST_STREAM, 0, 0, &[0; 4]), End(&[PROTOCOL])),
    (
        "http2 6.4.3",
        |p| {
            headers(p, OPEN, 1, &get());
            p.send(kind::RST_STREAM, 0, 1, &[0; 3]);
        },
        Stream(&[FRAME_SIZE]),
    ),
    ("http2 6.5.1", |p| _ = p.send(kind::SETTINGS, 1, 0, &[0; 6]), End(&[FRAME_SIZE])),
    ("http2 6.5.2", |p| _ = p.send(kind::SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 9]), End(&[PROTOCOL])),
    ("http2 6.5.3", |p| _ = p.send(kind::SETTINGS, 0, 0, &[0, 3, 0]), End(&[FRAME_SIZE])),
    ("http2 6.5.2.1", |p| _ = p.settings(&[(2, 2)]), End(&[PROTOCOL])),
    ("http2 6.5.2.2, 6.9.2.3", |p| _ = p.settings(&[(WINDOW, 1 << 31)]), End(&[FLOW_CONTROL])),
    ("http2 6.5.2.3", |p| _ = p.settings(&[(5, 16_383)]), End(&[PROTOCOL])),
    ("http2 6.5.2.4", |p| _ = p.settings(&[(5, 1 << 24)]), End(&[PROTOCOL])),
    ("http2 6.5.2.5", |p| _ = p.settings(&[(0xff, 1)]), Alive),
    ("http2 6.7.2", |p| _ = p.send(kind::PING, 1, 0, b"invalid_"), Alive),
    ("http2 6.7.4", |p| _ = p.send(kind::PING, 0, 0, b"\0\0\0\0\0\0"), End(&[FRAME_SIZE])),
    ("http2 6.8.1", |p| _ = p.send(kind::GOAWAY, 0, 1, &[0; 8]), End(&[PROTOCOL])),
    ("http2 6.9.1", |p| _ = p.credit(0, 0), End(&[PROTOCOL])),
    (
        "http2 6.9.2",
        |p| {
            headers(p, OPEN, 1, &get());
            p.credit(1, 0);
        },
        Stream(&[PROTOCOL]),
    ),
    ("http2 6.9.3", |p| _ = p.send(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1]), End(&[FRAME_SIZE])),
    (
        "http2 6.9.1.2",
        |p| {
            p.credit(0, 0x7fff_ffff);
            p.credit(0, 0x7fff_ffff);
        },
        End(&[FLOW_CONTROL]),
    ),
    (
        "http2 6.9.1.3",
        |p| {
            headers(p, OPEN, 1, &get());
            p.credit(1, 0x7fff_ffff);
            p.credit(1, 0x7fff_ffff);
        },
        Stream(&[FLOW_CONTROL]),
    ),
    (
        "http2 6.10.2",
        |p| {
            begun(p);
            p.send(kind::CONTINUATION, 0, 1, &get()[10..12]);
            p.send(kind::DATA, flag::END_STREAM, 1, b"test");
        },
        End(&[PROTOCOL]),
    ),
    (
        "http2 6.10.3",
        |p| {
            begun(p);
            p.send(kind::CONTINUATION, OPEN, 0, &get()[10..]);
        },
        End(&[PROTOCOL]),
    ),
    (
        "http2 6.10.4",
        |p| {
            headers(p, OPEN, 1, &get());
            p.send(kind::CONTINUATION, OPEN, 1, &block(&[("x", "y")]));
        },
        End(&[PROTOCOL]),
    ),
    (
        "http2 6.10.5",
        |p| {
            begun(p);
            p.send(kind::CONTINUATION, OPEN, 1, &get()[10..]);
            p.send(kind::CONTINUATION, OPEN, 1, &block(&[("x", "y")]));
        },
        End(&[PROTOCOL]),
    ),
    (
        "http2 6.10.6",
        |p| {
            headers(p, OPEN, 1, &post());
            p.send(kind::DATA, 0, 1, b"test");
            p.send(kind::CONTINUATION, OPEN, 1, &block(&[("x", "y")]));
        },
        End(&[PROTOCOL]),
    ),
    (
        "http2 7.1",
        |p| _ = p.send(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]),
        End(&[NO_ERROR]),
    ),
    (
        "http2 7.2",
        |p| {
            headers(p, OPEN, 1, &get());
            p.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 0xff]);
        },
        Alive,
    ),
];

pub(super) const MESSAGES: &[Case] = &[
    (
        "http2 8.1.1",
        |p| {
            headers(p, OPEN, 1, &post());
            headers(p, OPEN, 1, &post());
        },
        Stream(&[PROTOCOL]),
    ),
    ("http2 8.1.2.1", |p| headers(p, WHOLE, 1, &with(&[("X-TEST", "ok")])), Stream(&[PROTOCOL])),
    ("http2 8.1.2.1.1", |p| headers(p, WHOLE, 1, &with(&[(":test", "ok")])), Stream(&[PROTOCOL])),
    (
        "http2 8.1.2.1.2",
        |p| headers(p, WHOLE, 1, &with(&[(":status", "200")])),
        Stream(&[PROTOCOL]),
    ),
    (
        "http2 8.1.2.1.3",
        |p| {
            headers(p, OPEN, 1, &post_with(&[("trailers", "x-test")]));
            p.send(kind::DATA, 0, 1, b"test");
            headers(p, WHOLE, 1, &block(&[("x-test", "ok"), (":method", "200")]));
        },
        Stream(&[PROTOCOL]),
    ),
    (
        "http2 8.1.2.1.4",
        |p| {
            let fields = [&[("x-test", "ok")], &request("GET", "/")[..]].concat();
            headers(p, WHOLE, 1, &block(&fields));
        },
        Stream(&[PROTOCOL]),
    ),
    (
        "http2 8.1.2.2.1",
        |p| headers(p, WHOLE, 1, &with(&[("connection", "keep-alive")])),
        Stream(&[PROTOCOL]),
    ),
    (
        "http2 8.1.2.2.2",
        |p| headers(p, WHOLE, 1, &with(&[("te", "trailers, deflate")])),
        Stream(&[PROTOCOL]),
    ),
    ("http2 8.1.2.3.1", |p| headers(p, WHOLE, 1, &block(&request("GET", ""))), Stream(&[PROTOCOL])),
    ("http2 8.1.2.3.2", |p| headers(p, WHOLE, 1, &without(":method")), Stream(&[PROTOCOL])),
    ("http2 8.1.2.3.3", |p| headers(p, WHOLE, 1, &without(":scheme")), Stream(&[PROTOCOL])),
    ("http2 8.1.2.3.4", |p| headers(p, WHOLE, 1, &without(":path")), Stream(&[PROTOCOL])),
    (
        "http2 8.1.2.3.5",
        |p| headers(p, WHOLE, 1, &with(&[(":method", "GET")])),
        Stream(&[PROTOCOL]),
    ),
    (
        "http2 8.1.2.3.6",
        |p| headers(p, WHOLE, 1, &with(&[(":scheme", "http")])),
        Stream(&[PROTOCOL]),
    ),
    ("http2 8.1.2.3.7", |p| headers(p, WHOLE, 1, &with(&[(":path", "/")])), Stream(&[PROTOCOL])),
    (
        "http2 8.1.2.6.1",
        |p| {
            headers(p, OPEN, 1, &post_with(&[("content-length", "1")]));
            p.send(kind::DATA, flag::END_STREAM, 1, b"test");
        },
        Stream(&[PROTOCOL]),
    ),
    (
        "http2 8.1.2.6.2",
        |p| {
            headers(p, OPEN, 1, &post_with(&[("content-length", "1")]));
            p.send(kind::DATA, 0, 1, b"test");
            p.send(kind::DATA, flag::END_STREAM, 1, b"test");
        },
        Stream(&[PROTOCOL]),
    ),
    (
        "http2 8.2.1",
        |p| _ = p.send(kind::PUSH_PROMISE, OPEN, 1, &[&[0, 0, 0, 3], &get()[..]].concat()),
        End(&[PROTOCOL]),
    ),
];
