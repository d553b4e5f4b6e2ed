//! Answers that say no.

use super::step::Step;
use super::{Action, CUT, Context, Session, answer};
use crate::cache::FillError;
use crate::config::LimitOn;
use crate::http::request::{BodyLength, RequestError, RequestHead, Version};
use crate::metrics::Denial;

impl Session {
    /// Answers a request that cannot be read any further, and closes after it.
    pub(super) fn refuse(&mut self, status: u16, reason: &'static str, context: &Context<'_>) {
        self.exchange.keep_alive = false;
        self.answer_error(status, reason, context);
    }

    /// Gives up a request whose body cannot be read on.
    pub(super) fn refuse_body(&mut self, context: &Context<'_>) {
        if let Step::Opening(ticket) = &self.step {
            ticket.abandon();
            self.refuse(400, "request_body", context);
            self.drop_upload();
        } else {
            self.break_off(CUT);
        }
    }

    pub(super) fn refuse_head(&mut self, error: &RequestError, context: &Context<'_>) {
        self.tally.note(LimitOn::Malformed, 1, context.now);
        if self.is_stream {
            self.exchange.version = Version::Http2;
        }
        self.refuse(error.status(), error.as_str(), context);
    }

    pub(super) fn answer_error(
        &mut self,
        status: u16,
        reason: &'static str,
        context: &Context<'_>,
    ) {
        answer::error(&mut self.exchange, &mut self.out, status, reason, context);
        self.start_answering(context);
    }

    /// An error answer while nothing was sent, a cut afterwards: never a padded body.
    pub(super) fn fail(&mut self, error: FillError, context: &Context<'_>) {
        self.exchange.keep_alive &= !self.is_uploading();
        if self.exchange.answered || !self.out.is_untouched() {
            return self.break_off(CUT);
        }
        answer::failure(&mut self.exchange, &mut self.out, error, context);
        self.start_answering(context);
    }

    /// An error answer; a body that nobody reads ends the connection with it.
    pub(super) fn turn_down(
        &mut self,
        status: u16,
        reason: &'static str,
        head: &RequestHead<'_>,
        context: &Context<'_>,
    ) -> Option<Action> {
        self.exchange.keep_alive &= head.body == BodyLength::Empty;
        self.answer_error(status, reason, context);
        None
    }

    /// The site's rules do not let the request in.
    pub(super) fn deny(
        &mut self,
        denial: Denial,
        head: &RequestHead<'_>,
        context: &Context<'_>,
    ) -> Option<Action> {
        if let Some(site) = &self.exchange.site {
            site.metrics.denied[denial as usize].add(1);
        }
        self.exchange.is_denied = true;
        self.turn_down(denial.status(), denial.as_str(), head, context)
    }

    pub(super) fn break_off(&mut self, reason: &'static str) {
        if let Step::Opening(ticket) | Step::Asking(ticket) = &self.step {
            ticket.abandon();
        }
        self.out.abandon();
        self.drop_upload();
        self.exchange.keep_alive = false;
        self.exchange.reason = reason;
        self.step = Step::Finished;
    }
}
