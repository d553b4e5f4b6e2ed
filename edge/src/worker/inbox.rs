//! How the rest of the node reaches a worker.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use super::roll::{ConnView, Roll};
use crate::limits::WORKER_MAILBOX_MAX;
use crate::mailbox::{Mailbox, Notify, Token};

/// No connection's name: look at the phase.
const LOOK_UP: Token = Token(u64::MAX);

/// What a worker is to do with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Serve.
    Serving = 0,
    /// Accept no more, let answers finish, then end.
    Draining = 1,
    /// End now.
    Stopping = 2,
}

/// One worker's mailbox and orders.
pub struct Inbox {
    pub(super) mailbox: Mailbox<Token>,
    phase: AtomicU8,
    pub(super) roll: Roll,
}

impl Inbox {
    /// An empty inbox. Fails when no descriptor is left.
    pub fn new() -> std::io::Result<Inbox> {
        let mailbox = Mailbox::new(WORKER_MAILBOX_MAX)?;
        Ok(Inbox { mailbox, phase: AtomicU8::new(0), roll: Roll::default() })
    }

    /// Orders the worker into `phase`; there is no way back.
    pub fn order(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Relaxed);
        // A full mailbox wakes the worker just as well.
        let _ = self.mailbox.push(LOOK_UP);
    }

    /// Who is connected, at most [`crate::limits::ROLL_MAX`] of them, and how many there are; `None`
    /// when the worker does not answer within `patience`. Not for a thread that may not wait.
    pub fn conns(&self, patience: Duration) -> Option<(Vec<ConnView>, usize)> {
        let call = self.roll.call();
        let _ = self.mailbox.push(LOOK_UP);
        self.roll.wait(call, patience)
    }

    /// The phase ordered last.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }
}

impl Notify for Inbox {
    fn notify(&self, token: Token) {
        // When it is full the worker looks at every waiting connection, this one among them.
        let _ = self.mailbox.push(token);
    }
}
