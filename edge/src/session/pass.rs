//! Requests that are passed on to the origin as they are: what the store may not answer.

use super::demand::{Demand, Pass, Want};
use super::key::{key, keyed_fields};
use super::steer;
use super::step::Step;
use super::upload::Uploading;
use super::{Action, Context, Session, ticket};
use crate::cache::{Relay, Upload};
use crate::config::Origin;
use crate::http::cache_control::RequestControl;
use crate::http::hop;
use crate::http::request::{BodyLength, Method, RequestHead, Version};
use crate::metrics::Outcome;
use crate::origin::Passing;
use crate::origin::request::fields;
use crate::site::Site;

/// How a request is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From the store, filled if need be.
    Store,
    /// By the origin, for this client only.
    Pass,
    /// By the node: what it can do for this target.
    Options,
    /// Not: the site does not take the method.
    Refuse,
}

/// How `site` deals with `head`.
pub fn route(head: &RequestHead<'_>, site: &Site) -> Route {
    let is_read = matches!(head.method, Method::Get | Method::Head);
    if head.method == Method::Trace || !site.config.takes(head.method_text) {
        return Route::Refuse;
    }
    match (&site.config.origin, head.method) {
        (Origin::File { .. }, Method::Options) => Route::Options,
        (Origin::File { .. }, _) if is_read => Route::Store,
        (Origin::File { .. }, _) => Route::Refuse,
        (_, Method::Options) if hop::max_forwards(head) == Some(0) => Route::Options,
        (_, _) if is_read && !is_private(head, site) => Route::Store,
        _ => Route::Pass,
    }
}

/// Whether a GET or HEAD is nobody else's business: it has a body, which no key covers (RFC 9110
/// §9.3.1), a cookie that the site names, or asks for another protocol.
fn is_private(head: &RequestHead<'_>, site: &Site) -> bool {
    head.body != BodyLength::Empty
        || site.config.pass.upgrade && head.header("upgrade").is_some()
        || !site.config.pass.bypass_cookies.is_empty()
            && has_cookie(head, &site.config.pass.bypass_cookies)
}

fn has_cookie(head: &RequestHead<'_>, names: &[String]) -> bool {
    let named = |cookie: &[u8]| {
        let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        names.iter().any(|known| known == "*" || known.as_bytes() == name)
    };
    head.all("cookie").flat_map(|cookies| cookies.split(|byte| *byte == b';')).any(named)
}

impl Session {
    /// Passes the request on.
    pub(super) fn pass(
        &mut self,
        head: &RequestHead<'_>,
        host: &str,
        context: &Context<'_>,
    ) -> Option<Action> {
        let site = self.exchange.site.clone()?;
        let key = key(context.cache.seed(), &site, host, head);
        // What a client sends that is refused is not read on.
        let keeps_alive = self.exchange.keep_alive;
        self.exchange.keep_alive &= head.body == BodyLength::Empty;
        if let Some(done) = self.admit(&site, head, key, context) {
            return done;
        }
        self.exchange.keep_alive = keeps_alive;
        self.exchange.outcome = Outcome::Bypass;
        // RFC 9211 §2.2
        let is_read = matches!(head.method, Method::Get | Method::Head);
        self.exchange.forward = if is_read { "bypass" } else { "method" };
        let request = Passing::new(head, (self.client(), self.scheme), site.config.pass.upgrade);
        let request = request.edited(|fields| steer::request_fields(&site, head.path, fields));
        let pipe = |held| Upload::new(context.notify.clone(), context.token, held);
        let body = pipe(request.expects_continue);
        let tunnel = request.upgrade.is_some().then(|| pipe(false));
        self.upload = Some(Uploading::new(body.clone(), head.body));
        self.tunnel = tunnel.clone();
        self.exchange.takes_trailers = request.takes_trailers;
        let demand = Demand {
            ticket: ticket(context),
            keyed: keyed_fields(&site, head).into(),
            fields: steer::request_fields(&site, head.path, fields(head)),
            conditions: Box::default(),
            is_secure: self.scheme == "https",
            control: RequestControl::default(),
            site,
            host: host.into(),
            target: head.target.into(),
            want: Want::Pass(Box::new(Pass { request, key, body, tunnel })),
        };
        self.step = Step::Opening(demand.ticket.clone());
        self.deadline_ms = context.now.mono_ms + self.patience_ms();
        Some(Action::Demand(Box::new(demand)))
    }

    /// The origin answered what was passed on.
    pub(super) fn passed(&mut self, relay: &Relay) {
        if relay.is_tunnel() {
            self.upload = self.tunnel.take().map(Uploading::tunnel);
            self.exchange.keep_alive = false;
            self.exchange.tunnel_ms =
                self.exchange.site.as_ref().map(|site| site.config.pass.upgrade_timeout_ms);
        } else if self.is_uploading() {
            // An answer before the end of the body: the rest of it will not be waited for.
            self.exchange.keep_alive = false;
        }
    }

    /// Interim answers leave before the final one.
    pub(super) fn interim(&mut self) -> bool {
        let Step::Opening(ticket) = &self.step else { return false };
        // HTTP/1.0 knows none (RFC 9110 §15.2).
        let is_new = self.exchange.version >= Version::Http11;
        if let Some(head) = ticket.take_interim().filter(|_| is_new) {
            self.out.text.extend_from_slice(&head);
        }
        self.out.has_text()
    }

    /// The origin has ended its half of a tunnel; the client may go on with its own.
    pub(super) fn is_half_open(&self) -> bool {
        // Also what it said last is still on its way until the fill plane closes the pipe.
        let goes_on = |upload: &Uploading| !upload.pipe.is_closed();
        self.exchange.tunnel_ms.is_some() && self.upload.as_ref().is_some_and(goes_on)
    }
}

/// Methods that people know; the first three are all that a directory takes.
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// Names of the methods a site takes, for `Allow`.
pub(super) fn allow(site: Option<&Site>) -> String {
    let is_read_only = site.is_some_and(|site| matches!(site.config.origin, Origin::File { .. }));
    let known = if is_read_only { &METHODS[..3] } else { &METHODS[..] };
    let taken = |method: &&str| site.is_none_or(|site| site.config.takes(method));
    known.iter().copied().filter(taken).collect::<Vec<_>>().join(", ")
}
