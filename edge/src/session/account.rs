//! The client's account at the desk: what it may still ask for.

use std::net::SocketAddr;

use super::step::Step;
use super::{BANNED, Context, Session, answer};
use crate::abuse::{Desk, Stop, Tally};
use crate::clock::Now;
use crate::config::LimitOn;

impl Session {
    /// Gives it an account at the desk; without one nothing is counted.
    pub fn with_tally(mut self, tally: Tally) -> Session {
        self.tally = tally;
        self
    }

    /// The client is another than it seemed: a balancer has said who.
    pub fn introduce(&mut self, client: SocketAddr, tally: Tally) {
        (self.client, self.tally) = (client, tally);
    }

    /// A TLS handshake was made in full, or has failed.
    pub fn note_handshake(&mut self, full: bool, failed: bool, now: Now) {
        for (on, is_so) in [(LimitOn::Handshakes, full), (LimitOn::HandshakeFailures, failed)] {
            if is_so {
                self.tally.note(on, 1, now);
            }
        }
    }

    /// Whether it has something to settle that is not yet due: [`Session::settle`] it then.
    pub fn owes(&self) -> bool {
        self.tally.is_open()
    }

    /// Settles the client's account when that is due; one that turns out to be banned gets nothing
    /// more.
    pub fn settle(&mut self, context: &Context<'_>) {
        if !self.tally.is_due(context.now) {
            return;
        }
        self.tally.settle(context.desk, context.now);
        if self.tally.ban().is_some() {
            self.expel();
        }
    }

    /// The connection closes; `dropped_bytes` of what was sent never arrived.
    pub fn leave(&mut self, desk: &Desk, dropped_bytes: u64, now: Now) {
        self.tally.leave(desk, dropped_bytes, now);
    }

    /// Answers a request that is over a limit.
    pub(super) fn limit(&mut self, stop: Stop, context: &Context<'_>) {
        self.tally.refuse(context.now);
        answer::limited(&mut self.exchange, &mut self.out, stop, context);
        self.start_answering(context);
    }

    /// No answer, or no more of it, for a client that is banned.
    pub(super) fn expel(&mut self) {
        match self.step {
            Step::Asking(_) | Step::Opening(_) | Step::Answering => self.break_off(BANNED),
            Step::Finished => self.exchange.keep_alive = false,
            _ => self.step = Step::Closed,
        }
        self.eof = true;
    }
}
