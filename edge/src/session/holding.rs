//! What holds a request back that may come in: too many under way, and the site's own service.

use std::sync::Arc;

use super::demand::{Demand, Question, Want};
use super::step::Step;
use super::{Action, Context, Session, ticket};
use crate::cache::{FillError, Opened};
use crate::config::Auth;
use crate::http::cache_control::RequestControl;
use crate::http::request::RequestHead;
use crate::metrics::Denial;
use crate::site::{Site, sign};

impl Session {
    /// Goes on with a request that may come in, to the target it was led to, when nothing holds it back.
    pub(super) fn go_on(
        &mut self,
        head: &RequestHead<'_>,
        (site, host): (&Arc<Site>, &str),
        context: &Context<'_>,
    ) -> Option<Action> {
        if site.is_shaped && !self.is_own {
            self.exchange.pace.settle(site, head.target, context.now.unix_ms / 1000);
        }
        match self.hold_back((site, host), head, context) {
            Some(done) => done,
            None => self.take_route(head, (site, host), context),
        }
    }

    /// `Some`: the request does not go on now, and that is what happens.
    fn hold_back(
        &mut self,
        (site, host): (&Arc<Site>, &str),
        head: &RequestHead<'_>,
        context: &Context<'_>,
    ) -> Option<Option<Action>> {
        if self.is_own {
            return None;
        }
        if let (Some(shape), Some(traffic)) = (&site.config.shape, &site.traffic) {
            match traffic.enter(shape, self.client().ip()) {
                Ok(slot) => self.exchange.pace.slot = Some(slot),
                Err(denial) => return Some(self.deny(denial, head, context)),
            }
        }
        let auth = site.config.auth.as_ref()?;
        let question = self.question(site, auth, host, head);
        match site.answers.find(question.key, context.now.mono_ms) {
            Some(true) => return None,
            Some(false) => return Some(self.deny(Denial::RemoteAuth, head, context)),
            None => {}
        }
        let demand = Demand {
            ticket: ticket(context),
            site: site.clone(),
            host: host.into(),
            target: head.target.into(),
            keyed: Box::default(),
            is_secure: self.scheme == "https",
            fields: Box::default(),
            conditions: Box::default(),
            control: RequestControl::default(),
            want: Want::Ask(Box::new(question)),
        };
        self.step = Step::Asking(demand.ticket.clone());
        self.deadline_ms = context.now.mono_ms + self.timeouts.fill_ms;
        Some(Some(Action::Demand(Box::new(demand))))
    }

    fn question(&self, site: &Site, auth: &Auth, host: &str, head: &RequestHead<'_>) -> Question {
        let path = if auth.path.is_empty() { head.path } else { &auth.path };
        let mut target = String::new();
        let chosen = |name: &str| {
            auth.arguments.as_ref().is_none_or(|names| names.iter().any(|own| own == name))
        };
        sign::strip(path, head.query, &mut target, chosen);
        let named = |name: &str, value: &[u8]| (Box::from(name), Box::from(value));
        let mut fields: Vec<(Box<str>, Box<[u8]>)> = Vec::new();
        for name in &auth.headers {
            fields.extend(head.all(name).map(|value| named(name, value)));
        }
        let client = self.client().ip().to_string();
        let key = site.answers.key(
            [host.as_bytes(), if auth.cache_by_path { head.path.as_bytes() } else { b"" }]
                .into_iter()
                .chain([if auth.cache_by_client { client.as_bytes() } else { b"" }])
                .chain([&target.as_bytes()[path.len()..]])
                .chain(fields.iter().flat_map(|(name, value)| [name.as_bytes(), value])),
        );
        fields.push(named("x-forwarded-for", client.as_bytes()));
        fields.push(named("x-forwarded-host", host.as_bytes()));
        fields.push(named("x-forwarded-method", head.method_text.as_bytes()));
        fields.push(named("x-forwarded-uri", head.target.as_bytes()));
        Question { key, target: target.into(), fields }
    }

    /// The service answered, or nobody could ask it.
    pub(super) fn heard(
        &mut self,
        word: Result<Opened, FillError>,
        context: &Context<'_>,
    ) -> Option<Action> {
        let site = self.exchange.site.clone()?;
        let passes = site.config.auth.as_ref().is_some_and(|auth| auth.failure_passes);
        let word = match word {
            Ok(Opened::Word(word)) => word,
            _ if passes => Ok(()),
            _ => Err(Denial::RemoteAuthFailed),
        };
        self.step = Step::Head;
        self.with_head(|session, head| match word {
            Ok(()) => {
                let mut name = [0; 256];
                let host = super::request::host_name(head, &mut name);
                session.take_route(head, (&site, host), context)
            }
            Err(denial) => session.deny(denial, head, context),
        })
    }
}
