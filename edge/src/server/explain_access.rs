//! What decides whether a request is let in: `edge explain`'s lines about access and signatures.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::explain::Lines;
use crate::clock::Now;
use crate::config::{Access, Rate, Sign, duration_text, size_text};
use crate::http::request::RequestHead;
use crate::metrics::Denial;
use crate::session::{asker, rate, take_rate};
use crate::site::{Site, Sites, sign};

/// Says what the site's rules make of a request; what is left of a signed target is added to `kept`.
/// Without a `client` in the question it comes from this host.
///
/// # Errors
/// It would be turned away.
pub(super) fn lines(
    lines: &mut Lines,
    site: &Site,
    (sites, head, question): (&Sites, &RequestHead<'_>, &Value),
    kept: &mut String,
) -> Result<(), Denial> {
    let given = question["client"].as_str().and_then(|text| text.parse::<IpAddr>().ok());
    let client = given.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    if let (Some(compiled), Some(config)) = (&site.access, &site.config.access) {
        access_lines(lines, config, (client, given.is_some()), sites);
        let outcome = compiled.check(&asker(client, head), sites.geo().map(|geo| &**geo));
        let text = match &outcome {
            Ok(()) => "let in".to_owned(),
            Err(denial) => format!("turned away: {}", denial.as_str()),
        };
        lines.say("access", text, config.place.to_string());
        outcome?;
    }
    if let Some(rules) = &site.config.sign {
        let now_s = Now::read().unix_ms / 1000;
        let outcome = sign::check(rules, head.target, now_s, kept);
        signature_lines(lines, rules, &outcome, kept);
        outcome?;
    }
    if let Some(auth) = &site.config.auth {
        let cache = if auth.cache_ms > 0 { "remembered" } else { "not remembered" };
        let path = if auth.path.is_empty() { head.path } else { &auth.path };
        let text = format!("{} {}{path} would be asked, {cache}", auth.method, auth.address);
        lines.say("auth", text, auth.place.to_string());
    }
    shape_lines(lines, site, head.target, kept);
    Ok(())
}

/// How fast the answer would leave now, and which word that rests on.
fn shape_lines(lines: &mut Lines, site: &Site, target: &str, kept: &mut String) {
    if !site.is_shaped {
        return;
    }
    let shape = site.config.shape.as_ref();
    let asked = shape.and_then(|shape| take_rate(shape, target, kept));
    let target = if kept.is_empty() { target } else { kept.as_str() };
    let now_s = Now::read().unix_ms / 1000;
    let Rate { bytes_per_s, after_bytes } = rate(site, target, asked, now_s);
    let own = shape.and_then(|shape| shape.place.as_ref()).map(|place| place.to_string());
    let ruled = site.rule(target).filter(|rule| rule.rate.bytes_per_s > 0);
    let from = match (asked, ruled) {
        (Some(_), _) => "the link".to_owned(),
        (None, Some(rule)) => rule.place.to_string(),
        (None, None) => own.clone().unwrap_or_default(),
    };
    let text = match bytes_per_s {
        0 => "no rate now".to_owned(),
        rate => format!("{} a second after {}", size_text(rate), size_text(after_bytes)),
    };
    lines.say("shape", text, from);
    let Some(shape) = shape else { return };
    let under_way = site.traffic.as_ref().map_or(0, |traffic| traffic.answers());
    let limit = |max: u64| if max == 0 { "any".to_owned() } else { max.to_string() };
    let text = format!(
        "cap {}, {} answers of one client, {} in all; {under_way} under way",
        if shape.cap_bytes_per_s == 0 {
            "none".to_owned()
        } else {
            size_text(shape.cap_bytes_per_s)
        },
        limit(u64::from(shape.max_per_client)),
        limit(u64::from(shape.max_answers)),
    );
    lines.say("shape", text, own.unwrap_or_default());
}

fn access_lines(
    lines: &mut Lines,
    config: &Access,
    (client, given): (IpAddr, bool),
    sites: &Sites,
) {
    if !config.addresses.is_empty() || !config.countries.is_empty() {
        let note = if given { "" } else { " (this host; --client asks for another)" };
        let country = sites.geo().and_then(|geo| geo.country(client));
        let country = country.map(|code| String::from_utf8_lossy(&code).into_owned());
        let of = country.map_or(String::new(), |code| format!(" of {code}"));
        lines.say("access", format!("client {client}{of}{note}"), "");
    }
    for (name, allowed, denied) in [
        ("addresses", config.addresses.allow.len(), config.addresses.deny.len()),
        ("countries", config.countries.allow.len(), config.countries.deny.len()),
        ("referers", config.referers.allow.len(), config.referers.deny.len()),
        ("agents", config.agents.allow.len(), config.agents.deny.len()),
    ] {
        if allowed + denied > 0 {
            let text = format!("{name}: {allowed} allowed, {denied} denied");
            lines.say("access", text, config.place.to_string());
        }
    }
}

fn signature_lines(lines: &mut Lines, rules: &Sign, outcome: &Result<(), Denial>, kept: &str) {
    let from = rules.place.to_string();
    let ttl = duration_text(rules.ttl_s * 1000);
    let text = format!("type {}, good for {ttl}, {} keys", rules.scheme.as_str(), rules.keys.len());
    lines.say("signature", text, from.clone());
    let text = match outcome {
        Ok(()) => format!("good; goes on as {kept}"),
        Err(denial) => format!("not good: {}; `edge sign` makes links", denial.as_str()),
    };
    lines.say("signature", text, from);
}
