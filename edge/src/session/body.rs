//! The bytes of an answer, from wherever they are: literal bytes first, then spans, memory, a relay.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::Context;
use super::multipart::Multipart;
use crate::cache::relay::Chunk;
use crate::cache::{Cache, FillError, Object, Read, Reading, Relay, Span, Ticket};
use crate::http::chunked;

/// Demands in a row that may pass without a byte of progress.
const TRIES_MAX: u32 = 16;

/// How the end of a body is told (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `Content-Length`.
    Length,
    /// By chunks.
    Chunked,
    /// By closing the connection (HTTP/1.0, length unknown).
    Close,
    /// By whoever carries the answer (HTTP/2, length unknown).
    Carried,
}

/// Where body bytes come from.
pub(super) enum Source {
    Nothing,
    Object(Reading),
    Relay(Arc<Relay>),
}

/// What is to be done next for the answer.
pub(super) enum Next {
    /// Send [`Outgoing::bytes`]; `more` follows at once.
    Send { more: bool },
    /// Send [`Outgoing::span`].
    File,
    /// Ask the fill plane for `start .. end` of the object.
    Demand { object: Arc<Object>, start: u64, end: u64 },
    /// Nothing until somebody notifies.
    Wait,
    /// All is out.
    End,
    /// It cannot be completed.
    Failed(FillError),
}

/// An answer on its way out.
pub(super) struct Outgoing {
    /// Response head and chunk framing, sent before anything else.
    pub(super) text: Vec<u8>,
    text_sent: usize,
    /// The head waits until the first byte of the body is certain to come.
    held: bool,
    /// Something of this answer has left.
    touched: bool,
    literal: Bytes,
    span: Option<Span>,
    source: Source,
    /// Parts to come after the current range, when several were asked for.
    multipart: Option<Multipart>,
    framing: Framing,
    /// The next byte of the object to be staged, and one past the last (`u64::MAX`: not known).
    position: u64,
    end: u64,
    /// Bytes of the open chunk not staged yet.
    chunk_left: u64,
    ended: bool,
    /// The client reads what follows the body.
    pub(super) takes_trailers: bool,
    /// Fields that follow the body.
    trailers: Vec<u8>,
    /// The demand we wait for.
    ticket: Option<Arc<Ticket>>,
    /// A notice came since the last look.
    pub(super) woken: bool,
    tries: u32,
    /// The span's bytes could not be read.
    pub(super) unreadable: bool,
}

impl Outgoing {
    pub(super) fn new() -> Outgoing {
        Outgoing {
            text: Vec::new(),
            text_sent: 0,
            held: false,
            touched: false,
            literal: Bytes::new(),
            span: None,
            source: Source::Nothing,
            multipart: None,
            framing: Framing::Length,
            position: 0,
            end: 0,
            chunk_left: 0,
            ended: true,
            takes_trailers: false,
            trailers: Vec::new(),
            ticket: None,
            woken: false,
            tries: 0,
            unreadable: false,
        }
    }

    /// Forgets everything, keeping the buffer.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text_sent = 0;
        self.literal = Bytes::new();
        self.span = None;
        self.abandon();
        self.multipart = None;
        self.ended = true;
        self.takes_trailers = false;
        self.trailers = Vec::new();
        self.held = false;
        self.touched = false;
        self.chunk_left = 0;
        self.tries = 0;
    }

    /// Sets the body that follows `text`.
    pub(super) fn begin(&mut self, source: Source, framing: Framing, start: u64, end: u64) {
        self.source = source;
        self.framing = framing;
        self.position = start;
        self.end = end;
        self.ended = false;
        self.held = false;
        self.touched = false;
        self.chunk_left = 0;
        self.tries = 0;
    }

    /// Sets a body of several ranges of `object`.
    pub(super) fn begin_multipart(&mut self, object: Arc<Object>, multipart: Multipart) {
        self.begin(Source::Object(Reading::new(object)), Framing::Length, 0, 0);
        self.multipart = Some(multipart);
    }

    /// A literal body, already framed by its length.
    pub(super) fn begin_literal(&mut self, body: Bytes) {
        self.literal = body;
        self.source = Source::Nothing;
        self.ended = true;
    }

    /// Literal bytes that go next: text, then body.
    pub(super) fn bytes(&self) -> [&[u8]; 2] {
        [&self.text[self.text_sent..], &self.literal]
    }

    /// File bytes that go next.
    pub(super) fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    /// Whether something follows the current span, so that a packet may be held for it. Should it
    /// not come at once, the driver lets the packet go before it waits.
    pub(super) fn has_more_after_span(&self) -> bool {
        let span_len = self.span.as_ref().map_or(0, |span| span.len);
        self.has_framing_after()
            || self.multipart.is_some()
            || self.end != u64::MAX && self.position + span_len < self.end
    }

    fn has_framing_after(&self) -> bool {
        self.framing == Framing::Chunked
    }

    /// Lets go of the region; the span is looked up again when it is needed.
    pub(super) fn unpin(&mut self) {
        self.span = None;
    }

    /// Whether the head is still here, so that another answer can take its place.
    pub(super) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Works out what to do next.
    pub(super) fn next(&mut self, context: &Context<'_>) -> Next {
        if std::mem::take(&mut self.unreadable)
            && let Some(next) = self.distrust(context)
        {
            return next;
        }
        loop {
            let idle = self.literal.is_empty() && self.span.is_none();
            if idle && !self.ended {
                if let Some(next) = self.look(context) {
                    let has_text = self.text_sent < self.text.len() && !self.held;
                    return match next {
                        Next::Wait if has_text => Next::Send { more: false },
                        next => next,
                    };
                }
                continue;
            }
            return if self.text_sent < self.text.len() || !self.literal.is_empty() {
                let framing_after = !self.literal.is_empty() && self.has_framing_after();
                Next::Send { more: self.span.is_some() || framing_after }
            } else if self.span.is_some() {
                Next::File
            } else {
                Next::End
            };
        }
    }

    /// `sent` literal bytes left. Returns how many of them were of the body.
    pub(super) fn sent_bytes(&mut self, sent: usize) -> u64 {
        let text = (self.text.len() - self.text_sent).min(sent);
        self.text_sent += text;
        if self.text_sent == self.text.len() && !self.ended {
            // What was sent is not needed again; chunk framing is written here next.
            self.text.clear();
            self.text_sent = 0;
        }
        let body = sent - text;
        if body > 0 {
            self.tries = 0;
        }
        self.literal.advance(body.min(self.literal.len()));
        self.close_chunk(body as u64);
        self.touched = true;
        body as u64
    }

    /// `staged` bytes of the span are on their way (in a pipe or in the socket).
    pub(super) fn staged(&mut self, staged: u64) {
        self.tries = 0;
        self.position += staged;
        if let Some(span) = &mut self.span {
            span.advance(staged);
            if span.len == 0 {
                self.span = None;
            }
        }
        self.close_chunk(staged);
    }

    /// Whether literal bytes wait to be sent.
    pub(super) fn has_text(&self) -> bool {
        self.text_sent < self.text.len()
    }

    /// `sent` bytes of interim answers left: the final one is as untouched as before.
    pub(super) fn sent_interim(&mut self, sent: usize) {
        self.text_sent = self.text.len().min(self.text_sent + sent);
        if self.text_sent == self.text.len() {
            self.text.clear();
            self.text_sent = 0;
        }
    }

    /// The demand made for these bytes; it takes the place of an earlier one.
    pub(super) fn wait_for(&mut self, ticket: Arc<Ticket>) {
        if let Some(earlier) = self.ticket.replace(ticket) {
            earlier.abandon();
        }
    }

    /// Fields that follow the body, where no framing of ours has them.
    pub(super) fn take_trailers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.trailers)
    }

    /// Tells the fill plane that nobody waits any more.
    pub(super) fn abandon(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.abandon();
        }
        if let Source::Relay(relay) = std::mem::replace(&mut self.source, Source::Nothing) {
            relay.abandon();
        }
    }

    /// Drops from the store what could not be read: it is asked for anew, unless that helps nothing.
    fn distrust(&mut self, context: &Context<'_>) -> Option<Next> {
        self.span = None;
        self.tries += 1;
        match &self.source {
            Source::Object(object) if self.tries <= TRIES_MAX && object.is_replaceable() => {
                context.cache.distrust(object, self.position);
                None
            }
            _ => Some(Next::Failed(FillError::Disk)),
        }
    }

    /// Finds the next bytes of the source; `None`: something was found, look at the fields again.
    fn look(&mut self, context: &Context<'_>) -> Option<Next> {
        if let Some(Err(error)) = self.ticket.as_ref().and_then(|ticket| ticket.take()) {
            self.ticket = None;
            return Some(Next::Failed(error));
        }
        match &self.source {
            Source::Nothing => {
                self.ended = true;
                None
            }
            Source::Object(reading) => {
                let end = match self.chunk_left {
                    0 => self.end,
                    left => self.position + left,
                };
                let found = context.cache.read_for(reading, self.position, end);
                let object = Arc::clone(reading);
                self.take_found(found, &object, context)
            }
            Source::Relay(relay) => match relay.next(context.notify, context.token) {
                Chunk::Data(bytes) => {
                    let len = bytes.len() as u64;
                    // What is longer than its head said would be read as the next answer.
                    if self.end - self.position < len {
                        return Some(Next::Failed(FillError::Broken));
                    }
                    self.position += len;
                    self.open_chunk(len);
                    self.literal = bytes;
                    None
                }
                Chunk::Pending => Some(Next::Wait),
                Chunk::End => {
                    if self.takes_trailers {
                        self.trailers = relay.take_trailers();
                    }
                    self.end()
                }
                Chunk::Failed(error) => Some(Next::Failed(error)),
            },
        }
    }

    fn take_found(
        &mut self,
        found: Read,
        object: &Arc<Object>,
        context: &Context<'_>,
    ) -> Option<Next> {
        let cache: &Cache = context.cache;
        match found {
            Read::Span(span) => {
                self.held = false;
                self.open_chunk(span.len);
                self.span = Some(span);
                None
            }
            Read::Bytes(bytes) => {
                self.held = false;
                self.open_chunk(bytes.len() as u64);
                self.position += bytes.len() as u64;
                self.literal = bytes;
                None
            }
            // Once is enough: if it is worth it, a request for it is made.
            Read::Reserved if self.ticket.is_none() => self.ask(object),
            Read::Pending | Read::Reserved => {
                // A head that is held stays so: the origin may yet answer with another version.
                self.woken = false;
                let told = cache.subscribe(object, self.position, context.notify, context.token);
                told.then_some(Next::Wait)
            }
            Read::Absent => self.ask(object),
            Read::End => self.end(),
            Read::Failed(error) => Some(Next::Failed(error)),
        }
    }

    fn ask(&mut self, object: &Arc<Object>) -> Option<Next> {
        // Nothing was promised yet: should the origin be gone, the client gets a proper error.
        self.held = !self.touched;
        if self.ticket.is_some() && !self.woken {
            return Some(Next::Wait);
        }
        self.woken = false;
        self.tries += 1;
        if self.tries > TRIES_MAX {
            return Some(Next::Failed(FillError::Broken));
        }
        Some(Next::Demand { object: object.clone(), start: self.position, end: self.end })
    }

    fn open_chunk(&mut self, len: u64) {
        if self.framing == Framing::Chunked && self.chunk_left == 0 {
            chunked::write_size(&mut self.text, len);
            self.chunk_left = len;
        }
    }

    fn close_chunk(&mut self, gone: u64) {
        if self.framing == Framing::Chunked && self.chunk_left > 0 {
            self.chunk_left = self.chunk_left.saturating_sub(gone);
            if self.chunk_left == 0 {
                self.text.extend_from_slice(b"\r\n");
            }
        }
    }

    fn end(&mut self) -> Option<Next> {
        if self.framing == Framing::Length && self.position < self.end {
            return Some(Next::Failed(FillError::Broken));
        }
        if let Some(multipart) = &mut self.multipart {
            if let Some(part) = multipart.parts.pop_front() {
                self.text.extend_from_slice(&part.head);
                (self.position, self.end) = (part.range.start, part.range.end);
                return None;
            }
            self.text.extend_from_slice(&multipart.close);
            self.multipart = None;
        }
        if self.framing == Framing::Chunked {
            self.text.extend_from_slice(b"0\r\n");
            self.text.append(&mut self.trailers);
            self.text.extend_from_slice(b"\r\n");
        }
        self.ended = true;
        self.source = Source::Nothing;
        None
    }
}
