//! What decides about a request, line by line: nothing is fetched, nothing is changed.

use serde_json::{Value, json};

use super::content_lines;
use super::domains::origin_urls;
use super::explain_access;
use super::explain_reuse::{freshness_lines, missing_lines, use_of, way_lines, would_be_lines};
use super::node::Node;
use crate::admin::Refusal;
use crate::cache::purge::{Kind, Rule as Purge};
use crate::cache::{Body, Key, Object};
use crate::config::{Rule, RuleMatch, Site as SiteConfig, duration_text};
use crate::http::request::{Parsed, RequestHead, parse};
use crate::session::key::{self, Part};
use crate::site::Site;

/// What is said, one fact each.
#[derive(Default)]
pub(super) struct Lines(Vec<Value>);

impl Lines {
    /// `from`: what the fact rests on; a place in a file, a section of an RFC, a preset.
    pub(super) fn say(&mut self, topic: &str, text: impl Into<String>, from: impl Into<String>) {
        let (text, from) = (text.into(), from.into());
        self.0.push(json!({ "topic": topic, "text": text, "from": from }));
    }
}

impl Node {
    /// Answers a question: `url`, and perhaps `method` and `headers`. May wait for a disk.
    pub(super) fn explain(&self, question: &Value) -> Result<Value, Refusal> {
        let request = request(question).map_err(Refusal::Wrong)?;
        let head = match parse(request.as_bytes()) {
            Ok(Parsed::Head(head)) => head,
            Ok(Parsed::Partial) => return Err(Refusal::Wrong("the request has no end".to_owned())),
            Err(error) => return Err(Refusal::Wrong(format!("would be refused: {error}"))),
        };
        let host = head.asked_host().unwrap_or_default().to_ascii_lowercase();
        let mut lines = Lines::default();
        let sites = self.sites.load();
        let Some(site) = sites.find(&host) else {
            let what = if sites.closes_unknown() { "connection closed" } else { "421" };
            lines.say("site", format!("none has {host:?}"), "");
            lines.say("outcome", what, "domains.unknown_host");
            return Ok(json!({ "outcome": "unknown_host", "lines": lines.0 }));
        };
        site_lines(&mut lines, site, &host);
        self.origin_lines(&mut lines, &site.config);
        let mut kept = String::new();
        let asked = (&**sites, &head, question);
        if let Err(denial) = explain_access::lines(&mut lines, site, asked, &mut kept) {
            let (status, reason) = (denial.status(), denial.as_str());
            lines.say("outcome", format!("{status} {reason}"), "");
            return Ok(json!({ "site": site.config.name, "outcome": "denied", "lines": lines.0 }));
        }
        let head = if kept.is_empty() { head } else { head.retargeted(&kept) };
        let target = match content_lines::target_lines(&mut lines, site, &host, &head) {
            Ok(target) => target,
            Err(outcome) => {
                lines.say("outcome", outcome, "");
                let name = &site.config.name;
                return Ok(json!({ "site": name, "outcome": outcome, "lines": lines.0 }));
            }
        };
        let head = target
            .as_deref()
            .map_or_else(|| head.retargeted(head.target), |target| head.retargeted(target));
        let rule = site.rule(head.target);
        rule_lines(&mut lines, rule);
        content_lines::field_lines(&mut lines, site, &head);
        content_lines::shape_lines(&mut lines, site);
        let found_by = key::key(self.cache.seed(), site, &host, &head);
        key_lines(&mut lines, site, (&host, &head), &format!("{found_by:?}"));
        let outcome = match way_lines(&mut lines, site, rule, &head) {
            Some(outcome) => outcome,
            None => self.lookup_lines(&mut lines, (site, rule), (&head, found_by)),
        };
        lines.say("outcome", outcome, "");
        Ok(json!({
            "site": site.config.name,
            "key": format!("{found_by:?}"),
            "rule": rule.map(|rule| rule.place.to_string()),
            "outcome": outcome,
            "lines": lines.0,
        }))
    }

    /// What lies under the key, and what the request makes of it.
    fn lookup_lines(
        &self,
        lines: &mut Lines,
        (site, rule): (&Site, Option<&Rule>),
        (head, found_by): (&RequestHead<'_>, Key),
    ) -> &'static str {
        let in_memory = self.cache.lookup_for(found_by, head.headers());
        let where_it_is = if in_memory.is_some() { "in memory" } else { "on a volume" };
        let object = in_memory.or_else(|| self.cache.load_for(found_by, head.headers()));
        match &object {
            Some(object) => {
                self.stored_lines(lines, object, where_it_is);
                content_lines::coding_lines(lines, site, &self.cache, object);
                freshness_lines(lines, site, rule, object);
                let outcome = use_of(lines, object, head);
                let is_whole =
                    self.cache.held(object).is_none_or(|held| Some(held.bytes) == object.len());
                if is_whole { outcome } else { missing_lines(lines, outcome) }
            }
            None => {
                let others = self.cache.lookup(found_by);
                match others.as_ref().map(|list| &list.body) {
                    Some(Body::Variants(list)) => {
                        let names = list.names().collect::<Vec<_>>().join(", ");
                        let text = format!("variants by {names}, none for this request");
                        lines.say("stored", text, "Vary, RFC 9111 section 4.1");
                    }
                    _ => lines.say("stored", "nothing", ""),
                }
                let target = key::origin_target(site, head);
                self.purge_lines(lines, site, &target);
                would_be_lines(lines, &site.config, (rule, head))
            }
        }
    }

    fn stored_lines(&self, lines: &mut Lines, object: &Object, where_it_is: &str) {
        let len =
            object.len().map_or("length not known yet".to_owned(), |len| format!("{len} bytes"));
        lines.say("stored", format!("{where_it_is}: status {}, {len}", object.meta.status), "");
        match &object.body {
            Body::File { .. } => lines.say("stored", "the origin's own file, sent as it is", ""),
            Body::Variants(_) => {}
            Body::Memory(_) => lines.say("stored", "body with its head", ""),
            Body::Slices(slices) => {
                lines.say(
                    "stored",
                    format!("generation {:016x}", slices.generation()),
                    "ETag, Last-Modified, length",
                );
                if let Some(held) = self.cache.held(object) {
                    let text =
                        format!("{} of {} slices, {} bytes", held.held, held.slices, held.bytes);
                    lines.say("stored", text, "");
                }
            }
        }
        let list = object.meta.variant_of.and_then(|url| self.cache.lookup(url));
        if let Some(Body::Variants(list)) = list.as_ref().map(|list| &list.body) {
            let names = list.names().collect::<Vec<_>>().join(", ");
            lines.say("stored", format!("variant by {names}"), "Vary, RFC 9111 section 4.1");
        }
        if let Some(etag) = &object.meta.etag {
            lines.say("stored", format!("ETag {etag}"), "");
        }
    }

    /// The newest purge that would have taken it.
    fn purge_lines(&self, lines: &mut Lines, site: &Site, target: &str) {
        let takes = |purge: &&Purge| {
            let pattern = &purge.pattern;
            let of_site = pattern.site.is_empty() || *pattern.site == *site.config.name;
            of_site
                && match pattern.kind {
                    Kind::Url => *pattern.text == *target,
                    Kind::Prefix => target.starts_with(&*pattern.text),
                    Kind::Site | Kind::All => true,
                    Kind::Regex | Kind::Tag => false,
                }
        };
        if let Some(purge) = self.cache.purges().iter().find(takes) {
            let text = format!("{} {}", purge.pattern.kind.as_str(), purge.pattern.text);
            lines.say("purged", text, format!("purge {}", purge.sequence));
        }
    }
}

/// The bytes of the request that is asked about.
fn request(question: &Value) -> Result<String, String> {
    let url = question["url"].as_str().ok_or("url is missing; such as http://host/path")?;
    let (_, rest) = url
        .split_once("://")
        .ok_or_else(|| format!("{url:?} is no URL; write it as \"http://dl.example.com/path\""))?;
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let target = target.split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    let method = question["method"].as_str().unwrap_or("GET");
    let mut text = format!("{method} {slash}{target} HTTP/1.1\r\nHost: {authority}\r\n");
    for field in question["headers"].as_array().into_iter().flatten() {
        let field = field.as_str().filter(|field| field.contains(':'));
        let field = field.ok_or("a header is written as \"Name: value\"")?;
        text.push_str(&format!("{field}\r\n"));
    }
    text.push_str("\r\n");
    Ok(text)
}

/// Where a value comes from: the file, the preset, or everybody's default.
pub(super) fn source(site: &SiteConfig, key: &str) -> String {
    let by_preset = ["default_ttl", "finish"].contains(&key);
    match site.stated.place_of(key) {
        Some(place) => place.to_string(),
        None if by_preset => format!("preset {}", site.preset.as_str()),
        None => "default".to_owned(),
    }
}

fn site_lines(lines: &mut Lines, site: &Site, host: &str) {
    let config = &site.config;
    let by = config.hosts.iter().find(|own| *own == host).or_else(|| {
        let fits = |own: &&String| own.strip_prefix('*').is_some_and(|end| host.ends_with(end));
        config.hosts.iter().filter(fits).max_by_key(|own| own.len())
    });
    let by = by.map_or("unknown_host", String::as_str);
    lines.say("site", format!("{} by {by}", config.name), config.stated.place.to_string());
    lines.say("site", format!("preset {}", config.preset.as_str()), source(config, "preset"));
    lines.say(
        "site",
        format!("origin {}", origin_urls(&config.origin).join(", ")),
        source(config, "origin"),
    );
    let ttl = format!("default_ttl {}", duration_text(config.default_ttl_ms));
    lines.say("site", ttl, source(config, "default_ttl"));
    lines.say("site", format!("finish {}", config.finish), source(config, "finish"));
}

fn rule_lines(lines: &mut Lines, rule: Option<&Rule>) {
    let Some(rule) = rule else { return lines.say("rule", "none", "") };
    let matches = match &rule.matches {
        RuleMatch::Directory(path) => format!("path {path}/"),
        RuleMatch::Suffixes(suffixes) => format!("suffixes {}", suffixes.join(" ")),
    };
    let mut text = format!("{matches}, weight {}", rule.weight);
    if let Some(ttl_ms) = rule.ttl_ms {
        text.push_str(&format!(", ttl {}", duration_text(ttl_ms)));
    }
    for (name, is_on) in [
        ("override", rule.overrides),
        ("origin_wins", rule.origin_wins),
        ("ignore_no_cache", rule.ignore_no_cache),
        ("client_ttl", rule.client_ttl),
        ("revalidate", rule.revalidate),
        ("bypass", rule.bypass),
    ] {
        if is_on {
            text.push_str(&format!(", {name}"));
        }
    }
    lines.say("rule", text, rule.place.to_string());
}

fn key_lines(lines: &mut Lines, site: &Site, (host, head): (&str, &RequestHead<'_>), hash: &str) {
    let from = source(&site.config, "key");
    lines.say("key", hash, "");
    lines.say("key", format!("space {}", site.key_space()), from.clone());
    key::parts(site, host, head, &mut |part| {
        let text = match part {
            Part::Host(host) => format!("host {host}"),
            Part::Target(target) => format!("target {target}"),
            Part::Path(path) => format!("path {path}"),
            Part::Folded(path) => format!("path {}", path.to_ascii_lowercase()),
            Part::Argument(argument) => format!("argument {argument}"),
            Part::Field(name, value) => format!("{name}: {}", String::from_utf8_lossy(value)),
        };
        lines.say("key", text, from.clone());
    });
    lines.say("origin", format!("asked for {}", key::origin_target(site, head)), "");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_become_requests() {
        for (question, expected) in [
            (
                json!({ "url": "http://a.test/x?y#z" }),
                Some("GET /x?y HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            ),
            (json!({ "url": "http://a.test?y" }), Some("GET /?y HTTP/1.1\r\nHost: a.test\r\n\r\n")),
            (
                json!({ "url": "http://a", "method": "HEAD", "headers": ["X: 1"] }),
                Some("HEAD / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n"),
            ),
            (json!({ "url": "a.test/x" }), None),
            (json!({ "url": "http://a", "headers": ["X"] }), None),
            (json!([]), None),
        ] {
            assert_eq!(request(&question).ok().as_deref(), expected, "{question}");
        }
    }
}
