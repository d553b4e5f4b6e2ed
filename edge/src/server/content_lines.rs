//! What `edge explain` says about redirects, rewrites, header rules and CORS.

use super::explain::{Lines, source};
use crate::cache::derived::Derivation;
use crate::cache::{Cache, Object};
use crate::config::{HeaderRules, size_text};
use crate::http::request::RequestHead;
use crate::site::Site;
use crate::site::cors::{Allowed, allowed};
use crate::site::targets::{Asked, Led};

/// Where the request is led: another target, or the outcome when it is not looked up at all.
pub(super) fn target_lines(
    lines: &mut Lines,
    site: &Site,
    host: &str,
    head: &RequestHead<'_>,
) -> Result<Option<String>, &'static str> {
    let asked = Asked { host, scheme: "http", path: head.path, query: head.query };
    match site.redirects.lead(asked) {
        None => {}
        Some(Led::To(to, rule)) => {
            let text = format!("{} {to}, by {}", rule.status, rule.from.text());
            lines.say("redirect", text, rule.place.to_string());
            return Err("redirect");
        }
        Some(Led::Round(rule)) => {
            let text = format!("508, {} leads round to itself", rule.from.text());
            lines.say("redirect", text, rule.place.to_string());
            return Err("redirect_loop");
        }
        Some(Led::TooFar) => return Err("target too long"),
    }
    let Some((to, rule)) = site.rewrites.apply(asked) else { return Ok(None) };
    let text = format!("target {to}, by {}", rule.from.text());
    lines.say("rewrite", text, rule.place.to_string());
    Ok(Some(to))
}

/// Content codings, error pages, directories.
pub(super) fn shape_lines(lines: &mut Lines, site: &Site) {
    let content = &site.config.content;
    if let Some(compress) = &content.compress {
        let names: Vec<&str> = compress.codings.iter().map(|coding| coding.as_str()).collect();
        let (min, max) = (size_text(compress.min_bytes), size_text(compress.max_bytes));
        let text = format!("{}, of {min} to {max}", names.join(" "));
        lines.say("compress", text, source(&site.config, "compress"));
    }
    if !content.error_pages.is_empty() {
        let text = "errors are shown with the site's pages";
        lines.say("error pages", text, source(&site.config, "error_pages"));
    }
    if content.listing {
        let text = "listing: directories without an index are shown";
        lines.say("site", text, source(&site.config, "listing"));
    }
}

/// What of a stored object is there for clients that take a coding.
pub(super) fn coding_lines(lines: &mut Lines, site: &Site, cache: &Cache, object: &Object) {
    let compress = site.config.content.compress.as_ref();
    for coding in compress.into_iter().flat_map(|compress| &compress.codings) {
        let made = cache.lookup(Derivation::Coded(*coding).key(object));
        let text = match made {
            Some(made) if made.is_derived() => {
                format!("{}: {} bytes", coding.as_str(), made.len().unwrap_or(0))
            }
            Some(_) => format!("{}: not worth it", coding.as_str()),
            None => format!("{}: not made yet, or not to be", coding.as_str()),
        };
        lines.say("compress", text, "Accept-Encoding");
    }
}

/// The fields that change on the way.
pub(super) fn field_lines(lines: &mut Lines, site: &Site, head: &RequestHead<'_>) {
    let number = site.rule_number(head.target);
    let rule = number.and_then(|number| site.rules.at(number));
    let content = &site.config.content;
    let of_rule = rule.map(|rule| (&rule.content, rule.place.to_string()));
    say_fields(lines, "answer", &content.headers, source(&site.config, "headers"));
    if let Some((content, place)) = &of_rule {
        say_fields(lines, "answer", &content.headers, place.clone());
    }
    let from = source(&site.config, "request_headers");
    say_fields(lines, "request", &content.request_headers, from);
    if let Some((content, place)) = &of_rule {
        say_fields(lines, "request", &content.request_headers, place.clone());
    }
    let (Some(cors), Some(origin)) = (site.cors(number), head.single("origin")) else { return };
    let text = match allowed(cors, origin) {
        Allowed::Any => "any page may read the answer",
        Allowed::This => "this page may read the answer",
        Allowed::No => "this page may not read the answer",
    };
    lines.say("cors", text, "cors");
}

fn say_fields(lines: &mut Lines, of: &str, rules: &HeaderRules, from: String) {
    for name in &rules.gone {
        lines.say("fields", format!("{of} without {name}"), from.clone());
    }
    for line in crate::http::lines::lines(&rules.lines) {
        let line = String::from_utf8_lossy(line);
        lines.say("fields", format!("{of} with {}", line.trim_end()), from.clone());
    }
}
