//! What is remembered of one request and its answer, until the log line is written.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::pace::Pace;
use crate::cache::Object;
use crate::cache::derived::Derivation;
use crate::clock::Now;
use crate::http::request::{BodyLength, Method, RequestHead, Version};
use crate::log::AccessRecord;
use crate::metrics::Outcome;
use crate::site::Site;

/// A part of the input buffer, by position: the buffer outlives the exchange.
#[derive(Clone, Copy, Default)]
pub(super) struct Piece {
    start: u32,
    end: u32,
}

impl Piece {
    /// Where `part` lies in `whole`. `part` is a slice of `whole`; anything else gives nothing.
    pub(super) fn of(whole: &[u8], part: &[u8]) -> Piece {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let end = start.wrapping_add(part.len());
        if start > end || end > whole.len() {
            return Piece::default();
        }
        Piece { start: start as u32, end: end as u32 }
    }

    pub(super) fn bytes(self, whole: &[u8]) -> &[u8] {
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    fn text(self, whole: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(whole)).unwrap_or("-")
    }

    fn some(self, whole: &[u8]) -> Option<&[u8]> {
        (self.start != self.end).then(|| self.bytes(whole))
    }
}

/// One request and its answer.
pub(super) struct Exchange {
    pub(super) method: Method,
    pub(super) version: Version,
    /// Whether the connection may carry another request after this one.
    pub(super) keep_alive: bool,
    /// Whether the client said that it will send nothing more on the connection.
    pub(super) is_last: bool,
    pub(super) site: Option<Arc<Site>>,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    /// Why the origin was asked, if it was (RFC 9211 §2.2).
    pub(super) forward: &'static str,
    /// Why it ended otherwise than well; `-` when it did not.
    pub(super) reason: &'static str,
    /// Where the request comes from, if it is not the peer.
    pub(super) client: Option<IpAddr>,
    /// Whether the client speaks HTTPS, to us or to a balancer that says so.
    pub(super) is_secure: bool,
    /// How fast the answer leaves.
    pub(super) pace: Pace,
    /// Whether the site's own rules turned it away.
    pub(super) is_denied: bool,
    /// Whether the object changed at its origin before any of it was sent, and was looked up again.
    pub(super) reopened: bool,
    /// The target it was led to, if it is another than the client's.
    pub(super) target_now: Option<Box<str>>,
    /// The rule whose header rules hold for it, where the site has such.
    pub(super) rule: Option<usize>,
    /// What the answer says to pages of other sites, as lines.
    pub(super) cors: Vec<u8>,
    /// What should be made, and of what, for clients to come.
    pub(super) wants: Option<(Arc<Object>, Derivation)>,
    /// Whether anything of the answer has left.
    pub(super) answered: bool,
    /// Whether the client reads trailers.
    pub(super) takes_trailers: bool,
    /// Once the protocol was switched: time in which nothing may pass, ms.
    pub(super) tunnel_ms: Option<u64>,
    pub(super) sent_bytes: u64,
    pub(super) body_bytes: u64,
    started: Option<Now>,
    first_byte_ms: Option<u64>,
    method_text: Piece,
    target: Piece,
    host: Piece,
    range: Piece,
    referer: Piece,
    user_agent: Piece,
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange {
            method: Method::Get,
            version: Version::Http11,
            keep_alive: false,
            is_last: false,
            site: None,
            status: 0,
            outcome: Outcome::Local,
            forward: "uri-miss",
            reason: "-",
            client: None,
            is_secure: false,
            pace: Pace::default(),
            is_denied: false,
            reopened: false,
            target_now: None,
            rule: None,
            cors: Vec::new(),
            wants: None,
            answered: false,
            takes_trailers: false,
            tunnel_ms: None,
            sent_bytes: 0,
            body_bytes: 0,
            started: None,
            first_byte_ms: None,
            method_text: Piece::default(),
            target: Piece::default(),
            host: Piece::default(),
            range: Piece::default(),
            referer: Piece::default(),
            user_agent: Piece::default(),
        }
    }
}

impl Exchange {
    /// Begins with a whole head, which is the front of `input`.
    pub(super) fn begin(&mut self, input: &[u8], head: &RequestHead<'_>) {
        let piece = |part: Option<&[u8]>| part.map_or(Piece::default(), |it| Piece::of(input, it));
        self.method = head.method;
        self.version = head.version;
        self.keep_alive = head.keep_alive;
        self.is_last = !head.keep_alive && head.body == BodyLength::Empty;
        self.method_text = Piece::of(input, head.method_text.as_bytes());
        self.target = Piece::of(input, head.target.as_bytes());
        self.host = piece(head.authority.or(head.host).map(str::as_bytes));
        self.range = piece(head.header("range"));
        self.referer = piece(head.header("referer"));
        self.user_agent = piece(head.header("user-agent"));
    }

    /// The first byte of the request arrived.
    pub(super) fn start(&mut self, now: Now) {
        self.started.get_or_insert(now);
    }

    /// Whether any byte of a request was received.
    pub(super) fn is_started(&self) -> bool {
        self.started.is_some()
    }

    /// `sent` bytes left, `body` of them of the body.
    pub(super) fn sent(&mut self, sent: u64, body: u64, now: Now) {
        self.answered = true;
        self.sent_bytes += sent;
        self.body_bytes += body;
        self.first_byte_ms.get_or_insert(now.mono_ms);
    }

    /// Whether there is no body in the answer whatever its head says (RFC 9110 §6.4.1).
    pub(super) fn is_bodiless(&self) -> bool {
        self.method == Method::Head || matches!(self.status, 204 | 304)
    }

    /// The log line's content.
    pub(super) fn record<'a>(
        &'a self,
        input: &'a [u8],
        client: SocketAddr,
        requests_on_conn: u32,
        now: Now,
    ) -> AccessRecord<'a> {
        let started = self.started.unwrap_or(now);
        let since_us = |ms: u64| ms.saturating_sub(started.mono_ms) * 1000;
        AccessRecord {
            unix_ms: started.unix_ms,
            client,
            site: self.site.as_deref().map_or("-", |site| site.config.name.as_str()),
            method: or_dash(self.method_text.text(input)),
            host: or_dash(self.host.text(input)),
            target: or_dash(self.target.text(input)),
            version: match self.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
                Version::Http2 => "HTTP/2.0",
            },
            status: self.status,
            sent_bytes: self.sent_bytes,
            body_bytes: self.body_bytes,
            outcome: self.outcome,
            reason: self.reason,
            duration_us: since_us(now.mono_ms),
            first_byte_us: self.first_byte_ms.map_or(0, since_us),
            range: self.range.some(input).and_then(|range| std::str::from_utf8(range).ok()),
            referer: self.referer.some(input),
            user_agent: self.user_agent.some(input),
            requests_on_conn,
        }
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
