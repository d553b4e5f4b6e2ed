//! Redirects and rewrites, compiled. A target is rewritten once at most, and a redirect that would lead
//! to itself through others of the site is never sent: nobody is sent in circles.

use std::collections::HashMap;

use regex::Regex;

use crate::config::{Redirect, RedirectFrom};
use crate::limits::{REDIRECT_HOPS_MAX, REDIRECT_REGEX_MAX_BYTES, REQUEST_TARGET_MAX_BYTES};

/// Redirects, or rewrites, of one site.
#[derive(Debug, Default)]
pub struct Targets {
    all: Vec<Redirect>,
    /// Positions of those for one path.
    exact: HashMap<Box<str>, usize>,
    /// The others, in their order.
    others: Vec<(usize, Pattern)>,
}

#[derive(Debug)]
enum Pattern {
    Prefix(Box<str>),
    Regex(Regex),
}

/// A request's target, and what else a redirect may speak of.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Host the client asked for, lower-case.
    pub host: &'a str,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Path as sent.
    pub path: &'a str,
    /// What follows the first `?`.
    pub query: Option<&'a str>,
}

/// What redirects make of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Led<'t> {
    /// Somewhere else.
    To(String, &'t Redirect),
    /// In a circle, by this rule.
    Round(&'t Redirect),
    /// To a target that is longer than any may be.
    TooFar,
}

impl Targets {
    /// Compiles rules that were checked before.
    pub fn new(all: &[Redirect]) -> Targets {
        let mut targets = Targets { all: all.to_vec(), ..Targets::default() };
        for (number, rule) in all.iter().enumerate() {
            let pattern = match &rule.from {
                RedirectFrom::Exact(path) => {
                    targets.exact.entry(path.as_str().into()).or_insert(number);
                    continue;
                }
                RedirectFrom::Prefix(path) => Some(Pattern::Prefix(path.as_str().into())),
                RedirectFrom::Regex(text) => regex::RegexBuilder::new(text)
                    .size_limit(REDIRECT_REGEX_MAX_BYTES)
                    .build()
                    .ok()
                    .map(Pattern::Regex),
            };
            targets.others.extend(pattern.map(|pattern| (number, pattern)));
        }
        targets
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The first rule for the path, and what becomes of the target.
    pub fn apply(&self, asked: Asked<'_>) -> Option<(String, &Redirect)> {
        let exact = self.exact.get(asked.path).copied();
        for (number, pattern) in &self.others {
            if exact.is_some_and(|exact| exact < *number) {
                break;
            }
            let rule = &self.all[*number];
            match pattern {
                Pattern::Prefix(prefix) => {
                    if let Some(rest) = asked.path.strip_prefix(&**prefix) {
                        return Some((
                            expand(&rule.to, asked, &|group| (group == 1).then_some(rest)),
                            rule,
                        ));
                    }
                }
                Pattern::Regex(regex) => {
                    if let Some(found) = regex.captures(asked.path) {
                        let group = |group| found.get(group).map(|text| text.as_str());
                        return Some((expand(&rule.to, asked, &group), rule));
                    }
                }
            }
        }
        let rule = &self.all[exact?];
        Some((expand(&rule.to, asked, &|_| None), rule))
    }

    /// Where the site's redirects lead a request; followed to its end to see that there is one.
    pub fn lead(&self, asked: Asked<'_>) -> Option<Led<'_>> {
        let (to, rule) = self.apply(asked)?;
        if to.len() > REQUEST_TARGET_MAX_BYTES {
            return Some(Led::TooFar);
        }
        let mut place = to.clone();
        for _ in 0..REDIRECT_HOPS_MAX {
            let Some(target) = own_target(&place, asked) else { return Some(Led::To(to, rule)) };
            let (path, query) = split(target);
            match self.apply(Asked { path, query, ..asked }) {
                None => return Some(Led::To(to, rule)),
                Some((_, _)) if path == asked.path && query == asked.query => break,
                Some((next, _)) => place = next,
            }
        }
        Some(Led::Round(rule))
    }
}

/// Path and query of a place that this site answers for; `None`: it is somewhere else.
fn own_target<'p>(place: &'p str, asked: Asked<'_>) -> Option<&'p str> {
    if place.starts_with('/') && !place.starts_with("//") {
        return Some(place);
    }
    let rest = place.strip_prefix(asked.scheme)?.strip_prefix("://")?;
    let rest = rest.strip_prefix(asked.host)?;
    rest.starts_with('/').then_some(rest)
}

/// Path and query of a target.
pub fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// Puts into `to` what it names. What was captured is a part of the target, which holds neither blanks
/// nor line ends.
fn expand<'p>(to: &str, asked: Asked<'p>, group: &dyn Fn(usize) -> Option<&'p str>) -> String {
    let mut text = String::with_capacity(to.len() + asked.path.len());
    let mut pieces = to.split('$');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (value, rest) = variable(piece, asked, group);
        text.push_str(value);
        text.push_str(rest);
    }
    // Nobody is led to another host by a path that begins with two slashes.
    if to.starts_with('/') && text.starts_with("//") {
        text.drain(..text.len() - text.trim_start_matches('/').len() - 1);
    }
    if let (Some(query), false) = (asked.query, to.contains(['?']) || to.contains("$query")) {
        text.push('?');
        text.push_str(query);
    }
    text
}

fn variable<'a, 'p: 'a>(
    piece: &'a str,
    asked: Asked<'p>,
    group: &dyn Fn(usize) -> Option<&'p str>,
) -> (&'a str, &'a str) {
    let names = [
        ("host", asked.host),
        ("scheme", asked.scheme),
        ("path", asked.path),
        ("query", asked.query.unwrap_or_default()),
    ];
    for (name, value) in names {
        if let Some(rest) = piece.strip_prefix(name) {
            return (value, rest);
        }
    }
    match piece.bytes().next() {
        Some(digit @ b'1'..=b'9') => {
            (group(usize::from(digit - b'0')).unwrap_or_default(), &piece[1..])
        }
        _ => ("", piece),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn targets(rules: &str) -> Targets {
        let text = format!("[[site]]\nhosts = \"a\"\norigin = \"http://o\"\n{rules}");
        let site = Config::parse(&text, "e.toml").unwrap().sites.remove(0);
        Targets::new(&site.content.redirects)
    }

    fn asked(target: &str) -> Asked<'_> {
        let (path, query) = split(target);
        Asked { host: "a", scheme: "http", path, query }
    }

    #[test]
    fn where_targets_lead() {
        let targets = targets(
            "[[site.redirect]]\nexact = \"/old\"\nto = \"/new\"\nstatus = 301\n\
             [[site.redirect]]\nexact = \"/old\"\nto = \"/never\"\n\
             [[site.redirect]]\nprefix = \"/docs/\"\nto = \"https://docs.example.com/$1\"\nstatus = 308\n",
        );
        for (target, expected) in [
            ("/old", Some(("/new", 301))),
            ("/old?a=1&b", Some(("/new?a=1&b", 301))),
            ("/old/", None),
            ("/Old", None),
            ("/docs/", Some(("https://docs.example.com/", 308))),
            ("/docs/a/b?c", Some(("https://docs.example.com/a/b?c", 308))),
            ("/docs", None),
            ("/new", None),
        ] {
            let led = targets.apply(asked(target)).map(|(to, rule)| (to, rule.status));
            assert_eq!(led, expected.map(|(to, status)| (to.to_owned(), status)), "{target}");
        }
    }

    #[test]
    fn patterns_and_variables() {
        for (from, to, target, expected) in [
            ("regex = \"^/v1/([a-z]+)/(\\\\d+)$\"", "/v2/$2/$1", "/v1/item/7", Some("/v2/7/item")),
            ("regex = \"^/v1/([a-z]+)/(\\\\d+)$\"", "/v2/$2/$1", "/v1/item/x", None),
            (
                "regex = \"\\\\.htm$\"",
                "$scheme://www.$host$path",
                "/a.htm?q",
                Some("http://www.a/a.htm?q"),
            ),
            ("exact = \"/q\"", "/p?from=$path&$query", "/q?x=1", Some("/p?from=/q&x=1")),
            ("exact = \"/q\"", "/p?", "/q?x=1", Some("/p?")),
            ("regex = \"^/(a)?b\"", "/x$1y$2", "/b", Some("/xy")),
            // No open redirect: what was captured does not become a host.
            ("regex = \"^/go(.*)\"", "$1", "/go//evil.example", None),
            ("prefix = \"/go/\"", "/$1", "/go//evil.example/x", Some("/evil.example/x")),
            ("regex = \"^/go(.*)\"", "/$1", "/go//evil.example", Some("/evil.example")),
        ] {
            let rule = format!("[[site.redirect]]\n{from}\nto = \"{to}\"\n");
            let text = format!("[[site]]\nhosts = \"a\"\norigin = \"http://o\"\n{rule}");
            let Ok(mut config) = Config::parse(&text, "e.toml") else {
                assert_eq!(expected, None, "{rule}");
                continue;
            };
            let targets = Targets::new(&config.sites.remove(0).content.redirects);
            let led = targets.apply(asked(target)).map(|(to, _)| to);
            assert_eq!(led.as_deref(), expected, "{rule} {target}");
        }
    }

    #[test]
    fn the_first_rule_holds_whatever_its_kind() {
        let targets = targets(
            "[[site.redirect]]\nprefix = \"/a\"\nto = \"/1\"\n\
             [[site.redirect]]\nexact = \"/ab\"\nto = \"/2\"\n\
             [[site.redirect]]\nexact = \"/b\"\nto = \"/3\"\n\
             [[site.redirect]]\nregex = \"b\"\nto = \"/4\"\n",
        );
        for (path, to) in [("/ab", "/1"), ("/b", "/3"), ("/bb", "/4")] {
            assert_eq!(targets.apply(asked(path)).unwrap().0, to, "{path}");
        }
    }

    #[test]
    fn nobody_is_sent_in_circles() {
        let targets = targets(
            "[[site.redirect]]\nexact = \"/a\"\nto = \"/b\"\n\
             [[site.redirect]]\nexact = \"/b\"\nto = \"http://a/c\"\n\
             [[site.redirect]]\nexact = \"/c\"\nto = \"/a\"\n\
             [[site.redirect]]\nregex = \"^/grow\"\nto = \"/grow/x$path\"\n\
             [[site.redirect]]\nexact = \"/d\"\nto = \"/e\"\n\
             [[site.redirect]]\nexact = \"/e\"\nto = \"/f\"\n",
        );
        for path in ["/a", "/b", "/c", "/grow"] {
            assert!(matches!(targets.lead(asked(path)), Some(Led::Round(_))), "{path}");
        }
        assert!(matches!(targets.lead(asked("/d")), Some(Led::To(to, _)) if to == "/e"));
        assert_eq!(targets.lead(asked("/f")), None);
    }

    proptest! {
        /// Whatever is asked for, what comes out is a target of one line.
        #[test]
        fn no_target_breaks_out(path in "/[!-~]{0,40}", query in proptest::option::of("[!-~]{0,20}")) {
            let targets = targets(
                "[[site.redirect]]\nregex = \"^/(.)(.*)$\"\nto = \"/$2/$1$1?$query&h=$host\"\n",
            );
            let asked = Asked { host: "a", scheme: "http", path: &path, query: query.as_deref() };
            if let Some((to, _)) = targets.apply(asked) {
                prop_assert!(to.starts_with('/') && !to.starts_with("//"), "{to}");
                prop_assert!(to.bytes().all(|byte| byte.is_ascii_graphic()), "{to}");
            }
            let _ = targets.lead(asked);
        }
    }
}
