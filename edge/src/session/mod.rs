//! The client-facing HTTP machine: bytes and events in, actions out. No I/O, no clock.
//!
//! The driver (a worker, or a test) keeps to this order:
//!
//! 1. tell it what happened: [`Session::handle_bytes`], [`Session::handle_eof`],
//!    [`Session::handle_sent`], [`Session::handle_staged`], [`Session::handle_wake`],
//!    [`Session::handle_timeout`];
//! 2. ask [`Session::poll_action`] until it answers [`Action::Read`], [`Action::Wait`] or
//!    [`Action::Close`], doing what it says in between; bytes already staged (in a pipe) are sent
//!    before it is asked again;
//! 3. arm a timer for [`Session::poll_timeout`].
#![forbid(unsafe_code)]

mod account;
mod answer;
mod body;
pub mod demand;
mod exchange;
mod holding;
pub mod key;
mod multipart;
mod pace;
mod paged;
mod pass;
mod refusal;
mod representation;
mod request;
mod shown;
mod steer;
mod step;
mod stream;
#[cfg(test)]
mod tests;
mod timeout;
mod transport;
mod upload;
mod vet;

use std::net::SocketAddr;
use std::sync::Arc;

pub use demand::{Demand, Want};
pub use pace::{rate, take_rate};
pub use pass::{Route, route};
pub use shown::{ExchangeView, SessionView};
pub use vet::asker;

use crate::abuse::{Desk, Tally};
use crate::cache::{Cache, FillError, Span, Ticket, Upload};
use crate::clock::Now;
use crate::limits;
use crate::log::AccessRecord;
use crate::mailbox::{Notify, Token};
use crate::metrics::Outcome;
use crate::site::{Site, Sites};
use crate::tls::Admission;
use body::{Next, Outgoing};
use exchange::Exchange;
use step::Step;
use upload::Uploading;

/// Time a closed connection may linger for the client's own close, ms.
const LINGER_MS: u64 = 5_000;

/// What a session is lent at each call.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The sites of the current configuration.
    pub sites: &'a Sites,
    /// The store.
    pub cache: &'a Cache,
    /// The accounts of clients.
    pub desk: &'a Desk,
    /// How others wake the driver.
    pub notify: &'a Arc<dyn Notify>,
    /// This connection's name there.
    pub token: Token,
    /// This turn's time.
    pub now: Now,
    /// Whether the node is going down: connections close after their answer.
    pub draining: bool,
}

/// Time-outs, ms.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a whole request head, or a drained body.
    pub head_ms: u64,
    /// Between requests.
    pub idle_ms: u64,
    /// Without a byte taken by the client.
    pub send_ms: u64,
    /// For the fill plane to produce something.
    pub fill_ms: u64,
}

/// What the driver is to do.
pub enum Action {
    /// Send [`Session::bytes`]; with `more` the packet may wait for what follows. Then
    /// [`Session::handle_sent`].
    Send {
        /// More follows at once.
        more: bool,
    },
    /// Move bytes of [`Session::span`] towards the socket. Then [`Session::handle_staged`], and
    /// [`Session::handle_sent`] when they left.
    File {
        /// More follows the span, if not at once: before [`Action::Wait`] held packets must go.
        more: bool,
    },
    /// Hand this to the fill plane; if it has no room, [`Session::handle_refusal`].
    Demand(Box<Demand>),
    /// Do nothing until somebody notifies the token.
    Wait,
    /// Do nothing until the client sends something.
    Read,
    /// The client speaks HTTP/2: what it said is in [`Session::take_input`].
    Switch,
    /// Log [`Session::record`], then [`Session::handle_logged`].
    Finished,
    /// Shut down writing, go on reading.
    ShutDown,
    /// Close the connection.
    Close,
}

/// One connection's HTTP.
pub struct Session {
    client: SocketAddr,
    /// What the client speaks, as origins are told.
    scheme: &'static str,
    /// What it may ask for, where clients must show certificates.
    admission: Option<Admission>,
    /// It has one stream of a connection that others share.
    is_stream: bool,
    tally: Tally,
    timeouts: Timeouts,
    step: Step,
    /// Received bytes: the current request's head in front, then whatever came after it.
    input: Vec<u8>,
    head_len: usize,
    eof: bool,
    exchange: Exchange,
    /// The current request's target as it goes on, where that is not the one that came.
    kept: String,
    /// The node asks itself: nobody has to be let in.
    is_own: bool,
    out: Outgoing,
    /// The last demand was made aside: nobody waits for it.
    aside: bool,
    /// The current request's body, while it is passed on.
    upload: Option<Uploading>,
    /// What the client says after the protocol was switched, should it be.
    tunnel: Option<Arc<Upload>>,
    /// The current request's body cannot be read on.
    malformed: bool,
    /// It is the fill plane that keeps the answer waiting, not the client.
    waiting: bool,
    deadline_ms: u64,
    /// Bytes the client took since the deadline was last moved for it.
    pace_bytes: u64,
    requests: u32,
    /// Of the request before this one.
    last_site: Option<Arc<Site>>,
}

impl Session {
    /// A fresh connection from `client`.
    pub fn new(client: SocketAddr, timeouts: Timeouts, now: Now) -> Session {
        Session {
            client,
            scheme: "http",
            admission: None,
            is_stream: false,
            tally: Tally::default(),
            timeouts,
            step: Step::Head,
            input: Vec::new(),
            head_len: 0,
            eof: false,
            exchange: Exchange::default(),
            kept: String::new(),
            is_own: false,
            out: Outgoing::new(),
            aside: false,
            upload: None,
            tunnel: None,
            malformed: false,
            waiting: false,
            deadline_ms: now.mono_ms + timeouts.head_ms,
            pace_bytes: 0,
            requests: 0,
            last_site: None,
        }
    }

    /// Literal bytes to send for [`Action::Send`], in two pieces.
    pub fn bytes(&self) -> [&[u8]; 2] {
        self.out.bytes()
    }

    /// File bytes to send for [`Action::File`].
    pub fn span(&self) -> Option<&Span> {
        self.out.span()
    }

    /// Whether reading should pause: the client is ahead of us.
    pub fn is_full(&self) -> bool {
        self.input.len() >= limits::RECEIVE_BUFFER_MAX_BYTES
    }

    /// Whether it sits between requests (a draining node closes such connections).
    pub fn is_idle(&self) -> bool {
        matches!(self.step, Step::Head) && self.input.is_empty()
    }

    /// Whether nothing the client may still send matters.
    pub fn is_deaf(&self) -> bool {
        self.eof || matches!(self.step, Step::Closed)
    }

    /// Whether the answer has ended, well or not.
    pub fn is_over(&self) -> bool {
        matches!(self.step, Step::Finished | Step::Closed)
    }

    /// Name of the current state.
    pub fn state(&self) -> &'static str {
        self.step.as_str()
    }

    /// The site of the current request.
    pub fn site(&self) -> Option<&Arc<Site>> {
        self.exchange.site.as_ref()
    }

    /// The finished exchange, for the log.
    pub fn record(&self, now: Now) -> AccessRecord<'_> {
        self.exchange.record(&self.input, self.client(), self.requests, now)
    }

    /// Outcome and status of the finished exchange, for metrics.
    pub fn outcome(&self) -> (Outcome, u16) {
        (self.exchange.outcome, self.exchange.status)
    }

    /// Whether the finished exchange ended before its body did.
    pub fn was_cut(&self) -> bool {
        matches!(self.exchange.reason, CUT | CLIENT_LEFT | BANNED)
    }

    /// Bytes arrived.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Now) {
        if matches!(self.step, Step::Lingering | Step::Closed) {
            return;
        }
        if matches!(self.step, Step::Head) && self.input.is_empty() {
            self.exchange.start(now);
            self.deadline_ms = now.mono_ms + self.timeouts.head_ms;
        }
        self.input.extend_from_slice(bytes);
    }

    /// The client will send nothing more. It may still be reading.
    pub fn handle_eof(&mut self) {
        self.eof = true;
        self.exchange.keep_alive = false;
        if matches!(self.step, Step::Lingering) {
            self.step = Step::Closed;
        }
    }

    /// The connection is gone: nothing more can be sent or received.
    pub fn handle_gone(&mut self) {
        match self.step {
            Step::Asking(_) | Step::Opening(_) | Step::Answering | Step::HalfOpen => {
                self.break_off(CLIENT_LEFT);
            }
            Step::Finished => {}
            _ => self.step = Step::Closed,
        }
        self.eof = true;
        self.exchange.keep_alive = false;
    }

    /// `sent` bytes left: literal ones if `literal`, file ones otherwise.
    pub fn handle_sent(&mut self, sent: usize, literal: bool, now: Now) {
        self.handle_framed(sent, sent, literal, now);
    }

    /// As [`Session::handle_sent`], of bytes that left as `wire` bytes of another framing.
    pub fn handle_framed(&mut self, sent: usize, wire: usize, literal: bool, now: Now) {
        if matches!(self.step, Step::Opening(_)) {
            self.exchange.sent_bytes += wire as u64;
            return self.out.sent_interim(sent);
        }
        let body = if literal { self.out.sent_bytes(sent) } else { sent as u64 };
        self.exchange.sent(wire as u64, body, now);
        self.tally.sent(wire as u64, now);
        self.pace_bytes += sent as u64;
        // A trickle does not keep a connection alive.
        if self.waiting || self.pace_bytes >= limits::SEND_PACE_MIN_BYTES {
            self.pace_bytes = 0;
            self.deadline_ms = now.mono_ms + self.timeouts.send_ms;
        }
        self.waiting = false;
    }

    /// `staged` bytes of the span are on their way.
    pub fn handle_staged(&mut self, staged: usize) {
        self.out.staged(staged as u64);
    }

    /// The span's bytes could not be read: the disk failed, or the file is shorter than it was.
    pub fn handle_unreadable(&mut self) {
        self.out.unreadable = true;
    }

    /// Somebody notified.
    pub fn handle_wake(&mut self) {
        self.out.woken = true;
    }

    /// The fill plane had no room for the demand.
    pub fn handle_refusal(&mut self, context: &Context<'_>) {
        if !std::mem::take(&mut self.aside) {
            self.fail(FillError::Overloaded, context);
        }
    }

    /// What to do now.
    pub fn poll_action(&mut self, context: &Context<'_>) -> Action {
        self.aside = false;
        self.settle(context);
        self.feed(context.now);
        if self.interim() {
            return Action::Send { more: false };
        }
        if std::mem::take(&mut self.malformed) {
            self.refuse_body(context);
        }
        loop {
            match &mut self.step {
                Step::Head => match self.read_head(context) {
                    Some(action) => return action,
                    None => continue,
                },
                Step::Draining(_) => match self.drain(context) {
                    Some(action) => return action,
                    None => continue,
                },
                Step::Asking(ticket) => {
                    let Some(word) = ticket.take() else { return Action::Wait };
                    if let Some(action) = self.heard(word, context) {
                        return action;
                    }
                }
                Step::Opening(ticket) => {
                    let Some(result) = ticket.take() else { return Action::Wait };
                    let ticket = ticket.clone();
                    if let Some(action) = self.opened(result, &ticket, context) {
                        return action;
                    }
                }
                Step::Answering => match self.out.next(context) {
                    Next::Send { more } => return Action::Send { more },
                    Next::File => return Action::File { more: self.out.has_more_after_span() },
                    Next::Wait => return self.wait(context),
                    Next::Demand { object, start, end } => {
                        let demand = self.demand(Want::Bytes { object, start, end }, context);
                        self.await_fill(context);
                        self.out.wait_for(demand.ticket.clone());
                        self.downgrade();
                        return Action::Demand(Box::new(demand));
                    }
                    Next::End if self.is_half_open() => {
                        self.step = Step::HalfOpen;
                        return Action::ShutDown;
                    }
                    Next::End => self.step = Step::Finished,
                    Next::Failed(FillError::Changed) if self.may_reopen() => {
                        if let Some(action) = self.reopen(context) {
                            return action;
                        }
                    }
                    Next::Failed(error) => self.fail(error, context),
                },
                Step::HalfOpen => {
                    if self.is_half_open() {
                        return Action::Wait;
                    }
                    self.step = Step::Finished;
                }
                Step::Finished => return Action::Finished,
                Step::Lingering => return Action::Read,
                Step::Closed => return Action::Close,
            }
        }
    }

    /// The log line was written: on to the next request, or to the end. `Some`: the client is told that
    /// nothing follows, by [`Action::ShutDown`], or, if it has nothing to say either, [`Action::Close`].
    pub fn handle_logged(&mut self, context: &Context<'_>) -> Option<Action> {
        self.drop_upload();
        self.tunnel = None;
        let Exchange { outcome, status, sent_bytes, .. } = self.exchange;
        self.tally.answered(outcome, status, sent_bytes, context.now);
        let keep = self.exchange.keep_alive && !context.draining && !self.eof;
        let broken = self.was_cut() || self.exchange.status == 0;
        let is_last = self.exchange.is_last;
        self.requests += 1;
        self.out.clear();
        self.input.drain(..self.head_len.min(self.input.len()));
        self.head_len = 0;
        self.last_site = self.exchange.site.take().or_else(|| self.last_site.take());
        self.exchange = Exchange::default();
        self.kept.clear();
        if keep && self.requests < limits::REQUESTS_PER_CONN_MAX {
            self.step = Step::Head;
            self.deadline_ms = context.now.mono_ms + self.timeouts.idle_ms;
            if !self.input.is_empty() {
                self.exchange.start(context.now);
                self.deadline_ms = context.now.mono_ms + self.timeouts.head_ms;
            }
            return None;
        }
        let nothing_follows = std::mem::take(&mut self.input).is_empty();
        if broken || self.eof {
            self.step = Step::Closed;
            return None;
        }
        if is_last && nothing_follows {
            self.step = Step::Closed;
            return Some(Action::Close);
        }
        self.step = Step::Lingering;
        self.deadline_ms = context.now.mono_ms + LINGER_MS;
        Some(Action::ShutDown)
    }

    /// Waits for the client to close, where it would be closed now; `false`: nothing good was sent, or
    /// the client has ended its half.
    pub fn linger(&mut self, now: Now) -> bool {
        if self.eof || self.requests == 0 || self.was_cut() {
            return false;
        }
        self.step = Step::Lingering;
        self.deadline_ms = now.mono_ms + LINGER_MS;
        true
    }

    /// The turn ends: no region stays pinned for a client that does not read.
    pub fn end_turn(&mut self) {
        self.out.unpin();
    }

    /// Whether the client knows nothing yet of an object that changed under its answer.
    fn may_reopen(&self) -> bool {
        !self.exchange.reopened && !self.exchange.answered && self.out.is_untouched()
    }

    fn start_answering(&mut self, context: &Context<'_>) {
        self.step = Step::Answering;
        self.waiting = false;
        self.pace_bytes = 0;
        self.deadline_ms = context.now.mono_ms + self.timeouts.send_ms;
    }

    /// Some bytes of what looked like a hit were not there.
    fn downgrade(&mut self) {
        if self.exchange.outcome == Outcome::Hit {
            self.exchange.outcome = Outcome::Partial;
        }
    }
}

/// Why an exchange ended early, for the log.
const CUT: &str = "cut";
const CLIENT_LEFT: &str = "client_left";
const IDLE: &str = "idle";
const BANNED: &str = "banned";

impl Drop for Session {
    fn drop(&mut self) {
        if let Step::Opening(ticket) | Step::Asking(ticket) = &self.step {
            ticket.abandon();
        }
        self.out.abandon();
        self.drop_upload();
    }
}

/// Makes the ticket of a demand.
fn ticket(context: &Context<'_>) -> Arc<Ticket> {
    Ticket::new(context.notify.clone(), context.token)
}
