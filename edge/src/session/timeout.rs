//! Who has to be quick, and what happens when they are not.

use super::step::Step;
use super::{Action, CUT, Context, IDLE, Session};
use crate::cache::FillError;
use crate::config::LimitOn;

impl Session {
    /// The deadline of [`Session::poll_timeout`] passed. Returns whether the client was at fault.
    pub fn handle_timeout(&mut self, context: &Context<'_>) -> bool {
        match &self.step {
            Step::Head if !self.exchange.is_started() => {
                self.step = Step::Closed;
                false
            }
            Step::Head | Step::Draining(_) => {
                self.tally.note(LimitOn::Slow, 1, context.now);
                self.refuse(408, "timeout", context);
                true
            }
            Step::Asking(ticket) => {
                ticket.abandon();
                self.fail(FillError::Timeout, context);
                false
            }
            Step::Opening(ticket) => {
                ticket.abandon();
                let is_clients = self.awaits_body();
                if is_clients {
                    self.tally.note(LimitOn::Slow, 1, context.now);
                    self.refuse(408, "timeout", context);
                } else {
                    self.fail(FillError::Timeout, context);
                }
                is_clients
            }
            Step::Answering if self.waiting && self.exchange.tunnel_ms.is_some() => {
                self.break_off(IDLE);
                false
            }
            Step::HalfOpen => {
                self.break_off(IDLE);
                false
            }
            Step::Answering if self.waiting => {
                self.fail(FillError::Timeout, context);
                false
            }
            Step::Answering => {
                self.tally.note(LimitOn::Slow, 1, context.now);
                self.break_off(CUT);
                true
            }
            Step::Finished | Step::Lingering | Step::Closed => {
                self.step = Step::Closed;
                false
            }
        }
    }

    /// When [`Session::handle_timeout`] is due, monotonic ms.
    pub fn poll_timeout(&self) -> u64 {
        self.deadline_ms
    }

    pub(super) fn wait(&mut self, context: &Context<'_>) -> Action {
        self.downgrade();
        self.await_fill(context);
        Action::Wait
    }

    /// From here on it is the fill plane that has to be quick.
    pub(super) fn await_fill(&mut self, context: &Context<'_>) {
        if !self.waiting {
            self.waiting = true;
            self.deadline_ms = context.now.mono_ms + self.patience_ms();
        }
    }

    /// Time without any progress after which the connection is given up, ms.
    pub(super) fn patience_ms(&self) -> u64 {
        let next = if self.awaits_body() { self.timeouts.send_ms } else { self.timeouts.fill_ms };
        self.exchange.tunnel_ms.unwrap_or(next)
    }
}
