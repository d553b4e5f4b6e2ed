//! What an operator's rules make of a response, before it is assessed by its own words.
//!
//! Works on the facts that [`super::freshness::assess`] decides on: a rule changes what counts as said,
//! the RFC's arithmetic stays. Two orders:
//!
//! * *origin first* (the default, RFC 9111): what the origin says holds; rules fill in where it says
//!   nothing.
//! * *override* (a rule with `override = true`): the origin's `no-store`, `no-cache`, `Pragma` and
//!   lifetimes of zero, then the rule, then what else the origin says, then the default.

use super::freshness::ResponseFacts;
use crate::config::{Rule, StatusTtl};

/// The operator's word on one response.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'r> {
    /// The one rule that holds for its path.
    pub rule: Option<&'r Rule>,
    /// Lifetimes by status of the whole site.
    pub status_ttl: &'r StatusTtl,
}

/// Who decided about the lifetime of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// Its own words, or what is guessed from them.
    Origin,
    /// `ttl` of a rule.
    Rule,
    /// `status_ttl` of a rule.
    RuleStatus,
    /// `status_ttl` of the site.
    SiteStatus,
    /// What holds for errors that nobody says anything about.
    ErrorDefault,
    /// `bypass` of a rule.
    Bypass,
}

impl Decider {
    /// What people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Decider::Origin => "origin",
            Decider::Rule => "rule ttl",
            Decider::RuleStatus => "rule status_ttl",
            Decider::SiteStatus => "site status_ttl",
            Decider::ErrorDefault => "default for errors",
            Decider::Bypass => "rule bypass",
        }
    }
}

/// Lifetime of errors that nobody says anything about, ms.
const ERROR_TTL_MS: u64 = 1_000;

impl Policy<'_> {
    /// Changes `facts` to what the operator wants them to be, and says who decides.
    pub fn apply(&self, facts: &mut ResponseFacts) -> Decider {
        let Some(rule) = self.rule else { return self.fill_in(facts) };
        if rule.bypass {
            facts.cache_control.no_store = true;
            return Decider::Bypass;
        }
        if rule.ignore_no_cache {
            ignore_no_cache(facts);
        }
        let decider = match rule.overrides {
            true => self.override_with(rule, facts),
            false => self.fill_in(facts),
        };
        // Stored, but never used without asking (RFC 9111 §5.2.2.4).
        facts.cache_control.no_cache |= rule.revalidate;
        decider
    }

    /// Whether clients are told the lifetime the node uses.
    pub fn tells_client(&self) -> bool {
        self.rule.is_some_and(|rule| rule.client_ttl)
    }

    /// The origin's word first.
    fn fill_in(&self, facts: &mut ResponseFacts) -> Decider {
        if is_explicit(facts) {
            return Decider::Origin;
        }
        if let Some((ttl_ms, decider)) = self.by_status(facts.status) {
            return set(facts, ttl_ms, decider);
        }
        let guessable = is_heuristic(facts.status);
        match self.rule.and_then(|rule| rule.ttl_ms) {
            Some(ttl_ms) if guessable && facts.status < 400 => set(facts, ttl_ms, Decider::Rule),
            _ if guessable && facts.last_modified_unix_s.is_none() && is_error(facts.status) => {
                set(facts, ERROR_TTL_MS, Decider::ErrorDefault)
            }
            _ => Decider::Origin,
        }
    }

    /// The rule's word first, but for the origin's refusals.
    fn override_with(&self, rule: &Rule, facts: &mut ResponseFacts) -> Decider {
        let control = &facts.cache_control;
        let refused = control.no_store || control.no_cache || is_zero(facts);
        if refused || rule.origin_wins && is_explicit(facts) {
            return Decider::Origin;
        }
        let decided = match (self.by_status(facts.status), rule.ttl_ms) {
            (Some(decided), _) => Some(decided),
            (None, Some(ttl_ms)) if matches!(facts.status, 200..=302 | 305..=399) => {
                Some((ttl_ms, Decider::Rule))
            }
            (None, _) if !is_explicit(facts) && is_error(facts.status) => {
                Some((ERROR_TTL_MS, Decider::ErrorDefault))
            }
            _ => None,
        };
        let Some((ttl_ms, decider)) = decided else { return Decider::Origin };
        // It counts from its arrival, however old it was.
        facts.age_s = None;
        facts.date_unix_s = None;
        set(facts, ttl_ms, decider)
    }

    fn by_status(&self, status: u16) -> Option<(u64, Decider)> {
        // These answer one request only.
        if matches!(status, 303 | 304 | 401 | 407) {
            return None;
        }
        let by_rule = self.rule.and_then(|rule| rule.status_ttl.ttl_ms(status));
        by_rule
            .map(|ttl_ms| (ttl_ms, Decider::RuleStatus))
            .or_else(|| Some((self.status_ttl.ttl_ms(status)?, Decider::SiteStatus)))
    }
}

/// As if the origin had said nothing that keeps a response from being stored for a while.
fn ignore_no_cache(facts: &mut ResponseFacts) {
    facts.cache_control.no_store = false;
    facts.cache_control.no_cache = false;
    let nonzero = |seconds: &u64| *seconds > 0;
    facts.cache_control.max_age_s = facts.cache_control.max_age_s.filter(nonzero);
    facts.cache_control.s_maxage_s = facts.cache_control.s_maxage_s.filter(nonzero);
    if is_zero(facts) {
        facts.expires_unix_s = None;
    }
}

/// What sets a cookie is shared by its origin's word alone.
fn set(facts: &mut ResponseFacts, ttl_ms: u64, decider: Decider) -> Decider {
    if facts.set_cookie {
        return Decider::Origin;
    }
    facts.cache_control.s_maxage_s = Some(ttl_ms / 1000);
    decider
}

/// Whether the origin says how long it is fresh.
fn is_explicit(facts: &ResponseFacts) -> bool {
    let control = &facts.cache_control;
    control.s_maxage_s.is_some() || control.max_age_s.is_some() || facts.expires_unix_s.is_some()
}

/// Whether the origin says that it is never fresh.
fn is_zero(facts: &ResponseFacts) -> bool {
    match facts.cache_control.s_maxage_s.or(facts.cache_control.max_age_s) {
        Some(seconds) => seconds == 0,
        None => match (facts.expires_unix_s, facts.date_unix_s) {
            (Some(Err(())), _) => true,
            (Some(Ok(expires)), Some(date)) => expires <= date,
            _ => false,
        },
    }
}

/// Statuses that may be stored though nobody says for how long (RFC 9110 §15.1).
fn is_heuristic(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// Statuses that are remembered for a moment, so that a storm of them stays here.
fn is_error(status: u16) -> bool {
    matches!(status, 204 | 305 | 400 | 403 | 404 | 405 | 414 | 500..=599)
}

#[cfg(test)]
mod tests;
