//! A request's body on its way to the fill plane, at the pace of the origin.

use std::sync::Arc;

use super::{CLIENT_LEFT, Session};
use crate::cache::Upload;
use crate::clock::Now;
use crate::http::chunked::Decoder;
use crate::http::request::BodyLength;

/// A body under way.
pub(super) struct Uploading {
    pub(super) pipe: Arc<Upload>,
    rest: Rest,
}

/// What of the body is still to come from the client.
enum Rest {
    Length(u64),
    Chunked(Decoder),
    /// Everything until the client ends: no body but its half of a tunnel.
    Raw,
    Nothing,
}

/// The body cannot be read on: where it ends is not known.
pub(super) struct Malformed;

impl Uploading {
    pub(super) fn new(pipe: Arc<Upload>, body: BodyLength) -> Uploading {
        let rest = match body {
            BodyLength::Empty => Rest::Nothing,
            BodyLength::Length(length) => Rest::Length(length),
            BodyLength::Chunked => Rest::Chunked(Decoder::keeping_trailers()),
        };
        let uploading = Uploading { pipe, rest };
        if uploading.is_whole() {
            uploading.pipe.finish(Vec::new());
        }
        uploading
    }

    /// What the client says from now on goes through `pipe` as it is.
    pub(super) fn tunnel(pipe: Arc<Upload>) -> Uploading {
        Uploading { pipe, rest: Rest::Raw }
    }

    /// Whether the client has sent all of it.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    /// Whether the origin is the one to wait for.
    fn is_held_up(&self) -> bool {
        self.is_whole() || !self.pipe.has_room()
    }

    /// Moves what there is room for; bytes of `input` taken.
    fn take(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let mut taken = 0;
        while taken < input.len() && !self.is_whole() {
            let room = self.pipe.room();
            if room == 0 {
                break;
            }
            let piece = &input[taken..taken + room.min(input.len() - taken)];
            taken += self.take_piece(piece)?;
        }
        Ok(taken)
    }

    fn take_piece(&mut self, piece: &[u8]) -> Result<usize, Malformed> {
        let (taken, data, trailers) = match &mut self.rest {
            Rest::Nothing => return Ok(0),
            Rest::Raw => (piece.len(), piece, None),
            Rest::Length(left) => {
                let len = usize::try_from(*left).map_or(piece.len(), |left| left.min(piece.len()));
                *left -= len as u64;
                (len, &piece[..len], (*left == 0).then(Vec::new))
            }
            Rest::Chunked(decoder) => {
                let decoded = decoder.decode(piece).map_err(|_| Malformed)?;
                let trailers = decoded.done.then(|| decoder.take_trailers());
                (decoded.consumed, &piece[decoded.data], trailers)
            }
        };
        self.pipe.push(data);
        if let Some(trailers) = trailers {
            self.pipe.finish(trailers);
            self.rest = Rest::Nothing;
        }
        Ok(taken)
    }

    /// The client sends nothing more: `false` when that is not where it should have ended.
    fn end(&mut self) -> bool {
        if matches!(self.rest, Rest::Raw) {
            self.pipe.finish(Vec::new());
            self.rest = Rest::Nothing;
        }
        self.is_whole()
    }
}

impl Session {
    /// Moves received bytes of the request's body to the fill plane as far as there is room. To be
    /// called whenever something happened, also while the answer waits for its socket.
    pub fn feed(&mut self, now: Now) {
        let Some(uploading) = &mut self.upload else { return };
        match uploading.take(&self.input[self.head_len..]) {
            Ok(0) => {}
            Ok(taken) => {
                self.input.drain(self.head_len..self.head_len + taken);
                let patience_ms = self.patience_ms();
                self.deadline_ms = self.deadline_ms.max(now.mono_ms + patience_ms);
            }
            Err(Malformed) => self.malformed = true,
        }
        let Some(uploading) = &mut self.upload else { return };
        if self.eof && self.input.len() == self.head_len && !uploading.end() {
            self.break_off(CLIENT_LEFT);
        }
    }

    /// Whether a notice may be on its way that there is room for more of the request's body.
    pub fn is_uploading(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| !upload.is_whole())
    }

    /// Whether it is the client's turn to send more of its body.
    pub(super) fn awaits_body(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| !upload.is_held_up())
    }

    /// Lets go of the body; what is still to come of it ends the connection.
    pub(super) fn drop_upload(&mut self) {
        if let Some(upload) = self.upload.take() {
            self.exchange.keep_alive &= upload.is_whole();
            upload.pipe.leave();
        }
    }
}
