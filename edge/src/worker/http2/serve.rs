//! One stream's turn: what its session has to say becomes frames.

use std::io::{ErrorKind, IoSliceMut};

use super::super::conns::Conn;
use super::super::events::Kind;
use super::super::finish;
use super::streams::Stream;
use super::{Http2, Turn};
use crate::http2::{Code, Connection, END_STREAM, FAIR_FRAME_BYTES, FRAME_HEADER_BYTES};
use crate::limits::{H2_OUT_BYTES, TLS_READ_BYTES};
use crate::ring::Io;
use crate::session::{Action, Context};

/// Bytes a kernel worker brings in at once.
const COLD_BYTES: u64 = 512 * 1024;

/// Less room than this is no room: no frames of crumbs.
pub(super) const CRUMB_BYTES: usize = 1024;

/// How a stream is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It has more to say.
    Ready,
    /// Something has to happen first.
    Parked,
    /// Its bytes have to be brought in first.
    Cold,
    /// Its answer is over.
    Done,
}

/// What a stream may write to.
struct Page<'p> {
    frames: &'p mut Vec<u8>,
    /// Bytes of bodies left in this turn of the stream.
    left: usize,
    pass: u64,
    slot: usize,
}

impl Page<'_> {
    /// Room for a piece of a body of `len` bytes.
    fn room(&self, connection: &Connection, len: usize) -> Result<usize, Rest> {
        let left = self.left.min(H2_OUT_BYTES.saturating_sub(self.frames.len()));
        if left < len.min(CRUMB_BYTES) {
            return Err(Rest::Ready);
        }
        match connection.data_room(self.slot) {
            0 => Err(Rest::Parked),
            room => Ok(room.min(left).min(len)),
        }
    }
}

impl Http2 {
    /// Serves one stream.
    pub(super) fn serve<I: Io>(
        &mut self,
        slot: usize,
        conn: &mut Conn<I>,
        turn: &mut Turn<'_, I>,
        frames: &mut Vec<u8>,
    ) {
        let context = Context { token: turn.name.token_of(slot), ..turn.context };
        let connection = &mut self.connection;
        let Some(stream) = self.streams.at(slot) else { return };
        let in_parts = connection.priority(slot).incremental;
        let left = if in_parts { FAIR_FRAME_BYTES } else { H2_OUT_BYTES };
        let mut page = Page { frames, left, pass: self.pass, slot };
        if let Some(error) = stream.bad_head.take() {
            stream.session.handle_bad_head(&error, &context);
        }
        let rest = loop {
            let done = match stream.session.poll_action(&context) {
                Action::Send { .. } => literal(connection, stream, turn, &mut page),
                Action::File { .. } => file(connection, stream, turn, &mut page),
                Action::Demand(demand) => {
                    turn.shared.ask(*demand, &mut stream.session, &context);
                    Ok(())
                }
                Action::Wait => {
                    turn.metrics.fill_waits.add(1);
                    Err(Rest::Parked)
                }
                Action::Read => Err(Rest::Parked),
                Action::Finished | Action::Switch | Action::ShutDown | Action::Close => {
                    Err(Rest::Done)
                }
            };
            if let Err(rest) = done {
                break rest;
            }
        };
        connection.credit(slot, stream.session.unread());
        match rest {
            Rest::Ready => self.streams.again(slot, &self.connection),
            Rest::Parked => {}
            Rest::Cold => {
                stream.is_cold = true;
                self.bring_in(slot, conn, turn);
            }
            Rest::Done => self.end(slot, turn, page.frames),
        }
    }

    /// Has a kernel worker read the stream's bytes, so that they are in the page cache.
    fn bring_in<I: Io>(&mut self, slot: usize, conn: &mut Conn<I>, turn: &mut Turn<'_, I>) {
        if conn.cold.is_some() {
            return;
        }
        if conn.pipe.is_none() {
            conn.pipe = turn.io.pipe();
        }
        let Some(stream) = self.streams.at(slot) else { return };
        let (Some(span), Some(pipe)) = (stream.session.span(), &conn.pipe) else {
            return turn.metrics.pipe_misses.add(1);
        };
        let len = span.len.min(COLD_BYTES) as usize;
        turn.metrics.cold_spans.add(1);
        let token = Kind::Cold.of(turn.name);
        conn.cold = turn.io.splice_in(&span.file, span.offset, len, pipe, token).ok();
        if conn.cold.is_some() {
            self.cold = Some(slot);
        }
    }

    /// An answer is over, well or not: ends the stream and logs it.
    fn end<I: Io>(&mut self, slot: usize, turn: &mut Turn<'_, I>, frames: &mut Vec<u8>) {
        let Some(stream) = self.streams.at(slot) else { return };
        let last = stream.last_frame.filter(|(pass, _)| *pass == self.pass);
        let is_whole = stream.has_head && !stream.session.was_cut();
        let is_finished = stream.session.state() == "finished";
        if !is_whole || !is_finished {
            let code = if stream.has_head { Code::Internal } else { Code::Cancel };
            self.connection.reset(slot, code);
        } else {
            let trailers = stream.session.take_trailers();
            match last {
                _ if !trailers.is_empty() => {
                    self.connection.send_trailers(frames, slot, &trailers);
                }
                Some((_, at)) => frames[at + 4] |= END_STREAM,
                None => {
                    let header = self.connection.data_header(slot, 0);
                    frames.extend_from_slice(&header);
                    let at = frames.len() - FRAME_HEADER_BYTES;
                    frames[at + 4] |= END_STREAM;
                }
            }
            self.connection.finish(slot);
        }
        let Some(mut session) = self.streams.remove(slot) else { return };
        if is_finished {
            turn.metrics.http2_requests.add(1);
            finish(turn.worker, turn.metrics, turn.sink, &session, turn.context.now);
            session.handle_logged(&turn.context);
        }
        self.streams.keep(session, &turn.context);
    }
}

/// Frames the head, or a piece of the body that is in memory.
fn literal<I: Io>(
    connection: &mut Connection,
    stream: &mut Stream,
    turn: &Turn<'_, I>,
    page: &mut Page<'_>,
) -> Result<(), Rest> {
    let [text, body] = stream.session.bytes();
    let at = page.frames.len();
    let taken = if !stream.has_head {
        let (taken, is_interim) = connection.send_head(page.frames, page.slot, text);
        stream.has_head = !is_interim;
        taken
    } else {
        let len = page.room(connection, text.len() + body.len())?;
        page.frames.extend_from_slice(&connection.data_header(page.slot, len));
        let (text, more) = (&text[..text.len().min(len)], len.saturating_sub(text.len()));
        page.frames.extend_from_slice(text);
        page.frames.extend_from_slice(&body[..more]);
        page.left -= len;
        len
    };
    sent(stream, turn, page, (at, taken, true));
    Ok(())
}

/// Frames a piece of the current span.
fn file<I: Io>(
    connection: &mut Connection,
    stream: &mut Stream,
    turn: &mut Turn<'_, I>,
    page: &mut Page<'_>,
) -> Result<(), Rest> {
    let Some(span) = stream.session.span() else { return Ok(()) };
    let len = page.room(connection, usize::try_from(span.len).unwrap_or(usize::MAX))?;
    if stream.resident_bytes < len as u64 {
        let ahead = span.len.min(TLS_READ_BYTES as u64);
        if !turn.io.is_resident(&span.file, span.offset, ahead) {
            return Err(Rest::Cold);
        }
        stream.resident_bytes = ahead;
    }
    let at = page.frames.len();
    let start = at + FRAME_HEADER_BYTES;
    page.frames.resize(start + len, 0);
    let read = match turn.io.read_file(
        &span.file,
        span.offset,
        &mut [IoSliceMut::new(&mut page.frames[start..])],
    ) {
        Ok(read @ 1..) => read,
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            page.frames.truncate(at);
            return Ok(());
        }
        // The disk failed, or the file is shorter than it was.
        Ok(_) | Err(_) => {
            page.frames.truncate(at);
            stream.session.handle_unreadable();
            return Ok(());
        }
    };
    page.frames.truncate(start + read);
    page.frames[at..start].copy_from_slice(&connection.data_header(page.slot, read));
    page.left -= read;
    stream.resident_bytes = stream.resident_bytes.saturating_sub(read as u64);
    stream.session.handle_staged(read);
    sent(stream, turn, page, (at, read, false));
    Ok(())
}

/// Accounts `taken` bytes of the session that became the frame at `at`.
fn sent<I: Io>(
    stream: &mut Stream,
    turn: &Turn<'_, I>,
    page: &Page<'_>,
    (at, taken, is_literal): (usize, usize, bool),
) {
    let wire = page.frames.len() - at;
    if stream.has_head {
        stream.last_frame = Some((page.pass, at));
    }
    turn.metrics.sent_bytes.add(wire as u64);
    stream.session.handle_framed(taken, wire, is_literal, turn.context.now);
}
