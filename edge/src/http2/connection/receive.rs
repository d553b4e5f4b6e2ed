//! What a client's frames mean (RFC 9113 §6).

use super::super::frame::{
    self, ACK, CONTINUATION, DATA, END_STREAM, FrameHeader, GOAWAY, HEADER_BYTES, HEADERS, PADDED,
    PAYLOAD_MAX_BYTES, PING, PRIORITY, PRIORITY_UPDATE, PUSH_PROMISE, RST_STREAM, SETTINGS,
    SETTINGS_ENABLE_PUSH, SETTINGS_HEADER_TABLE_SIZE, SETTINGS_INITIAL_WINDOW_SIZE,
    SETTINGS_MAX_FRAME_SIZE, WINDOW_UPDATE,
};
use super::super::priority::Priority;
use super::super::{Code, Fault, PREFACE};
use super::streams::{Body, Over};
use super::{Connection, DRAIN_PING, EARLY_PRIORITIES_MAX, Events, WINDOW_MAX};
use crate::clock::Now;
use crate::http::chunked;
use crate::limits::{H2_CONTROL_MAX_BYTES, H2_STREAM_WINDOW_BYTES, H2_UNWANTED_MAX_BYTES};

type Done = Result<(), Fault>;

pub(super) const fn protocol(reason: &'static str) -> Fault {
    Fault::new(Code::Protocol, reason)
}

pub(super) const fn calm(reason: &'static str) -> Fault {
    Fault::new(Code::EnhanceYourCalm, reason)
}

const FRAME_SIZE: Fault = Fault::new(Code::FrameSize, "frame_size");

impl Connection {
    /// Takes received bytes.
    pub fn receive(&mut self, mut bytes: &[u8], events: &mut impl Events, now: Now) {
        if self.fault.is_none()
            && let Err(fault) = self.take(&mut bytes, events, now)
        {
            self.fail(fault.code, fault.reason);
        }
    }

    fn take(&mut self, bytes: &mut &[u8], events: &mut impl Events, now: Now) -> Done {
        while self.preface < PREFACE.len() {
            let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
            if *first != PREFACE[self.preface] {
                return Err(protocol("preface"));
            }
            self.preface += 1;
            *bytes = rest;
        }
        while !bytes.is_empty() {
            if self.partial.is_empty()
                && let Some(header) = FrameHeader::read(bytes)
            {
                check_size(header)?;
                if let Some(payload) = bytes.get(HEADER_BYTES..HEADER_BYTES + header.len) {
                    self.frame(header, payload, events, now)?;
                    *bytes = &bytes[HEADER_BYTES + header.len..];
                    continue;
                }
            }
            self.gather(bytes, events, now)?;
        }
        Ok(())
    }

    /// Puts together a frame that came in pieces.
    fn gather(&mut self, bytes: &mut &[u8], events: &mut impl Events, now: Now) -> Done {
        let wanted = match FrameHeader::read(&self.partial) {
            Some(header) => HEADER_BYTES + header.len,
            None => HEADER_BYTES,
        };
        let missing = wanted - self.partial.len();
        let (piece, rest) = bytes.split_at(missing.min(bytes.len()));
        self.partial.extend_from_slice(piece);
        *bytes = rest;
        let Some(header) = FrameHeader::read(&self.partial) else { return Ok(()) };
        check_size(header)?;
        if self.partial.len() == HEADER_BYTES + header.len {
            let whole = std::mem::take(&mut self.partial);
            let done = self.frame(header, &whole[HEADER_BYTES..], events, now);
            self.partial = whole;
            self.partial.clear();
            done?;
        }
        Ok(())
    }

    fn frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        if !self.greeted && header.kind != SETTINGS {
            return Err(protocol("preface"));
        }
        self.greeted = true;
        if self.block.is_some() && header.kind != CONTINUATION {
            return Err(protocol("continuation"));
        }
        match header.kind {
            DATA => self.data(header, payload, events, now),
            HEADERS => self.headers(header, payload, events, now),
            CONTINUATION => self.continuation(header, payload, events, now),
            PRIORITY => self.priority_frame(header, payload, events, now),
            RST_STREAM => self.reset_frame(header, payload, events, now),
            SETTINGS => self.settings(header, payload, events, now),
            PUSH_PROMISE => Err(protocol("push_promise")),
            PING => self.ping(header, payload, now),
            GOAWAY => self.goaway(header, payload),
            WINDOW_UPDATE => self.window_update(header, payload, events, now),
            PRIORITY_UPDATE => self.priority_update(header, payload, now),
            _ => self.idle_frames(1, now),
        }?;
        if self.control.len() > H2_CONTROL_MAX_BYTES {
            // It asks for answers and does not read them.
            return Err(calm("unread_answers"));
        }
        Ok(())
    }

    /// Charges frames that carry nothing.
    pub(super) fn idle_frames(&mut self, units: u64, now: Now) -> Done {
        if self.floods.frame(units, now) { Ok(()) } else { Err(calm("frame_flood")) }
    }

    /// Resets a stream for what its client did (RFC 9113 §5.4.2).
    pub(super) fn stream_error(
        &mut self,
        id: u32,
        code: Code,
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        match self.streams.find(id) {
            Some(slot) => {
                let was_answered = self.streams.peek(slot).is_some_and(|stream| stream.answered);
                self.reset(slot, code);
                if !was_answered {
                    events.reset(slot);
                }
            }
            None if self.is_idle(id) => return Err(Fault::new(code, "stream")),
            None => frame::write_reset(&mut self.control, id, code),
        }
        if self.floods.reset(now) { Ok(()) } else { Err(calm("reset_flood")) }
    }

    /// Whether nothing was ever sent on the stream.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        id > self.last || id.is_multiple_of(2)
    }

    fn data(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        let flow = payload.len() as i64;
        if header.stream == 0 || self.is_idle(header.stream) {
            return Err(protocol("data_on_idle_stream"));
        }
        self.receive_window -= flow;
        if self.receive_window < 0 {
            return Err(Fault::new(Code::FlowControl, "connection_window"));
        }
        let data = unpadded(header, payload)?;
        let ends = header.has(END_STREAM);
        if data.is_empty() && !ends {
            self.idle_frames(1, now)?;
        }
        let Some(slot) = self.streams.find(header.stream) else {
            self.receive_owed += flow;
            return match self.streams.past(header.stream).map(|past| past.over) {
                // It was sent before the reset was seen; not for ever, though.
                Some(Over::Reset) => self.idle_frames(1, now),
                Some(Over::Ended) => Err(Fault::new(Code::StreamClosed, "data_after_end")),
                _ => self.stream_error(header.stream, Code::StreamClosed, events, now),
            };
        };
        let Some(stream) = self.streams.at(slot) else { return Ok(()) };
        stream.receive_window -= flow;
        // Until it is handed on it is nobody's.
        self.receive_owed += flow;
        let len = data.len() as u64;
        let broken = match stream.body {
            Body::Ended => Some(Code::StreamClosed),
            _ if stream.receive_window < 0 => Some(Code::FlowControl),
            Body::Length(left) if len > left || ends && len < left => Some(Code::Protocol),
            _ => None,
        };
        if let Some(code) = broken {
            self.malformed += 1;
            return self.stream_error(header.stream, code, events, now);
        }
        let is_open = stream.body == Body::Open;
        if let Body::Length(left) = &mut stream.body {
            *left -= len;
        }
        if ends {
            stream.body = Body::Ended;
        }
        if stream.answered {
            return self.unwanted(slot, ends);
        }
        stream.unread += flow;
        self.receive_owed -= flow;
        hand_on(events, slot, data, is_open);
        if ends && is_open {
            events.body(slot, b"0\r\n\r\n");
        }
        Ok(())
    }

    /// Bytes of a body whose request is answered: taken to be polite, for a while.
    fn unwanted(&mut self, slot: usize, ends: bool) -> Done {
        let window = self.streams.peek(slot).map_or(0, |stream| stream.receive_window);
        if ends {
            self.streams.remove(slot, Over::Ended);
        } else if H2_STREAM_WINDOW_BYTES - window > H2_UNWANTED_MAX_BYTES {
            // All was said: the client need send no more (RFC 9113 §8.1).
            self.reset(slot, Code::NoError);
        }
        Ok(())
    }

    fn priority_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        if header.stream == 0 {
            return Err(protocol("priority"));
        }
        if payload.len() != 5 {
            return self.stream_error(header.stream, Code::FrameSize, events, now);
        }
        if depends_on(payload) == Some(header.stream) {
            return self.stream_error(header.stream, Code::Protocol, events, now);
        }
        // Deprecated: nothing else follows from it (RFC 9113 §5.3.2).
        self.idle_frames(1, now)
    }

    fn reset_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        if payload.len() != 4 {
            return Err(FRAME_SIZE);
        }
        if header.stream == 0 || self.is_idle(header.stream) {
            return Err(protocol("reset_of_idle_stream"));
        }
        let Some(slot) = self.streams.find(header.stream) else { return self.idle_frames(1, now) };
        let Some(stream) = self.streams.remove(slot, Over::Left) else { return Ok(()) };
        self.receive_owed += stream.unread;
        if stream.answered {
            return self.idle_frames(1, now);
        }
        events.reset(slot);
        // CVE-2023-44487: each costs a request, and its client nothing.
        if self.floods.reset(now) { Ok(()) } else { Err(calm("rapid_reset")) }
    }

    fn settings(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        if header.stream != 0 {
            return Err(protocol("settings"));
        }
        if header.has(ACK) {
            return if payload.is_empty() { self.idle_frames(1, now) } else { Err(FRAME_SIZE) };
        }
        let (settings, []) = payload.as_chunks::<6>() else { return Err(FRAME_SIZE) };
        self.idle_frames(1 + settings.len() as u64 / 8, now)?;
        for [id_high, id_low, value @ ..] in settings {
            let id = u16::from_be_bytes([*id_high, *id_low]);
            self.setting(id, u32::from_be_bytes(*value))?;
        }
        events.all_opened();
        frame::write_header(&mut self.control, 0, SETTINGS, ACK, 0);
        Ok(())
    }

    fn setting(&mut self, id: u16, value: u32) -> Done {
        match id {
            SETTINGS_HEADER_TABLE_SIZE => self.encoder.set_max(value as usize),
            SETTINGS_ENABLE_PUSH if value > 1 => return Err(protocol("enable_push")),
            SETTINGS_INITIAL_WINDOW_SIZE => {
                let window = i64::from(value);
                if window > WINDOW_MAX {
                    return Err(Fault::new(Code::FlowControl, "initial_window"));
                }
                let change = window - self.initial_window;
                self.initial_window = window;
                for stream in self.streams.all() {
                    stream.send_window += change;
                    if stream.send_window > WINDOW_MAX {
                        return Err(Fault::new(Code::FlowControl, "initial_window"));
                    }
                }
            }
            SETTINGS_MAX_FRAME_SIZE => {
                if !(PAYLOAD_MAX_BYTES..1 << 24).contains(&(value as usize)) {
                    return Err(protocol("max_frame_size"));
                }
                self.frame_max_bytes = value as usize;
            }
            _ => {}
        }
        Ok(())
    }

    fn ping(&mut self, header: FrameHeader, payload: &[u8], now: Now) -> Done {
        if header.stream != 0 {
            return Err(protocol("ping"));
        }
        if payload.len() != DRAIN_PING.len() {
            return Err(FRAME_SIZE);
        }
        self.idle_frames(1, now)?;
        if !header.has(ACK) {
            frame::write_ping(&mut self.control, ACK, payload);
        } else if payload == DRAIN_PING && self.going == super::Going::Announced {
            self.drain_now();
        }
        Ok(())
    }

    fn goaway(&mut self, header: FrameHeader, payload: &[u8]) -> Done {
        if header.stream != 0 {
            return Err(protocol("goaway"));
        }
        if payload.len() < 8 {
            return Err(FRAME_SIZE);
        }
        self.peer_leaves = true;
        if self.streams.is_empty() {
            self.drain_now();
        }
        Ok(())
    }

    fn window_update(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        if payload.len() != 4 {
            return Err(FRAME_SIZE);
        }
        let increment = i64::from(frame::number(payload).unwrap_or_default() & 0x7fff_ffff);
        self.idle_frames(1, now)?;
        if header.stream == 0 {
            self.send_window += increment;
            if increment == 0 {
                return Err(protocol("window_increment"));
            }
            if self.send_window > WINDOW_MAX {
                return Err(Fault::new(Code::FlowControl, "connection_window"));
            }
            events.all_opened();
            return Ok(());
        }
        if self.is_idle(header.stream) {
            return Err(protocol("window_of_idle_stream"));
        }
        let slot = self.streams.find(header.stream);
        let window = match slot {
            Some(slot) => self.streams.at(slot).map(|stream| &mut stream.send_window),
            None => self.streams.past(header.stream).map(|past| &mut past.send_window),
        };
        let is_over = window.is_some_and(|window| {
            *window += increment;
            *window > WINDOW_MAX
        });
        if increment == 0 {
            return self.stream_error(header.stream, Code::Protocol, events, now);
        }
        if is_over {
            return self.stream_error(header.stream, Code::FlowControl, events, now);
        }
        if let Some(slot) = slot {
            events.opened(slot);
        }
        Ok(())
    }

    /// RFC 9218 §7.1.
    fn priority_update(&mut self, header: FrameHeader, payload: &[u8], now: Now) -> Done {
        self.idle_frames(1, now)?;
        if header.stream != 0 {
            return Err(protocol("priority_update"));
        }
        let Some((id, value)) = payload.split_at_checked(4) else { return Err(FRAME_SIZE) };
        let id = frame::number(id).unwrap_or_default() & 0x7fff_ffff;
        if id == 0 {
            return Err(protocol("priority_update"));
        }
        let priority = Priority::parse(value);
        if let Some(stream) = self.streams.find(id).and_then(|slot| self.streams.at(slot)) {
            stream.priority = priority;
        } else if self.is_idle(id) && id % 2 == 1 {
            self.early.retain(|(other, _)| *other != id);
            if self.early.len() == EARLY_PRIORITIES_MAX {
                self.early.remove(0);
            }
            self.early.push((id, priority));
        }
        Ok(())
    }
}

/// Hands on a piece of a body; one without a length goes in chunks.
fn hand_on(events: &mut impl Events, slot: usize, data: &[u8], is_open: bool) {
    if data.is_empty() {
        return;
    }
    if !is_open {
        return events.body(slot, data);
    }
    let mut size = Vec::with_capacity(8);
    chunked::write_size(&mut size, data.len() as u64);
    events.body(slot, &size);
    events.body(slot, data);
    events.body(slot, b"\r\n");
}

fn check_size(header: FrameHeader) -> Done {
    if header.len > PAYLOAD_MAX_BYTES { Err(FRAME_SIZE) } else { Ok(()) }
}

/// The stream that a dependency names.
pub(super) fn depends_on(payload: &[u8]) -> Option<u32> {
    frame::number(payload).map(|id| id & 0x7fff_ffff)
}

/// A payload without its padding (RFC 9113 §6.1).
pub(super) fn unpadded(header: FrameHeader, payload: &[u8]) -> Result<&[u8], Fault> {
    if !header.has(PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or(FRAME_SIZE)?;
    let len = rest.len().checked_sub(usize::from(*padding)).ok_or(protocol("padding"))?;
    Ok(&rest[..len])
}
