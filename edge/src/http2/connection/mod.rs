//! One client's connection: frames in, frames out, and what is to be remembered between them.

mod receive;
mod requests;
mod send;
mod streams;
#[cfg(test)]
mod tests;

use super::flood::Floods;
use super::frame::{
    self, SETTINGS_INITIAL_WINDOW_SIZE, SETTINGS_MAX_CONCURRENT_STREAMS,
    SETTINGS_MAX_HEADER_LIST_SIZE, SETTINGS_NO_RFC7540_PRIORITIES,
};
use super::hpack::{Decoder, Encoder};
use super::priority::Priority;
use super::request::Collector;
use super::{Code, Fault};
use crate::http::request::RequestError;
use crate::limits::{
    H2_CONN_WINDOW_BYTES, H2_STREAM_WINDOW_BYTES, H2_STREAMS_MAX, REQUEST_HEAD_MAX_BYTES,
};
use streams::Streams;

pub use send::FAIR_FRAME_BYTES;

/// The window both sides begin with (RFC 9113 §6.9.2).
const WINDOW_BYTES: i64 = 65_535;
/// The largest window (RFC 9113 §6.9.1).
const WINDOW_MAX: i64 = 0x7fff_ffff;
/// Names our PING behind the first GOAWAY of a drain.
const DRAIN_PING: [u8; 8] = *b"draining";
/// Priorities kept for requests that have not come yet.
const EARLY_PRIORITIES_MAX: usize = 16;

/// What the owner of a connection does about what its client said. Streams go by their slot, a number
/// below `limits::H2_STREAMS_MAX` that is used again when a stream is over.
pub trait Events {
    /// A request began: its head in HTTP/1.1's form, or what it is refused for.
    fn request(&mut self, slot: usize, head: Result<&[u8], RequestError>);
    /// Bytes of its body, in the framing that the head names.
    fn body(&mut self, slot: usize, bytes: &[u8]);
    /// It is over: the client gave it up, or it broke a rule. The slot is free.
    fn reset(&mut self, slot: usize);
    /// There may be room for more of the answer.
    fn opened(&mut self, slot: usize);
    /// There may be room for more of every answer.
    fn all_opened(&mut self);
}

/// How far the end of the connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Going {
    /// It is not in sight.
    No,
    /// The client was asked to begin nothing more; what is on its way is still taken.
    Announced,
    /// Later requests are not looked at.
    Last(u32),
}

/// A field block that has begun.
struct Block {
    stream: u32,
    end_stream: bool,
    on_itself: bool,
    continuations: usize,
}

/// See the module.
pub struct Connection {
    /// Bytes of the preface seen, then whether the first SETTINGS came.
    preface: usize,
    greeted: bool,
    /// A frame that is not all there.
    partial: Vec<u8>,
    block: Option<Block>,
    fragments: Vec<u8>,
    decoder: Decoder,
    encoder: Encoder,
    collector: Collector,
    streams: Streams,
    early: Vec<(u32, Priority)>,
    /// The last stream the client began.
    last: u32,
    /// What the client takes: the connection's window, a new stream's, a frame's payload.
    send_window: i64,
    initial_window: i64,
    frame_max_bytes: usize,
    /// What the client may still send, and what of it was taken and not yet said.
    receive_window: i64,
    receive_owed: i64,
    floods: Floods,
    malformed: u64,
    going: Going,
    peer_leaves: bool,
    fault: Option<Fault>,
    /// Frames that wait to be sent before any other.
    control: Vec<u8>,
}

impl Connection {
    /// A fresh one; our settings wait to be sent.
    pub fn new() -> Connection {
        let mut control = Vec::new();
        let settings = [
            (SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX as u32),
            (SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_BYTES as u32),
            (SETTINGS_MAX_HEADER_LIST_SIZE, REQUEST_HEAD_MAX_BYTES as u32),
            (SETTINGS_NO_RFC7540_PRIORITIES, 1),
        ];
        frame::write_settings(&mut control, &settings);
        frame::write_window_update(&mut control, 0, (H2_CONN_WINDOW_BYTES - WINDOW_BYTES) as u32);
        Connection {
            preface: 0,
            greeted: false,
            partial: Vec::new(),
            block: None,
            fragments: Vec::new(),
            decoder: Decoder::new(4096),
            encoder: Encoder::default(),
            collector: Collector::default(),
            streams: Streams::default(),
            early: Vec::new(),
            last: 0,
            send_window: WINDOW_BYTES,
            initial_window: WINDOW_BYTES,
            frame_max_bytes: frame::PAYLOAD_MAX_BYTES,
            receive_window: H2_CONN_WINDOW_BYTES,
            receive_owed: 0,
            floods: Floods::default(),
            malformed: 0,
            going: Going::No,
            peer_leaves: false,
            fault: None,
            control,
        }
    }

    /// Why the connection ends; GOAWAY waits to be sent.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether the client was told that the node takes no more of it.
    pub fn is_going(&self) -> bool {
        self.going != Going::No
    }

    /// Whether nothing more will come of it: it may be closed.
    pub fn is_over(&self) -> bool {
        let leaves = self.peer_leaves || matches!(self.going, Going::Last(_));
        self.fault.is_some() || leaves && self.streams.is_empty()
    }

    /// Requests that broke a rule since the last call.
    pub fn take_malformed(&mut self) -> u64 {
        std::mem::take(&mut self.malformed)
    }

    /// The node goes down: requests that are on their way are answered, further ones are not.
    pub fn drain(&mut self) {
        if self.going == Going::No && self.fault.is_none() {
            self.going = Going::Announced;
            frame::write_goaway(&mut self.control, WINDOW_MAX as u32, Code::NoError, "");
            frame::write_ping(&mut self.control, 0, &DRAIN_PING);
        }
    }

    /// The client had time enough to hear of it.
    pub fn drain_now(&mut self) {
        if matches!(self.going, Going::No | Going::Announced) && self.fault.is_none() {
            self.going = Going::Last(self.last);
            frame::write_goaway(&mut self.control, self.last, Code::NoError, "");
        }
    }

    /// Ends it at once.
    pub fn fail(&mut self, code: Code, reason: &'static str) {
        if self.fault.is_none() {
            self.fault = Some(Fault::new(code, reason));
            frame::write_goaway(&mut self.control, self.last, code, reason);
        }
    }
}

impl Default for Connection {
    fn default() -> Connection {
        Connection::new()
    }
}
