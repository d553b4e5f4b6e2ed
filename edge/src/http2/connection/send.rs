//! What leaves: heads, bodies within both windows, credit, resets.

use super::super::answer;
use super::super::frame::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameHeader, HEADER_BYTES, HEADERS,
    PAYLOAD_MAX_BYTES,
};
use super::super::{Code, Priority};
use super::Connection;
use super::streams::{Body, Over};
use crate::limits::{H2_CONN_WINDOW_BYTES, H2_STREAM_WINDOW_BYTES};

/// Payload of one frame of a body: others get their turn in between.
pub const FAIR_FRAME_BYTES: usize = PAYLOAD_MAX_BYTES;

impl Connection {
    /// Moves frames that wait into `out`.
    pub fn take_control(&mut self, out: &mut Vec<u8>) {
        self.credit_connection();
        out.append(&mut self.control);
    }

    /// Whether frames wait.
    pub fn has_control(&self) -> bool {
        !self.control.is_empty() || self.receive_owed >= H2_CONN_WINDOW_BYTES / 2
    }

    /// What the client would have of the stream's turn.
    pub fn priority(&self, slot: usize) -> Priority {
        self.streams.peek(slot).map_or(Priority::default(), |stream| stream.priority)
    }

    /// Writes the head that `text` begins with. Bytes of `text` taken, whether it was an interim one.
    pub fn send_head(&mut self, out: &mut Vec<u8>, slot: usize, text: &[u8]) -> (usize, bool) {
        let len = answer::head_len(text);
        let at = self.begin_fields(out, slot);
        let interim = answer::encode_head(&mut self.encoder, &text[..len], out);
        self.end_fields(out, at);
        (len, interim)
    }

    /// Writes fields that end the stream.
    pub fn send_trailers(&mut self, out: &mut Vec<u8>, slot: usize, lines: &[u8]) {
        let at = self.begin_fields(out, slot);
        answer::encode_trailers(&mut self.encoder, lines, out);
        self.end_fields(out, at);
        out[at + 4] |= END_STREAM;
    }

    fn begin_fields(&mut self, out: &mut Vec<u8>, slot: usize) -> usize {
        let at = out.len();
        let id = self.streams.peek(slot).map_or(0, |stream| stream.id);
        frame::write_header(out, 0, HEADERS, END_HEADERS, id);
        at
    }

    /// Sets the length; a block longer than a frame is cut into several.
    fn end_fields(&mut self, out: &mut Vec<u8>, at: usize) {
        let start = at + HEADER_BYTES;
        if out.len() - start <= PAYLOAD_MAX_BYTES {
            return frame::set_len(out, at);
        }
        let rest = out.split_off(start + PAYLOAD_MAX_BYTES);
        frame::set_len(out, at);
        out[at + 4] &= !END_HEADERS;
        let id = frame::number(&out[at + 5..]).unwrap_or_default();
        let count = rest.len().div_ceil(PAYLOAD_MAX_BYTES);
        for (nth, piece) in rest.chunks(PAYLOAD_MAX_BYTES).enumerate() {
            let flags = if nth + 1 == count { END_HEADERS } else { 0 };
            frame::write_header(out, piece.len(), CONTINUATION, flags, id);
            out.extend_from_slice(piece);
        }
    }

    /// Bytes of a body that both windows and a frame have room for.
    pub fn data_room(&self, slot: usize) -> usize {
        let stream = self.streams.peek(slot).map_or(0, |stream| stream.send_window);
        let window = stream.min(self.send_window).max(0) as usize;
        window.min(self.frame_max_bytes.min(FAIR_FRAME_BYTES))
    }

    /// The header of a frame with `len` bytes of a body, at most [`Connection::data_room`].
    pub fn data_header(&mut self, slot: usize, len: usize) -> [u8; HEADER_BYTES] {
        let stream = self.streams.at(slot).map_or(0, |stream| {
            stream.send_window -= len as i64;
            stream.id
        });
        self.send_window -= len as i64;
        self.floods.served();
        let header = FrameHeader { len, kind: DATA, flags: 0, stream };
        header.bytes()
    }

    /// Our side of the stream has ended. The slot is free, or is kept until the client's has too.
    pub fn finish(&mut self, slot: usize) {
        let Some(stream) = self.streams.at(slot) else { return };
        stream.answered = true;
        let unread = std::mem::take(&mut stream.unread);
        self.receive_owed += unread;
        if stream.body == Body::Ended {
            self.streams.remove(slot, Over::Ended);
        }
    }

    /// The answer cannot be completed.
    pub fn reset(&mut self, slot: usize, code: Code) {
        let Some(stream) = self.streams.remove(slot, Over::Reset) else { return };
        self.receive_owed += stream.unread;
        frame::write_reset(&mut self.control, stream.id, code);
    }

    /// Of the body handed on so far, `unread` bytes at most are not taken yet.
    pub fn credit(&mut self, slot: usize, unread: usize) {
        let Some(stream) = self.streams.at(slot) else { return };
        let taken = stream.unread - unread as i64;
        if taken <= 0 {
            return;
        }
        stream.unread -= taken;
        self.receive_owed += taken;
        let owed = H2_STREAM_WINDOW_BYTES - stream.receive_window - stream.unread;
        if stream.body != Body::Ended && owed >= H2_STREAM_WINDOW_BYTES / 2 {
            stream.receive_window += owed;
            frame::write_window_update(&mut self.control, stream.id, owed as u32);
        }
    }

    fn credit_connection(&mut self) {
        if self.receive_owed >= H2_CONN_WINDOW_BYTES / 2 {
            let owed = std::mem::take(&mut self.receive_owed);
            self.receive_window += owed;
            frame::write_window_update(&mut self.control, 0, owed as u32);
        }
    }
}
