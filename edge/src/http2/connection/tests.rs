//! Whatever bytes come, the connection answers them or ends; nothing panics, nothing grows.

use proptest::prelude::*;

use super::super::frame::{DATA, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE};
use super::super::{PREFACE, frame};
use super::*;
use crate::clock::Now;
use crate::limits::H2_CONTROL_MAX_BYTES;

const NOW: Now = Now { mono_ms: 1, unix_ms: 1 };

/// Counts what a client's streams are told.
#[derive(Default)]
struct Told {
    heads: Vec<String>,
    body: Vec<u8>,
    resets: usize,
}

impl Events for Told {
    fn request(&mut self, slot: usize, head: Result<&[u8], RequestError>) {
        assert!(slot < H2_STREAMS_MAX);
        let head = head.map(|head| String::from_utf8_lossy(head).into_owned());
        self.heads.push(head.unwrap_or_else(|error| error.as_str().to_owned()));
    }
    fn body(&mut self, _: usize, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }
    fn reset(&mut self, _: usize) {
        self.resets += 1;
    }
    fn opened(&mut self, _: usize) {}
    fn all_opened(&mut self) {}
}

fn frames(list: &[(u8, u8, u32, &[u8])]) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    frame::write_settings(&mut out, &[]);
    for (kind, flags, stream, payload) in list {
        frame::write_header(&mut out, payload.len(), *kind, *flags, *stream);
        out.extend_from_slice(payload);
    }
    out
}

/// `GET / HTTP/1.1` of host `h`, and a POST.
const GET: &[u8] = b"\x82\x86\x84\x41\x01h";
const POST: &[u8] = b"\x83\x86\x84\x41\x01h";

fn receive(bytes: &[u8], step: usize) -> (Connection, Told) {
    let (mut connection, mut told) = (Connection::new(), Told::default());
    for piece in bytes.chunks(step.max(1)) {
        connection.receive(piece, &mut told, NOW);
    }
    (connection, told)
}

#[test]
fn requests_come_out_the_same_however_they_are_cut() {
    let bytes = frames(&[
        (HEADERS, 0x5, 1, GET),
        (HEADERS, 0x4, 3, POST),
        (DATA, 0, 3, b"hello"),
        (PING, 0, 0, b"01234567"),
        (DATA, END_STREAM, 3, b"!"),
    ]);
    for step in [1, 2, 7, 9, 10, 1000] {
        let (mut connection, told) = receive(&bytes, step);
        assert_eq!(told.heads[0], "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        assert_eq!(
            told.heads[1],
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        assert_eq!(told.body, b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
        assert_eq!(connection.fault(), None);
        let mut out = Vec::new();
        connection.take_control(&mut out);
        assert!(out.ends_with(b"01234567"), "the answer to PING");
    }
}

#[test]
fn a_body_is_credited_as_it_is_taken() {
    let piece = [0; 16_000];
    let list: Vec<_> = (0..14).map(|_| (DATA, 0, 1, &piece[..])).collect();
    let bytes = frames(&[&[(HEADERS, 0x4, 1, POST)], &list[..]].concat());
    let (mut connection, _) = receive(&bytes, 4096);
    let mut out = Vec::new();
    connection.take_control(&mut out);
    connection.credit(0, 300_000);
    assert!(!connection.has_control(), "nothing was taken");
    connection.credit(0, 0);
    out.clear();
    connection.take_control(&mut out);
    let mut expected = Vec::new();
    frame::write_window_update(&mut expected, 1, 224_000);
    assert_eq!(out, expected);
    // More than the window is an error of the stream.
    let (connection, told) = receive(
        &frames(&[&[(HEADERS, 0x4, 1, POST)], &[(DATA, 0, 1, &piece[..]); 17][..]].concat()),
        4096,
    );
    assert_eq!((told.resets, connection.fault()), (1, None));
}

#[test]
fn answers_that_are_not_read_are_bounded() {
    let ping = (PING, 0, 0, &b"01234567"[..]);
    let (connection, _) = receive(&frames(&[ping; 10_000]), 4096);
    assert_eq!(connection.fault().map(|fault| fault.code), Some(Code::EnhanceYourCalm));
    assert!(connection.control.len() < H2_CONTROL_MAX_BYTES + 1_000);
}

proptest! {
    #[test]
    fn nothing_panics_on_frames(
        list in prop::collection::vec(
            (0_u8..18, any::<u8>(), 0_u32..9, prop::collection::vec(any::<u8>(), 0..40)), 0..60),
        step in 1_usize..100,
    ) {
        let list: Vec<_> = list.iter().map(|(k, f, s, p)| (*k, *f, *s, &p[..])).collect();
        let (mut connection, _) = receive(&frames(&list), step);
        let mut out = Vec::new();
        for slot in 0..4 {
            let room = connection.data_room(slot);
            prop_assert!(room <= FAIR_FRAME_BYTES);
            connection.send_head(&mut out, slot, b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
            connection.finish(slot);
        }
        connection.take_control(&mut out);
    }

    #[test]
    fn nothing_panics_on_requests(
        kinds in prop::collection::vec((prop::sample::select(vec![HEADERS, DATA, RST_STREAM, WINDOW_UPDATE, SETTINGS]),
            prop::sample::select(vec![0_u8, 1, 4, 5, 8, 0x2c]), 0_u32..9), 0..60),
    ) {
        let list: Vec<_> = kinds.iter().map(|(kind, flags, stream)| {
            let payload: &[u8] = match *kind {
                HEADERS => if stream % 4 == 1 { GET } else { POST },
                DATA => b"hello",
                SETTINGS => b"\0\x04\0\0\0\x10",
                _ => b"\0\0\0\x08",
            };
            (*kind, *flags, *stream, payload)
        }).collect();
        receive(&frames(&list), 4096);
    }
}
