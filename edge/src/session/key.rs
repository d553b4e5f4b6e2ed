//! What a request is asked for by: the parts of the cache key, and the target the origin is asked for.
//!
//! An object may be shared by all who ask with the same key, so the origin is sent what is in the key
//! and nothing else of the client's, unless a rule says otherwise.

use std::borrow::Cow;

use crate::cache::{Key, KeyBuilder, Seed};
use crate::config::{KeyRules, QueryRule};
use crate::http::request::RequestHead;
use crate::limits;
use crate::site::Site;

/// One part of a key, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Host the client asked for, lower-case.
    Host(&'a str),
    /// Path and query as sent.
    Target(&'a str),
    /// The path alone.
    Path(&'a str),
    /// The path, whose case does not matter.
    Folded(&'a str),
    /// `name=value`
    Argument(&'a str),
    /// A request field, and its value; empty when it was not sent.
    Field(&'a str, &'a [u8]),
}

/// The key of what `head` asks `site` for. Allocates nothing.
pub fn key(seed: Seed, site: &Site, host: &str, head: &RequestHead<'_>) -> Key {
    let mut key = KeyBuilder::new(seed, site.key_space());
    parts(site, host, head, &mut |part| match part {
        Part::Host(text) | Part::Target(text) | Part::Path(text) | Part::Argument(text) => {
            key.push(text.as_bytes());
        }
        Part::Folded(path) => key.push_folded(path.as_bytes()),
        Part::Field(name, value) => {
            key.push(name.as_bytes());
            key.push(value);
        }
    });
    key.finish()
}

/// Hands the parts of a key to `take`, one after the other.
pub fn parts<'a>(
    site: &'a Site,
    host: &'a str,
    head: &'a RequestHead<'_>,
    take: &mut dyn FnMut(Part<'a>),
) {
    let rules = &site.config.key;
    if rules.by_host {
        take(Part::Host(host));
    }
    if is_plain(rules) && !rules.fold_case {
        take(Part::Target(head.target));
    } else {
        take(if rules.fold_case { Part::Folded(head.path) } else { Part::Path(head.path) });
        arguments(rules, head.query, &mut |argument| take(Part::Argument(argument)));
    }
    for name in &rules.headers {
        take(Part::Field(name, head.header(name).unwrap_or_default()));
    }
}

/// Path and query as the origin is asked for them: what is in the key, or everything.
pub fn origin_target<'a>(site: &Site, head: &RequestHead<'a>) -> Cow<'a, str> {
    match site.config.key.send_all {
        true => Cow::Borrowed(head.target),
        false => kept_target(&site.config.key, head.target),
    }
}

/// What of path and query tells objects apart.
pub fn kept_target<'a>(rules: &KeyRules, target: &'a str) -> Cow<'a, str> {
    if is_plain(rules) {
        return Cow::Borrowed(target);
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut kept = path.to_owned();
    arguments(rules, query, &mut |argument| {
        kept.push(if kept.len() == path.len() { '?' } else { '&' });
        kept.push_str(argument);
    });
    Cow::Owned(kept)
}

/// The request fields that are part of the key, as the origin is sent them.
pub fn keyed_fields(site: &Site, head: &RequestHead<'_>) -> Vec<(Box<str>, Box<[u8]>)> {
    let names = site.config.key.headers.iter();
    names.filter_map(|name| Some((name.as_str().into(), head.header(name)?.into()))).collect()
}

fn is_plain(rules: &KeyRules) -> bool {
    rules.query == QueryRule::All && !rules.sort
}

/// The arguments that count, in the order in which they count. More than can be sorted stay as
/// they came.
fn arguments<'a>(rules: &KeyRules, query: Option<&'a str>, take: &mut dyn FnMut(&'a str)) {
    if rules.query == QueryRule::None {
        return;
    }
    let kept = query.into_iter().flat_map(|query| query.split('&'));
    let kept = kept.filter(|argument| !argument.is_empty() && rules.query.keeps(argument));
    let mut sorted = [""; limits::KEY_SORTED_MAX];
    let mut len = 0;
    let is_few = kept.clone().count() <= sorted.len();
    if !rules.sort || !is_few {
        return kept.for_each(take);
    }
    for argument in kept {
        sorted[len] = argument;
        len += 1;
    }
    // Of the same name, as they came: parts of one text, they lie in their order.
    sorted[..len].sort_unstable_by_key(|argument| {
        (argument.split_once('=').map_or(*argument, |(name, _)| name), argument.as_ptr())
    });
    sorted[..len].iter().for_each(|argument| take(argument));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;
    use crate::http::request::{Parsed, parse};
    use crate::metrics::SiteMetrics;

    fn site(rules: &str) -> Site {
        let text = format!("[[site]]\nhosts = \"s\"\norigin = \"http://o\"\n[site.key]\n{rules}");
        let config = Config::parse(&text, "e.toml").unwrap().sites.remove(0);
        Site::new(0, config, Arc::new(SiteMetrics::new(1)))
    }

    /// The key of a request, what the origin is asked for, and the parts as text.
    fn of(site: &Site, host: &str, target: &str, fields: &str) -> (Key, String, String) {
        let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        let Ok(Parsed::Head(head)) = parse(text.as_bytes()) else { panic!("{text}") };
        let mut shown = Vec::new();
        parts(site, host, &head, &mut |part| shown.push(format!("{part:?}")));
        let key = key(Seed([1, 2]), site, host, &head);
        (key, origin_target(site, &head).into_owned(), shown.join(" "))
    }

    #[test]
    fn what_tells_objects_apart() {
        let rows = [
            // By default: host and target, as the origin sees them.
            ("", "/a?x=1", "/a?x=1", true),
            ("", "/a?x=1", "/a?x=2", false),
            ("", "/a?x=1&y=2", "/a?y=2&x=1", false),
            ("", "/a", "/a?", false),
            ("", "/a", "/A", false),
            ("keep = [\"x\"]", "/a?x=1&u=7", "/a?u=8&x=1", true),
            ("keep = [\"x\"]", "/a?x=1", "/a?x=2", false),
            ("keep = [\"x\"]", "/a?%78=1", "/a", true),
            ("keep = [\"x\"]", "/a?x", "/a?x=", false),
            ("ignore = [\"u\"]", "/a?u=1&x=1&u", "/a?x=1", true),
            ("ignore = [\"u\"]", "/a?%75=1", "/a", false),
            ("ignore = \"all\"", "/a?x=1", "/a", true),
            ("ignore = \"all\"", "/a?x=1", "/b", false),
            ("sort = true", "/a?x=1&y=2", "/a?y=2&x=1", true),
            ("sort = true", "/a?x=1&x=2", "/a?x=2&x=1", false),
            ("fold_case = true", "/Dir/A.ZIP?X=1", "/dir/a.zip?X=1", true),
            ("fold_case = true", "/a?x=1", "/a?X=1", false),
        ];
        for (rules, one, other, same) in rows {
            let site = site(rules);
            let (one_key, other_key) = (of(&site, "s", one, "").0, of(&site, "s", other, "").0);
            assert_eq!(one_key == other_key, same, "{rules}: {one} {other}");
        }
    }

    #[test]
    fn hosts_tell_objects_apart_where_the_origin_sees_them() {
        let keys = |site: &Site| (of(site, "a", "/x", "").0, of(site, "b", "/x", "").0);
        let (a, b) = keys(&site(""));
        assert_ne!(a, b);
        let (a, b) = keys(&site("by_host = false"));
        assert_eq!(a, b);
        let text = "[[site]]\nhosts = [\"a\", \"b\"]\norigin = \"http://o\"\nhost = \"o.example\"";
        let config = Config::parse(text, "e.toml").unwrap().sites.remove(0);
        let (a, b) = keys(&Site::new(0, config, Arc::new(SiteMetrics::new(1))));
        assert_eq!(a, b, "the origin is asked for one host");
    }

    #[test]
    fn a_shared_space_holds_the_same_objects() {
        let text = "[[site]]\nhosts = \"a\"\norigin = \"http://o\"\nkey = { by_host = false }\n\
                    [[site]]\nhosts = \"b\"\norigin = \"http://o\"\nkey = { share = \"a\" }\n\
                    [[site]]\nhosts = \"c\"\norigin = \"http://o\"\nkey = { by_host = false }\n";
        let sites = Config::parse(text, "e.toml").unwrap().sites;
        let keys = sites.into_iter().map(|config| {
            let host = config.name.clone();
            of(&Site::new(0, config, Arc::new(SiteMetrics::new(1))), &host, "/x", "").0
        });
        let keys: Vec<Key> = keys.collect();
        assert_eq!(keys[0], keys[1]);
        assert_ne!(keys[0], keys[2]);
    }

    #[test]
    fn chosen_fields_tell_objects_apart() {
        let site = site("headers = [\"X-Device\"]");
        let with = |fields: &str| of(&site, "s", "/x", fields).0;
        assert_eq!(with("X-Device: tv\r\n"), with("x-device:  tv \r\nX-Other: 1\r\n"));
        assert_ne!(with("X-Device: tv\r\n"), with("X-Device: tablet\r\n"));
        assert_ne!(with("X-Device: tv\r\n"), with(""));
    }

    #[test]
    fn the_origin_is_asked_for_what_is_in_the_key() {
        for (rules, target, expected) in [
            ("", "/a?b=1&&c", "/a?b=1&&c"),
            ("keep = [\"x\"]", "/a?y=1&x=2", "/a?x=2"),
            ("keep = [\"x\"]", "/a?y=1", "/a"),
            ("keep = [\"x\"]\nsend_all = true", "/a?y=1&x=2", "/a?y=1&x=2"),
            ("ignore = \"all\"", "/a?y=1", "/a"),
            ("sort = true", "/a?y=1&x=2&&x=1", "/a?x=2&x=1&y=1"),
            ("fold_case = true", "/A?B=1", "/A?B=1"),
        ] {
            assert_eq!(of(&site(rules), "s", target, "").1, expected, "{rules} {target}");
        }
    }

    proptest! {
        /// Two requests with one key make the origin see one target, whatever the rule.
        #[test]
        fn no_input_is_unkeyed(
            rule in prop::sample::select(vec![
                "", "keep = [\"a\"]", "ignore = [\"a\"]", "ignore = \"all\"", "sort = true",
                "keep = [\"a\", \"b\"]\nsort = true",
            ]),
            one in "/[ab]?(\\?[ab=&]{0,8})?",
            other in "/[ab]?(\\?[ab=&]{0,8})?",
        ) {
            let site = site(rule);
            let (one, other) = (of(&site, "s", &one, ""), of(&site, "s", &other, ""));
            prop_assert_eq!(one.0 == other.0, one.2 == other.2);
            if one.0 == other.0 {
                prop_assert_eq!(one.1, other.1);
            }
        }
    }
}
