//! Whom a site lets in: the first things that are asked of a request, before anything is looked up.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::pace::take_rate;
use super::request::{UNKNOWN_HOST, host_name};
use super::{Action, Context, Session};
use crate::http::request::{Method, RequestHead};
use crate::metrics::Denial;
use crate::site::{Asker, Site, sign};

impl Session {
    /// The node's own request, which no rule of a site keeps out.
    pub fn own(mut self) -> Session {
        self.is_own = true;
        self
    }

    /// Where the current request comes from: the peer, or whom trusted proxies name.
    pub(super) fn client(&self) -> SocketAddr {
        match self.exchange.client {
            Some(address) => SocketAddr::new(address, 0),
            None => self.client,
        }
    }

    /// A whole head has come: finds its site, and whether that takes it.
    pub(super) fn meet(&mut self, head: RequestHead<'_>, context: &Context<'_>) -> Option<Action> {
        if head.method == Method::Options && head.target == "*" {
            return self.drain_then_answer(&head, context);
        }
        let mut name = [0; 256];
        let host = host_name(&head, &mut name);
        let Some(site) = context.sites.find(host).cloned() else {
            if context.sites.closes_unknown() {
                self.break_off(UNKNOWN_HOST);
                return None;
            }
            return self.turn_down(421, UNKNOWN_HOST, &head, context);
        };
        self.exchange.site = Some(site.clone());
        if context.sites.trusts_proxies() {
            let fields: Vec<&[u8]> = head.all("x-forwarded-for").collect();
            let client = context.sites.client(self.client.ip(), fields.into_iter());
            self.exchange.client = (client != self.client.ip()).then_some(client);
        }
        if let Some(done) = self.transport(&site, (&head, host), context) {
            return done;
        }
        let mut kept = std::mem::take(&mut self.kept);
        let action = match self.vet(&site, &head, &mut kept, context) {
            Err(denial) => {
                kept.clear();
                self.deny(denial, &head, context)
            }
            Ok(()) if kept.is_empty() => self.route(&head, (&site, host), context),
            Ok(()) => self.route(&head.retargeted(&kept), (&site, host), context),
        };
        self.kept = kept;
        action
    }

    /// Whether the site takes the request. Where its target goes on otherwise than it came, that is
    /// written to `kept`.
    fn vet(
        &mut self,
        site: &Arc<Site>,
        head: &RequestHead<'_>,
        kept: &mut String,
        context: &Context<'_>,
    ) -> Result<(), Denial> {
        if self.is_own {
            return Ok(());
        }
        if let Some(access) = &site.access {
            access
                .check(&asker(self.client().ip(), head), context.sites.geo().map(|geo| &**geo))?;
        }
        if let Some(rules) = &site.config.sign {
            sign::check(rules, head.target, context.now.unix_ms / 1000, kept)?;
        }
        if let Some(shape) = &site.config.shape {
            self.exchange.pace.asked_bytes_per_s = take_rate(shape, head.target, kept);
        }
        Ok(())
    }
}

/// What a site's lists look at.
pub fn asker<'h>(address: IpAddr, head: &RequestHead<'h>) -> Asker<'h> {
    let field = |name| head.header(name).unwrap_or_default();
    Asker { address, referer: field("referer"), agent: field("user-agent") }
}
