//! A client of HTTP/2 that hides nothing: frames out as they are written, frames in as they come.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use edge::http2::hpack::Decoder;

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A node that says nothing for so long hangs.
const HANG: Duration = Duration::from_secs(30);

/// Types of frames.
pub mod kind {
    #![expect(missing_docs, reason = "the names are RFC 9113 §6's")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    pub const PRIORITY_UPDATE: u8 = 16;
}

/// Flags of frames: END_STREAM or ACK, END_HEADERS, PADDED, PRIORITY.
pub mod flag {
    #![expect(missing_docs, reason = "the names are RFC 9113 §6's")]
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 32;
    /// A whole request.
    pub const WHOLE: u8 = END_STREAM | END_HEADERS;
}

/// A frame the node sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// 0 is the connection.
    pub stream: u32,
    /// Its payload; of HEADERS the fields, a line each.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        number(self.payload.get(at..)?)
    }

    /// Whether the node's side of the stream ends with it.
    pub fn ends(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & flag::END_STREAM != 0
    }

    /// The fields of HEADERS, a line each.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.get(..4)?.try_into().ok().map(u32::from_be_bytes)
}

/// An answer, put together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Fields of the head, a line each, `:status` first.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// Fields behind the body.
    pub trailers: String,
    /// Heads of interim answers.
    pub interim: Vec<String>,
    /// The code it was reset with, if it was.
    pub reset: Option<u32>,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        let status = self.head.strip_prefix(":status: ").and_then(|rest| rest.get(..3));
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// One connection.
pub struct Frames {
    stream: TcpStream,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Give credit for DATA as it comes.
    pub credits: bool,
}

impl Frames {
    /// Connects and says nothing.
    #[track_caller]
    pub fn silent(addr: SocketAddr) -> Frames {
        let stream = TcpStream::connect(addr).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(HANG)).expect("a time-out");
        stream.set_write_timeout(Some(HANG)).expect("a time-out");
        Frames { stream, decoder: Decoder::new(4096), buffer: Vec::new(), credits: true }
    }

    /// Connects, says the preface and `settings`, and waits for the node's settings.
    #[track_caller]
    pub fn connect_with(addr: SocketAddr, settings: &[(u16, u32)]) -> Frames {
        let mut frames = Frames::silent(addr);
        frames.raw(PREFACE);
        frames.settings(settings);
        let first = frames.read().expect("the node's settings");
        assert_eq!((first.kind, first.flags), (kind::SETTINGS, 0), "{first:?}");
        frames.send(kind::SETTINGS, flag::ACK, 0, b"");
        frames
    }

    /// As [`Frames::connect_with`], without settings.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Frames {
        Frames::connect_with(addr, &[])
    }

    /// Sends bytes as they are; that the node has closed is seen by [`Frames::read`].
    pub fn raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.raw(&frame(kind, flags, stream, payload))
    }

    /// Sends settings.
    pub fn settings(&mut self, settings: &[(u16, u32)]) -> bool {
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        self.send(kind::SETTINGS, 0, 0, &payload)
    }

    /// Sends a whole GET of `path`, with `fields`.
    pub fn get(&mut self, stream: u32, path: &str, fields: &[(&str, &str)]) -> bool {
        let fields = [&request("GET", path)[..], fields].concat();
        self.send(kind::HEADERS, flag::WHOLE, stream, &block(&fields))
    }

    /// Widens a window; stream 0 is the connection.
    pub fn credit(&mut self, stream: u32, bytes: u32) -> bool {
        self.send(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
    }

    /// The next frame; `None` at the end of the connection.
    pub fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    panic!("the node has said nothing for {HANG:?}")
                }
                Err(_) => return None,
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let header = self.buffer.get(..9)?;
        let len = number(&[0, header[0], header[1], header[2]])? as usize;
        let (kind, flags, stream) = (header[3], header[4], number(&header[5..])?);
        if self.buffer.len() < 9 + len {
            return None;
        }
        let mut payload: Vec<u8> = self.buffer.drain(..9 + len).skip(9).collect();
        if kind == kind::HEADERS {
            assert!(flags & flag::END_HEADERS != 0, "a head of the node's fits a frame");
            let mut text = Vec::new();
            let read = self.decoder.decode(&payload, |name, value| {
                text.extend_from_slice(&[name, b": ", value, b"\n"].concat());
            });
            assert!(read.is_ok(), "the node's fields cannot be read");
            payload = text;
        }
        if kind == kind::DATA && self.credits && len > 0 {
            self.credit(0, len as u32);
            if flags & flag::END_STREAM == 0 {
                self.credit(stream, len as u32);
            }
        }
        Some(Frame { kind, flags, stream, payload })
    }

    /// Frames up to the one that `last` picks, which is among them; `None`: the connection ended.
    pub fn until(&mut self, last: impl Fn(&Frame) -> bool) -> Option<Vec<Frame>> {
        let mut all = Vec::new();
        loop {
            all.push(self.read()?);
            if all.last().is_some_and(&last) {
                return Some(all);
            }
        }
    }

    /// Waits until the node answered a PING, and so has seen everything before it.
    #[track_caller]
    pub fn sync(&mut self) -> Vec<Frame> {
        self.send(kind::PING, 0, 0, b"in order");
        let answered = |it: &Frame| it.kind == kind::PING && it.flags == flag::ACK;
        self.until(answered).expect("an answer to PING")
    }

    /// The answers on `streams`, in their order.
    #[track_caller]
    pub fn answers(&mut self, streams: &[u32]) -> Vec<Answer> {
        let mut answers = vec![Answer::default(); streams.len()];
        let mut open = streams.len();
        while open > 0 {
            let frame = self.read().expect("answers before the end of the connection");
            assert!(frame.kind != kind::GOAWAY || frame.code() == Some(0), "{frame:?}");
            let Some(at) = streams.iter().position(|id| *id == frame.stream) else { continue };
            let answer = &mut answers[at];
            match frame.kind {
                kind::HEADERS if frame.text().starts_with(":status: 1") => {
                    answer.interim.push(frame.text());
                }
                kind::HEADERS if answer.head.is_empty() => answer.head = frame.text(),
                kind::HEADERS => answer.trailers = frame.text(),
                kind::DATA => answer.body.extend_from_slice(&frame.payload),
                kind::RST_STREAM => answer.reset = frame.code(),
                _ => {}
            }
            open -= usize::from(frame.ends() || frame.kind == kind::RST_STREAM);
        }
        answers
    }

    /// The answer on `stream`.
    #[track_caller]
    pub fn answer(&mut self, stream: u32) -> Answer {
        self.answers(&[stream]).remove(0)
    }

    /// Reads to the end of the connection: the code of the node's GOAWAY, if it sent one.
    pub fn ended(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.read() {
            if frame.kind == kind::GOAWAY {
                code = frame.code();
            }
        }
        code
    }

    /// Another handle of the socket, to write from another thread.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("another handle")
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u32;
    let mut bytes = len.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The pseudo-fields of a request.
pub fn request<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":path", path), (":authority", "edge.test")]
}

/// A field block: literals that nobody keeps.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

fn string(block: &mut Vec<u8>, text: &str) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(rest as u8);
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(rest as u8 | 128);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text.as_bytes());
}
