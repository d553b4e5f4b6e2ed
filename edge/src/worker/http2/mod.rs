//! Connections that speak HTTP/2: every stream is a session of its own, driven as one of HTTP/1.1 is;
//! what they have to say is framed here, as far as windows and the socket have room for it.
//!
//! Frames are made into one buffer of the worker and handed to the socket, or sealed, at once: nothing
//! is made while earlier bytes wait, so a connection holds one buffer's worth at most.

mod serve;
mod streams;

use super::conns::{Conn, Name};
use super::pace;
use super::secure::{self, Scratch};
use super::send::{self, Flow};
use super::{Shared, Worker, finish};
use crate::clock::Now;
use crate::http2::{Code, Connection};
use crate::limits;
use crate::log::AccessSink;
use crate::metrics::WorkerMetrics;
use crate::ring::Io;
use crate::session::{Action, Context, Session};
use streams::{Receiver, Streams};

/// Time a closed connection may linger for the client's own close, ms.
const LINGER_MS: u64 = 5_000;
/// The same after a flood: it would go on for as long as somebody listens.
const FLOOD_LINGER_MS: u64 = 500;
/// Time a client has to answer the PING of a drain, ms: requests it sent before it knew come until then.
const DRAIN_GRACE_MS: u64 = 1_000;
/// What a connection that ends with ENHANCE_YOUR_CALM counts among the malformed.
const FLOOD_COST: u64 = 20;

/// What a connection has beside its socket.
pub(super) struct Http2 {
    connection: Connection,
    streams: Streams,
    /// Frames that neither socket nor records took yet.
    pending: Vec<u8>,
    pending_sent: usize,
    /// Numbers the fillings of the worker's buffer.
    pass: u64,
    /// The slot whose bytes a kernel worker is bringing in.
    cold: Option<usize>,
    /// When it is closed if nothing is asked for.
    idle_until_ms: u64,
    idle_ms: u64,
    drain_until_ms: u64,
    /// Our side is shut: what still comes is thrown away.
    lingering: bool,
    fault_noted: bool,
    /// The client has left.
    is_gone: bool,
}

/// What a turn lends to a connection.
pub(super) struct Turn<'t, I: Io> {
    io: &'t mut I,
    metrics: &'t WorkerMetrics,
    shared: &'t Shared,
    sink: &'t mut AccessSink,
    scratch: &'t mut Scratch,
    worker: usize,
    context: Context<'t>,
    name: Name,
    budget: u64,
}

/// What becomes of a connection after its turn.
enum Next {
    /// Nothing to do until something happens.
    Rest,
    /// It has more to do, after the others.
    Again,
    /// It is over.
    Close,
}

impl Http2 {
    /// Of a connection whose client was known by `parent`.
    pub(super) fn new(parent: &Session) -> Box<Http2> {
        Box::new(Http2 {
            connection: Connection::new(),
            streams: Streams::default(),
            pending: Vec::new(),
            pending_sent: 0,
            pass: 0,
            cold: None,
            idle_until_ms: parent.poll_timeout(),
            idle_ms: parent.idle_ms(),
            drain_until_ms: u64::MAX,
            lingering: false,
            fault_noted: false,
            is_gone: false,
        })
    }

    /// Takes received bytes.
    pub(super) fn receive(&mut self, parent: &Session, bytes: &[u8], now: Now) {
        if !self.lingering {
            let mut receiver = Receiver { streams: &mut self.streams, parent, now };
            self.connection.receive(bytes, &mut receiver, now);
        }
    }

    /// The client will send nothing more.
    pub(super) fn handle_eof(&mut self) {
        self.is_gone = true;
    }

    /// Somebody notified about a stream.
    pub(super) fn handle_wake(&mut self, slot: usize) {
        self.streams.notify(slot);
    }

    /// As [`Http2::handle_wake`], of any of them.
    pub(super) fn handle_wakes(&mut self) {
        self.streams.wake_all();
    }

    /// Whether anything may be on its way from other planes.
    pub(super) fn awaits_notice(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Whether a draining node has to tell it so.
    pub(super) fn is_unaware(&self) -> bool {
        !self.connection.is_going() && !self.lingering
    }

    /// The session of a stream under way, or of the last that was.
    pub(super) fn shown(&self) -> Option<&Session> {
        self.streams.sessions().next()
    }

    /// Whether there is something to settle with the desk.
    pub(super) fn owes(&self) -> bool {
        self.streams.sessions().any(Session::owes)
    }

    /// A kernel worker brought bytes in, or could not.
    pub(super) fn handle_cold(&mut self, moved: std::io::Result<usize>) {
        if let Some(slot) = self.cold.take() {
            self.streams.brought(slot, moved);
        }
    }

    /// When [`Http2::time_out`] is due, monotonic ms.
    pub(super) fn poll_timeout(&self) -> u64 {
        let own =
            if self.streams.is_empty() || self.lingering { self.idle_until_ms } else { u64::MAX };
        let streams = self.streams.live().map(|stream| stream.session.poll_timeout()).min();
        own.min(self.drain_until_ms).min(streams.unwrap_or(u64::MAX))
    }

    /// Ends what is due; clients at fault, and whether the connection cannot go on.
    pub(super) fn time_out(&mut self, context: &Context<'_>, is_stuck: bool) -> (u64, bool) {
        let now_ms = context.now.mono_ms;
        if self.drain_until_ms <= now_ms {
            self.drain_until_ms = u64::MAX;
            self.connection.drain_now();
        }
        let late = self.streams.time_out(context);
        if self.streams.is_empty() && self.idle_until_ms <= now_ms {
            self.idle_until_ms = now_ms + LINGER_MS;
            // What it was told before it may have had no room for.
            let is_deaf = self.lingering || is_stuck || self.connection.fault().is_some();
            self.connection.drain_now();
            return (late, is_deaf);
        }
        (late, late > 0 && is_stuck)
    }

    /// Everything that can be done now.
    fn drive<I: Io>(&mut self, conn: &mut Conn<I>, turn: &mut Turn<'_, I>) -> Next {
        if self.is_gone {
            return Next::Close;
        }
        self.attend(conn, turn);
        let mut is_resting = false;
        while conn.writable.is_none() {
            match self.flush(conn, turn) {
                Flow::Ready => {}
                Flow::Spent => return Next::Again,
                Flow::Blocked => {
                    send::await_writable(turn.io, turn.metrics, conn, turn.name);
                    break;
                }
                Flow::Gone | Flow::Unreadable => return Next::Close,
            }
            if self.lingering || is_resting {
                break;
            }
            if turn.budget == 0 {
                return Next::Again;
            }
            is_resting = !self.fill(conn, turn);
        }
        // One socket for all: it is held to the sum of what its answers are held to.
        let paces = self.streams.live().map(|stream| stream.session.pace_bytes_per_s());
        pace::hold(turn.io, conn, paces.fold(0, u64::saturating_add));
        self.streams.end_turn();
        if conn.writable.is_none() && self.connection.is_over() && !self.lingering {
            self.shut(conn, turn);
        }
        if self.streams.is_stalled() && conn.cold.is_none() { Next::Again } else { Next::Rest }
    }

    /// What has to be looked at before anything is made.
    fn attend<I: Io>(&mut self, conn: &mut Conn<I>, turn: &mut Turn<'_, I>) {
        let now = turn.context.now;
        let malformed = self.connection.take_malformed();
        if malformed > 0 {
            conn.session.note_malformed(malformed, now);
        }
        if conn.cold.is_none() {
            self.streams.wake_cold();
        }
        for session in self.streams.all_sessions() {
            session.settle(&turn.context);
        }
        conn.session.settle(&turn.context);
        if conn.session.is_banned() || self.streams.live().any(|it| it.session.is_banned()) {
            self.connection.fail(Code::EnhanceYourCalm, "banned");
        }
        if let Some(fault) = self.connection.fault()
            && !std::mem::replace(&mut self.fault_noted, true)
        {
            let is_flood = fault.code == Code::EnhanceYourCalm;
            turn.metrics.http2_faults.add(1);
            turn.metrics.http2_floods.add(u64::from(is_flood));
            conn.session.note_malformed(if is_flood { FLOOD_COST } else { 1 }, now);
            conn.session.settle(&turn.context);
            tracing::debug!(reason = fault.reason, "http/2 connection ended");
            self.streams.part_all();
        }
        if turn.context.draining && self.is_unaware() {
            self.drain_until_ms = now.mono_ms + DRAIN_GRACE_MS;
            self.connection.drain();
        }
        self.bury(turn);
    }

    /// Makes frames, and hands them over; `false`: there was nothing to make.
    fn fill<I: Io>(&mut self, conn: &mut Conn<I>, turn: &mut Turn<'_, I>) -> bool {
        let mut frames = std::mem::take(&mut turn.scratch.frames);
        frames.clear();
        self.pass += 1;
        self.connection.take_control(&mut frames);
        while frames.len() + serve::CRUMB_BYTES < limits::H2_OUT_BYTES {
            let Some(slot) = self.streams.next(&self.connection) else { break };
            self.serve(slot, conn, turn, &mut frames);
        }
        self.bury(turn);
        self.connection.take_control(&mut frames);
        if self.streams.take_emptied() {
            self.idle_until_ms = turn.context.now.mono_ms + self.idle_ms;
        }
        let has_some = !frames.is_empty();
        if has_some {
            self.hand_over(conn, turn, &frames);
        }
        turn.scratch.frames = frames;
        has_some
    }

    /// Hands frames to the records or the socket; what they do not take waits.
    fn hand_over<I: Io>(&mut self, conn: &mut Conn<I>, turn: &mut Turn<'_, I>, frames: &[u8]) {
        conn.more = false;
        let taken = match conn.tls.is_some() {
            true => secure::seal(conn, turn.scratch, frames),
            false => {
                let sent = turn.io.send(&conn.socket, [frames, &[]], false).unwrap_or(0);
                turn.budget = turn.budget.saturating_sub(sent as u64);
                sent
            }
        };
        self.pending.extend_from_slice(&frames[taken..]);
    }

    /// Sends what waits. `Ready`: nothing is left.
    fn flush<I: Io>(&mut self, conn: &mut Conn<I>, turn: &mut Turn<'_, I>) -> Flow {
        loop {
            if conn.tls.is_some() {
                let now = turn.context.now;
                let (scratch, budget) = (&mut *turn.scratch, &mut turn.budget);
                match secure::flush(turn.io, turn.metrics, conn, scratch, budget, now) {
                    Flow::Ready => {}
                    flow => return flow,
                }
            }
            let rest = &self.pending[self.pending_sent..];
            if rest.is_empty() {
                self.pending = Vec::new();
                self.pending_sent = 0;
                return Flow::Ready;
            }
            let sent = match conn.tls.is_some() {
                true => Ok(secure::seal(conn, turn.scratch, rest)),
                false => turn.io.send(&conn.socket, [rest, &[]], false),
            };
            match sent {
                Ok(0) => return Flow::Gone,
                Ok(sent) => {
                    self.pending_sent += sent;
                    turn.budget = turn.budget.saturating_sub(sent as u64);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Flow::Blocked;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Flow::Gone,
            }
        }
    }

    /// Nothing more will be said; the client may take its time to hear it.
    fn shut<I: Io>(&mut self, conn: &mut Conn<I>, turn: &mut Turn<'_, I>) {
        secure::part(turn.io, conn, &Action::ShutDown, turn.context.now);
        self.lingering = true;
        let is_flood = |fault: crate::http2::Fault| fault.code == Code::EnhanceYourCalm;
        let after_flood = self.connection.fault().is_some_and(is_flood);
        let linger_ms = if after_flood { FLOOD_LINGER_MS } else { LINGER_MS };
        self.idle_until_ms = turn.context.now.mono_ms + linger_ms;
    }

    /// Logs the answers of streams that are over, and keeps what may be used again.
    fn bury<I: Io>(&mut self, turn: &mut Turn<'_, I>) {
        while let Some(mut session) = self.streams.take_parted() {
            if session.state() == "finished" {
                finish(turn.worker, turn.metrics, turn.sink, &session, turn.context.now);
                session.handle_logged(&turn.context);
            }
            self.streams.keep(session, &turn.context);
        }
    }
}

impl<I: Io> Worker<I> {
    /// Does all that can be done for a connection of HTTP/2 now.
    pub(super) fn drive_http2(&mut self, name: Name) {
        let next = self.with_http2(name, |http2, conn, turn| http2.drive(conn, turn));
        match next {
            None => return,
            Some(Next::Close) => return self.close(name),
            Some(Next::Again) => {
                if let Some(conn) = self.conns.find(name)
                    && !std::mem::replace(&mut conn.queued, true)
                {
                    self.queue.push_back(name);
                }
            }
            Some(Next::Rest) => {}
        }
        self.settle(name);
    }

    /// The connection closes: its streams end, each with its line in the log.
    pub(super) fn part_http2(&mut self, name: Name) {
        self.with_http2(name, |http2, _, turn| {
            http2.streams.part_all();
            http2.bury(turn);
            for session in http2.streams.all_sessions() {
                session.leave(turn.context.desk, 0, turn.context.now);
            }
        });
    }

    /// Ends what is due of a connection.
    pub(super) fn time_out_http2(&mut self, name: Name) {
        let timed_out = self.with_http2(name, |http2, conn, turn| {
            let (late, is_over) = http2.time_out(&turn.context, conn.writable.is_some());
            turn.metrics.timeouts.add(late);
            is_over
        });
        match timed_out {
            Some(true) => self.close(name),
            _ => self.drive_http2(name),
        }
    }

    fn with_http2<T>(
        &mut self,
        name: Name,
        then: impl FnOnce(&mut Http2, &mut Conn<I>, &mut Turn<'_, I>) -> T,
    ) -> Option<T> {
        let sites = self.sites.clone();
        let draining = self.inbox.phase() != super::Phase::Serving;
        let context = self.shared.lend(&sites, &self.notify, (name, self.now, draining));
        let conn = self.conns.find(name)?;
        let mut http2 = conn.http2.take()?;
        let mut turn = Turn {
            io: &mut self.io,
            metrics: &self.metrics,
            shared: &self.shared,
            sink: &mut self.sink,
            scratch: &mut self.scratch,
            worker: self.index,
            context,
            name,
            budget: limits::TURN_BYTES_MAX,
        };
        let done = then(&mut http2, conn, &mut turn);
        conn.http2 = Some(http2);
        Some(done)
    }
}
