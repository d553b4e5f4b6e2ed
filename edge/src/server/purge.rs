//! An order to purge: what its words mean on this node's sites.

use serde_json::{Value, json};

use super::node::Node;
use crate::admin::Refusal;
use crate::cache::purge::{Kind, Pattern, Rule};
use crate::limits::PURGE_PATTERNS_MAX;
use crate::session::key::kept_target;
use crate::site::Sites;

/// What an order may say, and the kind that each list of patterns is of.
const LISTS: [(&str, Kind); 5] = [
    ("urls", Kind::Url),
    ("prefixes", Kind::Prefix),
    ("regexes", Kind::Regex),
    ("tags", Kind::Tag),
    ("sites", Kind::Site),
];
const OTHERS: [&str; 3] = ["all", "soft", "site"];
/// Purges shown at once.
const SHOWN_MAX: usize = 1_000;

impl Node {
    /// Carries out an order: see [`crate::admin::View::purge`].
    pub(super) fn carry_out_purge(&self, order: &Value) -> Result<Value, Refusal> {
        let soft = flag(order, "soft")?;
        let patterns = patterns(order, &self.sites.load()).map_err(Refusal::Wrong)?;
        let count = patterns.len();
        let purged = self.cache.purge(patterns, soft);
        if let Some(error) = purged.lost {
            return Err(Refusal::Failed(format!(
                "purged, but it may come back after a restart: {error}; purge again then"
            )));
        }
        tracing::info!(count, soft, sequence = purged.sequence, "purged");
        Ok(json!({ "purge": purged.sequence, "patterns": count, "soft": soft }))
    }

    /// The purges that are still looked at, newest first.
    pub(super) fn purges_shown(&self) -> Value {
        let rules = self.cache.purges();
        let shown: Vec<Value> = rules.iter().take(SHOWN_MAX).map(as_json).collect();
        json!({ "count": rules.len(), "purges": shown })
    }
}

fn as_json(rule: &Rule) -> Value {
    let Pattern { kind, site, text } = &rule.pattern;
    json!({
        "purge": rule.sequence,
        "unix_ms": rule.unix_ms,
        "kind": kind.as_str(),
        "site": site,
        "pattern": text,
        "soft": rule.soft,
    })
}

fn flag(order: &Value, name: &str) -> Result<bool, Refusal> {
    match &order[name] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(Refusal::Wrong(format!("{name} is true or false"))),
    }
}

/// Every pattern of an order.
fn patterns(order: &Value, sites: &Sites) -> Result<Vec<Pattern>, String> {
    let members = order.as_object().ok_or("an order is an object: {\"urls\": [\"…\"]}")?;
    let is_known = |name: &str| LISTS.iter().any(|(list, _)| *list == name);
    if let Some(name) = members.keys().find(|name| !is_known(name) && !OTHERS.contains(&&***name)) {
        return Err(format!(
            "{name:?} means nothing here; there are urls, prefixes, regexes, tags, sites, all, \
             soft, site"
        ));
    }
    let scope = match &order["site"] {
        Value::Null => String::new(),
        name => site_named(name.as_str().ok_or("site is a name")?, sites)?,
    };
    let mut patterns = Vec::new();
    for (list, kind) in LISTS {
        let words = match &order[list] {
            Value::Null => continue,
            Value::Array(words) => words,
            _ => return Err(format!("{list} is an array of strings")),
        };
        for word in words {
            let word = word.as_str().ok_or_else(|| format!("{list} is an array of strings"))?;
            patterns.push(pattern(kind, word, &scope, sites)?);
        }
    }
    if order["all"] == true {
        patterns.push(Pattern::all());
    }
    match patterns.len() {
        0 => {
            Err("the order names nothing: give urls, prefixes, regexes, tags, sites or all".into())
        }
        1..=PURGE_PATTERNS_MAX => Ok(patterns),
        got => Err(format!("{got} patterns in one order: at most {PURGE_PATTERNS_MAX}")),
    }
}

fn pattern(kind: Kind, word: &str, scope: &str, sites: &Sites) -> Result<Pattern, String> {
    let made = match kind {
        Kind::Url | Kind::Prefix => {
            let (site, target) = located(word, scope, sites)?;
            // What does not tell objects apart is not in what they are called by.
            let rules = sites.iter().find(|own| own.config.name == site).map(|own| &own.config.key);
            let target = match rules.filter(|_| kind == Kind::Url) {
                Some(rules) => kept_target(rules, target),
                None => target.into(),
            };
            Pattern::new(kind, &site, &target)
        }
        Kind::Site => Pattern::new(kind, &site_named(word, sites)?, ""),
        _ => Pattern::new(kind, scope, word),
    };
    made.map_err(|error| error.to_string())
}

/// Site and target of a URL; a path alone is of the site that the order is about.
fn located<'u>(url: &'u str, scope: &str, sites: &Sites) -> Result<(String, &'u str), String> {
    let url = url.split('#').next().unwrap_or_default();
    if url.starts_with('/') && !url.starts_with("//") {
        return match scope {
            "" => Err(format!("{url:?} is of no site: write http://host{url}, or name the site")),
            scope => Ok((scope.to_owned(), url)),
        };
    }
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    let target = if target.is_empty() { "/" } else { target };
    Ok((site_named(authority, sites)?, target))
}

/// The name of the site that is called so, or that answers for such a host.
fn site_named(name: &str, sites: &Sites) -> Result<String, String> {
    if let Some(site) = sites.iter().find(|site| site.config.name == name) {
        return Ok(site.key_space().to_owned());
    }
    let host = match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    };
    let site = sites.find(&host.to_ascii_lowercase());
    site.map(|site| site.key_space().to_owned())
        .ok_or_else(|| format!("no site answers for {name:?}; `edge status` shows the sites"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn sites() -> Sites {
        let text = r#"
            [[site]]
            hosts = ["a.example", "www.a.example"]
            origin = "http://192.0.2.1"
            [[site]]
            hosts = ["*.b.example"]
            origin = "http://192.0.2.1"
        "#;
        Sites::new(&Config::parse(text, "edge.toml").unwrap().sites, 1, None)
    }

    #[test]
    fn words_become_patterns() {
        let of = |order: Value| {
            patterns(&order, &sites()).map(|all| {
                let shown = |p: &Pattern| format!("{} {} {}", p.kind.as_str(), p.site, p.text);
                all.iter().map(shown).collect::<Vec<_>>().join(", ")
            })
        };
        for (order, expected) in [
            (json!({ "urls": ["http://A.example:80/x?y#z"] }), "url a.example /x?y"),
            (json!({ "urls": ["www.a.example"] }), "url a.example /"),
            (json!({ "urls": ["https://c.b.example/"] }), "url *.b.example /"),
            (json!({ "prefixes": ["/i/"], "site": "a.example" }), "prefix a.example /i/"),
            (json!({ "regexes": ["\\.js$"] }), "regex  \\.js$"),
            (json!({ "tags": ["t"], "site": "x.b.example" }), "tag *.b.example t"),
            (json!({ "sites": ["a.example"], "all": true }), "site a.example , all  "),
        ] {
            assert_eq!(of(order).unwrap(), expected);
        }
        for (order, message) in [
            (json!([]), "an order is an object"),
            (json!({}), "names nothing"),
            (json!({ "all": false }), "names nothing"),
            (json!({ "url": ["/"] }), "\"url\" means nothing here"),
            (json!({ "urls": "/" }), "urls is an array of strings"),
            (json!({ "urls": [1] }), "urls is an array of strings"),
            (json!({ "urls": ["/x"] }), "is of no site"),
            (json!({ "urls": ["http://c.example/x"] }), "no site answers for \"c.example\""),
            (json!({ "regexes": ["("] }), "is not a regular expression"),
            (json!({ "tags": ["a b"] }), "is no tag"),
            (json!({ "tags": vec!["t"; PURGE_PATTERNS_MAX + 1] }), "at most 1024"),
            (json!({ "urls": [format!("http://a.example/{}", "x".repeat(9999))] }), "too long"),
        ] {
            let error = of(order).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        assert!(flag(&json!({ "soft": 1 }), "soft").is_err());
    }
}
