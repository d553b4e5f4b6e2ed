//! Field blocks: requests that begin, and trailers that end a body.

use super::super::frame::{END_HEADERS, END_STREAM, FrameHeader, PRIORITISED};
use super::super::request::Malformed;
use super::super::{Code, Fault};
use super::receive::{calm, depends_on, protocol, unpadded};
use super::streams::{Body, Over, Stream};
use super::{Block, Connection, Events, Going};
use crate::clock::Now;
use crate::limits::{
    H2_CONTINUATIONS_MAX, H2_STREAM_WINDOW_BYTES, H2_STREAMS_MAX, REQUEST_HEAD_MAX_BYTES,
};

type Done = Result<(), Fault>;

impl Connection {
    pub(super) fn headers(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        if header.stream.is_multiple_of(2) {
            return Err(protocol("stream_number"));
        }
        let mut fragment = unpadded(header, payload)?;
        let mut on_itself = false;
        if header.has(PRIORITISED) {
            on_itself = depends_on(fragment) == Some(header.stream);
            fragment = fragment.get(5..).ok_or(Fault::new(Code::FrameSize, "frame_size"))?;
        }
        let block = Block {
            stream: header.stream,
            end_stream: header.has(END_STREAM),
            on_itself,
            continuations: 0,
        };
        if header.has(END_HEADERS) {
            return self.fields(&block, fragment, events, now);
        }
        self.fragments.clear();
        self.fragments.extend_from_slice(fragment);
        self.block = Some(block);
        Ok(())
    }

    pub(super) fn continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        events: &mut impl Events,
        now: Now,
    ) -> Done {
        let Some(block) = self.block.as_mut().filter(|block| block.stream == header.stream) else {
            return Err(protocol("continuation"));
        };
        // CVE-2024-27316: a block without end.
        block.continuations += 1;
        self.fragments.extend_from_slice(payload);
        if block.continuations > H2_CONTINUATIONS_MAX
            || self.fragments.len() > 2 * REQUEST_HEAD_MAX_BYTES
        {
            return Err(calm("continuation_flood"));
        }
        if header.has(END_HEADERS)
            && let Some(block) = self.block.take()
        {
            let fragments = std::mem::take(&mut self.fragments);
            let done = self.fields(&block, &fragments, events, now);
            self.fragments = fragments;
            self.fragments.clear();
            return done;
        }
        Ok(())
    }

    /// A block is whole. It is read whatever becomes of its stream: the tables follow from it.
    fn fields(&mut self, block: &Block, bytes: &[u8], events: &mut impl Events, now: Now) -> Done {
        let slot = self.streams.find(block.stream);
        self.collector.clear();
        if slot.is_some() {
            self.collector.trailers();
        }
        let collector = &mut self.collector;
        let read = self.decoder.decode(bytes, |name, value| collector.field(name, value));
        read.map_err(|_| Fault::new(Code::Compression, "compression"))?;
        if self.collector.is_bomb() {
            return Err(calm("field_bomb"));
        }
        match slot {
            Some(slot) => self.trailers(slot, block, events, now),
            None if block.stream <= self.last => {
                match self.streams.past(block.stream).map(|past| past.over) {
                    Some(Over::Reset) => self.idle_frames(1, now),
                    Some(_) => Err(Fault::new(Code::StreamClosed, "headers_after_end")),
                    None => Err(protocol("stream_number")),
                }
            }
            None => self.begin_stream(block, events, now),
        }
    }

    fn begin_stream(&mut self, block: &Block, events: &mut impl Events, now: Now) -> Done {
        self.last = block.stream;
        let refused = matches!(self.going, Going::Last(_)) || self.streams.len() >= H2_STREAMS_MAX;
        if refused {
            self.streams.remember(block.stream, Over::Reset, 0);
            return self.stream_error(block.stream, Code::RefusedStream, events, now);
        }
        let length = self.collector.length;
        let said = self.collector.priority;
        let early = self.early.iter().position(|(id, _)| *id == block.stream);
        let early = early.map(|at| self.early.swap_remove(at).1);
        let head = match self.collector.finish(!block.end_stream) {
            Ok(head) if !block.on_itself => head,
            _ => {
                self.malformed += 1;
                self.streams.remember(block.stream, Over::Reset, self.initial_window);
                return self.stream_error(block.stream, Code::Protocol, events, now);
            }
        };
        let body = match length {
            _ if block.end_stream => Body::Ended,
            Some(length) => Body::Length(length),
            None => Body::Open,
        };
        let slot = self.streams.insert(Stream {
            id: block.stream,
            send_window: self.initial_window,
            receive_window: H2_STREAM_WINDOW_BYTES,
            unread: 0,
            body,
            answered: false,
            // The frame is newer than the field, wherever it was sent (RFC 9218 §7).
            priority: early.or(said).unwrap_or_default(),
        });
        events.request(slot, head);
        Ok(())
    }

    fn trailers(&mut self, slot: usize, block: &Block, events: &mut impl Events, now: Now) -> Done {
        let Some(stream) = self.streams.at(slot) else { return Ok(()) };
        let code = match stream.body {
            Body::Ended => Some(Code::StreamClosed),
            _ if !block.end_stream => Some(Code::Protocol),
            Body::Length(1..) => Some(Code::Protocol),
            _ => None,
        };
        let is_open = stream.body == Body::Open;
        let lines = match (self.collector.finish_trailers(), code) {
            (Ok(lines), None) => lines,
            (Err(Malformed), None) => {
                self.malformed += 1;
                return self.stream_error(block.stream, Code::Protocol, events, now);
            }
            (_, Some(code)) => {
                self.malformed += 1;
                return self.stream_error(block.stream, code, events, now);
            }
        };
        stream.body = Body::Ended;
        if stream.answered {
            self.streams.remove(slot, Over::Ended);
        } else if is_open {
            events.body(slot, b"0\r\n");
            events.body(slot, lines);
            events.body(slot, b"\r\n");
        }
        Ok(())
    }
}
