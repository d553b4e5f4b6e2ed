//! Where a request is led before anything is looked up: redirects, rewrites, and the questions that
//! browsers ask before they ask (CORS preflights).

use super::key::key;
use super::{Action, Context, Session, answer};
use crate::config::Cors;
use crate::http::lines;
use crate::http::request::{BodyLength, Method, RequestHead};
use crate::site::Site;
use crate::site::cors::{Allowed, allowed};
use crate::site::targets::{Asked, Led};

impl Session {
    /// Redirects and rewrites of the site, and what it says to pages of other sites. `Some`: that was
    /// the answer. A rewritten target is kept for [`Session::at_target`].
    pub(super) fn steer(
        &mut self,
        head: &RequestHead<'_>,
        host: &str,
        context: &Context<'_>,
    ) -> Option<Option<Action>> {
        let site = self.exchange.site.clone().filter(|site| site.steers)?;
        let asked = Asked { host, scheme: self.scheme, path: head.path, query: head.query };
        match site.redirects.lead(asked) {
            None => {}
            Some(led) => {
                let key = key(context.cache.seed(), &site, host, head);
                if let Some(done) = self.admit(&site, head, key, context) {
                    return Some(done);
                }
                return Some(match led {
                    Led::To(to, rule) => {
                        self.keep_alive_if_empty(head);
                        let answered = (rule.status, to.as_str());
                        answer::redirect(&mut self.exchange, &mut self.out, answered, context);
                        self.start_answering(context);
                        None
                    }
                    Led::Round(_) => self.turn_down(508, "redirect_loop", head, context),
                    Led::TooFar => self.turn_down(414, "redirect", head, context),
                });
            }
        }
        if let Some((target, _)) = site.rewrites.apply(asked) {
            if target.len() > crate::limits::REQUEST_TARGET_MAX_BYTES {
                return Some(self.turn_down(414, "rewrite", head, context));
            }
            self.exchange.target_now = Some(target.into());
        }
        let path = self.exchange.target_now.as_deref().unwrap_or(head.path);
        self.exchange.rule = site.rule_number(path);
        let cors = site.cors(self.exchange.rule)?;
        let origin = head.single("origin");
        let is_preflight = head.method == Method::Options
            && origin.is_some()
            && head.header("access-control-request-method").is_some();
        self.exchange.cors = cors_lines(cors, origin);
        if !is_preflight {
            return None;
        }
        if allowed(cors, origin.unwrap_or_default()) == Allowed::No {
            return Some(self.turn_down(403, "cors", head, context));
        }
        push_preflight(&mut self.exchange.cors, cors, head);
        self.keep_alive_if_empty(head);
        answer::preflight(&mut self.exchange, &mut self.out, context);
        self.start_answering(context);
        Some(None)
    }

    /// Runs `then` with the target the request is led to, if it is another than the client's.
    pub(super) fn at_target(
        &mut self,
        head: &RequestHead<'_>,
        then: impl FnOnce(&mut Session, &RequestHead<'_>) -> Option<Action>,
    ) -> Option<Action> {
        let Some(target) = self.exchange.target_now.take() else { return then(self, head) };
        let action = then(self, &head.retargeted(&target));
        self.exchange.target_now.get_or_insert(target);
        action
    }

    /// A body that nobody reads ends the connection with the answer.
    fn keep_alive_if_empty(&mut self, head: &RequestHead<'_>) {
        self.exchange.keep_alive &= head.body == BodyLength::Empty;
    }
}

/// The client's fields as the site's rules leave them for an origin.
pub(super) fn request_fields(site: &Site, path: &str, fields: Box<[u8]>) -> Box<[u8]> {
    if !site.steers {
        return fields;
    }
    let rule = site.rule_number(path).and_then(|number| site.rules.at(number));
    let all = [
        Some(&site.config.content.request_headers),
        rule.map(|rule| &rule.content.request_headers),
    ];
    let mut fields = fields;
    for rules in all.into_iter().flatten().filter(|rules| !rules.is_empty()) {
        let kept = lines::lines(&fields).filter(|line| !rules.drops(line));
        let kept: Vec<&[u8]> = kept.chain([rules.lines.as_slice()]).collect();
        fields = kept.concat().into();
    }
    fields
}

/// What an answer says to the page at `origin`.
fn cors_lines(cors: &Cors, origin: Option<&[u8]>) -> Vec<u8> {
    let mut block = Vec::new();
    let allowed = match cors.any {
        true => Allowed::Any,
        false => origin.map_or(Allowed::No, |origin| allowed(cors, origin)),
    };
    match (allowed, origin) {
        (Allowed::Any, _) => lines::push(&mut block, "Access-Control-Allow-Origin", b"*"),
        (Allowed::This, Some(origin)) => {
            lines::push(&mut block, "Access-Control-Allow-Origin", origin);
            if cors.credentials {
                lines::push(&mut block, "Access-Control-Allow-Credentials", b"true");
            }
        }
        _ => {}
    }
    if allowed != Allowed::No && !cors.expose.is_empty() {
        lines::push(&mut block, "Access-Control-Expose-Headers", cors.expose.as_bytes());
    }
    if !cors.any {
        // Another page is told something else (RFC 9110 §12.5.5).
        lines::push(&mut block, "Vary", b"Origin");
    }
    block
}

fn push_preflight(block: &mut Vec<u8>, cors: &Cors, head: &RequestHead<'_>) {
    lines::push(block, "Access-Control-Allow-Methods", cors.methods.as_bytes());
    let asked = head.header("access-control-request-headers").unwrap_or_default();
    let headers = if cors.headers.is_empty() { asked } else { cors.headers.as_bytes() };
    if !headers.is_empty() {
        lines::push(block, "Access-Control-Allow-Headers", headers);
    }
    lines::push(block, "Access-Control-Max-Age", cors.max_age_s.to_string().as_bytes());
}
