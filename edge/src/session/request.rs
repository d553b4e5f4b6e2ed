//! From received bytes to a request, and from a request to what answers it.

use std::sync::Arc;

use super::answer;
use super::demand::{Demand, Want};
use super::key::{key, keyed_fields, origin_target};
use super::pass::{self, Route};
use super::steer;
use super::step::{Drain, Step};
use super::{Action, Context, Session, ticket};
use crate::abuse::Standing;
use crate::cache::reuse::{Use, decide};
use crate::cache::{FillError, Key, Opened, Ticket};
use crate::config::LimitOn;
use crate::http::cache_control::RequestControl;
use crate::http::chunked::Decoder;
use crate::http::range::{self, Spec};
use crate::http::request::{BodyLength, Method, Parsed, RequestError, RequestHead};
use crate::http::token::quoted_members;
use crate::limits;
use crate::metrics::Outcome;
use crate::origin::request::{conditions, fields};
use crate::site::Site;

/// Why a request for a host that no site has is refused.
pub(super) const UNKNOWN_HOST: &str = "unknown_host";

impl Session {
    /// Reads a head if it is all there. `None`: something changed, look again.
    pub(super) fn read_head(&mut self, context: &Context<'_>) -> Option<Action> {
        if self.input.is_empty() {
            if self.eof || context.draining {
                self.step = Step::Closed;
                return None;
            }
            return Some(Action::Read);
        }
        let input = std::mem::take(&mut self.input);
        let mut refused = None;
        let action = match self.parse(&input) {
            Ok(Parsed::Head(head)) => {
                self.head_len = head.len;
                self.exchange.begin(&input, &head);
                self.meet(head, context)
            }
            Ok(Parsed::Partial) if self.eof => {
                self.step = Step::Closed;
                None
            }
            Ok(Parsed::Partial) => Some(Action::Read),
            Err(RequestError::VersionUnsupported) if self.is_switch(&input) => Some(Action::Switch),
            Err(error) => {
                refused = Some(error);
                None
            }
        };
        self.input = input;
        if let Some(error) = refused {
            self.refuse_head(&error, context);
        }
        action
    }

    /// Throws a request body away as it comes. `None`: something changed, look again.
    pub(super) fn drain(&mut self, context: &Context<'_>) -> Option<Action> {
        let Step::Draining(drain) = &mut self.step else { return None };
        let body = &self.input[self.head_len..];
        let result = match drain {
            Drain::Length(left) => {
                let taken = body.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Drain::Chunked { decoder, dropped } => drop_chunks(decoder, dropped, body),
        };
        match result {
            Ok((taken, done)) => {
                self.input.drain(self.head_len..self.head_len + taken);
                if done {
                    self.resume_request(context)
                } else if self.eof {
                    self.step = Step::Closed;
                    None
                } else {
                    Some(Action::Read)
                }
            }
            Err(status) => {
                self.refuse(status, "request_body", context);
                None
            }
        }
    }

    /// The fill plane answered `ticket`.
    pub(super) fn opened(
        &mut self,
        result: Result<Opened, FillError>,
        ticket: &Ticket,
        context: &Context<'_>,
    ) -> Option<Action> {
        let opened = match result {
            Ok(opened) => opened,
            Err(error) => {
                self.fail(error, context);
                ticket.abandon();
                return None;
            }
        };
        self.with_head(|session, head| {
            match opened {
                Opened::Object(object, outcome) => {
                    session.tally.size(object.len());
                    session.exchange.outcome = outcome;
                    answer::object(&mut session.exchange, &mut session.out, head, &object, context);
                }
                // Nobody asked that here.
                Opened::Word(_) => session.fail(FillError::Broken, context),
                Opened::Relay(relay) => {
                    session.exchange.outcome = Outcome::Bypass;
                    session.passed(&relay);
                    answer::relay(&mut session.exchange, &mut session.out, &relay, context);
                }
            }
            session.start_answering(context);
            None
        });
        // Only now: before, the answer does not count among the object's readers.
        ticket.abandon();
        let (object, how) = self.exchange.wants.take()?;
        self.aside = true;
        Some(Action::Demand(Box::new(self.demand(Want::Derive { object, how }, context))))
    }

    /// Begins the answer anew with the version that the origin has now; once a request, no more.
    pub(super) fn reopen(&mut self, context: &Context<'_>) -> Option<Action> {
        self.out.clear();
        self.exchange.reopened = true;
        self.with_head(|session, head| session.look_up(head, context))
    }

    /// A message for the fill plane about the current request.
    pub(super) fn demand(&mut self, want: Want, context: &Context<'_>) -> Demand {
        let site = self.exchange.site.clone().expect("a demand is made for a site");
        let mut demand = None;
        self.with_head(|session, head| {
            let host = host_of(head).to_ascii_lowercase();
            demand = Some(session.demand_of(head, site, &host, want, context));
            None
        });
        demand.expect("a head that was read is there until its answer has ended")
    }

    fn demand_of(
        &self,
        head: &RequestHead<'_>,
        site: Arc<Site>,
        host: &str,
        want: Want,
        context: &Context<'_>,
    ) -> Demand {
        let target = origin_target(&site, head).into();
        let fields = steer::request_fields(&site, head.path, fields(head));
        Demand {
            ticket: ticket(context),
            host: host.into(),
            target,
            keyed: keyed_fields(&site, head).into(),
            fields,
            conditions: conditions(head),
            is_secure: self.scheme == "https",
            control: RequestControl::parse(head.all("cache-control"), head.all("pragma")),
            site,
            want,
        }
    }

    /// Goes on with a request that may come in.
    pub(super) fn route(
        &mut self,
        head: &RequestHead<'_>,
        (site, host): (&Arc<Site>, &str),
        context: &Context<'_>,
    ) -> Option<Action> {
        let is_read = matches!(head.method, Method::Get | Method::Head);
        if is_read
            && matches!(head.body, BodyLength::Length(length) if length > limits::DRAIN_BODY_MAX_BYTES)
        {
            // Nobody means a GET by so much (RFC 9110 §9.3.1).
            return self.turn_down(413, "request_body", head, context);
        }
        if names_loop(head, context.cache.loop_id()) {
            return self.turn_down(508, "loop", head, context);
        }
        if let Some(done) = self.steer(head, host, context) {
            return done;
        }
        self.at_target(head, |session, head| session.go_on(head, (site, host), context))
    }

    /// Goes on by the way that the site has for the request.
    pub(super) fn take_route(
        &mut self,
        head: &RequestHead<'_>,
        (site, host): (&Site, &str),
        context: &Context<'_>,
    ) -> Option<Action> {
        match pass::route(head, site) {
            Route::Pass => self.pass(head, host, context),
            Route::Store | Route::Options => self.drain_then_answer(head, context),
            Route::Refuse => {
                // Unknown to us, or known and not wanted here (RFC 9110 §15.5.6, §15.6.2).
                let status = if head.method == Method::Other { 501 } else { 405 };
                self.turn_down(status, "method", head, context)
            }
        }
    }

    /// Goes on once the body, which nobody wants, is gone.
    pub(super) fn drain_then_answer(
        &mut self,
        head: &RequestHead<'_>,
        context: &Context<'_>,
    ) -> Option<Action> {
        self.step = match head.body {
            BodyLength::Empty => return self.answer_without_body(head, context),
            BodyLength::Length(length) if length > limits::DRAIN_BODY_MAX_BYTES => {
                return self.turn_down(413, "request_body", head, context);
            }
            _ if head.expect_continue => return self.turn_down(417, "expect", head, context),
            BodyLength::Length(length) => Step::Draining(Drain::Length(length)),
            BodyLength::Chunked => {
                Step::Draining(Drain::Chunked { decoder: Decoder::default(), dropped: 0 })
            }
        };
        None
    }

    fn answer_without_body(
        &mut self,
        head: &RequestHead<'_>,
        context: &Context<'_>,
    ) -> Option<Action> {
        if head.method == Method::Options {
            answer::options(&mut self.exchange, &mut self.out, context);
            self.start_answering(context);
            return None;
        }
        self.look_up(head, context)
    }

    /// The body is gone; the request goes on as if it had none.
    fn resume_request(&mut self, context: &Context<'_>) -> Option<Action> {
        self.with_head(|session, head| session.answer_without_body(head, context))
    }

    /// Finds site and object. What is in memory and fresh is answered at once.
    fn look_up(&mut self, head: &RequestHead<'_>, context: &Context<'_>) -> Option<Action> {
        let site = self.exchange.site.clone()?;
        let mut name = [0; 256];
        let host = host_name(head, &mut name);
        let control = RequestControl::parse(head.all("cache-control"), head.all("pragma"));
        let key = key(context.cache.seed(), &site, host, head);
        if let Some(done) = self.admit(&site, head, key, context) {
            return done;
        }
        let found = context.cache.lookup_for(key, head.headers());
        let good = found.as_ref().map_or(Use::Ask, |it| decide(&it.meta, &control, context.now));
        if let (Some(object), true) = (&found, good != Use::Ask) {
            let is_fresh = good == Use::Fresh;
            self.exchange.outcome = if is_fresh { Outcome::Hit } else { Outcome::Stale };
            self.tally.size(object.len());
            answer::object(&mut self.exchange, &mut self.out, head, object, context);
            self.start_answering(context);
            let asks = good == Use::StaleWhile && !control.only_if_cached;
            if asks && object.takes_refresh(context.now) {
                let want = Want::Open { key, range: None, head_only: false, stale: found };
                self.aside = true;
                let demand = self.demand_of(head, site.clone(), host, want, context);
                return Some(Action::Demand(Box::new(demand)));
            }
            let (object, how) = self.exchange.wants.take()?;
            self.aside = true;
            let want = Want::Derive { object, how };
            let demand = self.demand_of(head, site.clone(), host, want, context);
            return Some(Action::Demand(Box::new(demand)));
        }
        self.exchange.outcome = Outcome::Miss;
        self.exchange.forward = match &found {
            Some(found) if found.meta.is_unasked(context.now) => "request",
            Some(_) => "stale",
            // What lies there is the list of other variants.
            None if context.cache.lookup(key).is_some() => "vary-miss",
            None => "uri-miss",
        };
        let want = Want::Open {
            key,
            range: first_range(head),
            head_only: head.method == Method::Head,
            stale: found,
        };
        let demand = self.demand_of(head, site, host, want, context);
        self.step = Step::Opening(demand.ticket.clone());
        self.deadline_ms = context.now.mono_ms + self.timeouts.fill_ms;
        Some(Action::Demand(Box::new(demand)))
    }

    /// Counts the request; `Some`: its client is over a limit, and that was the answer.
    pub(super) fn admit(
        &mut self,
        site: &Site,
        head: &RequestHead<'_>,
        key: Key,
        context: &Context<'_>,
    ) -> Option<Option<Action>> {
        if self.exchange.reopened {
            return None;
        }
        let ranges = head.header("range").map_or(0, count_ranges);
        if ranges > 1 {
            self.tally.note(LimitOn::Ranges, ranges, context.now);
        }
        let name = (site.config.name.as_str(), head.target);
        match self.tally.request(context.desk, key.0, name, context.now) {
            Standing::Good => return None,
            Standing::Limited(stop) => self.limit(stop, context),
            Standing::Banned(_) => self.expel(),
        }
        Some(None)
    }

    /// Runs `then` with the current request's head, parsed again from the front of the input.
    pub(super) fn with_head(
        &mut self,
        then: impl FnOnce(&mut Session, &RequestHead<'_>) -> Option<Action>,
    ) -> Option<Action> {
        let (input, kept) = (std::mem::take(&mut self.input), std::mem::take(&mut self.kept));
        let action = match self.parse(&input[..self.head_len]) {
            Ok(Parsed::Head(head)) if kept.is_empty() => self.at_target(&head, then),
            Ok(Parsed::Head(head)) => self.at_target(&head.retargeted(&kept), then),
            // It parsed when it came; the bytes have not changed.
            _ => None,
        };
        (self.input, self.kept) = (input, kept);
        action
    }
}

/// The name the client asked for: an absolute target beats `Host` (RFC 9112 §3.2.2).
fn host_of<'b>(head: &RequestHead<'b>) -> &'b str {
    let authority = head.authority.map(|authority| match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    });
    authority.or(head.host).unwrap_or_default()
}

/// That name, lower-case; a longer one than there is room for is nobody's.
pub(super) fn host_name<'n>(head: &RequestHead<'_>, name: &'n mut [u8; 256]) -> &'n str {
    lower_case(host_of(head), name).unwrap_or_default()
}

fn lower_case<'n>(host: &str, name: &'n mut [u8; 256]) -> Option<&'n str> {
    let name = name.get_mut(..host.len())?;
    name.copy_from_slice(host.as_bytes());
    name.make_ascii_lowercase();
    std::str::from_utf8(name).ok()
}

/// Whether the request came by this node already (RFC 8586 §2).
fn names_loop(head: &RequestHead<'_>, loop_id: &str) -> bool {
    let is_ours = |member: &[u8]| {
        let id = member.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next();
        id.is_some_and(|id| id.eq_ignore_ascii_case(loop_id.as_bytes()))
    };
    head.all("cdn-loop").flat_map(quoted_members).any(is_ours)
}

/// Ranges a client asks for, whether they are good ones or not.
fn count_ranges(field: &[u8]) -> u64 {
    field.iter().filter(|byte| **byte == b',').count() as u64 + 1
}

/// The range a cold object's fill begins with; only one with a known start helps.
fn first_range(head: &RequestHead<'_>) -> Option<(u64, Option<u64>)> {
    let ranges = head.header("range").and_then(range::parse)?;
    match ranges.specs() {
        [Spec::From(first)] => Some((*first, None)),
        [Spec::FromTo(first, last), ..] => Some((*first, Some(last.saturating_add(1)))),
        // A suffix: the first slice tells the length, the rest follows.
        _ => Some((0, Some(1))),
    }
}

/// Drops what is there of a chunked body: bytes taken and whether it ended; the status otherwise.
fn drop_chunks(
    decoder: &mut Decoder,
    dropped: &mut u64,
    body: &[u8],
) -> Result<(usize, bool), u16> {
    let mut taken = 0;
    loop {
        let step = decoder.decode(&body[taken..]).map_err(|_| 400u16)?;
        taken += step.consumed;
        *dropped += step.data.len() as u64;
        if *dropped > limits::DRAIN_BODY_MAX_BYTES {
            return Err(413);
        }
        if step.done {
            return Ok((taken, true));
        }
        if step.consumed == 0 {
            return Ok((taken, false));
        }
    }
}
