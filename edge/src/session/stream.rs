//! A session that has one stream of an HTTP/2 connection: the same machine, told of heads and bodies in
//! HTTP/1.1's form by whoever reads the frames, and asked for its answer's by whoever writes them.

use super::step::Step;
use super::{Context, Session};
use crate::clock::Now;
use crate::http::request::{self, Parsed, RequestError, Version};

/// The beginning of what a client says that knows to find HTTP/2 (RFC 9113 §3.3).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

impl Session {
    /// Another session of the same client, for one stream.
    pub fn stream(&self, now: Now) -> Session {
        let mut session = Session::new(self.client, self.timeouts, now);
        session.scheme = self.scheme;
        session.admission = self.admission.clone();
        session.is_stream = true;
        session.with_tally(self.tally.sibling())
    }

    /// Says how many requests the connection has had.
    pub fn set_requests(&mut self, requests: u32) {
        self.requests = requests;
    }

    /// What was received and belongs to no request.
    pub fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Received bytes of the current request's body that were not taken yet.
    pub fn unread(&self) -> usize {
        self.input.len().saturating_sub(self.head_len)
    }

    /// The request's head cannot be told: answers it with what is wrong.
    pub fn handle_bad_head(&mut self, error: &RequestError, context: &Context<'_>) {
        self.exchange.start(context.now);
        self.refuse_head(error, context);
    }

    /// What ends the answer after its body, whole lines each with its CRLF.
    pub fn take_trailers(&mut self) -> Vec<u8> {
        self.out.take_trailers()
    }

    /// Whether the answer may not go on: the client is banned.
    pub fn is_banned(&self) -> bool {
        self.tally.ban().is_some()
    }

    /// Whether it may take another request.
    pub fn is_reusable(&self) -> bool {
        matches!(self.step, Step::Head) && self.input.is_empty() && !self.eof
    }

    /// Time a connection without a request is kept, ms.
    pub fn idle_ms(&self) -> u64 {
        self.timeouts.idle_ms
    }

    /// Counts `count` things wrong with what the client says.
    pub fn note_malformed(&mut self, count: u64, now: Now) {
        self.tally.note(crate::config::LimitOn::Malformed, count, now);
    }

    pub(super) fn is_switch(&self, input: &[u8]) -> bool {
        self.requests == 0 && !self.is_stream && input.starts_with(PREFACE)
    }

    pub(super) fn parse<'b>(&self, bytes: &'b [u8]) -> Result<Parsed<'b>, RequestError> {
        let mut parsed = request::parse(bytes);
        if self.is_stream
            && let Ok(Parsed::Head(head)) = &mut parsed
        {
            head.version = Version::Http2;
        }
        parsed
    }
}
