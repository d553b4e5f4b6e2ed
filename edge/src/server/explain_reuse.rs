//! What `edge explain` says about using a stored response, and about requests that the store does not
//! answer.

use super::explain::{Lines, source};
use crate::cache::policy::{Decider, Policy};
use crate::cache::reuse::{Use, decide, may_stand_in, why_ask};
use crate::cache::{Body, Object};
use crate::clock::Now;
use crate::config::{Rule, Site as SiteConfig, duration_text};
use crate::http::cache_control::RequestControl;
use crate::http::request::{BodyLength, Method, RequestHead};
use crate::http::{lines as field_lines, targeted};
use crate::origin::{Head, facts, head};
use crate::session::{Route, route};
use crate::site::Site;

/// The outcome of a request that the store has no say in, and why.
pub(super) fn way_lines(
    lines: &mut Lines,
    site: &Site,
    rule: Option<&Rule>,
    head: &RequestHead<'_>,
) -> Option<&'static str> {
    let is_read = matches!(head.method, Method::Get | Method::Head);
    let (text, from, outcome) = match route(head, site) {
        Route::Store => {
            let rule = rule.filter(|rule| rule.bypass)?;
            ("asked for each time, by the rule", rule.place.to_string(), "bypass")
        }
        Route::Pass if !is_read => {
            ("the method is not for the store", "RFC 9111 section 4".to_owned(), "passed on")
        }
        Route::Pass if head.body != BodyLength::Empty => {
            ("its body is in no key", "RFC 9110 section 9.3.1".to_owned(), "passed on")
        }
        Route::Pass if head.header("upgrade").is_some() && site.config.pass.upgrade => {
            ("it asks for another protocol", source(&site.config, "upgrade"), "passed on")
        }
        Route::Pass => {
            ("it has a cookie of the site's", source(&site.config, "bypass_cookies"), "passed on")
        }
        Route::Options => ("the node answers by itself", String::new(), "options"),
        Route::Refuse if head.method == Method::Other => {
            ("501, the site does not take the method", source(&site.config, "methods"), "refused")
        }
        Route::Refuse => {
            ("405, the site does not take the method", source(&site.config, "methods"), "refused")
        }
    };
    lines.say("way", text, from);
    Some(outcome)
}

/// The sum of freshness of what is stored.
pub(super) fn freshness_lines(
    lines: &mut Lines,
    site: &Site,
    rule: Option<&Rule>,
    object: &Object,
) {
    let (meta, now) = (&object.meta, Now::read());
    let received = Now { mono_ms: now.mono_ms, unix_ms: meta.received_unix_ms };
    let stored = Head::read(meta.status, &head::read_block(&meta.headers), received);
    let mut facts = facts::facts(&stored);
    let policy = Policy { rule, status_ttl: &site.config.status_ttl };
    let from = match (&object.body, policy.apply(&mut facts), rule) {
        (Body::File { .. }, ..) => "a file is believed for a second".to_owned(),
        (_, Decider::Origin, _) => origin_source(&stored, site),
        (_, decider, Some(rule)) => format!("{}, {}", decider.as_str(), rule.place),
        (_, decider, None) => decider.as_str().to_owned(),
    };
    said_lines(lines, &meta.headers);
    lines.say("freshness", format!("lifetime {}", seconds(meta.lifetime_ms)), from);
    let initial = format!("age when it came {}", seconds(meta.initial_age_ms));
    lines.say("freshness", initial, "Date, Age, and the time it took, RFC 9111 section 4.2.3");
    let since_ms = now.unix_ms.saturating_sub(meta.received_unix_ms);
    let since = format!("time since it came {}", seconds(since_ms));
    lines.say("freshness", since, "RFC 9111 section 4.2.3");
    let (age_ms, left) = (meta.age_ms(now), meta.lifetime_ms.saturating_sub(meta.age_ms(now)));
    let text = match meta.is_fresh(now) {
        true => format!("age {} < lifetime: fresh for {}", seconds(age_ms), seconds(left)),
        false => format!("age {} >= lifetime: stale", seconds(age_ms)),
    };
    lines.say("freshness", text, "RFC 9111 section 4.2");
    stale_lines(lines, site, object, now);
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

/// What the origin said about storing, in its own words.
fn said_lines(lines: &mut Lines, headers: &[u8]) {
    let is_targeted = targeted::parse(field_lines::all(headers, "cdn-cache-control")).is_some();
    let (deciding, section): (&[&str], _) = match is_targeted {
        true => (&["CDN-Cache-Control"], "RFC 9213 section 2.2"),
        false => (&["Cache-Control", "Expires", "Pragma"], "the response"),
    };
    for name in deciding {
        for value in field_lines::all(headers, name) {
            let text = format!("{name}: {}", String::from_utf8_lossy(value));
            lines.say("freshness", text, section);
        }
    }
}

/// How long it may stand in when the origin fails.
fn stale_lines(lines: &mut Lines, site: &Site, object: &Object, now: Now) {
    let (meta, grace_ms) = (&object.meta, site.config.grace_ms);
    if matches!(object.body, Body::File { .. }) {
        return;
    }
    let (limit_ms, from) = match meta.reuse.if_error_ms {
        Some(0) => (0, "its directives, RFC 9111 section 4.2.4".to_owned()),
        Some(limit_ms) => (limit_ms, "stale-if-error, RFC 5861 section 4".to_owned()),
        None => (grace_ms, format!("grace, {}", source(&site.config, "grace"))),
    };
    let end_ms = meta.lifetime_ms.saturating_add(limit_ms);
    let text = match may_stand_in(meta, grace_ms, now) {
        true => {
            let left_ms = end_ms.saturating_sub(meta.age_ms(now));
            format!("stands in for a failing origin for {}", seconds(left_ms))
        }
        false => "does not stand in for a failing origin".to_owned(),
    };
    lines.say("freshness", text, from);
}

/// What this request makes of it.
pub(super) fn use_of(lines: &mut Lines, object: &Object, head: &RequestHead<'_>) -> &'static str {
    let asked = RequestControl::parse(head.all("cache-control"), head.all("pragma"));
    let now = Now::read();
    if let Some((why, section)) = why_ask(&object.meta, &asked, now) {
        let from = format!("RFC 9111 section {section}");
        if asked.only_if_cached {
            lines.say("use", format!("504: {why}, and the client wants no origin asked"), from);
            return "not cached";
        }
        lines.say("use", format!("the origin is asked first: {why}"), from);
        return "revalidate";
    }
    let (outcome, text, from) = match decide(&object.meta, &asked, now) {
        Use::Fresh | Use::Ask => ("hit", "as it is", "RFC 9111 section 4"),
        Use::Stale => ("stale", "stale, for the client's max-stale", "RFC 9111 section 5.2.1.2"),
        Use::StaleWhile => {
            ("stale", "stale, and the origin is asked meanwhile", "RFC 5861 section 3")
        }
    };
    lines.say("use", text, from);
    outcome
}

/// The outcome of a request that finds some bytes missing.
pub(super) fn missing_lines(lines: &mut Lines, outcome: &'static str) -> &'static str {
    if outcome != "hit" {
        return outcome;
    }
    lines.say("use", "bytes that are not there are asked for", "RFC 9111 section 3.4");
    "partial"
}

/// Which words of the origin a lifetime comes from.
fn origin_source(stored: &Head, site: &Site) -> String {
    let facts = facts::facts(stored);
    let control = &facts.cache_control;
    let text = if control.s_maxage_s.is_some() {
        "s-maxage, RFC 9111 section 5.2.2.10"
    } else if control.max_age_s.is_some() {
        "max-age, RFC 9111 section 5.2.2.1"
    } else if facts.expires_unix_s.is_some() {
        "Expires less Date, RFC 9111 section 5.3"
    } else {
        let most = duration_text(site.config.default_ttl_ms);
        let from = source(&site.config, "default_ttl");
        return format!(
            "a tenth of the time since Last-Modified, 10 s to {most} ({from}), RFC 9111 section 4.2.2"
        );
    };
    text.to_owned()
}

/// What would be made of an answer that says nothing about itself; the outcome.
pub(super) fn would_be_lines(
    lines: &mut Lines,
    site: &SiteConfig,
    (rule, head): (Option<&Rule>, &RequestHead<'_>),
) -> &'static str {
    let asked = RequestControl::parse(head.all("cache-control"), head.all("pragma"));
    if asked.only_if_cached {
        let text = "504: nothing is stored, and the client wants no origin asked";
        lines.say("use", text, "RFC 9111 section 5.2.1.7");
        return "not cached";
    }
    let (text, from) = match rule {
        _ if asked.no_store => (
            "not stored: the client says no-store".to_owned(),
            "RFC 9111 section 5.2.1.5".to_owned(),
        ),
        Some(rule) if rule.bypass => ("not stored".to_owned(), rule.place.to_string()),
        Some(Rule { ttl_ms: Some(ttl_ms), overrides, place, .. }) => {
            let order = if *overrides { "override" } else { "if the origin says no lifetime" };
            (format!("stored for {}, {order}", duration_text(*ttl_ms)), place.to_string())
        }
        _ => {
            let most = duration_text(site.default_ttl_ms);
            let text = format!(
                "stored as long as the origin says, else a tenth of the time since Last-Modified, 10 s to {most}"
            );
            (text, source(site, "default_ttl"))
        }
    };
    lines.say("would be", text, from);
    "miss"
}
