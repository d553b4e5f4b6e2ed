//! Who is connected: a list that a worker makes when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Worker;
use crate::limits::ROLL_MAX;
use crate::ring::{Io, TcpFacts};
use crate::session::SessionView;

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnView {
    /// What HTTP is at.
    pub session: SessionView,
    /// What TCP knows.
    pub tcp: TcpFacts,
}

/// The list and who waits for it.
#[derive(Default)]
pub(super) struct Roll {
    /// How often it was asked for.
    calls: AtomicU64,
    made: Mutex<Made>,
    ready: Condvar,
}

#[derive(Default)]
struct Made {
    /// Up to which call it answers.
    calls: u64,
    rows: Vec<ConnView>,
    all: usize,
}

impl Roll {
    pub(super) fn call(&self) -> u64 {
        self.calls.fetch_add(1, Relaxed) + 1
    }

    /// The list made for `call` or a later one, and how many connections there are in all; `None`
    /// when none came within `patience`.
    pub(super) fn wait(&self, call: u64, patience: Duration) -> Option<(Vec<ConnView>, usize)> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, waited) = self
            .ready
            .wait_timeout_while(made, patience, |made| made.calls < call)
            .unwrap_or_else(PoisonError::into_inner);
        (!waited.timed_out()).then(|| (made.rows.clone(), made.all))
    }
}

impl<I: Io> Worker<I> {
    /// Makes the list if it was asked for.
    pub(super) fn call_roll(&mut self) {
        let inbox = self.inbox.clone();
        let calls = inbox.roll.calls.load(Relaxed);
        if calls == self.rolls_made {
            return;
        }
        self.rolls_made = calls;
        let (io, now) = (&mut self.io, self.now);
        let conns = self.conns.iter().take(ROLL_MAX);
        let rows = conns
            .map(|conn| ConnView { session: conn.shown().view(now), tcp: io.facts(&conn.socket) });
        let rows = rows.collect();
        let mut made = inbox.roll.made.lock().unwrap_or_else(PoisonError::into_inner);
        *made = Made { calls, rows, all: self.conns.len() };
        drop(made);
        inbox.roll.ready.notify_all();
    }
}
