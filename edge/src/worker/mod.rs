//! The data plane: one thread, one ring, many connections; it never blocks.
//!
//! [`Worker::run`] is a loop of numbered priorities. A connection is driven when something happened
//! to it, for at most [`limits::TURN_BYTES_MAX`]; one that has more to send goes to the back of a
//! queue, so that a fast large download does not starve small requests.
#![forbid(unsafe_code)]

mod conns;
mod door;
mod events;
mod finish;
mod http2;
mod inbox;
mod pace;
mod roll;
mod secure;
mod send;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use crossbeam::utils::CachePadded;

pub use door::Manner;
pub use inbox::{Inbox, Phase};
pub use roll::ConnView;

use crate::abuse::{self, Desk};
use crate::cache::Cache;
use crate::clock::Now;
use crate::clock::wheel::Wheel;
use crate::limits;
use crate::log::AccessSink;
use crate::mailbox::{Mailbox, Notify};
use crate::metrics::WorkerMetrics;
use crate::ring::{Io, OpId};
use crate::session::{Action, Context, Demand, Session, Timeouts};
use crate::site::Sites;
use crate::sys;
use crate::tls::Acceptor;
use conns::{Conn, Conns, Name};
use finish::finish;
use secure::Scratch;

/// Longest sleep, so that phase changes and log flushes are never far.
const SLEEP_MAX_MS: u64 = 1_000;
/// Wait after an accept that failed for want of descriptors, ms.
const ACCEPT_RETRY_MS: u64 = 100;

/// What a worker shares with the rest of the node.
pub struct Shared {
    /// The store.
    pub cache: Arc<Cache>,
    /// The sites; a reload swaps them.
    pub sites: Arc<ArcSwap<Sites>>,
    /// The accounts of clients.
    pub desk: Arc<Desk>,
    /// One mailbox for each fill thread.
    pub fills: Vec<Arc<Mailbox<Demand>>>,
    /// The time-outs of connections; a reload swaps them for those that come.
    pub timeouts: ArcSwap<Timeouts>,
    /// What connections of TLS listeners are offered; a reload swaps it.
    pub tls: ArcSwapOption<Acceptor>,
}

impl Shared {
    /// What a session is lent this turn.
    fn lend<'a>(
        &'a self,
        sites: &'a Sites,
        notify: &'a Arc<dyn Notify>,
        (name, now, draining): (Name, Now, bool),
    ) -> Context<'a> {
        let (cache, desk) = (&*self.cache, &*self.desk);
        Context { sites, cache, desk, notify, token: name.token(), now, draining }
    }

    /// Hands a demand to its fill thread, or tells the session that it has too many already.
    fn ask(&self, demand: Demand, session: &mut Session, context: &Context<'_>) -> send::Flow {
        if self.fills[demand.thread(self.fills.len())].push(demand).is_err() {
            session.handle_refusal(context);
        }
        send::Flow::Ready
    }
}

struct Door<I: Io> {
    listener: I::Listener,
    manner: Manner,
    armed: Option<OpId>,
    retry_ms: u64,
}

/// One data-plane thread's state.
pub struct Worker<I: Io> {
    index: usize,
    io: I,
    shared: Arc<Shared>,
    inbox: Arc<Inbox>,
    notify: Arc<dyn Notify>,
    metrics: Arc<CachePadded<WorkerMetrics>>,
    sink: AccessSink,
    doors: Vec<Door<I>>,
    conns: Conns<I>,
    wheel: Wheel,
    queue: VecDeque<Name>,
    sites: Arc<Sites>,
    now: Now,
    watch: Option<OpId>,
    allocations_known: u64,
    pipes_known: u64,
    log_due_ms: Option<u64>,
    scratch: Scratch,
    /// Connections with something to settle, and when they do.
    owing: VecDeque<Name>,
    owing_due_ms: u64,
    /// Up to which call the list of connections was made.
    rolls_made: u64,
    /// Connections whose answers share a cap.
    sharing: pace::Sharing,
}

/// What a worker is made of.
pub struct Parts<I: Io> {
    /// Its number; also its place in the metrics.
    pub index: usize,
    /// Its ring.
    pub io: I,
    /// Its own listeners, and how their connections begin.
    pub listeners: Vec<(I::Listener, Manner)>,
    /// What it shares.
    pub shared: Arc<Shared>,
    /// Its inbox.
    pub inbox: Arc<Inbox>,
    /// Its counters.
    pub metrics: Arc<CachePadded<WorkerMetrics>>,
    /// Its access log.
    pub sink: AccessSink,
}

impl<I: Io> Worker<I> {
    /// A worker that has accepted nobody yet; its time begins at `now`.
    pub fn new(parts: Parts<I>, now: Now) -> Worker<I> {
        let Parts { index, io, listeners, shared, inbox, metrics, sink } = parts;
        let doors = listeners.into_iter();
        Worker {
            index,
            io,
            sites: shared.sites.load_full(),
            shared,
            notify: inbox.clone(),
            inbox,
            metrics,
            sink,
            doors: doors
                .map(|(listener, manner)| Door { listener, manner, armed: None, retry_ms: 0 })
                .collect(),
            conns: Conns::new(),
            wheel: Wheel::new(now.mono_ms),
            queue: VecDeque::new(),
            now,
            watch: None,
            allocations_known: sys::alloc::count(),
            pipes_known: 0,
            log_due_ms: None,
            scratch: Scratch::default(),
            owing: VecDeque::new(),
            owing_due_ms: u64::MAX,
            rolls_made: 0,
            sharing: pace::Sharing::default(),
        }
    }

    /// Serves until it is ordered to stop, or is drained. Fails when the ring does.
    pub fn run(mut self) -> std::io::Result<()> {
        while self.turn(Now::read())? {}
        self.sink.flush();
        Ok(())
    }

    /// One turn of the loop; `false` when there is nothing left to do.
    pub(crate) fn turn(&mut self, now: Now) -> std::io::Result<bool> {
        self.now = now;
        self.metrics.turns.add(1);
        // 1. Orders and configuration.
        self.sites = self.shared.sites.load_full();
        let phase = self.inbox.phase();
        if phase == Phase::Stopping || phase == Phase::Draining && self.conns.len() == 0 {
            return Ok(false);
        }
        if phase == Phase::Draining {
            self.shut_doors()
        } else {
            self.open_doors()
        }
        // 2. What the kernel finished.
        while let Some(event) = self.io.next() {
            self.handle_event(event);
        }
        // 3. Who was notified by other planes.
        self.read_inbox();
        // 4. Time-outs.
        self.expire();
        self.settle_accounts();
        self.share_caps();
        // 5. Connections with more to send than one turn allows.
        for _ in 0..self.queue.len() {
            if let Some(name) = self.queue.pop_front() {
                if let Some(conn) = self.conns.find(name) {
                    conn.queued = false;
                }
                self.drive(name);
            }
        }
        // 6. Accounts, log, sleep.
        self.account();
        self.log_due_ms = self.sink.flush_due(self.now);
        self.io.wait(self.sleep())?;
        Ok(true)
    }

    /// Does all that can be done for a connection now.
    fn drive(&mut self, name: Name) {
        let sites = self.sites.clone();
        let draining = self.inbox.phase() != Phase::Serving;
        let context = self.shared.lend(&sites, &self.notify, (name, self.now, draining));
        let mut budget = limits::TURN_BYTES_MAX;
        loop {
            let Some(conn) = self.conns.find(name) else { return };
            if conn.http2.is_some() {
                return self.drive_http2(name);
            }
            conn.session.feed(self.now);
            if conn.cold.is_some() || conn.writable.is_some() {
                break;
            }
            let (io, metrics, scratch) = (&mut self.io, &*self.metrics, &mut self.scratch);
            match send::staged(io, metrics, conn, scratch, &mut budget, self.now) {
                send::Flow::Ready if budget > 0 => {}
                send::Flow::Blocked => {
                    send::await_writable(io, metrics, conn, name);
                    break;
                }
                send::Flow::Ready | send::Flow::Spent => {
                    if !std::mem::replace(&mut conn.queued, true) {
                        self.queue.push_back(name);
                    }
                    break;
                }
                flow => send::obey(io, metrics, conn, name, flow),
            }
            conn.waiting = false;
            let flow = match conn.session.poll_action(&context) {
                Action::Send { more } => {
                    pace::follow(io, conn);
                    send::literal(io, metrics, conn, more, scratch, &mut budget, self.now)
                }
                Action::File { more } => {
                    pace::follow(io, conn);
                    let span = (name, more);
                    send::file(io, metrics, conn, span, scratch, &mut budget, self.now)
                }
                Action::Demand(demand) => self.shared.ask(*demand, &mut conn.session, &context),
                Action::Wait => {
                    send::await_fill(io, metrics, conn);
                    break;
                }
                Action::Read => break,
                Action::Switch => conn.switch(self.now, metrics),
                Action::Finished => {
                    finish(self.index, metrics, &mut self.sink, &conn.session, self.now);
                    match conn.session.handle_logged(&context) {
                        Some(end) if secure::part(io, conn, &end, self.now) => {
                            return self.close(name);
                        }
                        _ => send::Flow::Ready,
                    }
                }
                end @ (Action::ShutDown | Action::Close) => {
                    if secure::part(io, conn, &end, self.now) {
                        return self.close(name);
                    }
                    send::Flow::Ready
                }
            };
            send::obey(io, metrics, conn, name, flow);
        }
        self.settle(name);
    }

    /// Leaves a connection that has nothing more to do now: reading armed, timer set, nothing held.
    fn settle(&mut self, name: Name) {
        let Some(conn) = self.conns.find(name) else { return };
        if conn.cold.is_none() {
            conn.session.end_turn();
            send::return_empty_pipe(&mut self.io, conn);
        }
        match (conn.receive, conn.session.is_full()) {
            (None, false) if conn.http2.is_some() || !conn.session.is_deaf() => {
                conn.receive = self.io.receive(&conn.socket, events::Kind::Receive.of(name)).ok();
                if conn.receive.is_none() {
                    return self.close(name);
                }
            }
            (Some(op), true) if !std::mem::replace(&mut conn.pausing, true) => self.io.cancel(op),
            _ => {}
        }
        let deadline_ms = conn.poll_timeout();
        if deadline_ms < conn.scheduled_ms {
            conn.scheduled_ms = deadline_ms;
            self.wheel.insert(name.bits(), deadline_ms);
        }
        if conn.session.shares_a_cap() && !std::mem::replace(&mut conn.sharing, true) {
            self.sharing.add(name, self.now);
        }
        if conn.owes() && !std::mem::replace(&mut conn.owing, true) {
            self.owing.push_back(name);
            self.owing_due_ms = self.owing_due_ms.min(self.now.mono_ms + abuse::BATCH_MS);
        }
    }

    /// Connections that wait for something settle with the desk all the same.
    fn settle_accounts(&mut self) {
        if self.now.mono_ms < self.owing_due_ms {
            return;
        }
        self.owing_due_ms = u64::MAX;
        // Those that owe again stand at the end, for the next time.
        for _ in 0..self.owing.len() {
            let Some(name) = self.owing.pop_front() else { break };
            let Some(conn) = self.conns.find(name) else { continue };
            conn.owing = false;
            if conn.owes() {
                self.drive(name);
            }
        }
    }

    fn close(&mut self, name: Name) {
        self.part_http2(name);
        let Some(mut conn) = self.conns.remove(name) else { return };
        let facts = self.io.facts(&conn.socket);
        self.metrics.acked_bytes.add(facts.acked_bytes);
        if facts.unacked_bytes > 0 {
            self.metrics.dropped_bytes.add(facts.unacked_bytes);
            if let Some(site) = conn.session.last_site() {
                site.metrics.shard(self.index).dropped_bytes.add(facts.unacked_bytes);
            }
        }
        conn.session.leave(&self.shared.desk, facts.unacked_bytes, self.now);
        send::discard(&mut self.io, &mut conn);
        if let Some(op) = conn.receive {
            self.io.cancel(op);
        }
        self.io.close(conn.socket);
        self.metrics.conns_closed.add(1);
    }

    fn read_inbox(&mut self) {
        let inbox = self.inbox.clone();
        if inbox.mailbox.take_overflow() {
            for name in self.conns.names(Conn::awaits_notice) {
                self.wake(name, None);
            }
        }
        for _ in 0..limits::WORKER_MAILBOX_MAX {
            let Some(token) = inbox.mailbox.pop() else { break };
            self.wake(Name::from_bits(token.0), Some(conns::slot_of(token)));
        }
        self.call_roll();
        if inbox.phase() != Phase::Serving {
            for name in self.conns.names(Conn::may_close) {
                self.drive(name);
            }
        }
    }

    /// Somebody notified a connection, of the stream in `slot` if it has streams; `None`: of all.
    fn wake(&mut self, name: Name, slot: Option<usize>) {
        if let Some(conn) = self.conns.find(name) {
            match (&mut conn.http2, slot) {
                (None, _) => conn.session.handle_wake(),
                (Some(http2), Some(slot)) => http2.handle_wake(slot),
                (Some(http2), None) => http2.handle_wakes(),
            }
            self.drive(name);
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        let mut due = Vec::new();
        let conns = &mut self.conns;
        self.wheel.expire(now.mono_ms, |bits| {
            let conn = conns.find(Name::from_bits(bits))?;
            if conn.scheduled_ms > now.mono_ms {
                return None; // Another entry stands for it.
            }
            let deadline_ms = conn.poll_timeout();
            if deadline_ms > now.mono_ms {
                conn.scheduled_ms = deadline_ms;
                return Some(deadline_ms);
            }
            conn.scheduled_ms = u64::MAX;
            due.push(Name::from_bits(bits));
            None
        });
        for name in due {
            self.time_out(name);
        }
    }

    fn time_out(&mut self, name: Name) {
        let sites = self.sites.clone();
        let draining = self.inbox.phase() != Phase::Serving;
        let context = self.shared.lend(&sites, &self.notify, (name, self.now, draining));
        let Some(conn) = self.conns.find(name) else { return };
        secure::late(&self.metrics, conn, self.now);
        if conn.http2.is_some() {
            return self.time_out_http2(name);
        }
        if conn.session.handle_timeout(&context) {
            self.metrics.timeouts.add(1);
        }
        if conn.session.is_over() {
            // It takes nothing any more: what is staged for it will never leave.
            send::discard(&mut self.io, conn);
        }
        self.drive(name);
    }

    fn open_doors(&mut self) {
        if self.watch.is_none() {
            self.watch = self.io.watch(self.inbox.mailbox.eventfd(), events::WATCH).ok();
        }
        for (index, door) in self.doors.iter_mut().enumerate() {
            if door.armed.is_none() && door.retry_ms <= self.now.mono_ms {
                door.armed = self.io.accept(&door.listener, events::accept_token(index)).ok();
            }
        }
    }

    fn shut_doors(&mut self) {
        for door in self.doors.drain(..) {
            if let Some(op) = door.armed {
                self.io.cancel(op);
            }
        }
    }

    fn sleep(&self) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let timer_ms = self.wheel.until_next(self.now.mono_ms).unwrap_or(SLEEP_MAX_MS);
        let log_ms = self.log_due_ms.map_or(timer_ms, |due_ms| due_ms - self.now.mono_ms);
        let log_ms = log_ms.min(self.sharing.due_ms.saturating_sub(self.now.mono_ms));
        let log_ms = log_ms.min(self.owing_due_ms.saturating_sub(self.now.mono_ms));
        let retry = self.doors.iter().any(|door| door.armed.is_none());
        let ceiling_ms = if retry { ACCEPT_RETRY_MS } else { SLEEP_MAX_MS };
        Some(Duration::from_millis(timer_ms.min(log_ms).clamp(1, ceiling_ms)))
    }

    fn account(&mut self) {
        let allocations = sys::alloc::count();
        self.metrics.allocations.add(allocations - self.allocations_known);
        self.allocations_known = allocations;
        // A level kept in a counter: closed pipes are subtracted by wrapping around.
        let pipes = self.io.pipes_alive() as u64;
        self.metrics.pipes.add(pipes.wrapping_sub(self.pipes_known));
        self.pipes_known = pipes;
    }
}
